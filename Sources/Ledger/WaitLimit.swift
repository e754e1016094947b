internal import Synchronization

/// Waits for work that nothing can cancel, for as long as one is willing to.
public enum WaitLimit {
    /// What the work returns; nil when it is not done within the limit. It goes on by itself then.
    public static func within<Value: Sendable>(
        _ limit: Duration, _ clock: any Clock<Duration> = ContinuousClock(),
        _ work: @escaping @Sendable () async -> Value
    ) async -> Value? {
        await withCheckedContinuation { continuation in
            let first = FirstAnswer(continuation)
            let timer = Task {
                do { try await clock.sleep(for: limit) } catch { return }
                first.give(nil)
            }
            Task {
                let value = await work()
                timer.cancel()
                first.give(value)
            }
        }
    }
}

/// Whoever answers first. The lock makes sure that only the first one does: the work and the limit may
/// end at the same moment. It is held for a swap.
private final class FirstAnswer<Value: Sendable>: Sendable {
    private let waiting: Mutex<CheckedContinuation<Value?, Never>?>

    init(_ continuation: CheckedContinuation<Value?, Never>) {
        waiting = Mutex(continuation)
    }

    func give(_ value: Value?) {
        let continuation = waiting.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        continuation?.resume(returning: value)
    }
}
