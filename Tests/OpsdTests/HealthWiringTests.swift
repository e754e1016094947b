import Control
import CoreMetrics
import CurlClient
import Foundation
import Ledger
import Logging
import StrictYAML
import TestSupport
import Testing

@testable import opsd

@Suite struct HealthWiringTests {
    private static func configuration() throws -> (Configuration, TemporaryDirectory) {
        let folder = try TemporaryDirectory()
        return (try Configuration.load(EmbeddedDefault.write(in: folder.path)), folder)
    }

    @Test func servicesAndTheDataDiskAreCheckedWithoutBeingAskedFor() throws {
        let (configuration, folder) = try Self.configuration()
        let checks = HealthAssembly.checks(configuration)
        #expect(checks.map(\.name) == ["service:core", "service:broker", "disk"])
        #expect(checks[0].probe == .service("core"))
        // It is the supervisor that starts a dead service again, not its check.
        #expect(checks[0].service == nil)
        #expect(checks[2].probe == .disk(path: configuration.dataDirectory, freeBelow: .share(0.1)))
        withExtendedLifetime(folder) {}
    }

    @Test func aServicesChecksBelongToIt() throws {
        var (configuration, folder) = try Self.configuration()
        let url = try #require(URL(string: "http://127.0.0.1:7000/health"))
        var http = ServiceCheck(probe: .http(url))
        (http.period, http.timeout, http.threshold) = (.seconds(7), .seconds(2), 4)
        configuration.services.append(
            ServiceSettings(
                name: "signals", program: .command(["true"]),
                checks: [
                    http, ServiceCheck(probe: .tcp(HostPort(host: "::1", port: 7000))),
                    ServiceCheck(probe: .tcp(HostPort(host: "::1", port: 7001))),
                    ServiceCheck(probe: .command(["test", "-e", "ready"])),
                ]))
        let checks = HealthAssembly.checks(configuration).filter { $0.service == "signals" }
        #expect(
            checks.map(\.name)
                == ["signals/http", "signals/tcp", "signals/tcp-2", "signals/command"])
        #expect(
            checks[0]
                == HealthCheck(
                    name: "signals/http", probe: .http(url: url.absoluteString, status: nil),
                    period: .seconds(7), timeout: .seconds(2), rules: HealthRules(threshold: 4),
                    service: "signals"))
        #expect(checks[2].probe == .tcp(host: "::1", port: 7001))
        withExtendedLifetime(folder) {}
    }

    @Test func theHealthSectionReachesTheChecks() throws {
        let (old, folder) = try Self.configuration()
        let text = try String(contentsOfFile: old.path, encoding: .utf8)
        try
            (text + """

                health:
                  - {name: page, http: "http://127.0.0.1:1/x", status: 401, period: 7s, timeout: 2s, threshold: 4,
                     success_threshold: 2, degraded_from: 100ms, depends_on: [core, disk]}
                  - {name: disk, path: \(folder.path), free_below: 2.5%}
                  - {name: room, path: \(folder.path), free_below: 5MB}
                  - {name: heartbeat, file: \(folder.path)/beat, stale_after: 1h}
                  - {name: other, pid_file: \(folder.path)/pid}
                  - {name: port, tcp: "[::1]:5"}
                  - {name: tool, command: [check, it]}
                  - {name: broker-runs, service: broker}

                """).write(toFile: old.path, atomically: true, encoding: .utf8)
        let checks = HealthAssembly.checks(try Configuration.load(old.path))
        func check(_ name: String) throws -> HealthCheck {
            try #require(checks.first { $0.name == name })
        }
        #expect(
            try check("page")
                == HealthCheck(
                    name: "page", probe: .http(url: "http://127.0.0.1:1/x", status: 401),
                    period: .seconds(7), timeout: .seconds(2),
                    rules: HealthRules(
                        threshold: 4, successThreshold: 2, degradedFrom: .milliseconds(100)),
                    dependsOn: ["core", "disk"]))
        // The first of a name stays: this one stands in place of the built-in one.
        #expect(try check("disk").probe == .disk(path: folder.path, freeBelow: .share(0.025)))
        #expect(try check("room").probe == .disk(path: folder.path, freeBelow: .bytes(5_000_000)))
        #expect(
            try check("heartbeat").probe
                == .fileAge(path: "\(folder.path)/beat", staleAfter: .seconds(3_600)))
        #expect(try check("other").probe == .process(pidFile: "\(folder.path)/pid"))
        #expect(try check("port").probe == .tcp(host: "::1", port: 5))
        #expect(try check("tool").probe == .command(["check", "it"]))
        #expect(try check("broker-runs").probe == .service("broker"))
    }

    @Test func aStatusIsJudgedByTheWantedOne() {
        #expect(HTTPProbe.judge(200, wanted: nil) == .success("status 200"))
        #expect(HTTPProbe.judge(299, wanted: nil) == .success("status 299"))
        #expect(HTTPProbe.judge(302, wanted: nil) == .failure("status 302, not 200 to 299"))
        #expect(HTTPProbe.judge(401, wanted: 401) == .success("status 401"))
        #expect(HTTPProbe.judge(200, wanted: 401) == .failure("status 200, not 401"))
    }

    @Test func whatSaysNothingOfTheServerIsUnknown() {
        func judge(_ reason: CurlError.Reason) -> String {
            HTTPProbe.judge(
                CurlError(reason: reason, delivery: .notSent, target: "http://x", detail: "d")
            ).word
        }
        for reason in [
            CurlError.Reason.couldNotResolve, .couldNotConnect, .timedOut, .connectionLost,
            .secureConnectionFailed, .responseTooLarge,
        ] {
            #expect(judge(reason) == "failure", "\(reason)")
        }
        for reason in [
            CurlError.Reason.invalidRequest, .outOfResources, .cancelled, .shutDown, .other,
        ] {
            #expect(judge(reason) == "unknown", "\(reason)")
        }
    }

    @Test(.timeLimit(.minutes(1))) func aRealServerIsAsked() async throws {
        let server = try ScriptedServer { request in
            switch request.target {
            case "/well": .answer(status: 204)
            case "/moved": .answer(status: 302, headers: ["Location": "/well"])
            case "/ill": .answer(status: 503)
            case "/mute": .hang
            default: .close
            }
        }
        let curl = CurlClient()
        let probe = HTTPProbe(curl: curl)
        func ask(_ path: String) async -> ProbeOutcome {
            await probe.run(server.url + path, status: nil, timeout: .milliseconds(500))
        }
        #expect(await ask("/well") == .success("status 204"))
        #expect(await ask("/moved") == .failure("status 302, not 200 to 299"))
        #expect(await ask("/ill") == .failure("status 503, not 200 to 299"))
        for path in ["/mute?token=key", "/closed?token=key"] {
            guard case .failure(let text) = await ask(path) else {
                Issue.record("\(path) was taken for an answer")
                continue
            }
            #expect(!text.contains("key"), "\(text)")
        }
        server.stop()
        guard case .failure = await ask("/well") else {
            Issue.record("a server that is gone was taken for an answer")
            return
        }
        await curl.shutdown()
    }

    @Test func whatToTypeHoldsNoSecret() {
        #expect(
            HealthProbe.http(url: "http://lin:key@h:7/p?token=key#key", status: nil).lookCommand
                == "curl -v http://h:7/p")
        #expect(
            HealthProbe.command(["check", "--token", "key"]).lookCommand == "run check by hand")
    }

    @Test func errorsInTheLogAreCountedByComponent() {
        let registry = MetricsRegistry(descriptions: CountingLogHandler.metricDescriptions)
        var logger = Logger(label: "x") { _ in
            CountingLogHandler(
                SilentLogHandler(),
                errors: Counter(
                    label: "opsd_log_errors_total", dimensions: [("component", "core")],
                    factory: registry))
        }
        logger.logLevel = .trace
        for level in Logger.Level.allCases { logger.log(level: level, "line") }
        let text = String(decoding: registry.encode(), as: UTF8.self)
        #expect(text.contains("opsd_log_errors_total{component=\"core\"} 2\n"))
    }

    @Test func aFullDiskTurnsNoTrafficAwayAndASickServiceDoes() async throws {
        let failing = FixedProber(outcome: .failure("no"))
        let monitor = HealthMonitor(
            prober: failing, process: { _ in .running(pid: 1) }, metrics: MetricsRegistry())
        let rules = HealthRules(threshold: 1)
        let disk = HealthCheck(
            name: "disk", probe: .disk(path: "/", freeBelow: .bytes(0)), period: .milliseconds(100),
            rules: rules)
        var web = disk
        (web.name, web.service) = ("web/http", "web")
        await monitor.apply([disk, web])
        await monitor.start()
        while await monitor.readings().contains(where: { $0.status == .unknown }) {
            try await Task.sleep(for: .milliseconds(5))
        }
        await monitor.stop()
        let readings = await monitor.readings()
        #expect(ReadinessDecision.reasonNotReady([], checks: [readings[0]]) == nil)
        #expect(
            ReadinessDecision.reasonNotReady([], checks: readings)
                == "check web/http is unhealthy: no")
    }
}

private struct FixedProber: HealthProber {
    let outcome: ProbeOutcome
    func probe(_ check: HealthCheck) async -> ProbeOutcome { outcome }
}

private struct SilentLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel = Logger.Level.info
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }
    func log(event: LogEvent) {}
}
