import Control
import CurlClient
import Foundation
import Ledger
import Logging
import StrictYAML

/// Puts health together: which checks there are by the configuration, what they ask through, and what
/// happens when one of them changes. The one place that knows every kind of probe.
struct HealthAssembly: Sendable {
    let services: ServiceReadings
    let monitor: HealthMonitor
    let current: CurrentConfiguration

    /// - Parameter restart: starts a service again whose own check has found it unhealthy.
    init(
        supervisor: Supervisor, children: BuiltinChildren, configuration: Configuration,
        curl: CurlClient, logger: Logger,
        restart: @escaping HealthMonitor.OnUnhealthy
    ) async {
        let current = CurrentConfiguration(configuration)
        let services = ServiceReadings(
            supervisor: supervisor, children: children, current: current)
        self.current = current
        self.services = services
        let http = HTTPProbe(curl: curl)
        let stores = StoreProbes()
        monitor = HealthMonitor(
            prober: SystemProber(
                workingDirectory: configuration.folder,
                http: { await http.run($0, status: $1, timeout: $2) },
                service: { await services.reading(of: $0)?.outcome ?? .unknown("no such service") },
                store: { name, timeout in
                    let check = current.value.health.first { $0.name == name }
                    guard case .store(let probe)? = check?.probe else {
                        return .unknown("no such check")
                    }
                    return await stores.run(probe, check: name, timeout: timeout)
                }),
            process: { await services.process(of: $0) },
            onEvent: { Self.log($0, logger) },
            onUnhealthy: restart)
        await monitor.apply(Self.checks(configuration))
    }

    /// Takes the checks and services of a configuration that was read again. A check that is as it
    /// was keeps what is known of it.
    func update(_ configuration: Configuration) async {
        current.replace(with: configuration)
        await monitor.apply(Self.checks(configuration))
    }

    /// Runs until the task is cancelled.
    func run() async {
        await monitor.start()
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3_600)) }
        await monitor.stop()
    }

    private static func log(_ event: HealthEvent, _ logger: Logger) {
        let change = event.transition
        // The first answer of each check is no news.
        let level: Logger.Level =
            switch change.to {
            case .unhealthy: .error
            case .degraded, .unknown: .warning
            case .healthy: change.from == .unknown ? .debug : .notice
            }
        logger.log(
            level: level, "check \(event.check) is \(change.to.rawValue)",
            metadata: ["was": "\(change.from.rawValue)", "says": "\(change.message)"])
    }
}

// MARK: - Which checks there are

extension HealthAssembly {
    /// The configuration's own, those of its services, and what is built in: each service, and the
    /// disk of the data directory.
    static func checks(_ configuration: Configuration) -> [HealthCheck] {
        let own = configuration.services.flatMap(checks(of:))
        let builtIn = configuration.services.map { service in
            HealthCheck(
                name: builtInName(ofService: service.name), probe: .service(service.name),
                period: .seconds(5))
        }
        // Of two checks of one name the first stays: a `disk` of the configuration replaces ours.
        return builtIn + own + configuration.health.map(\.ofControl) + [dataDisk(configuration)]
    }

    /// A colon is in no name of the configuration, so this is never one of its checks.
    static func builtInName(ofService name: ServiceName) -> HealthCheckName { "service:\(name)" }

    /// Named by service and kind, with a number from the second one of a kind on.
    private static func checks(of service: ServiceSettings) -> [HealthCheck] {
        var counts: [String: Int] = [:]
        return service.checks.map { check in
            let probe = check.probe.ofControl
            counts[probe.kind, default: 0] += 1
            let number = counts[probe.kind, default: 1]
            return HealthCheck(
                name: "\(service.name)/\(probe.kind)" + (number == 1 ? "" : "-\(number)"),
                probe: probe, period: check.period, timeout: check.timeout,
                rules: HealthRules(
                    threshold: check.threshold, successThreshold: check.successThreshold,
                    degradedFrom: check.degradedFrom), service: service.name)
        }
    }

    /// The journal, the stores and the logs lie there: without room nothing is accepted any more.
    private static func dataDisk(_ configuration: Configuration) -> HealthCheck {
        HealthCheck(
            name: "disk",
            probe: .disk(path: configuration.dataDirectory, freeBelow: .share(0.1)),
            period: .seconds(60))
    }
}

extension ServiceCheck.Probe {
    var ofControl: HealthProbe {
        switch self {
        case .http(let url): .http(url: url.absoluteString, status: nil)
        case .tcp(let address): .tcp(host: address.host, port: address.port)
        case .command(let words): .command(words)
        }
    }
}

extension HealthCheckSettings {
    var ofControl: HealthCheck {
        HealthCheck(
            name: name, probe: probe.ofControl, period: period, timeout: timeout,
            rules: HealthRules(
                threshold: threshold, successThreshold: successThreshold,
                degradedFrom: degradedFrom), dependsOn: dependsOn)
    }
}

extension HealthCheckSettings.Probe {
    var ofControl: HealthProbe {
        switch self {
        case .http(let url, let status): .http(url: url.absoluteString, status: status)
        case .tcp(let address): .tcp(host: address.host, port: address.port)
        case .command(let words): .command(words)
        case .disk(let path, let margin): .disk(path: path, freeBelow: margin.ofControl)
        case .fileAge(let path, let limit): .fileAge(path: path, staleAfter: limit)
        case .process(let file): .process(pidFile: file)
        case .service(let name): .service(name)
        case .store(let probe): .store(probe.ofControl)
        }
    }
}

extension Margin {
    var ofControl: DiskMargin {
        switch self {
        case .percent(let percent): .share((Double(percent.description) ?? 0) / 100)
        case .bytes(let bytes): .bytes(Int64(bytes))
        }
    }
}

// MARK: - HTTP

/// Asks a URL, for the checks of kind `http`.
struct HTTPProbe: Sendable {
    let curl: CurlClient

    func run(_ url: String, status wanted: Int?, timeout: Duration) async -> ProbeOutcome {
        do {
            let answer = try await curl.send(
                CurlRequest(.get, url, timeout: timeout, connectTimeout: timeout))
            return Self.judge(answer.status, wanted: wanted)
        } catch {
            return Self.judge(error)
        }
    }

    static func judge(_ status: Int, wanted: Int?) -> ProbeOutcome {
        let isWanted = wanted.map { $0 == status } ?? (200..<300).contains(status)
        if isWanted { return .success("status \(status)") }
        return .failure("status \(status), not \(wanted.map(String.init) ?? "200 to 299")")
    }

    /// What says nothing of the server is unknown.
    static func judge(_ error: CurlError) -> ProbeOutcome {
        switch error.reason {
        case .couldNotResolve, .couldNotConnect, .secureConnectionFailed, .timedOut,
            .connectionLost, .responseTooLarge:
            .failure("\(error.target): \(error.detail)")
        case .invalidRequest, .outOfResources, .cancelled, .shutDown, .other:
            .unknown("\(error.target): \(error.detail)")
        }
    }
}
