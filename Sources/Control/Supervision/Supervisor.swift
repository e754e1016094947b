public import CoreMetrics
public import Ledger

/// Keeps the services of a configuration running.
///
/// Each service has one task: it waits for the services before it, starts the process, waits for
/// its end, asks the restart policy, pauses, and begins again. Everything else changes that task's
/// course: `restart` and `stopAll` end the process or cut the pause short.
///
/// Whenever a service's process ends, what is left of its process group is ended too before the
/// service starts again: at once after a crash, within the stop timeout when it was asked to go.
/// Only a process that made a session of its own escapes.
public actor Supervisor {
    /// Whether a service can be relied on by those after it. Asked again and again until it says
    /// yes; it should answer within a second or so.
    public typealias Readiness = @Sendable (ServiceName) async -> Bool

    /// What is known of one service.
    struct Entry {
        let specification: ServiceSpecification
        var state = ServiceState.waiting
        var since: Timestamp
        var restarts = 0
        var lastExit: String?
        var task: Task<Void, Never>?
        var process: WatchedProcess?
        var probe: Task<Void, Never>?
        /// Kills the group when the stop timeout is over; there while the process is being stopped.
        var escalation: Task<Void, Never>?
        var pause: Task<Void, Never>?
        var isRestartRequested = false
        /// Open once the services after this one may start; it never closes again.
        var isGateOpen = false
        var gateTimer: Task<Void, Never>?
        var gateWaiters: [CheckedContinuation<Void, Never>] = []
        let up: Meter
        let restartsTotal: Counter
    }

    let order: StartOrder
    let processes: ProcessThread
    let readiness: Readiness
    let clock: any Clock<Duration>
    private let now: @Sendable () -> Timestamp
    private let onEvent: @Sendable (ServiceEvent) -> Void
    private var entries: [ServiceName: Entry]
    /// Those who wait for a process to be reaped.
    private var departures: [Int32: [CheckedContinuation<Void, Never>]] = [:]
    private var isStopping = false

    /// Descriptions of the metrics that a supervisor records, for the registry's catalogue.
    public static let metricDescriptions = [
        MetricDescription(
            "opsd_service_up", help: "1 while the service runs and is ready, else 0.",
            kind: .gauge),
        MetricDescription(
            "opsd_service_restarts_total", help: "Starts of the service after its first one.",
            kind: .counter),
    ]

    /// `onEvent` is called within the supervisor: it must return at once.
    public init(
        services: [ServiceSpecification],
        readiness: @escaping Readiness = { _ in true },
        clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Timestamp = { Timestamp.now() },
        metrics: any MetricsFactory = MetricsSystem.factory,
        onEvent: @escaping @Sendable (ServiceEvent) -> Void = { _ in }
    ) throws {
        order = try StartOrder(services)
        processes = try ProcessThread()
        self.readiness = readiness
        self.clock = clock
        self.now = now
        self.onEvent = onEvent
        entries = [:]
        for service in services {
            let labels = [("service", service.name)]
            entries[service.name] = Entry(
                specification: service, since: now(),
                up: Meter(label: "opsd_service_up", dimensions: labels, factory: metrics),
                restartsTotal: Counter(
                    label: "opsd_service_restarts_total", dimensions: labels, factory: metrics))
        }
    }

    /// Sets everything going and returns. Does nothing for what is going already, nor after
    /// `stopAll`.
    public func start() {
        for name in order.names where entries[name]?.task == nil { launch(name) }
    }

    /// In starting order.
    public func status() -> [ServiceStatus] {
        order.names.compactMap { name in
            entries[name].map { entry in
                ServiceStatus(
                    name: name, state: entry.state, pid: entry.process?.pid,
                    restarts: entry.restarts, since: entry.since, lastExit: entry.lastExit)
            }
        }
    }

    /// Stops the service's process and starts it again at once, with its back-off forgotten. A
    /// service that is backing off, or that ended for good, starts now. Returns when the old process
    /// is gone.
    public func restart(_ name: ServiceName) async throws(SupervisorError) {
        guard entries[name] != nil else { throw .unknownService(name, known: order.names) }
        guard !isStopping else { throw .stopping }
        guard entries[name]?.task != nil else {
            if entries[name]?.lastExit != nil { countRestart(name) }
            launch(name)
            return
        }
        if case .waiting = entries[name]?.state { return }
        entries[name]?.isRestartRequested = true
        if entries[name]?.pause != nil {
            entries[name]?.pause?.cancel()
        } else if let pid = entries[name]?.process?.pid {
            terminate(name)
            await untilGone(pid, name)
        }
    }

    /// Stops every service, the last started first, each when the one after it is gone. Nothing
    /// starts any more. Returns when no process is left.
    public func stopAll() async {
        isStopping = true
        for name in order.names {
            entries[name]?.pause?.cancel()
            openGate(name)
        }
        for name in order.names.reversed() {
            terminate(name)
            await entries[name]?.task?.value
            change(name, to: .stopped)
        }
    }

    private func launch(_ name: ServiceName) {
        guard !isStopping else { return }
        entries[name]?.task = Task { await keep(name) }
    }

    private func untilGone(_ pid: Int32, _ name: ServiceName) async {
        guard entries[name]?.process?.pid == pid else { return }
        await withCheckedContinuation { departures[pid, default: []].append($0) }
    }

    private func countRestart(_ name: ServiceName) {
        entries[name]?.restarts += 1
        entries[name]?.restartsTotal.increment()
    }
}

