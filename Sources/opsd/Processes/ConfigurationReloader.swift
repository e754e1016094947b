import Control
import Logging

/// What SIGHUP does: reads the configuration again and carries out what of it is live. One that is
/// refused changes nothing.
actor ConfigurationReloader {
    /// What the daemon runs with: its live parts are those of the last plan.
    private var running: Configuration
    private let supervisor: Supervisor
    private let scheduler: JobScheduler
    private let children: BuiltinChildren
    private let health: HealthAssembly
    private let accepted: AcceptedConfiguration
    private let verification: VerificationMetrics
    private let notifier: SystemdNotifier?
    private let logger: Logger
    private var work: Task<Void, Never>?
    private var isRequested = false
    private var isEnding = false

    init(
        running: Configuration, supervisor: Supervisor, scheduler: JobScheduler,
        children: BuiltinChildren, health: HealthAssembly, accepted: AcceptedConfiguration,
        verification: VerificationMetrics, notifier: SystemdNotifier?,
        logger: Logger
    ) {
        self.running = running
        self.supervisor = supervisor
        self.scheduler = scheduler
        self.children = children
        self.health = health
        self.accepted = accepted
        self.verification = verification
        self.notifier = notifier
        self.logger = logger
    }

    /// Returns at once: a reload waits for services to restart, and a stop must not wait for it.
    /// However many come while one is under way, the file is read once more when it is over.
    func request() {
        isRequested = true
        guard work == nil else { return }
        work = Task { await runAll() }
    }

    /// The daemon stops: systemd is no longer told that it is ready.
    func end() {
        isEnding = true
    }

    private func runAll() async {
        while isRequested, !isEnding {
            isRequested = false
            notifier?.reloading()
            await run()
            let summary = await supervisor.summary()
            if !isEnding { notifier?.ready(status: summary) }
        }
        work = nil
    }

    private func run() async {
        let outcome = await ReloadOutcome.read(running: running)
        switch outcome {
        case .refused: for line in outcome.lines { logger.error("\(line)") }
        case .unchanged(let texts):
            for line in outcome.lines { logger.notice("\(line)") }
            accepted.hold(texts)
        case .changed(let plan):
            for line in outcome.lines { logger.notice("\(line)") }
            await carryOut(plan)
        }
    }

    private func carryOut(_ plan: ConfigurationPlan) async {
        // Before the services that the plan restarts: they ask for it.
        accepted.hold(plan.configuration.texts)
        children.update(plan.configuration)
        do {
            let changes = try await supervisor.apply(
                ServiceSpecification.all(of: plan.configuration))
            await scheduler.apply(JobSpecification.all(of: plan.configuration))
            await health.update(plan.configuration)
            verification.hold(plan.read)
            running = plan.configuration
            logger.notice(
                "the configuration was read again",
                metadata: [
                    "file": "\(running.path)", "added": "\(changes.added)",
                    "removed": "\(changes.removed)", "restarted": "\(changes.restarted)",
                    "updated": "\(changes.updated)",
                ])
        } catch {
            accepted.hold(running.texts)
            children.update(running)
            logger.error(
                "the configuration is refused, and nothing has changed: \(error)",
                metadata: ["file": "\(running.path)"])
        }
    }
}
