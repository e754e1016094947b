public import Ledger

/// One job at one moment.
public struct JobStatus: Sendable, Equatable {
    public let name: JobName
    /// As it was written, with time zone and calendar.
    public let times: String
    /// Nil when no time comes any more.
    public let next: Timestamp?
    /// Why nobody can tell whether it runs then.
    public let doubt: String?
    /// While it runs.
    public let run: JobRun?
    /// The newest that has ended.
    public let last: JobRun?
    public let lastSuccess: Timestamp?
    public let isOverdue: Bool
}

/// What happened to a job, for the log.
public struct JobEvent: Sendable {
    public enum Kind: Sendable {
        case started(JobRun)
        /// It outlived the daemon that had started it.
        case adopted(JobRun)
        case ended(JobRun)
        /// The one before goes on.
        case skipped(Timestamp)
        case notRun(JobRun)
        case stopping(because: String)
        case killed
        case endingLeftover(pid: Int32, because: String)
    }

    public let job: JobName
    public let kind: Kind
}

extension JobEvent.Kind: CustomStringConvertible {
    public var description: String {
        switch self {
        case .started(let run): "started (\(run.trigger.rawValue))"
        case .adopted(let run):
            "its run of \(run.started) went on without a daemon and is adopted"
        case .ended(let run):
            "\(run.detail), after \(DurationText.short(run.duration ?? .zero))"
        case .skipped(let time): "not run at \(time): the run before goes on"
        case .notRun(let run): run.detail
        case .stopping(let reason): "asked to stop: \(reason)"
        case .killed: "did not go in time and is killed"
        case .endingLeftover(let pid, let reason): "process \(pid) is ended: \(reason)"
        }
    }

    /// Whether somebody should look at it.
    public var isTrouble: Bool {
        switch self {
        case .ended(let run): run.outcome?.isDone != true || run.outcome == .found
        case .started, .adopted, .skipped: false
        case .notRun, .stopping, .killed, .endingLeftover: true
        }
    }
}

/// Why a job was not started by hand.
public enum JobError: Error, Equatable, CustomStringConvertible {
    case unknownJob(JobName, known: [JobName])
    case running(JobName, since: Timestamp)
    case stopping

    public var description: String {
        switch self {
        case .unknownJob(let name, let known):
            "there is no job '\(name)'; there are: \(known.joined(separator: ", "))"
        case .running(let name, let time): "\(name) runs since \(time); wait until it has ended"
        case .stopping: "the daemon is stopping; nothing starts any more"
        }
    }
}