// MARK: - One service

extension Supervisor {
    private func keep(_ name: ServiceName) async {
        for predecessor in order.predecessors(of: name) { await passGate(of: predecessor) }
        guard let policy = entries[name]?.specification.restart else { return }
        var memory = RestartPolicy.State()
        while !isStopping {
            let (exit, ranFor) = await runOnce(name)
            if isStopping { break }
            if takeRestartRequest(name) {
                memory = RestartPolicy.State()
            } else {
                let decided = policy.decide(exit, ranFor: ranFor, state: memory)
                memory = decided.state
                guard case .restart(let delay) = decided.decision else {
                    endForGood(name, exit)
                    return
                }
                await pause(name, for: delay)
                if isStopping { break }
                if takeRestartRequest(name) { memory = RestartPolicy.State() }
            }
            countRestart(name)
        }
        change(name, to: .stopped)
    }

    /// From the attempt to start to the moment when nothing of the process is left.
    private func runOnce(_ name: ServiceName) async -> (exit: ProcessExit, ranFor: Duration) {
        guard let specification = entries[name]?.specification else { return (.unknown, .zero) }
        change(name, to: .starting)
        startGateTimer(name)
        let elapsed = Self.stopwatch(clock)
        let process: WatchedProcess
        switch await processes.start(specification) {
        case .success(let started):
            process = started
        case .failure(let error):
            return noteExit(name, .notStarted(error.description), elapsed())
        }
        entries[name]?.process = process
        emit(name, .started(pid: process.pid))
        // A stop or a restart may have been asked for while the process was being made.
        if isStopping || entries[name]?.isRestartRequested == true {
            terminate(name)
        } else {
            entries[name]?.probe = Task { await probe(name, process.pid) }
        }
        let exit = await processes.exit(of: process)
        let result = noteExit(name, exit, elapsed())
        await clearAway(process, of: name)
        return result
    }

    private func noteExit(
        _ name: ServiceName, _ exit: ProcessExit, _ ranFor: Duration
    ) -> (exit: ProcessExit, ranFor: Duration) {
        entries[name]?.probe?.cancel()
        entries[name]?.up.set(0)
        entries[name]?.lastExit = exit.description
        emit(name, .exited(exit, ranFor: ranFor))
        return (exit, ranFor)
    }

    /// Ends the rest of the group while its dead leader still keeps the group's id from being given
    /// to others, and reaps the leader then.
    private func clearAway(_ process: WatchedProcess, of name: ServiceName) async {
        if entries[name]?.escalation == nil { ProcessGroup.signal(process.pid, .KILL) }
        change(name, to: .stopping)
        var attempts = 0
        while await processes.groupHasSurvivors(process.pid) {
            // Five seconds after being killed a process hangs in the kernel: nobody can wait for it.
            attempts = entries[name]?.escalation == nil ? attempts + 1 : 0
            if attempts > 500 { break }
            try? await clock.sleep(for: .milliseconds(10))
        }
        entries[name]?.escalation?.cancel()
        entries[name]?.escalation = nil
        await processes.reap(process)
        entries[name]?.process = nil
        for waiter in departures.removeValue(forKey: process.pid) ?? [] { waiter.resume() }
    }

