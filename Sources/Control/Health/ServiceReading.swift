public import Ledger

/// What a service that runs says of itself.
public enum ServiceReadiness: Sendable, Equatable {
    case ready
    /// And why it should get no traffic.
    case notReady(String)
    /// It could not be asked, and why.
    case unknown(String)
}

/// What a supervised service looks like at one moment, for the judgement of whether it is well.
public struct ServiceReading: Sendable, Equatable {
    public let name: ServiceName
    public let state: ServiceState
    public let pid: Int32?
    public let since: Timestamp
    public let lastExit: String?
    /// Ends in a row, none of them after a stable run.
    public let quickExits: Int
    /// Why it should get no traffic although it runs; nil when it may.
    public let notReady: String?
    /// Why that is not known; nil when it is.
    public let unknown: String?
    private let resetAfter: Duration

    public init(
        _ status: ServiceStatus, readiness: ServiceReadiness = .ready, policy: RestartPolicy
    ) {
        name = status.name
        state = status.state
        pid = status.pid
        since = status.since
        lastExit = status.lastExit
        quickExits = status.quickExits
        let silence = status.isAnswering ? nil : "it hangs: its watchdog hears nothing"
        switch readiness {
        case .ready: (notReady, unknown) = (silence, nil)
        case .notReady(let reason): (notReady, unknown) = (reason, nil)
        case .unknown(let reason): (notReady, unknown) = (silence, silence == nil ? reason : nil)
        }
        resetAfter = policy.resetAfter
    }

    public var isRunning: Bool {
        if case .running = state { true } else { false }
    }

    /// It ended with success, and its policy wants no more of it.
    public var isDone: Bool { state == .completed }

    /// What is wrong with it, in words that follow its name; nil when it is well.
    public var problem: String? {
        switch state {
        case .running:
            return notReady.map { "is not ready: \($0)" }
                ?? unknown.map { "runs, and whether it is ready is unknown: \($0)" }
        case .completed: return nil
        case .stopped: return "is stopped" + lastEnd
        case .waiting: return "is waiting for the services before it"
        case .starting: return "is starting" + lastEnd
        case .stopping: return "is stopping"
        case .backingOff(let until): return "is backing off until \(until.description)" + lastEnd
        case .failed(let reason): return "has failed: \(reason); nothing starts it again"
        }
    }

    /// What is wrong with a service that runs and is ready, and yet keeps ending: it has not run for
    /// as long as its policy takes for stable. It may have traffic all the same.
    public func instability(at now: Timestamp) -> String? {
        guard case .running(_, let since) = state, quickExits > 1,
            Duration.microseconds(now.microseconds - since.microseconds) < resetAfter
        else { return nil }
        return "keeps ending" + lastEnd
    }

    public var outcome: ProbeOutcome {
        if let problem {
            let text = "\(name) \(problem)"
            return isRunning && unknown != nil ? .unknown(text) : .failure(text)
        }
        return .success(isDone ? "\(name) has done its work" : "\(name) runs and is ready")
    }

    private var lastEnd: String {
        let row = quickExits > 1 ? " (\(quickExits) times in a row)" : ""
        return lastExit.map { "; last end: \($0)\(row)" } ?? ""
    }
}
