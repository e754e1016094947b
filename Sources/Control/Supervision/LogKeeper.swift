internal import Dispatch
internal import Synchronization

/// Looks at log files each second and cuts those that have grown too large. On a queue of its own:
/// copying tens of megabytes must hold up neither the supervisor nor its watch over processes.
public final class LogKeeper: Sendable {
    public typealias Files = @Sendable () async -> [String: LogRotation]

    private let files: Files
    private let onProblem: @Sendable (String) -> Void
    private let queue = DispatchQueue(label: "logs", qos: .utility)
    /// The last problem of each file, so that a full disk is said once and not each second. Under a
    /// lock, because the queue's thread is another one than its readers may be.
    private let problems = Mutex<[String: String]>([:])

    /// - Parameter files: which files there are now, by path.
    public init(
        files: @escaping Files, onProblem: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.files = files
        self.onProblem = onProblem
    }

    /// Until cancelled.
    public func run(every period: Duration = .seconds(1)) async {
        while !Task.isCancelled {
            await look()
            try? await Task.sleep(for: period)
        }
    }

    func look() async {
        let files = await files()
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            queue.async { [self] in
                for (path, rotation) in files { rotate(path, rotation) }
                continuation.resume()
            }
        }
    }

    private func rotate(_ path: String, _ rotation: LogRotation) {
        var problem: String?
        do throws(ProcessError) {
            try LogFile.rotate(path, rotation)
        } catch {
            problem = error.description
        }
        let isNew = problems.withLock { problems in
            defer { problems[path] = problem }
            return problems[path] != problem
        }
        if isNew, let problem { onProblem("\(path) is not rotated: \(problem)") }
    }
}