    private func terminate(_ name: ServiceName) {
        guard let entry = entries[name], let process = entry.process, entry.escalation == nil,
            entry.state != .stopping
        else { return }
        entry.probe?.cancel()
        change(name, to: .stopping)
        emit(name, .stopping)
        let stop = entry.specification.stop
        ProcessGroup.signal(process.pid, stop.signal)
        entries[name]?.escalation = Task {
            do { try await clock.sleep(for: stop.timeout) } catch { return }
            kill(name, process)
        }
    }

    private func kill(_ name: ServiceName, _ process: WatchedProcess) {
        guard entries[name]?.process == process else { return }
        ProcessGroup.signal(process.pid, .KILL)
        entries[name]?.escalation = nil
        emit(name, .killed)
    }

    private func pause(_ name: ServiceName, for delay: Duration) async {
        change(name, to: .backingOff(until: now().advanced(by: delay)))
        emit(name, .backingOff(delay))
        let pause = Task { [clock] in
            do { try await clock.sleep(for: delay) } catch {}
        }
        entries[name]?.pause = pause
        await pause.value
        entries[name]?.pause = nil
    }

    private func endForGood(_ name: ServiceName, _ exit: ProcessExit) {
        if exit.isSuccess {
            change(name, to: .stopped)
        } else {
            change(name, to: .failed(reason: exit.description))
            emit(name, .failed(reason: exit.description))
        }
        entries[name]?.task = nil
        // It will not become readier than it is.
        openGate(name)
    }

    private func takeRestartRequest(_ name: ServiceName) -> Bool {
        defer { entries[name]?.isRestartRequested = false }
        return entries[name]?.isRestartRequested == true
    }
}

// MARK: - Readiness

extension Supervisor {
    private func probe(_ name: ServiceName, _ pid: Int32) async {
        var delay = Duration.milliseconds(5)
        while !Task.isCancelled {
            if await readiness(name) {
                becomeReady(name, pid)
                return
            }
            do { try await clock.sleep(for: delay) } catch { return }
            delay = min(delay * 1.5, .milliseconds(250))
        }
    }

    private func becomeReady(_ name: ServiceName, _ pid: Int32) {
        guard let entry = entries[name], entry.process?.pid == pid, entry.state == .starting,
            !Task.isCancelled
        else { return }
        change(name, to: .running(pid: pid, since: now()))
        entry.up.set(1)
        emit(name, .ready)
        openGate(name)
    }

    private func passGate(of name: ServiceName) async {
        guard entries[name]?.isGateOpen == false else { return }
        await withCheckedContinuation { entries[name]?.gateWaiters.append($0) }
    }

    private func openGate(_ name: ServiceName) {
        entries[name]?.isGateOpen = true
        entries[name]?.gateTimer?.cancel()
        let waiters = entries[name]?.gateWaiters ?? []
        entries[name]?.gateWaiters = []
        for waiter in waiters { waiter.resume() }
    }

    private func startGateTimer(_ name: ServiceName) {
        guard let entry = entries[name], !entry.isGateOpen, entry.gateTimer == nil else { return }
        let timeout = entry.specification.readinessTimeout
        entries[name]?.gateTimer = Task {
            do { try await clock.sleep(for: timeout) } catch { return }
            guard entries[name]?.isGateOpen == false else { return }
            emit(name, .readinessTimedOut)
            openGate(name)
        }
    }
}

// MARK: - Small things

extension Supervisor {
    private func change(_ name: ServiceName, to state: ServiceState) {
        guard entries[name]?.state != state else { return }
        entries[name]?.state = state
        entries[name]?.since = now()
        if state == .stopped { emit(name, .stopped) }
    }

    private func emit(_ name: ServiceName, _ kind: ServiceEvent.Kind) {
        onEvent(ServiceEvent(service: name, kind: kind))
    }

    private static func stopwatch<C: Clock<Duration>>(_ clock: C) -> () -> Duration {
        let start = clock.now
        return { start.duration(to: clock.now) }
    }
}
