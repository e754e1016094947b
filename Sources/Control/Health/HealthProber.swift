internal import Dispatch
public import Ledger

/// Carries out one run of a check. It should give up when its task is cancelled; where it cannot, its
/// late answer is thrown away.
public protocol HealthProber: Sendable {
    func probe(_ check: HealthCheck) async -> ProbeOutcome
}

/// The probes that opsd has. What needs a client that this room does not know, or knowledge of the
/// services, comes in as a closure.
public struct SystemProber: HealthProber {
    /// Asks a URL with GET within the time. Success with any answer that is expected: see
    /// `HealthProbe.http`.
    public typealias HTTP =
        @Sendable (
            _ url: String, _ status: Int?, _ timeout: Duration
        ) async -> ProbeOutcome
    public typealias Service = @Sendable (ServiceName) async -> ProbeOutcome
    /// Asks the store of a check; the check by its name.
    public typealias Store =
        @Sendable (
            HealthCheckName, _ timeout: Duration
        ) async -> ProbeOutcome

    private let http: HTTP
    private let service: Service
    private let store: Store
    private let workingDirectory: String?
    private let now: @Sendable () -> Timestamp

    /// - Parameter workingDirectory: where the programs of `command` probes start.
    public init(
        workingDirectory: String?, http: @escaping HTTP, service: @escaping Service,
        store: @escaping Store,
        now: @escaping @Sendable () -> Timestamp = { Timestamp.now() }
    ) {
        self.workingDirectory = workingDirectory
        self.http = http
        self.service = service
        self.store = store
        self.now = now
    }

    public func probe(_ check: HealthCheck) async -> ProbeOutcome {
        switch check.probe {
        case .http(let url, let status): return await http(url, status, check.timeout)
        case .service(let name): return await service(name)
        case .store: return await store(check.name, check.timeout)
        case .tcp(let host, let port):
            let timeout = check.timeout
            return await Self.apart { ConnectProbe.run(host: host, port: port, timeout: timeout) }
        case .command(let words):
            let command = CommandProbe(
                words: words, check: check.name, directory: workingDirectory,
                timeout: check.timeout)
            return await Self.apart(command.run)
        case .disk(let path, let margin):
            return await Self.apart { DiskProbe.run(path: path, freeBelow: margin) }
        case .process(let file):
            return await Self.apart { PIDFileProbe.run(path: file) }
        case .fileAge(let path, let limit):
            let now = now()
            return await Self.apart { FileAgeProbe.run(path: path, staleAfter: limit, now: now) }
        }
    }

    /// A dead disk or a dead file server holds the calling thread for minutes. So such a call has a
    /// thread of its own, and never one of the pool. A check has one run at a time, so the number of
    /// threads is bounded by that of the checks.
    private static let queue = DispatchQueue(
        label: "probes", qos: .utility, attributes: .concurrent)

    private static func apart(
        _ work: @escaping @Sendable () -> ProbeOutcome
    ) async -> ProbeOutcome {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: work()) }
        }
    }
}
