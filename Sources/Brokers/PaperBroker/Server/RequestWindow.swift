import Ledger

/// So many requests in each whole minute: what is left of it, and when it begins anew.
struct RequestWindow: Sendable, Equatable {
    let limit: Int
    private(set) var used = 0
    /// Epoch seconds.
    private(set) var resetsAt: Int64 = 0

    init(limit: Int) {
        self.limit = limit
    }

    var remaining: Int { max(0, limit - used) }

    /// False when the limit is reached.
    mutating func take(now: Timestamp) -> Bool {
        if now.seconds >= resetsAt {
            used = 0
            resetsAt = (now.seconds / 60 + 1) * 60
        }
        guard used < limit else { return false }
        used += 1
        return true
    }
}
