// Finding, after a crash of the supervisor, what it had started.

internal import Glibc
internal import Ledger

extension Supervisor {
    /// Finds the processes by their variables and by what was written down, and watches them. What
    /// nobody should have left is ended beside the start of the others.
    func adoptWhatRuns() async {
        guard let dataDirectory else { return }
        let records = await controlState?.services() ?? []
        var recorded: [ServiceName: ProcessIdentity] = [:]
        for record in records { recorded[record.name] = record.identity }
        let byProcess = Dictionary(
            recorded.map { ($0.value, $0.key) }, uniquingKeysWith: { first, _ in first })
        let found = await processes.started(
            as: ProcessTag.service, of: dataDirectory, recorded: byProcess)
        let plan = AdoptionPlan(
            found: found, declared: order.names, answering: await answering(found),
            recorded: Dictionary(
                records.filter(\.isOfThisBoot).map { ($0.name, $0.adoptionRecord) },
                uniquingKeysWith: { first, _ in first }))
        for record in records where record.isOfThisBoot { remember(record) }
        for record in records where plan.lost[record.name] != nil { noteLoss(record) }
        for (name, process) in plan.adopted {
            await adopt(process, as: name, records.first { $0.name == name })
        }
        for ending in plan.ended { end(ending) }
        for record in records where entries[record.name] == nil {
            controlState?.remove(service: record.name)
        }
    }

    /// Asked only where it decides something: more than one process of a service.
    private func answering(_ found: [FoundProcess]) async -> [ServiceName: Int32] {
        var answering: [ServiceName: Int32] = [:]
        for (name, all) in Dictionary(grouping: found, by: \.service) where all.count > 1 {
            if case .says(let pid, _) = await ask(name, .seconds(1)) { answering[name] = pid }
        }
        return answering
    }

    private func adopt(
        _ found: FoundProcess, as name: ServiceName, _ record: ServiceRecord?
    ) async {
        guard let process = await processes.adoptUnlessGone(found.identity) else {
            // It ended a moment ago, so it starts as any other.
            return
        }
        let isRecorded = record?.identity == found.identity
        // Of one without a process they have been counted already.
        if let record, record.pid != nil { countRestart(name, by: record.restarts) }
        entries[name]?.resumesAt = nil
        entries[name]?.lastExit = record?.lastExit
        entries[name]?.process = process
        // One that has overwritten its environment shows none; what was written down still holds.
        entries[name]?.instance = found.instance ?? (isRecorded ? record?.instance : nil)
        entries[name]?.startTicks = found.identity.startTicks
        entries[name]?.startedAt =
            isRecorded ? record?.startedAt : MachineStart.time(ofTicks: found.identity.startTicks)
        emit(name, .adopted(pid: process.pid))
        save(name)
    }

    /// A crash loop goes on where it was, however often the supervisor itself starts.
    private func remember(_ record: ServiceRecord) {
        entries[record.name]?.memory.quickExits = record.quickExits
        guard record.pid == nil else { return }
        countRestart(record.name, by: record.restarts)
        entries[record.name]?.lastExit = record.lastExit
        entries[record.name]?.resumesAt = record.startsAt
        // What ended for good has done so whoever watched it; `stopped` it was by the daemon's own end.
        let ended: ServiceState? =
            switch record.state {
            case ServiceState.completed.word: .completed
            case ServiceState.failed(reason: "").word: .failed(reason: record.lastExit ?? "")
            default: nil
            }
        guard let ended, let policy = entries[record.name]?.specification.restart,
            policy.mode != .always
        else { return }
        entries[record.name]?.state = ended
        entries[record.name]?.since = record.since
    }

    private func noteLoss(_ record: ServiceRecord) {
        guard let pid = record.pid, let entry = entries[record.name] else { return }
        countRestart(record.name, by: record.restarts)
        entries[record.name]?.lastExit = ProcessExit.unknown.description
        emit(record.name, .lost(pid: pid))
        // Nobody saw when it ended: one that began long ago has probably run for long.
        let policy = entry.specification.restart
        let begun = record.startedAt ?? now()
        guard begun.advanced(by: policy.resetAfter) > now() else {
            entries[record.name]?.memory = RestartPolicy.State()
            return countRestart(record.name)
        }
        let decided = policy.decide(.unknown, ranFor: .zero, state: entry.memory)
        entries[record.name]?.memory = decided.state
        guard case .restart(let pause) = decided.decision else {
            return countRestart(record.name)
        }
        entries[record.name]?.resumesAt = now().advanced(by: pause)
    }

    private func end(_ ending: AdoptionPlan.Ending) {
        let (process, name) = (ending.process, ending.process.service)
        emit(name, .endingLeftover(pid: process.identity.pid, because: ending.reason))
        let stop = entries[name]?.specification.stop ?? StopPolicy()
        let task = Task { await processes.end(process.identity, stop, clock) }
        let leftover = LeftoverProcess(service: name, pid: process.identity.pid)
        cleanUps.append(CleanUp(leftover: leftover, timeout: stop.timeout, task: task))
    }
}

extension ProcessThread {
    /// Nil when it is gone. Where this side lacks a descriptor it is tried again for a while: a second
    /// process beside one that lives would be worse than a late start.
    func adoptUnlessGone(_ identity: ProcessIdentity) async -> WatchedProcess? {
        for attempt in 0..<100 {
            if case .success(let process) = await adopt(identity) { return process }
            if await isGone(identity) { return nil }
            if attempt < 99 { try? await Task.sleep(for: .milliseconds(100)) }
        }
        return nil
    }

    /// Ends a process that somebody else has started, with all of its session.
    func end(
        _ identity: ProcessIdentity, _ stop: StopPolicy, _ clock: any Clock<Duration>
    ) async {
        guard let watched = await adoptUnlessGone(identity) else { return }
        signal(watched, stop.signal.number)
        let escalation = Task {
            do { try await clock.sleep(for: stop.timeout) } catch { return }
            signal(watched, SIGKILL)
        }
        _ = await exit(of: watched)
        escalation.cancel()
        signal(watched, SIGKILL)
    }
}

extension ServiceRecord {
    var adoptionRecord: AdoptionPlan.Recorded {
        AdoptionPlan.Recorded(
            identity: identity, instance: instance, startTicks: startTicks,
            isStarting: state == ServiceState.starting.word)
    }
}
