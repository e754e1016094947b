public import Ledger
internal import Synchronization

/// The limits that a request must pass before anything is done for it.
///
/// The lock is held for the arithmetic of one bucket; it is there because every request,
/// on whatever thread, draws from the same ones.
public final class RequestLimits: Sendable {
    private struct Buckets {
        var all: TokenBucket
        var requests: [String: TokenBucket] = [:]
        var orders: [String: TokenBucket] = [:]
    }

    private let accountRequestsPerSecond: Int
    private let ordersPerMinute: [String: Int]
    private let buckets: Mutex<Buckets>

    /// - Parameter ordersPerMinute: by trading account.
    public init(
        requestsPerSecond: Int, accountRequestsPerSecond: Int, ordersPerMinute: [String: Int],
        at now: Timestamp = .now()
    ) {
        self.accountRequestsPerSecond = accountRequestsPerSecond
        self.ordersPerMinute = ordersPerMinute
        buckets = Mutex(Buckets(all: TokenBucket(count: requestsPerSecond, at: now)))
    }

    public struct Exceeded: Error, Sendable, Equatable {
        public let limit: String
        public let retryAfterSeconds: Int

        public init(limit: String, retryAfterSeconds: Int) {
            self.limit = limit
            self.retryAfterSeconds = retryAfterSeconds
        }
    }

    /// Of anybody, before it is known whose request it is: what a stranger causes is bounded too.
    public func admitRequest(at now: Timestamp) throws(Exceeded) {
        if let wait = buckets.withLock({ $0.all.take(at: now) }) {
            throw Exceeded(limit: "requests_per_second", retryAfterSeconds: wait)
        }
    }

    /// Of an account that is known to be asking.
    public func admitRequest(of accountID: String, at now: Timestamp) throws(Exceeded) {
        let wait = buckets.withLock { buckets in
            let fresh = TokenBucket(count: accountRequestsPerSecond, at: now)
            return buckets.requests[accountID, default: fresh].take(at: now)
        }
        if let wait {
            throw Exceeded(limit: "account_requests_per_second", retryAfterSeconds: wait)
        }
    }

    public func admitOrder(of accountID: String, at now: Timestamp) throws(Exceeded) {
        guard let limit = ordersPerMinute[accountID] else { return }
        let wait = buckets.withLock { buckets in
            let fresh = TokenBucket(count: limit, periodSeconds: 60, at: now)
            return buckets.orders[accountID, default: fresh].take(at: now)
        }
        if let wait {
            throw Exceeded(limit: "max_orders_per_minute", retryAfterSeconds: wait)
        }
    }
}
