// The life of one service: start, end, pause, and again.

internal import CoreMetrics
internal import Glibc
internal import Ledger

extension Supervisor {
    /// - Parameter generation: of the entry; a service that was removed and added again while this
    ///   waited has a task of its own.
    func keep(_ name: ServiceName, generation: Int) async {
        var adopted = entries[name]?.process
        if adopted == nil {
            for predecessor in order.predecessors(of: name) { await passGate(of: predecessor) }
        }
        guard entries[name]?.generation == generation else { return }
        if adopted == nil { await resumePause(name) }
        while mayRun(name) {
            let (exit, ranFor) = await runOnce(name, adopted)
            adopted = nil
            guard mayRun(name) else { break }
            if takeRestartRequest(name) {
                entries[name]?.memory = RestartPolicy.State()
            } else {
                guard let entry = entries[name] else { return }
                let decided = entry.specification.restart.decide(
                    exit, ranFor: ranFor, state: entry.memory)
                entries[name]?.memory = decided.state
                guard case .restart(let delay) = decided.decision else {
                    endForGood(name, exit)
                    return
                }
                await pause(name, for: delay)
                guard mayRun(name) else { break }
                if takeRestartRequest(name) { entries[name]?.memory = RestartPolicy.State() }
            }
            countRestart(name)
        }
        change(name, to: .stopped)
    }

    /// From the attempt to start to the moment when nothing of the process is left.
    private func runOnce(
        _ name: ServiceName, _ adopted: WatchedProcess?
    ) async -> (exit: ProcessExit, ranFor: Duration) {
        guard let specification = entries[name]?.specification else { return (.unknown, .zero) }
        let instance = String(UInt64.random(in: .min ... .max), radix: 16)
        // Written down with the state and before the start: the supervisor may die in between.
        if adopted == nil { entries[name]?.instance = instance }
        change(name, to: .starting)
        startGateTimer(name)
        let sinceNow = clock.stopwatch()
        var before = Duration.zero
        let process: WatchedProcess
        if let adopted {
            process = adopted
            before = age(name)
        } else {
            switch await processes.start(specification, tags: tags(of: name, instance)) {
            case .success(let started): process = started
            case .failure(let error):
                return noteExit(name, .notStarted(error.description), sinceNow())
            }
            entries[name]?.startedAt = now()
            entries[name]?.process = process
            entries[name]?.startTicks = process.identity.startTicks
            save(name)
            emit(name, .started(pid: process.pid))
        }
        await limitOpenFiles(name, process)
        // A stop or a restart may have been asked for while the process was being made.
        if !mayRun(name) || entries[name]?.isRestartRequested == true {
            terminate(name)
        } else {
            entries[name]?.probe = Task { await probe(name, process) }
            entries[name]?.watchdog = Task { await watch(name, process) }
        }
        let exit = await processes.exit(of: process)
        let result = noteExit(name, exit, before + sinceNow())
        await clearAway(process, of: name)
        return result
    }

    private func tags(of name: ServiceName, _ instance: String) -> [String: String] {
        guard let dataDirectory else { return [:] }
        return [
            ProcessTag.service: name, ProcessTag.dataDirectory: dataDirectory,
            ProcessTag.instance: instance,
        ]
    }

    /// How long an adopted process has been running.
    private func age(_ name: ServiceName) -> Duration {
        guard let startedAt = entries[name]?.startedAt else { return .zero }
        return .microseconds(max(0, now().microseconds - startedAt.microseconds))
    }

    func limitOpenFiles(_ name: ServiceName, _ process: WatchedProcess) async {
        guard let count = entries[name]?.specification.limits.openFiles else { return }
        if let problem = await processes.limitOpenFiles(of: process, to: count) {
            emit(name, .limitFailed(problem.description))
        }
    }

