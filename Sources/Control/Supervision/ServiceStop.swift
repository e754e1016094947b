// The end of everything.

internal import Glibc
internal import Ledger

/// A process that was killed and is still there: it hangs in the kernel, as one does whose disk or
/// file server does not answer.
public struct LeftoverProcess: Sendable, Equatable {
    public let service: ServiceName
    public let pid: Int32
}

extension Supervisor {
    /// After it a process that was killed is given up.
    static let patienceAfterKill = Duration.seconds(6)

    /// Stops every service, each when those after it are gone; services that do not depend on each
    /// other stop at the same time. Nothing starts any more. Returns when no process is left, or when
    /// nothing more can be done about those that are.
    /// - Parameter limit: after it whatever is left is killed; nil: each has its own stop timeout.
    /// - Returns: the processes that nothing ends.
    @discardableResult
    public func stopAll(within limit: Duration? = nil) async -> [LeftoverProcess] {
        isStopping = true
        memoryWatch?.cancel()
        for name in order.names {
            entries[name]?.pause?.cancel()
            openGate(name)
        }
        let deadline = Task {
            guard let limit else { return }
            do { try await clock.sleep(for: limit) } catch { return }
            killAll()
        }
        let end = limit.map { ContinuousClock.now + $0 + Self.patienceAfterKill }
        var stops: [ServiceName: Task<LeftoverProcess?, Never>] = [:]
        for name in order.names.reversed() {
            let later = order.names.filter { order.predecessors(of: $0).contains(name) }
                .compactMap { stops[$0] }
            stops[name] = Task { await stop(name, after: later, until: end) }
        }
        var left: [LeftoverProcess] = []
        for name in order.names {
            if let process = await stops[name]?.value { left.append(process) }
        }
        for cleanUp in cleanUps where !(await hasEnded(cleanUp.task, cleanUp.timeout, until: end)) {
            emit(cleanUp.leftover.service, .cannotDie(pid: cleanUp.leftover.pid))
            left.append(cleanUp.leftover)
        }
        deadline.cancel()
        // A disk that hangs must not hold up the end: what is not written is found out at the next start.
        if let controlState {
            let flush = Task { await controlState.flush() }
            _ = await hasEnded(flush, .zero, until: nil)
        }
        return left
    }

    private func stop(
        _ name: ServiceName, after later: [Task<LeftoverProcess?, Never>],
        until end: ContinuousClock.Instant?
    ) async -> LeftoverProcess? {
        for task in later { _ = await task.value }
        terminate(name)
        let timeout = entries[name]?.specification.stop.timeout ?? .zero
        if let task = entries[name]?.task, !(await hasEnded(task, timeout, until: end)),
            let pid = entries[name]?.process?.pid
        {
            emit(name, .cannotDie(pid: pid))
            return LeftoverProcess(service: name, pid: pid)
        }
        change(name, to: .stopped)
        // Whoever starts the daemon again by hand begins anew.
        entries[name]?.memory = RestartPolicy.State()
        save(name)
        return nil
    }

    /// Waits for a task that nothing can cancel, because it waits for the kernel itself.
    func hasEnded(
        _ task: Task<Void, Never>, _ timeout: Duration, until end: ContinuousClock.Instant? = nil
    ) async -> Bool {
        let left = end.map { max(.zero, ContinuousClock.now.duration(to: $0)) }
        let limit = min(timeout + Self.patienceAfterKill, left ?? .seconds(1 << 40))
        return await WaitLimit.within(limit, clock) { await task.value } != nil
    }

    private func killAll() {
        for name in order.names {
            guard let process = entries[name]?.process else { continue }
            processes.signal(process, SIGKILL)
            emit(name, .killed)
        }
    }
}
