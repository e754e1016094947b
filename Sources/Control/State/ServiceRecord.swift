public import Ledger

/// What is written down of a service, so that the next supervisor finds its process again and a
/// command can say what was, with the daemon down.
public struct ServiceRecord: Sendable, Equatable {
    public var name: ServiceName
    /// A word of `ServiceState`.
    public var state: String
    /// While there is a process.
    public var pid: Int32?
    /// When that process began, in clock ticks since the machine started; stays when it has ended.
    public var startTicks: UInt64?
    /// What its `OPSD_INSTANCE` says, also while it is being started and after it has ended.
    public var instance: String?
    /// Of the run of the machine in which all this holds.
    public var bootID: String
    public var startedAt: Timestamp?
    public var restarts: Int
    public var lastExit: String?
    /// When it came into this state.
    public var since: Timestamp
    /// Ends in a row without a stable run, for the pause before the next start.
    public var quickExits: Int
    /// While it backs off: when it is to start again.
    public var startsAt: Timestamp?

    public init(
        name: ServiceName, state: String, pid: Int32?, startTicks: UInt64?, bootID: String,
        startedAt: Timestamp?, restarts: Int, lastExit: String?, since: Timestamp,
        instance: String? = nil, quickExits: Int = 0, startsAt: Timestamp? = nil
    ) {
        self.name = name
        self.state = state
        self.pid = pid
        self.startTicks = startTicks
        self.bootID = bootID
        self.startedAt = startedAt
        self.restarts = restarts
        self.lastExit = lastExit
        self.since = since
        self.instance = instance
        self.quickExits = quickExits
        self.startsAt = startsAt
    }

    /// Whether it was written in this run of the machine: ids and times of another one mean nothing.
    var isOfThisBoot: Bool { bootID == MachineStart.bootID }

    /// The process that it means in this run of the machine; nil when there is none.
    var identity: ProcessIdentity? {
        guard let pid, let startTicks, isOfThisBoot else { return nil }
        return ProcessIdentity(pid: pid, startTicks: startTicks)
    }

    /// Whether its process is there at this moment. Reads /proc.
    public var isAlive: Bool { identity.map(ProcessTable.isAlive) ?? false }
}

/// One line of what happened, as it is kept.
public struct RecordedEvent: Sendable, Equatable {
    public let time: Timestamp
    public let service: ServiceName
    /// One word.
    public let kind: String
    /// A sentence.
    public let text: String
}
