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
    /// It ended and its policy does not start it again.
    case failed(reason: String)
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
}

/// What happened to a service, for the log. Sent in the order in which it happened.
public struct ServiceEvent: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        case started(pid: Int32)
        case ready
        /// The services after this one no longer wait for it.
        case readinessTimedOut
        case exited(ProcessExit, ranFor: Duration)
        case backingOff(Duration)
        case stopping
        /// It did not go in time and was killed.
        case killed
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
