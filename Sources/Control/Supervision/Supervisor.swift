public import CoreMetrics
internal import Glibc
public import Ledger

/// Keeps the services of a configuration running.
///
/// Each service has one task: it waits for the services before it, starts the process, waits for
/// its end, asks the restart policy, pauses, and begins again. Everything else changes that task's
/// course: `restart`, the watchdog, `apply` and `stopAll` end the process or cut the pause short.
///
/// Whenever a service's process ends, what is left of its session is ended too before the service
/// starts again: at once after a crash, within the stop timeout when it was asked to go. Only a
/// process that made a session of its own escapes.
///
/// A process outlives its supervisor. The next one adopts it instead of starting a second.
public actor Supervisor {
    /// What a service says of itself within that time.
    public typealias Ask = @Sendable (ServiceName, Duration) async -> ServiceAnswer

    /// What is known of one service.
    struct Entry {
        let generation: Int
        var specification: ServiceSpecification
        var state = ServiceState.waiting
        var since: Timestamp
        var restarts = 0
        var lastExit: String?
        var task: Task<Void, Never>?
        var process: WatchedProcess?
        var startedAt: Timestamp?
        /// Of the last start: the tag that its process carries, and when that began. They stay when
        /// it has ended, so that what it leaves behind is known.
        var instance: String?
        var startTicks: UInt64?
        var probe: Task<Void, Never>?
        var watchdog: Task<Void, Never>?
        var isAnswering = true
        /// The last look at it could not be made.
        var isUnknown = false
        /// Kills the session when the stop timeout is over; there while the process is being stopped.
        var escalation: Task<Void, Never>?
        var pause: Task<Void, Never>?
        var memory = RestartPolicy.State()
        /// When a pause of an earlier supervisor is over.
        var resumesAt: Timestamp?
        var isRestartRequested = false
        /// Why the supervisor ended the process itself: that counts as a failure.
        var forcedEnd: String?
        /// No longer in the configuration: it stops and does not start again.
        var isRemoved = false
        /// Open once the services after this one may start. It closes again only when a new
        /// configuration gives the service another process.
        var isGateOpen = false
        var gateTimer: Task<Void, Never>?
        var gateWaiters: [CheckedContinuation<Void, Never>] = []
        let up: Meter
        let restartsTotal: Counter
        let unknownLooks: Counter
    }

    struct CleanUp {
        let leftover: LeftoverProcess
        let timeout: Duration
        let task: Task<Void, Never>
    }

    var order: StartOrder
    let processes: ProcessThread
    let ask: Ask
    let clock: any Clock<Duration>
    let now: @Sendable () -> Timestamp
    var controlState: ControlState?
    /// Absolute. Nil: nothing is adopted, and nobody will adopt what this one starts.
    let dataDirectory: String?
    private let metrics: any MetricsFactory
    private let onEvent: @Sendable (ServiceEvent) -> Void
    var entries: [ServiceName: Entry] = [:]
    private var generations = 0
    /// Those who wait for a process to be reaped.
    var departures: [Int32: [CheckedContinuation<Void, Never>]] = [:]
    var isStopping = false
    /// Nothing is started before it is over: what it finds must not be started a second time.
    private var adoption: Task<Void, Never>?
    /// End the processes that nobody should have started or left.
    var cleanUps: [CleanUp] = []
    var memoryWatch: Task<Void, Never>?
    var applying: Task<ServiceChanges, Never>?

    /// Descriptions of the metrics that a supervisor records, for the registry's catalogue.
    public static let metricDescriptions = [
        MetricDescription(
            "opsd_service_up", help: "1 while the service runs, is ready and answers, else 0.",
            kind: .gauge),
        MetricDescription(
            "opsd_service_restarts_total", help: "Starts of the service after its first one.",
            kind: .counter),
        MetricDescription(
            "opsd_service_looks_failed_total",
            help: "Looks at the service that the supervisor itself could not make.",
            kind: .counter),
        MetricDescription(
            ControlState.failuresMetric,
            help: "Writes of control.sqlite that failed; what they held is written with the next.",
            kind: .counter),
    ]

    /// `onEvent` is called within the supervisor: it must return at once.
    /// - Parameters:
    ///   - dataDirectory: absolute; by it a later supervisor knows these processes again.
    ///   - state: where to write down what runs.
    public init(
        services: [ServiceSpecification], dataDirectory: String? = nil, state: ControlState? = nil,
        ask: @escaping Ask = { _, _ in .hasNoSocket },
        clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Timestamp = { Timestamp.now() },
        metrics: any MetricsFactory = MetricsSystem.factory,
        onEvent: @escaping @Sendable (ServiceEvent) -> Void = { _ in }
    ) throws {
        try self.init(
            services: services, dataDirectory: dataDirectory, state: state, ask: ask, clock: clock,
            now: now, metrics: metrics, onEvent: onEvent, processes: try ProcessThread())
    }

    init(
        services: [ServiceSpecification], dataDirectory: String?, state: ControlState?,
        ask: @escaping Ask, clock: any Clock<Duration>, now: @escaping @Sendable () -> Timestamp,
        metrics: any MetricsFactory, onEvent: @escaping @Sendable (ServiceEvent) -> Void,
        processes: ProcessThread
    ) throws {
        order = try StartOrder(services)
        self.processes = processes
        self.dataDirectory = dataDirectory
        controlState = state
        self.ask = ask
        self.clock = clock
        self.now = now
        self.metrics = metrics
        self.onEvent = onEvent
        for service in services {
            entries[service.name] = Self.entry(service, since: now(), metrics)
        }
    }

    /// Adopts what an earlier supervisor left running, sets everything else going and returns. Does
    /// nothing for what is going already, nor after `stopAll`.
    public func start() async {
        await whenAdopted()
        for name in order.names where entries[name]?.task == nil {
            if entries[name]?.state.isEndedForGood == true { openGate(name) } else { launch(name) }
        }
    }

    /// Adopts, once, what an earlier supervisor left running.
    func whenAdopted() async {
        if adoption == nil {
            adoption = Task {
                await adoptWhatRuns()
                memoryWatch = Task { await watchMemory() }
            }
        }
        await adoption?.value
    }

    /// In starting order.
    public func status() -> [ServiceStatus] {
        order.names.compactMap { status(of: $0) }
    }

    /// Nil when there is no such service.
    public func status(of name: ServiceName) -> ServiceStatus? {
        entries[name].map { entry in
            ServiceStatus(
                name: name, state: entry.state, pid: entry.process?.pid,
                restarts: entry.restarts, since: entry.since, lastExit: entry.lastExit,
                quickExits: entry.memory.quickExits, isAnswering: entry.isAnswering,
                isAdopted: entry.process?.isChild == false)
        }
    }

    /// What the services are, as they were given last; in starting order.
    public func specifications() -> [ServiceSpecification] {
        order.names.compactMap { entries[$0]?.specification }
    }

    /// Stops the service's process and starts it again at once, with its back-off forgotten. A
    /// service that is backing off, or that ended for good, starts now. Returns when the old process
    /// is gone, or when nothing more can be done about it: then the new one starts when it has gone.
    public func restart(_ name: ServiceName) async throws(SupervisorError) {
        guard entries[name] != nil else { throw .unknownService(name, known: order.names) }
        await whenAdopted()
        guard !isStopping else { throw .stopping }
        guard entries[name]?.task != nil else {
            if entries[name]?.process != nil {
                // Adopted, and kept by nobody yet: it is ended first.
                entries[name]?.isRestartRequested = true
            } else if entries[name]?.lastExit != nil {
                countRestart(name)
            }
            launch(name)
            return
        }
        if case .waiting = entries[name]?.state { return }
        entries[name]?.isRestartRequested = true
        if entries[name]?.pause != nil {
            entries[name]?.pause?.cancel()
        } else if let pid = entries[name]?.process?.pid {
            terminate(name)
            let departure = Task { await untilGone(pid, name) }
            let timeout = entries[name]?.specification.stop.timeout ?? .zero
            if !(await hasEnded(departure, timeout)) { emit(name, .cannotDie(pid: pid)) }
        }
    }

    /// Ends the service's process because something is wrong with it, as its health says. Unlike an
    /// operator's restart this is a failure: the policy decides whether and when it starts again.
    /// Nothing happens when it does not run.
    /// - Parameter pid: the process that was found wanting; another one is left alone. Nil: any.
    public func restart(
        _ name: ServiceName, process pid: Int32? = nil, because reason: String
    ) throws(SupervisorError) {
        guard entries[name] != nil else { throw .unknownService(name, known: order.names) }
        guard !isStopping else { throw .stopping }
        guard let process = entries[name]?.process, isUp(name), pid ?? process.pid == process.pid
        else { return }
        force(name, process, because: reason, event: .unhealthy(reason), kills: false)
    }

    /// Writes down there what runs now, and what happens from now on: for a file that could not be
    /// opened when everything began.
    public func write(to state: ControlState) async {
        controlState = state
        for name in order.names { save(name) }
        for record in await state.services() where entries[record.name] == nil {
            state.remove(service: record.name)
        }
    }

    func launch(_ name: ServiceName) {
        guard !isStopping, let generation = entries[name]?.generation else { return }
        entries[name]?.task = Task { await keep(name, generation: generation) }
    }

    func untilGone(_ pid: Int32, _ name: ServiceName) async {
        guard entries[name]?.process?.pid == pid else { return }
        await withCheckedContinuation { departures[pid, default: []].append($0) }
    }

    func countRestart(_ name: ServiceName, by count: Int = 1) {
        entries[name]?.restarts += count
        entries[name]?.restartsTotal.increment(by: Int64(count))
    }

    static func entry(
        _ service: ServiceSpecification, since: Timestamp, _ metrics: any MetricsFactory,
        generation: Int = 0
    ) -> Entry {
        let labels = [("service", service.name)]
        let up = Meter(label: "opsd_service_up", dimensions: labels, factory: metrics)
        up.set(0)
        let restarts = Counter(
            label: "opsd_service_restarts_total", dimensions: labels, factory: metrics)
        let unknownLooks = Counter(
            label: "opsd_service_looks_failed_total", dimensions: labels, factory: metrics)
        return Entry(
            generation: generation, specification: service, since: since, up: up,
            restartsTotal: restarts, unknownLooks: unknownLooks)
    }

    func add(_ service: ServiceSpecification) {
        generations += 1
        entries[service.name] = Self.entry(
            service, since: now(), metrics, generation: generations)
    }
}

