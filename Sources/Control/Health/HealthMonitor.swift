public import CoreMetrics
public import Ledger

/// A supervised service's process, for the checks of that service.
public enum SupervisedProcess: Sendable, Equatable {
    case running(pid: Int32)
    /// It is to run and does not, or is not ready yet.
    case down
    /// It has ended and is not to run, or there is no such service.
    case absent
}

/// Asks every check in its period and keeps what is thought of it.
///
/// Each run is a task of its own, so a probe that hangs delays nobody. A run that exceeds its timeout
/// is counted as a failure there and then; as long as it has not ended, no second run of the same
/// check begins, and each period counts one more failure.
public actor HealthMonitor {
    public typealias ProcessOfService = @Sendable (ServiceName) async -> SupervisedProcess

    /// The process is the one that was asked; by now the service may have another one, of which the
    /// check knows nothing.
    public typealias OnUnhealthy =
        @Sendable (ServiceName, _ process: Int32, _ reason: String) async -> Void

    private struct Entry {
        let check: HealthCheck
        var state: HealthState
        var loop: Task<Void, Never>?
        var run: Run?
        var runCount = 0
        /// The process that the service's check asked last.
        var pid: Int32?
        let metrics: HealthMetrics
    }

    private struct Run {
        let number: Int
        /// Of the service's process that it asks; nil for a check of nobody's.
        let pid: Int32?
        var work: Task<Void, Never>?
        var timer: Task<Void, Never>?
        /// Its timeout is over: it has been counted, and its answer comes too late.
        var isLate = false
    }

    private let prober: any HealthProber
    private let process: ProcessOfService
    private let clock: any Clock<Duration>
    private let now: @Sendable () -> Timestamp
    private let factory: any MetricsFactory
    private let onEvent: @Sendable (HealthEvent) -> Void
    private let onUnhealthy: OnUnhealthy
    private var entries: [HealthCheckName: Entry] = [:]
    private var order: [HealthCheckName] = []
    private var isRunning = false

    /// - Parameters:
    ///   - onEvent: called for each change of status; it must return at once.
    ///   - onUnhealthy: a service's own check has found the service unhealthy: start it again.
    public init(
        prober: any HealthProber,
        process: @escaping ProcessOfService = { _ in .absent },
        clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Timestamp = { Timestamp.now() },
        metrics: any MetricsFactory = MetricsSystem.factory,
        onEvent: @escaping @Sendable (HealthEvent) -> Void = { _ in },
        onUnhealthy: @escaping OnUnhealthy = { _, _, _ in }
    ) {
        self.prober = prober
        self.process = process
        self.clock = clock
        self.now = now
        factory = metrics
        self.onEvent = onEvent
        self.onUnhealthy = onUnhealthy
    }

    /// Makes these the checks, while it runs too: one that is the same as before keeps its state, a
    /// changed or new one begins anew, one that is gone is forgotten. Of two checks of one name the
    /// first one stays.
    public func apply(_ checks: [HealthCheck]) {
        var wanted: [HealthCheckName: HealthCheck] = [:]
        order = checks.map(\.name).filter { name in
            guard wanted[name] == nil else { return false }
            wanted[name] = checks.first { $0.name == name }
            return true
        }
        for (name, entry) in entries where wanted[name] != entry.check { remove(name) }
        for name in order where entries[name] == nil {
            guard let check = wanted[name] else { continue }
            entries[name] = Entry(
                check: check, state: HealthState(since: now()),
                metrics: HealthMetrics(check: name, factory: factory))
            entries[name]?.metrics.set(.unknown)
            if isRunning { launch(name) }
        }
    }

    public func start() {
        isRunning = true
        for name in order where entries[name]?.loop == nil { launch(name) }
    }

    /// Nothing is asked any more. What is under way is cancelled and not waited for.
    public func stop() {
        isRunning = false
        for name in order {
            entries[name]?.loop?.cancel()
            entries[name]?.loop = nil
            abandonRun(name)
        }
    }

    /// In the order in which the checks were given.
    public func readings() -> [HealthReading] {
        order.compactMap { name in entries[name].map { HealthReading($0.check, $0.state) } }
    }

    private func remove(_ name: HealthCheckName) {
        entries[name]?.loop?.cancel()
        abandonRun(name)
        entries[name]?.metrics.destroy()
        entries[name] = nil
    }

    private func abandonRun(_ name: HealthCheckName) {
        entries[name]?.run?.work?.cancel()
        entries[name]?.run?.timer?.cancel()
        entries[name]?.run = nil
    }
}

// MARK: - One check

extension HealthMonitor {
    private func launch(_ name: HealthCheckName) {
        guard let check = entries[name]?.check else { return }
        let schedule = HealthSchedule(name: name, period: check.period)
        entries[name]?.loop = Task {
            var number = 0
            while !Task.isCancelled {
                let delay = schedule.delay(beforeRun: number)
                // Checks that are due at nearly the same time share one waking of the processor.
                do { try await clock.sleep(for: delay, tolerance: delay / 10) } catch { return }
                await begin(check)
                number = min(number + 1, 2)
            }
        }
    }

