import Control
import CurlClient
import Foundation
import Hummingbird
import Ledger
import Logging
import ServiceLifecycle
import StrictYAML
import Trading
import UnixSignals

/// `opsd run`: the supervisor. It starts the services in order, restarts what dies, merges their
/// metrics, and stops all of them when it is asked to go.
struct SupervisorProcess {
    let configuration: Configuration

    func run() async throws {
        let layout = DataLayout(configuration)
        try layout.prepare()
        let lock = try layout.hold("supervisor")
        defer { withExtendedLifetime(lock) {} }
        try listening.requireFree()
        let registry = Telemetry.bootstrap(
            process: "supervisor", descriptions: MetricsPage.descriptions + CoreMetrics.descriptions
        )
        registry.addCollector {
            $0.gauge("opsd_build_info", [("version", BuildInformation.version)], 1)
        }
        let curl = CurlClient()
        let children = BuiltinChildren(configuration: configuration, curl: curl)
        let logger = Logger(label: "supervisor")
        let supervisor = try Supervisor(
            services: specifications(layout), readiness: { await children.isReady($0) },
            onEvent: { event in
                logger.info("\(event.service)", metadata: ["event": "\(event.kind)"])
            })
        let health = await HealthAssembly(
            supervisor: supervisor, children: children, configuration: configuration,
            curl: curl, logger: logger,
            restart: { service, reason in
                logger.error("\(service) is restarted", metadata: ["because": "\(reason)"])
                try? await supervisor.restart(service)
            })
        let operations = OperationsAPI(
            metrics: MetricsPage(
                registry: registry, children: children,
                dataDirectory: configuration.dataDirectory),
            health: health,
            status: StatusAssembly(health: health, children: children))
        try await serve(supervisor, operations, children, logger)
        await curl.shutdown()
    }

    private func serve(
        _ supervisor: Supervisor, _ operations: OperationsAPI, _ children: BuiltinChildren,
        _ logger: Logger
    ) async throws {
        let address = configuration.listen.ops
        var quiet = logger
        quiet.logLevel = .notice
        let server = Application(
            router: operations.router(),
            configuration: ApplicationConfiguration(
                address: .hostname(address.host, port: address.port), serverName: "opsd"),
            logger: quiet)
        let welcome = Welcome(configuration: configuration, children: children)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: server),
                    .init(service: SupervisedServices(supervisor: supervisor)),
                    .init(service: TaskService { await operations.health.run() }),
                    .init(service: TaskService { await welcome.greetWhenReady() }),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet))
        try await listening.run(group)
    }

    private var listening: ListeningAddress { configuration.listen.ops.listening(as: "listen.ops") }

    private func specifications(_ layout: DataLayout) -> [ServiceSpecification] {
        configuration.services.map { service in
            let program: [String] =
                switch service.program {
                case .builtin(let builtin):
                    [Self.executable, builtin.rawValue, "-c", configuration.path]
                case .command(let command): command
                }
            return ServiceSpecification(
                name: service.name, executable: program.first ?? "",
                arguments: Array(program.dropFirst()),
                environment: service.environment.mapValues { $0.reveal() },
                workingDirectory: configuration.folder, after: service.after,
                before: service.before, restart: service.restart.policyOfControl,
                stop: service.stop.policyOfControl, logFile: layout.log(of: service.name))
        }
    }

    /// This program itself, however it was started.
    private static let executable: String =
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        ?? CommandLine.arguments[0]
}

/// The supervisor within a service group: graceful shutdown stops every child first.
private struct SupervisedServices: Service {
    let supervisor: Supervisor

    func run() async throws {
        await supervisor.start()
        try? await gracefulShutdown()
        await supervisor.stopAll()
    }
}

extension RestartSettings {
    var policyOfControl: Control.RestartPolicy {
        let mode: Control.RestartPolicy.Mode =
            switch policy {
            case .always: .always
            case .onFailure: .onFailure
            case .never: .never
            }
        return Control.RestartPolicy(
            mode: mode, backoff: backoff, factor: Double(factor.description) ?? 2, limit: limit,
            resetAfter: resetAfter)
    }
}

extension StopSettings {
    var policyOfControl: StopPolicy {
        StopPolicy(
            signal: Control.StopSignal(rawValue: signal.rawValue) ?? .TERM, timeout: timeout)
    }
}