// MARK: - State and events

extension Supervisor {
    /// Running or about to: there is something that can be ended.
    func isUp(_ name: ServiceName) -> Bool {
        switch entries[name]?.state {
        case .starting, .running: entries[name]?.process != nil
        default: false
        }
    }

    func mayRun(_ name: ServiceName) -> Bool {
        !isStopping && entries[name]?.isRemoved == false
    }

    func change(_ name: ServiceName, to state: ServiceState) {
        guard let entry = entries[name], entry.state != state else { return }
        entries[name]?.state = state
        entries[name]?.since = now()
        if state == .stopped || state == .completed { emit(name, .stopped) }
        save(name)
    }

    func emit(_ name: ServiceName, _ kind: ServiceEvent.Kind) {
        let event = ServiceEvent(service: name, kind: kind)
        onEvent(event)
        controlState?.append(event, at: now())
    }

    /// Writes down what the next supervisor has to know.
    func save(_ name: ServiceName) {
        guard let controlState, let entry = entries[name] else { return }
        let identity = entry.process?.identity
        controlState.save(
            ServiceRecord(
                name: name, state: entry.state.word, pid: identity?.pid,
                startTicks: entry.startTicks, bootID: MachineStart.bootID,
                startedAt: entry.startedAt, restarts: entry.restarts, lastExit: entry.lastExit,
                since: entry.since, instance: entry.instance,
                quickExits: entry.memory.quickExits, startsAt: entry.state.startsAt))
    }
}
