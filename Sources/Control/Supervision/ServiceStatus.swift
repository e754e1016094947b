public import Ledger

public enum ServiceState: Sendable, Equatable {
    /// For the services before it to be ready.
    case waiting
    /// Its process is being made, or is there and not ready yet.
    case starting
    case running(pid: Int32, since: Timestamp)
    case backingOff(until: Timestamp)
    case stopping
    case stopped
    /// It ended with success, and its policy wants no more of it.
    case completed
    /// It ended and its policy does not start it again.
    case failed(reason: String)

    /// While it backs off.
    var startsAt: Timestamp? {
        if case .backingOff(let time) = self { time } else { nil }
    }

    /// One word for a listing.
    public var word: String {
        switch self {
        case .waiting: "waiting"
        case .starting: "starting"
        case .running: "running"
        case .backingOff: "backing-off"
        case .stopping: "stopping"
        case .stopped: "stopped"
        case .completed: "completed"
        case .failed: "failed"
        }
    }

    /// Its own end was its last: not even another supervisor starts it again.
    public var isEndedForGood: Bool {
        switch self {
        case .completed, .failed: true
        default: false
        }
    }
}

/// One service at one moment.
public struct ServiceStatus: Sendable, Equatable {
    public let name: ServiceName
    public let state: ServiceState
    /// While there is a process, whatever the state.
    public let pid: Int32?
    /// Starts after the first one.
    public let restarts: Int
    /// When it came into this state.
    public let since: Timestamp
    public let lastExit: String?
    /// Ends in a row, none of which came after a stable run: more than one is a crash loop.
    public let quickExits: Int
    /// False while the watchdog finds it stopped or silent.
    public let isAnswering: Bool
    /// An earlier supervisor started the process.
    public let isAdopted: Bool
}

/// What happened to a service, for the log. Sent in the order in which it happened.
public struct ServiceEvent: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        case started(pid: Int32)
        /// It outlived the supervisor that had started it.
        case adopted(pid: Int32)
        /// It ended while no supervisor ran.
        case lost(pid: Int32)
        /// A second process of the same service, or one that the configuration no longer has.
        case endingLeftover(pid: Int32, because: String)
        case ready
        /// The services after this one no longer wait for it.
        case readinessTimedOut
        case hung(String)
        /// The supervisor itself could not look at it. Said once, until it can again.
        case cannotLook(String)
        case overMemory(bytes: Int, limitBytes: Int)
        case unhealthy(String)
        case limitFailed(String)
        case exited(ProcessExit, ranFor: Duration)
        case backingOff(Duration)
        case stopping
        /// It did not go in time and was killed.
        case killed
        /// Not even that has ended it.
        case cannotDie(pid: Int32)
        case stopped
        case failed(reason: String)
    }

    public let service: ServiceName
    public let kind: Kind

    public init(service: ServiceName, kind: Kind) {
        self.service = service
        self.kind = kind
    }
}

extension ServiceEvent.Kind: CustomStringConvertible {
    /// A short name, for whoever counts or searches events.
    public var word: String {
        switch self {
        case .started: "started"
        case .adopted: "adopted"
        case .lost: "lost"
        case .endingLeftover: "leftover"
        case .ready: "ready"
        case .readinessTimedOut: "ready-timeout"
        case .hung: "hung"
        case .cannotLook: "cannot-look"
        case .overMemory: "over-memory"
        case .unhealthy: "unhealthy"
        case .limitFailed: "limit-failed"
        case .exited: "exited"
        case .backingOff: "backing-off"
        case .stopping: "stopping"
        case .killed: "killed"
        case .cannotDie: "cannot-die"
        case .stopped: "stopped"
        case .failed: "failed"
        }
    }

    /// A sentence without the service's name.
    public var description: String {
        switch self {
        case .started(let pid): "started as process \(pid)"
        case .adopted(let pid): "process \(pid) went on without a supervisor and is adopted"
        case .lost(let pid): "process \(pid) ended while no supervisor ran"
        case .endingLeftover(let pid, let reason): "process \(pid) is ended: \(reason)"
        case .ready: "ready"
        case .readinessTimedOut: "not ready in time; the services after it start all the same"
        case .hung(let reason): "hung and killed: \(reason)"
        case .cannotLook(let reason):
            "whether it is well is unknown, and it is left alone: \(reason)"
        case .overMemory(let bytes, let limit):
            "stopped: it holds \(bytes) bytes in memory, its limit is \(limit)"
        case .unhealthy(let reason): "restarted: \(reason)"
        case .limitFailed(let problem): problem
        case .exited(let exit, let ranFor):
            "\(exit) after \(ranFor)"
        case .backingOff(let pause):
            "starts again in \(pause)"
        case .stopping: "asked to stop"
        case .killed: "did not go in time and is killed"
        case .cannotDie(let pid):
            "process \(pid) was killed and is still there; it hangs in the kernel, see what it waits "
                + "for with 'cat /proc/\(pid)/stack'"
        case .stopped: "stopped"
        case .failed(let reason): "stays down by its policy: \(reason)"
        }
    }

    /// Whether somebody should look at it.
    public var isTrouble: Bool {
        switch self {
        case .hung, .cannotLook, .overMemory, .unhealthy, .limitFailed, .failed, .killed,
            .cannotDie, .lost,
            .endingLeftover, .readinessTimedOut:
            true
        case .exited(let exit, _): !exit.isSuccess
        default: false
        }
    }
}
