public import Ledger
internal import Logging
internal import Synchronization

/// The latest quotes: kept for a while, fetched when asked for and not there.
///
/// Who asks for a symbol that is being fetched waits for that fetch. What lies in the shared cache is
/// shown to clients, and never kept here: orders are sized by what the broker said. The lock is held for a look-up or
/// an insertion; it is there because orders are sized by a quote on the way in and must not wait for
/// another task's turn.
public final class QuoteBoard: Sendable {
    /// Why there is no quote.
    public enum Failure: Error, Sendable, Equatable {
        /// It is no symbol, or the broker does not know it.
        case unknownSymbol(String)
        /// The broker did not answer. Asking again helps.
        case unavailable(String)
        /// Over a limit: try again later.
        case limited(RequestLimits.Exceeded)
    }

    private struct Content {
        var cache: QuoteCache
        /// Fetches under way; each says whether the broker answered.
        var fetches: [String: Task<Bool, Never>] = [:]
    }

    /// Of symbols that are held and new here, in one round.
    private static let unseenMax = 10

    private let broker: any Broker
    private let account: String
    private let shared: (any MarketCache)?
    private let timeToLiveSeconds: Int64
    private let now: @Sendable () -> Timestamp
    private let content: Mutex<Content>
    private let looks = SingleFlight<String, BrokerQuote?>()
    private let memoryMeter = CacheMeter(.memory, .quote)
    private let sharedMeter = CacheMeter(.redis, .quote)
    private let logger = Logger(label: "quotes")

    /// - Parameters:
    ///   - account: the data account that asks.
    ///   - preloaded: symbols that are kept fresh from the start.
    ///   - shared: gets every new quote; nil when they are kept in memory only.
    ///   - quotesPerSecond: the data account's limit on what clients have fetched.
    ///   - fetchesPerMinute: how many of the broker's requests those fetches may use.
    public init(
        broker: any Broker, account: String, preloaded: [String],
        shared: (any MarketCache)? = nil, timeToLiveSeconds: Int64 = 30,
        symbolsMax: Int = 1_000, quotesPerSecond: Int = 100, fetchesPerMinute: Int = 100,
        now: @escaping @Sendable () -> Timestamp = { .now() }
    ) {
        self.broker = broker
        self.account = account
        self.shared = shared
        self.timeToLiveSeconds = timeToLiveSeconds
        self.now = now
        let settings = QuoteCache.Settings(
            timeToLiveSeconds: timeToLiveSeconds, symbolsMax: symbolsMax,
            quotesPerSecond: quotesPerSecond, fetchesPerMinute: fetchesPerMinute)
        content = Mutex(
            Content(cache: QuoteCache(settings: settings, preloaded: preloaded, at: now())))
    }

    /// For orders: a quote that is not older than the time to live, by the time at which it was
    /// fetched from the broker.
    public func quote(_ symbol: String) async throws(Failure) -> BrokerQuote {
        if let quote = try known(symbol) { return quote }
        return try await fetched(symbol)
    }

    /// To be shown: the same, or one from the shared cache that is not older by its own time.
    public func shown(_ symbol: String) async throws(Failure) -> BrokerQuote {
        if let quote = try known(symbol) { return quote }
        if let shared {
            let quote = await looks.value(symbol) { await self.look(symbol, in: shared) }
            if let quote { return quote }
        }
        return try await fetched(symbol)
    }

    /// What is in memory; nil when the broker is to be asked.
    private func known(_ symbol: String) throws(Failure) -> BrokerQuote? {
        let start = ContinuousClock.now
        let answer = content.withLock { [now] in $0.cache.ask(symbol, at: now()) }
        if case .missing = answer {
            memoryMeter.record(isHit: false, since: start)
            return nil
        }
        memoryMeter.record(isHit: true, since: start)
        guard case .quote(let quote) = answer else { throw .unknownSymbol(symbol) }
        return quote
    }

