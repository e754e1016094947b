internal import Ledger

/// Which quotes are there, which symbols the broker does not know, and whether one more may be
/// fetched: a plain value, the time comes in.
///
/// It promises: what it keeps is bounded, whatever is asked for; a symbol that the broker does not
/// know is asked for once in a time to live; what clients ask for leaves the broker's own limit room
/// for the symbols in use.
struct QuoteCache {
    struct Settings: Sendable {
        /// A quote, and the broker's word that there is none, count for so long.
        var timeToLiveSeconds: Int64
        var symbolsMax: Int
        /// How many quotes clients may have fetched: the data account's own limit.
        var quotesPerSecond: Int
        /// How many calls for them may go to the broker.
        var fetchesPerMinute: Int
    }

    enum Answer {
        case quote(BrokerQuote)
        /// It is no symbol, or the broker said a moment ago that it does not know it.
        case unknownSymbol
        case missing
    }

    /// A symbol that nobody asked for in so long is not refreshed any more.
    private static let inUseSeconds: Int64 = 600

    private let settings: Settings
    private var quotes: [String: (quote: BrokerQuote, fetchedAt: Timestamp)] = [:]
    /// Symbols in use, by when they were last asked for.
    private var usedAt: [String: Timestamp]
    /// Symbols that the broker does not know, by when it said so.
    private var absent: [String: Timestamp] = [:]
    private var quotesLeft: TokenBucket
    private var fetchesLeft: TokenBucket

    /// - Parameter preloaded: symbols that are in use for ever.
    init(settings: Settings, preloaded: [String], at now: Timestamp) {
        self.settings = settings
        usedAt = Dictionary(
            preloaded.prefix(settings.symbolsMax).map { ($0, Timestamp(microseconds: .max)) },
            uniquingKeysWith: { first, _ in first })
        quotesLeft = TokenBucket(count: settings.quotesPerSecond, at: now)
        fetchesLeft = TokenBucket(count: settings.fetchesPerMinute, periodSeconds: 60, at: now)
    }

    mutating func ask(_ symbol: String, at now: Timestamp) -> Answer {
        guard AllowedInstruments.isSymbol(symbol) else { return .unknownSymbol }
        if let (quote, fetchedAt) = quotes[symbol], isFresh(fetchedAt, at: now) {
            if let used = usedAt[symbol], used < now { usedAt[symbol] = now }
            return .quote(quote)
        }
        if let saidAt = absent[symbol], isFresh(saidAt, at: now) { return .unknownSymbol }
        return .missing
    }

    /// Draws for one fetch that a client caused; nil when it may go out.
    mutating func drawFetch(at now: Timestamp) -> RequestLimits.Exceeded? {
        if let wait = quotesLeft.take(at: now) {
            return RequestLimits.Exceeded(limit: "quotes_per_second", retryAfterSeconds: wait)
        }
        if let wait = fetchesLeft.take(at: now) {
            return RequestLimits.Exceeded(
                limit: "half of the broker's requests_per_minute", retryAfterSeconds: wait)
        }
        return nil
    }

    /// What the broker said when it was asked for some symbols; gives back those whose quote is another
    /// than before.
    @discardableResult
    mutating func take(
        _ fetched: [BrokerQuote], asked: [String], at now: Timestamp
    ) -> Set<String> {
        var changed: Set<String> = []
        for quote in fetched {
            let old = quotes.updateValue((quote, now), forKey: quote.symbol)?.quote
            if old != quote { changed.insert(quote.symbol) }
            absent[quote.symbol] = nil
            if usedAt[quote.symbol] == nil, usedAt.count < settings.symbolsMax {
                usedAt[quote.symbol] = now
            }
        }
        let known = Set(fetched.map(\.symbol))
        for symbol in asked where !known.contains(symbol) { note(absent: symbol, at: now) }
        return changed
    }

    private mutating func note(absent symbol: String, at now: Timestamp) {
        if absent.count >= settings.symbolsMax {
            absent = absent.filter { isFresh($0.value, at: now) }
        }
        // Full of misspelt symbols: the limits hold them back from here on.
        if absent.count >= settings.symbolsMax { absent.removeAll() }
        absent[symbol] = now
    }

    /// Forgets what nobody asks for any more; the symbols that are left are to be kept fresh.
    /// - Parameter held: of these, those whose quote the broker has given are in use although nobody
    ///   asks for them.
    mutating func symbolsInUse(held: Set<String> = [], at now: Timestamp) -> [String] {
        for symbol in held {
            if let used = usedAt[symbol], used < now { usedAt[symbol] = now }
        }
        let unusedSince = now.advanced(bySeconds: -Self.inUseSeconds)
        usedAt = usedAt.filter { $0.value > unusedSince }
        quotes = quotes.filter { usedAt[$0.key] != nil || isFresh($0.value.fetchedAt, at: now) }
        return Array(usedAt.keys)
    }

    /// Of what is held, what the broker has not been asked for yet.
    func unseen(_ held: Set<String>, at now: Timestamp) -> [String] {
        guard usedAt.count < settings.symbolsMax else { return [] }
        return held.filter { symbol in
            usedAt[symbol] == nil && AllowedInstruments.isSymbol(symbol)
                && absent[symbol].map { isFresh($0, at: now) } != true
        }
    }

    private func isFresh(_ time: Timestamp, at now: Timestamp) -> Bool {
        now < time.advanced(bySeconds: settings.timeToLiveSeconds)
    }
}
