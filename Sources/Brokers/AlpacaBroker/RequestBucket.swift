public import Ledger

/// A token bucket for one account: a pure value, told the time.
///
/// It holds a minute's requests and refills evenly. The last thirty per cent are for orders and
/// cancellations alone: a poll may wait, an order should not. What the broker's own counters say
/// corrects it downwards, never upwards.
public struct RequestBucket: Sendable, Equatable {
    public enum Priority: Sendable {
        /// Submissions and cancellations.
        case order
        case read
    }

    public enum Decision: Sendable, Equatable {
        case granted
        case wait(microseconds: Int64)
    }

    private let perMinute: Int64
    /// In millionths of a sixtieth of a request, so that one microsecond adds exactly `perMinute`.
    private var level: Int64
    private var updatedAt: Timestamp
    private var blockedUntil: Timestamp?
    private static let request: Int64 = 60_000_000

    public init(requestsPerMinute: Int, now: Timestamp) {
        perMinute = Int64(max(1, min(requestsPerMinute, 1_000_000)))
        level = perMinute * Self.request
        updatedAt = now
    }

    private var capacity: Int64 { perMinute * Self.request }
    /// Whole requests, so that a bucket of one or two still serves reads.
    private var reservedForOrders: Int64 { perMinute * 3 / 10 * Self.request }

    public mutating func take(_ priority: Priority, now: Timestamp) -> Decision {
        refill(now)
        if let blockedUntil, blockedUntil > now {
            return .wait(microseconds: blockedUntil.microseconds - now.microseconds)
        }
        blockedUntil = nil
        let needed = Self.request + (priority == .read ? reservedForOrders : 0)
        guard level < needed else {
            level -= Self.request
            return .granted
        }
        return .wait(microseconds: (needed - level + perMinute - 1) / perMinute)
    }

    /// The broker's own counters, from an answer's headers.
    public mutating func observe(remaining: Int, resetsAt: Timestamp?, now: Timestamp) {
        refill(now)
        let told = Int64(max(0, min(remaining, Int(perMinute)))) * Self.request
        level = min(level, told)
        if remaining <= 0, let resetsAt { block(until: resetsAt, now: now) }
    }

    /// After an answer 429.
    public mutating func block(until: Timestamp, now: Timestamp) {
        // A clock that is wrong must not stop an account for longer than the limit's own period.
        let latest = now.advanced(bySeconds: 60)
        blockedUntil = max(blockedUntil ?? now, min(until, latest))
    }

    private mutating func refill(_ now: Timestamp) {
        let elapsed = min(max(0, now.microseconds - updatedAt.microseconds), 60_000_000)
        level = min(capacity, level + elapsed * perMinute)
        updatedAt = now
    }
}