    private func noteExit(
        _ name: ServiceName, _ exit: ProcessExit, _ ranFor: Duration
    ) -> (exit: ProcessExit, ranFor: Duration) {
        let forced = entries[name]?.forcedEnd.map(ProcessExit.forced)
        let exit = forced ?? exit
        entries[name]?.forcedEnd = nil
        entries[name]?.probe?.cancel()
        entries[name]?.watchdog?.cancel()
        entries[name]?.up.set(0)
        entries[name]?.isAnswering = true
        entries[name]?.lastExit = exit.description
        emit(name, .exited(exit, ranFor: ranFor))
        return (exit, ranFor)
    }

    /// Ends the rest of the session while its dead leader still keeps the session's id from being
    /// given to others, and reaps the leader then.
    private func clearAway(_ process: WatchedProcess, of name: ServiceName) async {
        if entries[name]?.escalation == nil { processes.signal(process, SIGKILL) }
        change(name, to: .stopping)
        var attempts = 0
        while await processes.hasSurvivors(process) {
            // Five seconds after being killed a process hangs in the kernel: nobody can wait for it.
            attempts = entries[name]?.escalation == nil ? attempts + 1 : 0
            if attempts > 500 { break }
            // Again, because one may have been forked while the others were being killed.
            if attempts > 0 { processes.signal(process, SIGKILL) }
            try? await clock.sleep(for: .milliseconds(10))
        }
        entries[name]?.escalation?.cancel()
        entries[name]?.escalation = nil
        await processes.reap(process)
        entries[name]?.process = nil
        entries[name]?.startedAt = nil
        save(name)
        for waiter in departures.removeValue(forKey: process.pid) ?? [] { waiter.resume() }
    }

    func terminate(_ name: ServiceName) {
        guard let entry = entries[name], let process = entry.process, entry.escalation == nil,
            entry.state != .stopping
        else { return }
        entry.probe?.cancel()
        entry.watchdog?.cancel()
        change(name, to: .stopping)
        emit(name, .stopping)
        let stop = entry.specification.stop
        processes.signal(process, stop.signal.number)
        entries[name]?.escalation = Task {
            do { try await clock.sleep(for: stop.timeout) } catch { return }
            kill(name, process)
        }
    }

    /// Ends a process with which something is wrong. Its end is a failure.
    /// - Parameter kills: at once, because it would not hear the stop signal.
    func force(
        _ name: ServiceName, _ process: WatchedProcess, because reason: String,
        event: ServiceEvent.Kind, kills: Bool
    ) {
        guard entries[name]?.process == process, isUp(name) else { return }
        entries[name]?.forcedEnd = reason
        emit(name, event)
        guard kills else { return terminate(name) }
        entries[name]?.probe?.cancel()
        change(name, to: .stopping)
        processes.signal(process, SIGKILL)
    }

    private func kill(_ name: ServiceName, _ process: WatchedProcess) {
        guard entries[name]?.process == process else { return }
        processes.signal(process, SIGKILL)
        entries[name]?.escalation = nil
        emit(name, .killed)
    }

    /// What is left of the pause in which the supervisor before this one died.
    private func resumePause(_ name: ServiceName) async {
        guard mayRun(name), let entry = entries[name], let end = entry.resumesAt else { return }
        entries[name]?.resumesAt = nil
        let left = Duration.microseconds(end.microseconds - now().microseconds)
        // A clock that was set meanwhile must not make the pause longer than the policy does.
        let limit = max(entry.specification.restart.limit, entry.specification.restart.backoff)
        if left > .zero { await pause(name, for: min(left, limit)) }
        guard mayRun(name) else { return }
        if takeRestartRequest(name) { entries[name]?.memory = RestartPolicy.State() }
        countRestart(name)
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
            change(name, to: .completed)
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

extension Clock where Duration == Swift.Duration {
    /// How long it is since the call.
    func stopwatch() -> () -> Swift.Duration {
        let start = now
        return { start.duration(to: now) }
    }
}
