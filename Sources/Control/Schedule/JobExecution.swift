// One run of a job: from its start to the moment when nothing of it is left.

internal import Glibc
internal import Ledger

extension JobScheduler {
    @discardableResult
    func begin(_ name: JobName, _ trigger: JobTrigger, scheduled: Timestamp?) -> JobRun {
        let run = JobRun(name, trigger, scheduled: scheduled, started: now())
        entries[name]?.run = run
        // Written down before the start: the daemon may die in between.
        save(name, run)
        entries[name]?.task = Task { await execute(name, run) }
        return run
    }

    private func execute(_ name: JobName, _ run: JobRun) async {
        guard let specification = entries[name]?.specification else { return }
        let hasHead = await JobLog.begin(run, in: specification.logFile)
        guard entries[name]?.ending == nil else { return finish(name, .unknown, output: "") }
        switch await processes.start(specification.service, tags: tags(of: run)) {
        case .failure(let error): finish(name, .notStarted(error.description), output: "")
        case .success(let process):
            entries[name]?.process = process
            entries[name]?.run?.pid = process.pid
            entries[name]?.run?.startTicks = process.identity.startTicks
            if let run = entries[name]?.run {
                save(name, run)
                emit(name, .started(run))
            }
            await follow(name, process, hasHead: hasHead)
        }
    }

    private func tags(of run: JobRun) -> [String: String] {
        guard let dataDirectory else { return [:] }
        return [
            ProcessTag.job: run.job, ProcessTag.dataDirectory: dataDirectory,
            ProcessTag.instance: run.instance,
        ]
    }

    /// Until nothing of the process is left.
    func follow(_ name: JobName, _ process: WatchedProcess, hasHead: Bool) async {
        // It may have been asked to go while it was being made.
        if entries[name]?.ending != nil { terminate(name, process) }
        let timer = Task { await endWhenTimeIsOver(name) }
        let exit = await processes.exit(of: process)
        timer.cancel()
        // Before it is reaped: its id may be another one's then.
        entries[name]?.escalation?.cancel()
        entries[name]?.escalation = nil
        entries[name]?.process = nil
        await processes.clearAway(process, clock)
        var output = ""
        if hasHead, let run = entries[name]?.run, let path = entries[name]?.specification.logFile {
            output = await JobLog.end(of: run, in: path)
        }
        finish(name, exit, output: output)
    }

    private func endWhenTimeIsOver(_ name: JobName) async {
        guard let entry = entries[name], let run = entry.run else { return }
        let timeout = entry.specification.timeout
        let passed = Duration.microseconds(max(0, now().microseconds - run.started.microseconds))
        do { try await clock.sleep(for: max(.zero, timeout - passed)) } catch { return }
        guard !Task.isCancelled, entries[name]?.run?.instance == run.instance else { return }
        end(name, .timedOut, "did not end within \(DurationText.short(timeout))")
    }

    /// Asks the present run to go, and kills it when it does not.
    func end(_ name: JobName, _ outcome: JobOutcome, _ detail: String) {
        guard let entry = entries[name], entry.run != nil, entry.ending == nil else { return }
        entries[name]?.ending = (outcome, detail)
        emit(name, .stopping(because: detail))
        if let process = entry.process { terminate(name, process) }
    }

    private func terminate(_ name: JobName, _ process: WatchedProcess) {
        processes.signal(process, Self.stopPolicy.signal.number)
        entries[name]?.escalation = Task {
            do { try await clock.sleep(for: Self.stopPolicy.timeout) } catch { return }
            guard entries[name]?.process == process else { return }
            processes.signal(process, SIGKILL)
            emit(name, .killed)
        }
    }

    private func finish(_ name: JobName, _ exit: ProcessExit, output: String) {
        guard var run = entries[name]?.run, let entry = entries[name] else { return }
        run.end(exit, isOwnCommand: entry.specification.isOwnCommand, at: now())
        if let ending = entry.ending {
            run.outcome = ending.outcome
            run.detail = ending.detail
        }
        run.output = output
        settle(name, run)
    }

    /// Writes down how a run ended, and goes on with what waits for that.
    func settle(_ name: JobName, _ run: JobRun) {
        entries[name]?.run = nil
        entries[name]?.ending = nil
        entries[name]?.task = nil
        entries[name]?.last = run
        if run.outcome?.isDone == true { entries[name]?.mark.lastDone = run.ended ?? run.started }
        if run.outcome == .succeeded {
            entries[name]?.mark.lastSuccess = run.ended
            entries[name]?.metrics.setLastSuccess(run.ended)
        }
        entries[name]?.metrics.record(run)
        save(name, run)
        emit(name, .ended(run))
        if entries[name]?.isRemoved == true { return forget(name) }
        let next = entries[name]?.timetable.end(repeating: run.isCutShort ? run.scheduled : nil)
        if let next, !isStopping { act(next, name) }
        wake()
    }

    func forget(_ name: JobName) {
        entries[name]?.metrics.destroy()
        entries[name] = nil
        state?.remove(job: name)
    }
}

extension ProcessThread {
    /// Ends the rest of the session while its dead leader still keeps the session's id from being given
    /// to others, and reaps the leader then. Gives up after five seconds: what is left hangs in the
    /// kernel.
    fileprivate func clearAway(_ process: WatchedProcess, _ clock: any Clock<Duration>) async {
        signal(process, SIGKILL)
        for _ in 0..<500 {
            guard await hasSurvivors(process) else { break }
            try? await clock.sleep(for: .milliseconds(10))
            // Again, because one may have been forked while the others were being killed.
            signal(process, SIGKILL)
        }
        await reap(process)
    }
}
