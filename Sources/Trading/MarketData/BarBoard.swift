public import Ledger
internal import Logging
internal import Synchronization

/// Bars for those who ask: from memory, else from the shared cache, else from the broker, once for all
/// who ask for the same.
///
/// The lock is held for a look-up or an insertion; it is there because requests come on any thread.
public final class BarBoard: Sendable {
    public struct Settings: Sendable {
        public var timeToLiveSeconds: Int64 = 300
        /// How many times clients may have bars fetched: the data account's own limit.
        public var barsPerMinute = 1_000
        /// How many of the broker's requests those fetches may use.
        public var fetchesPerMinute = 50
        /// In memory.
        public var barsMax = 200_000

        public init() {}
    }

    /// Why there are no bars.
    public enum Failure: Error, Sendable, Equatable {
        case unknownSymbol(String)
        /// The broker did not answer. Asking again helps.
        case unavailable(String)
        /// Over a limit: try again later.
        case limited(RequestLimits.Exceeded)
        /// The broker's own words.
        case refused(String)
    }

    /// The most of one request.
    public static let requestMax = 10_000
    /// In the shared cache other programs read a value whole.
    private static let sharedMax = 2_000
    /// The broker may send fewer bars on a page than were asked for.
    private static let pagesMax = 20

    private struct Content {
        var cache: BarCache
        var barsLeft: TokenBucket
        var fetchesLeft: TokenBucket

        /// Draws for one fetch; nil when it may go out.
        mutating func drawFetch(at now: Timestamp) -> RequestLimits.Exceeded? {
            if let wait = barsLeft.take(at: now) {
                return RequestLimits.Exceeded(limit: "bars_per_minute", retryAfterSeconds: wait)
            }
            if let wait = fetchesLeft.take(at: now) {
                return RequestLimits.Exceeded(
                    limit: "a quarter of the broker's requests_per_minute",
                    retryAfterSeconds: wait)
            }
            return nil
        }
    }

    private let broker: any Broker
    private let account: String
    private let shared: (any MarketCache)?
    private let timeToLiveSeconds: Int64
    private let now: @Sendable () -> Timestamp
    private let content: Mutex<Content>
    private let flights = SingleFlight<BarRequest, Result<[Bar], Failure>>()
    private let memoryMeter = CacheMeter(.memory, .bars)
    private let sharedMeter = CacheMeter(.redis, .bars)
    private let logger = Logger(label: "bars")

    /// - Parameters:
    ///   - account: the data account that asks.
    ///   - shared: nil when bars are kept in memory only.
    public init(
        broker: any Broker, account: String, shared: (any MarketCache)? = nil,
        settings: Settings = Settings(), now: @escaping @Sendable () -> Timestamp = { .now() }
    ) {
        self.broker = broker
        self.account = account
        self.shared = shared
        self.now = now
        timeToLiveSeconds = settings.timeToLiveSeconds
        let time = now()
        content = Mutex(
            Content(
                cache: BarCache(
                    timeToLiveSeconds: settings.timeToLiveSeconds, barsMax: settings.barsMax),
                barsLeft: TokenBucket(count: settings.barsPerMinute, periodSeconds: 60, at: time),
                fetchesLeft: TokenBucket(
                    count: settings.fetchesPerMinute, periodSeconds: 60, at: time)))
    }

    /// Oldest first. Of the bar that is growing, what it was up to a twelfth of its timeframe ago.
    /// - Parameter request: at most `requestMax` bars.
    public func bars(_ request: BarRequest) async throws(Failure) -> [Bar] {
        guard AllowedInstruments.isSymbol(request.symbol) else {
            throw .unknownSymbol(request.symbol)
        }
        let request = upToNow(request)
        guard request.from < request.before else { return [] }
        let start = ContinuousClock.now
        let known = content.withLock { [now] in $0.cache.bars(request, at: now()) }
        memoryMeter.record(isHit: known != nil, since: start)
        if let known { return known }
        return try await flights.value(request) { await self.find(request) }.get()
    }

    /// Nothing begins in the future, so all who ask for what is to come ask for the same.
    private func upToNow(_ request: BarRequest) -> BarRequest {
        var request = request
        let present = request.timeframe.start(of: now())
            .advanced(bySeconds: request.timeframe.seconds)
        request.before = min(request.before, present)
        return request
    }

    private func find(_ request: BarRequest) async -> Result<[Bar], Failure> {
        if let bars = await sharedBars(request) { return .success(bars) }
        let exceeded = content.withLock { [now] in $0.drawFetch(at: now()) }
        if let exceeded { return .failure(.limited(exceeded)) }
        let window: BarWindow
        do throws(BrokerError) {
            window = try await fetch(request)
        } catch {
            return .failure(failure(error, request.symbol))
        }
        content.withLock { $0.cache.take(window, for: request) }
        if window.reachesItsFetch, window.bars.count <= Self.sharedMax {
            shared?.put(window, request.symbol, request.timeframe)
        }
        return .success(window.bars)
    }

    private func sharedBars(_ request: BarRequest) async -> [Bar]? {
        guard let shared else { return nil }
        let start = ContinuousClock.now
        let window = await shared.bars(request.symbol, request.timeframe)
        let bars = window.flatMap { window in
            window.isPlausible
                ? window.answer(request, timeToLiveSeconds: timeToLiveSeconds, at: now()) : nil
        }
        sharedMeter.record(isHit: bars != nil, since: start)
        if let window, bars != nil { content.withLock { $0.cache.take(window, for: request) } }
        return bars
    }

    private func fetch(_ request: BarRequest) async throws(BrokerError) -> BarWindow {
        // Before the call: what the market does meanwhile is not in the answer.
        let fetchedAt = now()
        var bars: [Bar] = []
        var page: String?
        for _ in 0..<Self.pagesMax {
            let answer = try await broker.bars(
                request, limit: Self.requestMax, page: page, account: account)
            bars += answer.bars.filter {
                $0.timestamp >= request.from && $0.timestamp < request.before
            }
            guard let next = answer.next, next != page else {
                return BarWindow(
                    from: request.from, before: request.before, fetchedAt: fetchedAt, bars: bars)
            }
            page = next
        }
        throw .malformed("the broker's pages of bars do not end")
    }

    private func failure(_ error: BrokerError, _ symbol: String) -> Failure {
        switch error {
        case .rejected(_, let message): return .refused(message)
        case .rateLimited(let seconds):
            return .limited(
                RequestLimits.Exceeded(
                    limit: "the broker's requests_per_minute", retryAfterSeconds: seconds))
        default:
            logger.warning("no bars came", metadata: ["problem": "\(error)"])
            return .unavailable(symbol)
        }
    }
}
