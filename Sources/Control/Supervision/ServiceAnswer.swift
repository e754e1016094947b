/// What a service says when it is asked how it is.
public enum ServiceAnswer: Sendable, Equatable {
    /// It has no socket of opsd's: it is ready when it runs.
    case hasNoSocket
    /// It did not answer in time, or nothing listens.
    case silent
    /// The question could not be asked, and why: no descriptor or no memory on this side. It tells
    /// nothing of the service.
    case unknown(String)
    /// The process that answered, which need not be the one that was started.
    case says(pid: Int32, isReady: Bool)

    /// Whether the services after it may rely on that process.
    func isReady(as pid: Int32) -> Bool {
        switch self {
        case .hasNoSocket: true
        case .silent, .unknown: false
        case .says(let answering, let isReady): isReady && answering == pid
        }
    }

    /// What the watchdog makes of it.
    func finding(about pid: Int32) -> WatchFinding {
        switch self {
        case .hasNoSocket: .fine
        case .silent: .wrong("it does not answer at its socket")
        case .unknown(let reason): .unknown(reason)
        case .says(pid, _): .fine
        case .says(let other, _): .wrong("process \(other) answers at its socket instead")
        }
    }
}

/// What one look at a process brought. What is unknown counts neither for nor against it.
enum WatchFinding: Equatable {
    case fine
    case wrong(String)
    case unknown(String)
}