    private func look(_ symbol: String, in shared: any MarketCache) async -> BrokerQuote? {
        let start = ContinuousClock.now
        let quote = await shared.quote(symbol)
        let isFresh = quote.map { self.isFresh($0, symbol) } ?? false
        sharedMeter.record(isHit: isFresh, since: start)
        return isFresh ? quote : nil
    }

    /// Somebody else may have written it.
    private func isFresh(_ quote: BrokerQuote, _ symbol: String) -> Bool {
        guard let age = now().microseconds(since: quote.timestamp) else { return false }
        let prices = [quote.bidPrice, quote.askPrice, quote.lastPrice]
        return quote.symbol == symbol && age >= -BarWindow.skewSeconds * 1_000_000
            && age < timeToLiveSeconds * 1_000_000 && quote.volume >= 0
            && prices.allSatisfy { !$0.isNegative }
    }

    private func fetched(_ symbol: String) async throws(Failure) -> BrokerQuote {
        let fetch: Task<Bool, Never>
        switch step(symbol) {
        case .success(.quote(let quote)): return quote
        case .success(.wait(let running)): fetch = running
        case .failure(let failure): throw failure
        }
        guard await fetch.value else { throw .unavailable(symbol) }
        switch content.withLock({ [now] in $0.cache.ask(symbol, at: now()) }) {
        case .quote(let quote): return quote
        case .unknownSymbol: throw .unknownSymbol(symbol)
        case .missing: throw .unavailable(symbol)
        }
    }

    private enum Step {
        case quote(BrokerQuote)
        case wait(Task<Bool, Never>)
    }

    /// What is there, or the fetch to wait for: one that is under way, or a new one.
    private func step(_ symbol: String) -> Result<Step, Failure> {
        let now = now()
        return content.withLock { content in
            switch content.cache.ask(symbol, at: now) {
            case .quote(let quote): return .success(.quote(quote))
            case .unknownSymbol: return .failure(.unknownSymbol(symbol))
            case .missing: break
            }
            if let running = content.fetches[symbol] { return .success(.wait(running)) }
            if let exceeded = content.cache.drawFetch(at: now) {
                return .failure(.limited(exceeded))
            }
            let fetch = Task { await self.fetch([symbol], endsFetchOf: symbol) }
            content.fetches[symbol] = fetch
            return .success(.wait(fetch))
        }
    }

    /// Keeps the symbols in use fresh until cancelled.
    /// - Parameter held: symbols that are in use although nobody asks for them.
    public func run(
        every interval: Duration, held: @Sendable () -> Set<String> = { [] }
    ) async {
        while !Task.isCancelled {
            let held = held()
            let now = now()
            let (symbols, unseen) = content.withLock { content in
                (
                    content.cache.symbolsInUse(held: held, at: now),
                    content.cache.unseen(held, at: now)
                )
            }
            // Each by itself: a symbol that the broker refuses must not take the others along.
            for symbol in unseen.prefix(Self.unseenMax) { _ = await fetch([symbol]) }
            for start in stride(from: 0, to: symbols.count, by: 100) {
                _ = await fetch(Array(symbols[start..<min(start + 100, symbols.count)]))
            }
            try? await Task.sleep(for: interval)
        }
    }

    /// True when the broker answered.
    private func fetch(_ symbols: [String], endsFetchOf symbol: String? = nil) async -> Bool {
        let quotes: [BrokerQuote]?
        do throws(BrokerError) {
            quotes = try await broker.quotes(of: symbols, account: account)
        } catch .rejected(_, let words) where symbols.count == 1 {
            // The broker's own word that this is none of its symbols.
            quotes = []
            logger.info(
                "the broker has no such quote",
                metadata: ["symbol": "\(symbols[0])", "problem": "\(words)"])
        } catch {
            quotes = nil
            logger.warning("no quotes came", metadata: ["problem": "\(error)"])
        }
        let now = now()
        let changed = content.withLock { content in
            if let symbol { content.fetches[symbol] = nil }
            return quotes.map { content.cache.take($0, asked: symbols, at: now) } ?? []
        }
        if let quotes, !quotes.isEmpty { shared?.put(quotes, changed: changed) }
        return quotes != nil
    }
}
