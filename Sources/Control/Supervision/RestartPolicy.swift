internal import Glibc

/// How a service's process came to its end.
public enum ProcessExit: Sendable, Equatable, CustomStringConvertible {
    case exited(code: Int32)
    case signalled(Int32)
    /// The process never ran, and why.
    case notStarted(String)
    /// It is gone, and the kernel tells its status to its parent only: an adopted process.
    case unknown
    /// The supervisor ended it, because something was wrong with it.
    case forced(because: String)

    public var isSuccess: Bool { self == .exited(code: 0) }

    public var description: String {
        switch self {
        case .exited(let code): "exited with code \(code)"
        case .signalled(let signal): "killed by \(Self.name(ofSignal: signal))"
        case .notStarted(let reason): "not started: \(reason)"
        case .unknown: "ended, its status is not known"
        case .forced(let reason): "ended by the supervisor: \(reason)"
        }
    }

    private static func name(ofSignal signal: Int32) -> String {
        guard let text = abbreviations[signal] else { return "signal \(signal)" }
        return "signal \(signal) (SIG\(text))"
    }

    private static let abbreviations: [Int32: String] = [
        SIGHUP: "HUP", SIGINT: "INT", SIGQUIT: "QUIT", SIGILL: "ILL", SIGTRAP: "TRAP",
        SIGABRT: "ABRT", SIGBUS: "BUS", SIGFPE: "FPE", SIGKILL: "KILL", SIGUSR1: "USR1",
        SIGSEGV: "SEGV", SIGUSR2: "USR2", SIGPIPE: "PIPE", SIGALRM: "ALRM", SIGTERM: "TERM",
        SIGXCPU: "XCPU", SIGXFSZ: "XFSZ", SIGSYS: "SYS",
    ]
}

/// Whether and when a service that ended starts again. It decides from what it is told and reads no
/// clock. There is no number of attempts after which it gives up: the pause grows to its limit and
/// stays there, and every attempt is an event and a count.
public struct RestartPolicy: Sendable, Equatable {
    public enum Mode: String, Sendable, Equatable, CaseIterable {
        case always
        /// Not after exit code 0.
        case onFailure = "on_failure"
        case never
    }

    /// What has to be remembered between two ends of the same service.
    public struct State: Sendable, Equatable {
        /// Ends in a row, none of which came after a run of `resetAfter` or longer.
        public var quickExits = 0
        public init() {}
    }

    public var mode: Mode
    /// The first pause.
    public var backoff: Duration
    /// What each further pause is multiplied by.
    public var factor: Double
    /// The longest pause.
    public var limit: Duration
    /// A run of this length is a success: the next pause is the first one again.
    public var resetAfter: Duration

    /// A factor below one counts as one, a negative duration as zero.
    public init(
        mode: Mode = .always, backoff: Duration = .milliseconds(500), factor: Double = 2,
        limit: Duration = .seconds(30), resetAfter: Duration = .seconds(60)
    ) {
        self.mode = mode
        self.backoff = max(.zero, backoff)
        self.factor = factor.isFinite ? max(1, factor) : 1
        self.limit = max(.zero, limit)
        self.resetAfter = max(.zero, resetAfter)
    }

    public func decide(
        _ exit: ProcessExit, ranFor: Duration, state: State
    ) -> (decision: RestartDecision, state: State) {
        switch mode {
        case .never: return (.stop, State())
        case .onFailure where exit.isSuccess: return (.stop, State())
        case .onFailure, .always: break
        }
        var next = ranFor >= resetAfter ? State() : state
        let pause = pause(afterQuickExits: next.quickExits)
        next.quickExits += 1
        return (.restart(after: pause), next)
    }

    /// Multiplies only until the limit, so that a thousand quick exits do not overflow.
    private func pause(afterQuickExits count: Int) -> Duration {
        guard backoff < limit else { return limit }
        var pause = backoff
        guard factor > 1, backoff > .zero else { return pause }
        for _ in 0..<count {
            // Compared first: a large factor must not overflow.
            if pause / limit * factor >= 1 { return limit }
            pause = pause * factor
        }
        return pause
    }
}

public enum RestartDecision: Sendable, Equatable {
    case restart(after: Duration)
    case stop
}
