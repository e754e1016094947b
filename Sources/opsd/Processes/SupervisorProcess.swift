import Control
import CurlClient
import Foundation
import Hummingbird
import HummingbirdCore
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
        ProcessLimits.forbidCoreDumps()
        ProcessLimits.raiseOpenFiles()
        // From here on SIGHUP reads the configuration again, instead of ending the process.
        let hangUps = await UnixSignalsSequence(trapping: .sighup)
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
        let logger = Logger(label: "supervisor")
        let accepted = AcceptedConfiguration(configuration.texts)
        let children = BuiltinChildren(configuration: configuration, curl: curl)
        let stateFile = ControlStateOpener(path: layout.controlState, logger: logger)
        registry.addCollector(stateFile.collect)
        let supervisor = try Supervisor(
            services: ServiceSpecification.all(of: configuration),
            dataDirectory: ServiceSpecification.realPath(layout.root),
            state: await stateFile.open(),
            ask: { await children.answer(of: $0, within: $1) },
            onEvent: { event in
                logger.log(
                    level: event.kind.isTrouble ? .warning : .info,
                    "\(event.service): \(event.kind)",
                    metadata: ["service": "\(event.service)", "event": "\(event.kind.word)"])
            })
        let scheduler = try JobScheduler(
            jobs: JobSpecification.all(of: configuration),
            dataDirectory: ServiceSpecification.realPath(layout.root),
            state: stateFile.state,
            onEvent: { event in
                logger.log(
                    level: event.kind.isTrouble ? .warning : .info,
                    "job \(event.job): \(event.kind)",
                    metadata: ["job": "\(event.job)"])
            })
        let health = await HealthAssembly(
            supervisor: supervisor, children: children, configuration: configuration,
            curl: curl, logger: logger,
            restart: { service, process, reason in
                try? await supervisor.restart(service, process: process, because: reason)
            })
        registry.addCollector { [current = health.current] in
            current.value.collectCalendars(into: &$0)
        }
        let verification = VerificationMetrics(configuration)
        let operations = OperationsAPI(
            metrics: MetricsPage(
                registry: registry, children: children,
                dataDirectory: configuration.dataDirectory,
                verification: verification),
            health: health,
            status: StatusAssembly(
                health: health, children: children, scheduler: scheduler,
                verification: verification,
                controlProblem: { stateFile.problem }))
        let notifier = SystemdNotifier()
        let reload = ConfigurationReloader(
            running: configuration, supervisor: supervisor, scheduler: scheduler,
            children: children, health: health, accepted: accepted, verification: verification,
            notifier: notifier, logger: logger)
        let background = TaskService { await stateFile.keepTrying(for: supervisor, scheduler) }
        let control = SupervisorControl(
            supervisor: supervisor, scheduler: scheduler, accepted: accepted, logger: logger)
        try await serve(control, operations, reload, hangUps, notifier, background, logger)
        await curl.shutdown()
    }

    private func serve(
        _ controls: SupervisorControl, _ operations: OperationsAPI,
        _ reload: ConfigurationReloader, _ hangUps: UnixSignalsSequence,
        _ notifier: SystemdNotifier?,
        _ background: TaskService, _ logger: Logger
    ) async throws {
        let address = configuration.listen.ops
        var quiet = logger
        quiet.logLevel = .notice
        let server = Application(
            router: operations.router(), server: ControlServer.patientServer,
            configuration: ApplicationConfiguration(
                address: .hostname(address.host, port: address.port), serverName: "opsd",
                availableConnectionsDelegate: ControlServer.connectionBound),
            logger: quiet)
        let layout = DataLayout(configuration)
        let control = ControlServer(
            socketPath: layout.socket(of: "supervisor"), registry: operations.metrics.registry,
            readiness: { nil })
        controls.addRoutes(to: control.router)
        let (supervisor, scheduler) = (controls.supervisor, controls.scheduler)
        let logs = logKeeper(supervisor, scheduler, layout, logger)
        let welcome = Welcome(
            configuration: configuration, children: operations.metrics.children)
        // Services stop in the reverse of this order: whoever asks is answered to the last.
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: server),
                    .init(service: control.application()),
                    .init(service: TaskService { await logs.run() }),
                    .init(service: background),
                    .init(
                        service: SupervisedProcesses(
                            supervisor: supervisor, scheduler: scheduler, notifier: notifier)),
                    .init(service: TaskService { await operations.health.run() }),
                    .init(
                        service: TaskService {
                            for await _ in hangUps { await reload.request() }
                            await reload.end()
                        }),
                    .init(service: TaskService { await welcome.greetWhenReady() }),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet))
        try await listening.run(group)
    }

    private func logKeeper(
        _ supervisor: Supervisor, _ scheduler: JobScheduler, _ layout: DataLayout,
        _ logger: Logger
    ) -> LogKeeper {
        LogKeeper(
            files: {
                var files = [layout.accessLog: LogRotation()]
                for service in await supervisor.specifications() {
                    files[service.logFile] = service.rotation
                }
                for job in await scheduler.specifications() { files[job.logFile] = job.rotation }
                return files
            }, onProblem: { logger.error("\($0)") })
    }

    private var listening: ListeningAddress { configuration.listen.ops.listening(as: "listen.ops") }
}

