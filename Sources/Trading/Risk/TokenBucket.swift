public import Ledger

/// A rate limit that allows bursts up to its capacity: a plain value, the time comes in.
public struct TokenBucket: Sendable, Hashable {
    public let capacity: Int64
    private let perSecond: Int64
    private let periodSeconds: Int64
    /// In millionths of a token, times the period.
    private var level: Int64
    private var refilledAt: Timestamp

    /// - Parameters:
    ///   - count: tokens that come in `periodSeconds`, and the most that are kept.
    public init(count: Int, periodSeconds: Int = 1, at now: Timestamp) {
        let bounded = Int64(max(1, min(count, 1_000_000_000)))
        capacity = bounded
        perSecond = bounded
        self.periodSeconds = Int64(max(1, periodSeconds))
        level = bounded * 1_000_000 * self.periodSeconds
        refilledAt = now
    }

    /// Nil when a token was there and is taken; otherwise whole seconds until one will be.
    public mutating func take(at now: Timestamp) -> Int? {
        refill(at: now)
        let token = 1_000_000 * periodSeconds
        if level >= token {
            level -= token
            return nil
        }
        let microseconds = (token - level + perSecond - 1) / perSecond
        return Int((microseconds + 999_999) / 1_000_000)
    }

    private mutating func refill(at now: Timestamp) {
        // A clock that steps back gives nothing; one that leaps ahead fills the bucket, no more.
        let elapsed = min(
            max(0, now.microseconds - refilledAt.microseconds), periodSeconds * 1_000_000)
        level = min(level + elapsed * perSecond, capacity * 1_000_000 * periodSeconds)
        refilledAt = now
    }
}
