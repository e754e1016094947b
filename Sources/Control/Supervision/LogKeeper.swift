internal import CoreMetrics
internal import Dispatch
internal import Synchronization

/// Looks at log files each second and cuts those that have grown too large. On a queue of its own:
/// copying tens of megabytes must hold up neither the supervisor nor its watch over processes.
public final class LogKeeper: Sendable {
    public typealias Files = @Sendable () async -> [String: LogRotation]

    static let lostMetric = "opsd_log_lost_bytes_total"
    /// Descriptions of its metrics, for the registry's catalogue.
    public static let metricDescriptions = [
        MetricDescription(
            lostMetric,
            help:
                "Bytes of logs that were dropped before their time, for want of room on the disk.",
            kind: .counter)
    ]

    /// A file that could not be cut is left alone for so long: what failed costs reading all of it.
    static let pauseAfterFailure = Duration.seconds(60)

    private struct Trouble {
        var problem: String
        var nextTry: ContinuousClock.Instant
    }

    private let files: Files
    private let onProblem: @Sendable (String) -> Void
    private let now: @Sendable () -> ContinuousClock.Instant
    private let lost: Counter
    private let queue = DispatchQueue(label: "logs", qos: .utility)
    /// The last problem of each file, so that it is said once. Under a lock, because the queue's
    /// thread is another one than its readers may be.
    private let troubles = Mutex<[String: Trouble]>([:])

    /// - Parameter files: which files there are now, by path.
    public convenience init(
        files: @escaping Files, onProblem: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.init(files: files, now: { .now }, onProblem: onProblem)
    }

    init(
        files: @escaping Files, now: @escaping @Sendable () -> ContinuousClock.Instant,
        onProblem: @escaping @Sendable (String) -> Void
    ) {
        self.files = files
        self.now = now
        self.onProblem = onProblem
        lost = Counter(label: Self.lostMetric)
        lost.increment(by: 0)
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
        let trouble = troubles.withLock { $0[path] }
        if let trouble, now() < trouble.nextTry { return }
        do throws(ProcessError) {
            let cut = try LogFile.rotate(path, rotation)
            troubles.withLock { $0[path] = nil }
            guard case .cut(let lostBytes) = cut, lostBytes > 0 else { return }
            lost.increment(by: Int64(lostBytes))
            onProblem(
                "\(path): the disk has no room for its older part, so its oldest \(lostBytes) bytes "
                    + "are gone; make room (df -h)")
        } catch {
            let problem = error.description
            let next = now().advanced(by: Self.pauseAfterFailure)
            troubles.withLock { $0[path] = Trouble(problem: problem, nextTry: next) }
            if trouble?.problem != problem { onProblem("\(path) is not rotated: \(problem)") }
        }
    }
}