/// Supervisor and scheduler within a service group: graceful shutdown stops every child first.
private struct SupervisedProcesses: Service {
    let supervisor: Supervisor
    let scheduler: JobScheduler
    let notifier: SystemdNotifier?

    func run() async throws {
        await supervisor.start()
        await scheduler.adopt()
        // A job that asks the core something should find it.
        let jobs = Task {
            await supervisor.whenReady()
            await scheduler.run()
        }
        notifier?.ready(status: await supervisor.summary())
        let beat = Task { await keepTelling() }
        try? await gracefulShutdown()
        notifier?.stopping()
        let plea = Task { await askForTime() }
        let limit = await stopLimit()
        jobs.cancel()
        async let runs = scheduler.stopAll(within: limit)
        let left = await supervisor.stopAll(within: limit) + runs
        beat.cancel()
        plea.cancel()
        guard left.isEmpty else {
            let names = left.map { "\($0.service) (process \($0.pid))" }.joined(separator: ", ")
            throw CommandFailure(
                .unknown,
                "the daemon ends, and what was killed is still there: \(names); it hangs in the "
                    + "kernel, and the next daemon adopts or ends it")
        }
    }

    /// Says that the supervisor lives, which it proves by answering, and how the services are.
    private func keepTelling() async {
        guard let notifier else { return }
        let period = notifier.watchdog.map { $0 / 2 } ?? .seconds(10)
        while !Task.isCancelled {
            notifier.status(await supervisor.summary())
            notifier.aliveStill()
            try? await Task.sleep(for: period)
        }
    }

    /// systemd kills a daemon that takes longer than its unit says, and with `KillMode=process` what
    /// the daemon has not stopped by then goes on without anybody. The stop has an end of its own.
    private func askForTime() async {
        while !Task.isCancelled {
            notifier?.needsMoreTime(.seconds(30))
            try? await Task.sleep(for: .seconds(5))
        }
    }

    /// All of it goes within ten seconds, unless a service is granted longer than that by itself.
    private func stopLimit() async -> Duration {
        let longest = await supervisor.specifications().map(\.stop.timeout).max() ?? .zero
        return longest > .seconds(10) ? longest + .seconds(2) : .seconds(9)
    }
}

extension Supervisor {
    /// One line for systemd: "2 of 3 services run; broker is backing-off".
    func summary() -> String {
        let all = status()
        let others = all.filter { status in
            if case .running = status.state { return !status.isAnswering }
            return true
        }
        let counts = "\(all.count - others.count) of \(all.count) services run"
        return ([counts] + others.map { "\($0.name) is \($0.state.word)" }).joined(separator: "; ")
    }
}
