import Synchronization

/// How long the machine left this process without a processor: what a test measures beside it cannot
/// be better than that.
final class StallWatch: Sendable {
    /// Under a lock: the watching task writes, the test reads.
    private let longest = Mutex(Duration.zero)
    private static let pause = Duration.milliseconds(2)

    /// The longest stall while `body` runs.
    static func measure(_ body: () async throws -> Void) async throws -> Duration {
        let watch = StallWatch()
        let task = Task { await watch.run() }
        defer { task.cancel() }
        try await body()
        return watch.longest.withLock { $0 }
    }

    private func run() async {
        while !Task.isCancelled {
            let start = ContinuousClock.now
            try? await Task.sleep(for: Self.pause)
            let late = start.duration(to: .now) - Self.pause
            longest.withLock { $0 = max($0, late) }
        }
    }
}
