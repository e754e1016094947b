internal import Ledger
internal import Logging
internal import Synchronization

/// The latest quotes: kept for a while, fetched when asked for and not there.
///
/// The lock is held for a look-up or an insertion; it is there because orders are sized by a quote
/// on the way in and must not wait for another task's turn.
public final class QuoteBoard: Sendable {
    private struct Content {
        var quotes: [String: (quote: BrokerQuote, fetchedAt: Timestamp)] = [:]
        var symbols: [String: Timestamp]
    }

    private let broker: any Broker
    private let account: String
    private let timeToLiveSeconds: Int64
    private let symbolsMax: Int
    private let content: Mutex<Content>
    private let logger = Logger(label: "quotes")

    /// - Parameters:
    ///   - account: the data account that asks.
    ///   - preloaded: symbols that are kept fresh from the start.
    public init(
        broker: any Broker, account: String, preloaded: [String], timeToLiveSeconds: Int64 = 30,
        symbolsMax: Int = 1_000
    ) {
        self.broker = broker
        self.account = account
        self.timeToLiveSeconds = timeToLiveSeconds
        self.symbolsMax = symbolsMax
        content = Mutex(
            Content(
                symbols: Dictionary(
                    preloaded.prefix(symbolsMax).map { ($0, Timestamp(microseconds: .max)) },
                    uniquingKeysWith: { first, _ in first })))
    }

    /// A quote that is not older than the time to live, by the time at which it was fetched; nil
    /// when the broker does not know the symbol or does not answer.
    public func quote(_ symbol: String) async -> BrokerQuote? {
        let now = Timestamp.now()
        if let kept = kept(symbol, at: now) { return kept }
        await fetch([symbol], at: now)
        return kept(symbol, at: now)
    }

    private func kept(_ symbol: String, at now: Timestamp) -> BrokerQuote? {
        content.withLock { content in
            guard let (quote, fetchedAt) = content.quotes[symbol],
                now < fetchedAt.advanced(bySeconds: timeToLiveSeconds)
            else { return nil }
            if let usedAt = content.symbols[symbol], usedAt < now { content.symbols[symbol] = now }
            return quote
        }
    }

    /// Keeps the symbols in use fresh until cancelled.
    public func run(every interval: Duration) async {
        while !Task.isCancelled {
            let now = Timestamp.now()
            let symbols = content.withLock { content in
                content.symbols = content.symbols.filter {
                    $0.value > now.advanced(bySeconds: -600)
                }
                return Array(content.symbols.keys)
            }
            for start in stride(from: 0, to: symbols.count, by: 100) {
                await fetch(Array(symbols[start..<min(start + 100, symbols.count)]), at: now)
            }
            try? await Task.sleep(for: interval)
        }
    }

    private func fetch(_ symbols: [String], at now: Timestamp) async {
        do {
            let quotes = try await broker.quotes(of: symbols, account: account)
            content.withLock { content in
                for quote in quotes {
                    content.quotes[quote.symbol] = (quote, now)
                    if content.symbols[quote.symbol] == nil, content.symbols.count < symbolsMax {
                        content.symbols[quote.symbol] = now
                    }
                }
            }
        } catch {
            logger.warning("no quotes came", metadata: ["problem": "\(error)"])
        }
    }
}
