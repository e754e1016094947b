// Runs jobs at their times. `JobTimetable` decides; this starts the processes, writes down what
// becomes of them, and never runs a job twice at once: not beside a run that a daemon before this one
// has left either.

public import CoreMetrics
internal import Glibc
public import Ledger

public actor JobScheduler {
    struct Entry {
        var timetable: JobTimetable
        var mark: JobMark
        let metrics: JobMetrics
        var run: JobRun?
        var process: WatchedProcess?
        /// Why the present run is being ended.
        var ending: (outcome: JobOutcome, detail: String)?
        var escalation: Task<Void, Never>?
        var task: Task<Void, Never>?
        /// The newest run that has ended.
        var last: JobRun?
        /// It is no longer configured, and goes when its run has ended.
        var isRemoved = false

        var specification: JobSpecification { timetable.specification }
    }

    /// A run that was asked to stop has so long before it is killed.
    static let stopPolicy = StopPolicy(signal: .TERM, timeout: .seconds(10))
    /// So often it looks at the clock at least: somebody may set it.
    static let clockPeriod = Duration.seconds(30)

    let processes: ProcessThread
    let clock: any Clock<Duration>
    let now: @Sendable () -> Timestamp
    var state: ControlState?
    /// Absolute. Nil: nothing is adopted, and nobody will adopt what this one starts.
    let dataDirectory: String?
    let metrics: any MetricsFactory
    private let onEvent: @Sendable (JobEvent) -> Void
    var entries: [JobName: Entry] = [:]
    /// In the order of the configuration.
    var names: [JobName] = []
    var isStopping = false
    /// Nothing is started before it is over.
    private var adoption: Task<Void, Never>?
    private var sleeper: Task<Void, Never>?
    /// End what nobody should have left.
    var cleanUps: [Task<Void, Never>] = []

    /// `onEvent` is called within the scheduler: it must return at once.
    /// - Parameters:
    ///   - dataDirectory: absolute; by it a later scheduler knows these processes again.
    ///   - state: where to write down what runs.
    public init(
        jobs: [JobSpecification], dataDirectory: String? = nil, state: ControlState? = nil,
        clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Timestamp = { Timestamp.now() },
        metrics: any MetricsFactory = MetricsSystem.factory,
        onEvent: @escaping @Sendable (JobEvent) -> Void = { _ in }
    ) throws {
        processes = try ProcessThread()
        self.dataDirectory = dataDirectory
        self.state = state
        self.clock = clock
        self.now = now
        self.metrics = metrics
        self.onEvent = onEvent
        for job in jobs {
            entries[job.name] = Self.entry(job, now: now(), metrics)
            names.append(job.name)
        }
    }

    static func entry(
        _ job: JobSpecification, now: Timestamp, _ metrics: any MetricsFactory
    ) -> Entry {
        Entry(
            timetable: JobTimetable(job, consideredUntil: now),
            mark: JobMark(
                job: job.name, times: job.timesText, consideredUntil: now, lastDone: now),
            metrics: JobMetrics(job: job.name, factory: metrics))
    }

    /// Adopts, once, what an earlier daemon left running.
    public func adopt() async {
        if adoption == nil { adoption = Task { await adoptWhatRuns() } }
        await adoption?.value
    }

    /// Starts jobs at their times, until it is cancelled.
    public func run() async {
        await adopt()
        while !Task.isCancelled, !isStopping {
            decideAll()
            let wakes = names.compactMap { entries[$0]?.timetable.wakesAt }.min()
            let pause = wakes.map {
                Duration.microseconds(max(0, $0.microseconds - now().microseconds))
            }
            await sleep(for: min(Self.clockPeriod, pause ?? Self.clockPeriod))
        }
    }

    private func sleep(for pause: Duration) async {
        let sleeper = Task { [clock] in
            do { try await clock.sleep(for: pause) } catch {}
        }
        self.sleeper = sleeper
        await withTaskCancellationHandler {
            await sleeper.value
        } onCancel: {
            sleeper.cancel()
        }
    }

    /// What is to be done at this moment.
    func decideAll() {
        guard !isStopping else { return }
        for name in names {
            if let decision = entries[name]?.timetable.decide(now: now()) { act(decision, name) }
            guard let entry = entries[name] else { continue }
            entry.metrics.set(nextRun: next(entry)?.time, isOverdue: isOverdue(entry))
        }
    }

    /// When it starts next, put off as its name decides.
    private func next(_ entry: Entry) -> JobTimetable.Time? {
        entry.timetable.next(after: entry.timetable.consideredUntil).map {
            JobTimetable.Time(
                time: $0.time.advanced(by: entry.specification.delay), doubt: $0.doubt)
        }
    }

    func isOverdue(_ entry: Entry) -> Bool {
        entry.timetable.isOverdue(lastDone: entry.mark.lastDone, now: now())
    }

    func act(_ decision: JobTimetable.Decision, _ name: JobName) {
        switch decision {
        case .start(let due): begin(name, due.trigger, scheduled: due.time)
        case .skip(let time):
            entries[name]?.run?.skipped += 1
            if entries[name]?.run?.skipped == 1 { emit(name, .skipped(time)) }
        case .cannotTell(let time, let reason):
            notRun(name, .unknown, at: time, JobRun.notRun + reason)
        case .missed(let time):
            notRun(
                name, .missed, at: time,
                JobRun.notRun + "its time passed while no daemon ran, longer ago than catch_up")
        }
    }

    /// A time at which the job did not run is written down like a run; one that is like the one before
    /// it is counted there, so that a job of each second does not fill its history with it.
    private func notRun(
        _ name: JobName, _ outcome: JobOutcome, at time: Timestamp, _ detail: String
    ) {
        guard let last = entries[name]?.last else {
            return record(name, notRun: outcome, at: time, detail)
        }
        guard last.outcome == outcome, last.detail == detail, last.wasNotStarted else {
            return record(name, notRun: outcome, at: time, detail)
        }
        var run = last
        run.skipped += 1
        run.ended = now()
        entries[name]?.last = run
        save(name, run)
    }

    private func record(
        _ name: JobName, notRun outcome: JobOutcome, at time: Timestamp, _ detail: String
    ) {
        var run = JobRun(name, .schedule, scheduled: time, started: now())
        run.ended = run.started
        run.outcome = outcome
        run.detail = detail
        entries[name]?.last = run
        entries[name]?.metrics.record(run)
        save(name, run)
        emit(name, .notRun(run))
    }

    // MARK: By hand

    /// Starts a job now, and returns when that is under way.
    public func start(_ name: JobName) async throws(JobError) -> JobRun {
        await adopt()
        guard !isStopping else { throw .stopping }
        guard let entry = entries[name], !entry.isRemoved else {
            throw .unknownJob(name, known: names)
        }
        guard entries[name]?.timetable.startByHand() == true else {
            throw .running(name, since: entry.run?.started ?? now())
        }
        return begin(name, .manual, scheduled: nil)
    }

    /// In the order of the configuration.
    public func status() -> [JobStatus] {
        names.compactMap { name in
            guard let entry = entries[name] else { return nil }
            let next = next(entry)
            return JobStatus(
                name: name, times: entry.specification.timesText,
                next: next?.time, doubt: next?.doubt,
                run: entry.run, last: entry.last, lastSuccess: entry.mark.lastSuccess,
                isOverdue: isOverdue(entry))
        }
    }

    /// What the jobs are, as they were given last.
    public func specifications() -> [JobSpecification] {
        names.compactMap { entries[$0]?.specification }
    }

    /// Newest first: the one that runs, and those that are written down.
    public func history(of name: JobName, newest count: Int) async throws(JobError) -> [JobRun] {
        guard entries[name] != nil else { throw .unknownJob(name, known: names) }
        guard let state else {
            return Array(
                [entries[name]?.run, entries[name]?.last].compactMap(\.self).prefix(count))
        }
        await state.flush()
        let runs = await state.runs(of: name, newest: count)
        // What it has passed over so far is written down with its end.
        let present = entries[name]?.run
        return runs.map { run in
            present.flatMap { $0.instance == run.instance ? $0 : nil } ?? run
        }
    }

    // MARK: Writing down

    /// Writes down there what is known now, and what happens from now on: for a file that could not be
    /// opened when everything began.
    public func write(to state: ControlState) {
        self.state = state
        for name in names {
            if let run = entries[name]?.run { save(name, run) }
            saveMark(name)
        }
    }

    func save(_ name: JobName, _ run: JobRun) {
        guard entries[name]?.isRemoved == false else { return }
        state?.save(run)
        saveMark(name)
    }

    func saveMark(_ name: JobName) {
        guard let entry = entries[name], !entry.isRemoved else { return }
        entries[name]?.mark.times = entry.specification.timesText
        entries[name]?.mark.consideredUntil = entry.timetable.consideredUntil
        if let mark = entries[name]?.mark { state?.save(mark) }
    }

    func emit(_ name: JobName, _ kind: JobEvent.Kind) {
        onEvent(JobEvent(job: name, kind: kind))
    }

    /// Looks at the times again.
    func wake() {
        sleeper?.cancel()
    }
}
