internal import Glibc
public import Ledger

/// One run of a job, or one of its times at which it did not run: what is written down of it.
public struct JobRun: Sendable, Equatable {
    /// Another one for each; also what its process carries as `OPSD_INSTANCE`.
    public var instance: String
    public var job: JobName
    public var trigger: JobTrigger
    /// The time that it is for; nil when a person started it.
    public var scheduled: Timestamp?
    public var started: Timestamp
    /// Nil while it runs.
    public var ended: Timestamp?
    public var outcome: JobOutcome?
    public var exitCode: Int32?
    public var signal: Int32?
    /// The outcome in words.
    public var detail = ""
    /// The last lines that it printed.
    public var output = ""
    /// Times that came while it ran and did not start another one; of a time that nobody could tell of,
    /// further ones like it.
    public var skipped = 0
    /// While it runs, if its process is known.
    public var pid: Int32?
    var startTicks: UInt64?
    var bootID = MachineStart.bootID

    init(_ job: JobName, _ trigger: JobTrigger, scheduled: Timestamp?, started: Timestamp) {
        instance = String(UInt64.random(in: .min ... .max), radix: 16)
        self.job = job
        self.trigger = trigger
        self.scheduled = scheduled
        self.started = started
    }

    public var duration: Duration? {
        ended.map { .microseconds(max(0, $0.microseconds - started.microseconds)) }
    }

    /// The process that it means in this run of the machine; nil when there is none.
    var identity: ProcessIdentity? {
        guard let pid, let startTicks, bootID == MachineStart.bootID else { return nil }
        return ProcessIdentity(pid: pid, startTicks: startTicks)
    }

    /// Whether its process is there: for a command while no daemon runs.
    public var isAlive: Bool { identity.map(ProcessTable.isAlive) ?? false }

    /// The daemon ended it when it stopped itself, or nobody saw how it ended: nothing says that its
    /// work is done. Of a run that was made up for already the latter is no reason: what takes the machine
    /// down would do so at each start.
    var isCutShort: Bool {
        guard ended != nil, !wasNotStarted else { return false }
        return detail == Self.daemonStopped
            || outcome == .unknown && exitCode == nil && trigger != .catchUp
    }

    /// A time at which it was not started at all.
    var wasNotStarted: Bool { outcome == .missed || detail.hasPrefix(Self.notRun) }

    static let daemonStopped = "the daemon was stopped"
    static let notRun = "not run: "

    /// How it went, by the end of its process.
    mutating func end(_ exit: ProcessExit, isOwnCommand: Bool, at time: Timestamp) {
        ended = time
        (pid, startTicks) = (nil, nil)
        switch exit {
        case .exited(let code): exitCode = code
        case .signalled(let number): signal = number
        case .notStarted, .unknown, .forced: break
        }
        outcome = JobOutcome(exit, isOwnCommand: isOwnCommand)
        detail = exit.description
        if isOwnCommand, case .exited(let code) = exit, let words = Self.words[code] {
            detail += ": \(words)"
        }
    }

    private static let words: [Int32: String] = [
        1: "something was found", 2: "its input is wrong", 3: "it could not tell",
        4: "a guard refused it", 130: "interrupted",
    ]
}

/// What became of a run.
public enum JobOutcome: String, Sendable, CaseIterable {
    /// Exit code 0.
    case succeeded
    /// One of opsd's own commands has done its work and found something: exit code 1.
    case found
    case failed
    case timedOut = "timed-out"
    /// A guard let one of opsd's own commands not do it: exit code 4.
    case refused
    /// Exit code 130 of one of opsd's own commands, or the daemon was stopped.
    case interrupted
    /// Exit code 3 of one of opsd's own commands, a calendar that does not know the day, or an end that
    /// nobody saw. Neither a success nor a failure.
    case unknown
    /// Its time passed while nobody was there, longer ago than is made up for.
    case missed

    init(_ exit: ProcessExit, isOwnCommand: Bool) {
        self =
            switch exit {
            case .exited(code: 0): .succeeded
            case .exited(code: 1) where isOwnCommand: .found
            case .exited(code: 3) where isOwnCommand: .unknown
            case .exited(code: 4) where isOwnCommand: .refused
            case .exited(code: 130) where isOwnCommand: .interrupted
            case .unknown: .unknown
            case .exited, .signalled, .notStarted, .forced: .failed
            }
    }

    /// Whether the job has done its work.
    public var isDone: Bool { self == .succeeded || self == .found }
    /// What `opsd_job_failures_total` counts.
    public var isFailure: Bool { [.failed, .timedOut, .refused].contains(self) }
}

/// What is remembered of a job beside its runs.
struct JobMark: Sendable, Equatable {
    var job: JobName
    /// `JobSpecification.timesText` of the specification that this holds for.
    var times: String
    var consideredUntil: Timestamp
    var lastSuccess: Timestamp?
    /// When it last did its work; at first when it was first seen.
    var lastDone: Timestamp
}
