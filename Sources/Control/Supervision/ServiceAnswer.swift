/// What a service says when it is asked how it is.
public enum ServiceAnswer: Sendable, Equatable {
    /// It has no socket of opsd's: it is ready when it runs.
    case hasNoSocket
    /// It did not answer in time, or nothing listens.
    case silent
    /// The process that answered, which need not be the one that was started.
    case says(pid: Int32, isReady: Bool)

    /// Whether the services after it may rely on that process.
    func isReady(as pid: Int32) -> Bool {
        switch self {
        case .hasNoSocket: true
        case .silent: false
        case .says(let answering, let isReady): isReady && answering == pid
        }
    }

    /// What the watchdog holds against that process; nil when nothing.
    func complaint(about pid: Int32) -> String? {
        switch self {
        case .hasNoSocket: nil
        case .silent: "it does not answer at its socket"
        case .says(pid, _): nil
        case .says(let other, _): "process \(other) answers at its socket instead"
        }
    }
}