    /// One turn of a check's loop.
    private func begin(_ check: HealthCheck) async {
        if let run = entries[check.name]?.run {
            let isSame = await isStillThere(run.pid, check)
            guard entries[check.name]?.run?.number == run.number else { return }
            if isSame {
                return observe(check.name, .failure("the run before has not ended yet"), run.pid)
            }
            // What asks a process that is gone may never end; the new one is asked all the same.
            abandonRun(check.name)
        }
        var pid: Int32?
        if let service = check.service {
            let process = await process(service)
            guard canAsk(check.name, service, process) else { return }
            if case .running(let running) = process { pid = running }
        }
        // The check may have been taken away or changed while the service was asked for.
        guard isRunning, !Task.isCancelled, entries[check.name]?.check == check,
            entries[check.name]?.run == nil
        else { return }
        startRun(check, pid)
    }

    /// A service that does not run is a matter of the service alone.
    private func canAsk(
        _ name: HealthCheckName, _ service: ServiceName, _ process: SupervisedProcess
    ) -> Bool {
        switch process {
        case .running(let pid):
            let before = entries[name]?.pid
            entries[name]?.pid = pid
            if let before, before != pid {
                report(
                    name,
                    entries[name]?.state.beginAnew(
                        at: now(), because: "\(service) has a new process"))
            }
            return true
        case .down:
            report(
                name, entries[name]?.state.beginAnew(at: now(), because: "\(service) does not run"))
        case .absent:
            report(
                name, entries[name]?.state.forget(at: now(), because: "\(service) has ended"))
        }
        return false
    }

    private func startRun(_ check: HealthCheck, _ pid: Int32?) {
        let name = check.name
        let number = (entries[name]?.runCount ?? 0) + 1
        entries[name]?.runCount = number
        entries[name]?.run = Run(number: number, pid: pid)
        let elapsed = Self.stopwatch(clock)
        entries[name]?.run?.work = Task {
            let outcome = await prober.probe(check)
            let duration = elapsed()
            let isSame = await isStillThere(pid, check)
            end(check, number, isSame ? outcome : nil, duration)
        }
        entries[name]?.run?.timer = Task {
            do {
                try await clock.sleep(for: check.timeout, tolerance: check.timeout / 20)
            } catch { return }
            expire(check, number, isSame: await isStillThere(pid, check))
        }
    }

    /// Whether what was measured is still the service's process. What was measured at another one,
    /// or at one that has ended meanwhile, counts for nothing.
    private func isStillThere(_ pid: Int32?, _ check: HealthCheck) async -> Bool {
        guard let service = check.service, let pid else { return true }
        return await process(service) == .running(pid: pid)
    }

    private func end(
        _ check: HealthCheck, _ number: Int, _ outcome: ProbeOutcome?, _ duration: Duration
    ) {
        guard let entry = entries[check.name], entry.check == check, let run = entry.run,
            run.number == number
        else { return }
        run.timer?.cancel()
        entries[check.name]?.run = nil
        guard !run.isLate, let outcome else { return }
        entry.metrics.record(duration)
        observe(
            check.name,
            outcome.judged(duration: duration, degradedFrom: check.rules.degradedFrom), run.pid)
    }

    private func expire(_ check: HealthCheck, _ number: Int, isSame: Bool) {
        guard let entry = entries[check.name], entry.check == check, let run = entry.run,
            run.number == number
        else { return }
        entries[check.name]?.run?.isLate = true
        run.work?.cancel()
        guard isSame else { return }
        entry.metrics.record(check.timeout)
        observe(
            check.name, .failure("no answer within \(DurationText.short(check.timeout))"), run.pid)
    }

    private func observe(_ name: HealthCheckName, _ outcome: ProbeOutcome, _ pid: Int32?) {
        guard let rules = entries[name]?.check.rules else { return }
        report(name, entries[name]?.state.observe(outcome, at: now(), rules: rules))
        guard let entry = entries[name], let service = entry.check.service, let pid,
            entry.state.hasJustFailed(rules)
        else { return }
        let (act, reason) = (onUnhealthy, "\(name): \(entry.state.message)")
        Task { await act(service, pid, reason) }
    }

    private func report(_ name: HealthCheckName, _ transition: HealthTransition?) {
        guard let transition, let entry = entries[name] else { return }
        entry.metrics.set(transition.to)
        onEvent(HealthEvent(check: name, service: entry.check.service, transition: transition))
    }

    private static func stopwatch<C: Clock<Duration>>(_ clock: C) -> @Sendable () -> Duration {
        let start = clock.now
        return { start.duration(to: clock.now) }
    }
}
