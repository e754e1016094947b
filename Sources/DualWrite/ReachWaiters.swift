internal import Ledger

/// Those who wait until a store has everything up to an entry. Each is taken out once and then told.
struct ReachWaiters {
    struct Waiter {
        let id: Int
        let sequence: SequenceNumber
        let continuation: CheckedContinuation<Bool, Never>
        /// Gives up when the time is over.
        let timer: Task<Void, Never>

        func end(_ isThere: Bool) {
            timer.cancel()
            continuation.resume(returning: isThere)
        }
    }

    private(set) var waiting: [Waiter] = []

    mutating func add(_ waiter: Waiter) { waiting.append(waiter) }

    mutating func take(_ id: Int) -> Waiter? {
        waiting.firstIndex { $0.id == id }.map { waiting.remove(at: $0) }
    }

    mutating func take(upTo sequence: SequenceNumber) -> [Waiter] {
        let reached = waiting.filter { $0.sequence <= sequence }
        if !reached.isEmpty { waiting.removeAll { $0.sequence <= sequence } }
        return reached
    }

    mutating func takeAll() -> [Waiter] {
        defer { waiting = [] }
        return waiting
    }
}
