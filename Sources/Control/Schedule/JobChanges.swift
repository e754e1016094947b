// What a scheduler finds when it begins, a new configuration beside running jobs, and the end.

internal import Glibc
internal import Ledger

extension JobScheduler {
    /// Finds the runs of an earlier daemon by their variables and by what was written down. One that goes
    /// on is watched, and its job is not started beside it; one that is gone ended nobody knows how.
    func adoptWhatRuns() async {
        for mark in await state?.jobMarks() ?? [] {
            guard let entry = entries[mark.job] else {
                state?.remove(job: mark.job)
                continue
            }
            entries[mark.job]?.mark = mark
            entries[mark.job]?.metrics.setLastSuccess(mark.lastSuccess)
            if mark.times == entry.specification.timesText {
                entries[mark.job]?.timetable = JobTimetable(
                    entry.specification, consideredUntil: mark.consideredUntil)
            }
        }
        var newest: [JobName: JobRun] = [:]
        for name in names { newest[name] = await state?.runs(of: name, newest: 1).first }
        let plan = await plan(newest)
        for name in names {
            let run = newest[name]
            if let process = plan.adopted[name] {
                await adopt(process, as: name, run)
            } else if let run {
                takeUp(name, run)
            }
            saveMark(name)
        }
        for ending in plan.ended {
            let identity = ending.process.identity
            emit(
                ending.process.service,
                .endingLeftover(pid: identity.pid, because: ending.reason))
            cleanUps.append(Task { await processes.end(identity, Self.stopPolicy, clock) })
        }
    }

    private func plan(_ newest: [JobName: JobRun]) async -> AdoptionPlan {
        guard let dataDirectory else {
            return AdoptionPlan(found: [], declared: [], answering: [:], recorded: [:])
        }
        let running = newest.filter { $0.value.ended == nil }
        let byProcess = Dictionary(
            running.compactMap { name, run in run.identity.map { ($0, name) } },
            uniquingKeysWith: { first, _ in first })
        let found = await processes.started(
            as: ProcessTag.job, of: dataDirectory, recorded: byProcess)
        let recorded = newest.filter { $0.value.bootID == MachineStart.bootID }.mapValues { run in
            AdoptionPlan.Recorded(
                identity: run.identity, instance: run.instance, startTicks: run.startTicks,
                isStarting: run.ended == nil && run.pid == nil)
        }
        return AdoptionPlan(found: found, declared: names, answering: [:], recorded: recorded)
    }

    private func adopt(_ found: FoundProcess, as name: JobName, _ recorded: JobRun?) async {
        guard let process = await processes.adoptUnlessGone(found.identity) else {
            if let recorded { takeUp(name, recorded) }
            return
        }
        var run: JobRun
        if let recorded, recorded.ended == nil {
            run = recorded
        } else {
            // Of a disk that took no more records.
            let began = MachineStart.time(ofTicks: found.identity.startTicks) ?? now()
            run = JobRun(name, .schedule, scheduled: began, started: began)
        }
        run.pid = process.pid
        run.startTicks = process.identity.startTicks
        entries[name]?.timetable.adopt()
        entries[name]?.run = run
        entries[name]?.process = process
        save(name, run)
        emit(name, .adopted(run))
        entries[name]?.task = Task { await follow(name, process, hasHead: true) }
    }

    /// The newest run of an earlier daemon, of which no process is left.
    private func takeUp(_ name: JobName, _ run: JobRun) {
        guard run.ended == nil else {
            entries[name]?.last = run
            entries[name]?.metrics.set(run.outcome)
            if run.isCutShort { _ = entries[name]?.timetable.end(repeating: run.scheduled) }
            return
        }
        var run = run
        run.end(.unknown, isOwnCommand: false, at: now())
        run.detail = "it ended while no daemon ran: how is not known"
        settle(name, run)
    }

    /// Makes the jobs those of a new configuration. A run of one that is gone is asked to stop; every
    /// other run goes on.
    public func apply(_ jobs: [JobSpecification]) async {
        await adopt()
        for name in names where !jobs.contains(where: { $0.name == name }) {
            entries[name]?.isRemoved = true
            if entries[name]?.run == nil {
                forget(name)
            } else {
                end(name, .interrupted, "the job is no longer configured")
            }
        }
        names = jobs.map(\.name)
        for job in jobs {
            if let entry = entries[job.name] {
                entries[job.name]?.isRemoved = false
                entries[job.name]?.timetable = entry.timetable.replaced(by: job, now: now())
            } else {
                entries[job.name] = Self.entry(job, now: now(), metrics)
            }
            saveMark(job.name)
        }
        wake()
    }

    /// Asks every run to stop, and kills what does not go. Nothing starts any more. Returns when no process
    /// is left, or when nothing more can be done about those that are.
    /// - Parameter limit: after it whatever is left is killed.
    /// - Returns: the processes that nothing ends.
    @discardableResult
    public func stopAll(within limit: Duration) async -> [LeftoverProcess] {
        isStopping = true
        wake()
        for name in entries.keys { end(name, .interrupted, JobRun.daemonStopped) }
        let deadline = Task {
            do { try await clock.sleep(for: limit) } catch { return }
            for process in entries.values.compactMap(\.process) {
                processes.signal(process, SIGKILL)
            }
        }
        var left: [LeftoverProcess] = []
        let patience = limit + Supervisor.patienceAfterKill
        for (name, entry) in entries {
            guard let task = entry.task,
                await WaitLimit.within(patience, clock, { await task.value }) == nil
            else { continue }
            if let pid = entries[name]?.process?.pid {
                left.append(LeftoverProcess(service: name, pid: pid))
            }
        }
        for cleanUp in cleanUps {
            _ = await WaitLimit.within(patience, clock) { await cleanUp.value }
        }
        deadline.cancel()
        for name in names { saveMark(name) }
        if let state {
            _ = await WaitLimit.within(Supervisor.patienceAfterKill, clock) {
                await state.flush()
            }
        }
        return left
    }
}
