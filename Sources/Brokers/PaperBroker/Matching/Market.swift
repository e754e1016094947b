import Foundation
import Ledger

/// Where quotes come from: a seeded random walk, or a recording.
enum Market: Sendable {
    case walk(RandomWalk)
    case replay(QuoteReplay)

    /// What was before the start, by symbol.
    var histories: [String: PriceHistory] {
        guard case .walk(let walk) = self else { return [:] }
        return walk.histories
    }

    /// The next quotes, one a symbol at most.
    mutating func advance(now: Timestamp) -> [PaperQuote] {
        switch self {
        case .walk(var walk):
            defer { self = .walk(walk) }
            return walk.advance(now: now)
        case .replay(var replay):
            defer { self = .replay(replay) }
            return replay.advance()
        }
    }
}

/// Prices that wander by whole cents, at most a thousandth a tick, and never below a dollar.
struct RandomWalk: Sendable {
    private var prices: [(symbol: String, cents: Int, volume: Int)]
    private var random: SplitMix64
    private var isFirst = true
    private let seed: UInt64

    init(startPrices: [String: ExactDecimal], seed: UInt64) throws(DecimalError) {
        var prices: [(symbol: String, cents: Int, volume: Int)] = []
        for (symbol, price) in startPrices.sorted(by: { $0.key < $1.key }) {
            let cents = try price.multiplied(by: ExactDecimal(100))
            guard cents.scale == 0, cents >= ExactDecimal(100), cents < ExactDecimal(1_000_000_000)
            else { throw .outOfRange }
            prices.append((symbol, Int(cents.coefficient), 0))
        }
        self.prices = prices
        random = SplitMix64(seed: seed)
        self.seed = seed
    }

    /// Around the start prices.
    var histories: [String: PriceHistory] {
        Dictionary(
            prices.map {
                ($0.symbol, PriceHistory(symbol: $0.symbol, startCents: $0.cents, seed: seed))
            }, uniquingKeysWith: { first, _ in first })
    }

    /// The first call gives the start prices.
    mutating func advance(now: Timestamp) -> [PaperQuote] {
        defer { isFirst = false }
        return prices.indices.compactMap { index in
            if !isFirst {
                let step = max(1, prices[index].cents / 1_000)
                prices[index].cents = max(
                    100, prices[index].cents + Int.random(in: -step...step, using: &random))
            }
            prices[index].volume += Int.random(in: 1...500, using: &random)
            return quote(prices[index], now)
        }
    }

    private func quote(
        _ price: (symbol: String, cents: Int, volume: Int), _ now: Timestamp
    ) -> PaperQuote? {
        guard let bid = try? ExactDecimal(coefficient: Int128(price.cents - 1), scale: 2),
            let ask = try? ExactDecimal(coefficient: Int128(price.cents + 1), scale: 2),
            let last = try? ExactDecimal(coefficient: Int128(price.cents), scale: 2)
        else { return nil }
        return PaperQuote(
            symbol: price.symbol, bidPrice: bid, askPrice: ask, lastPrice: last,
            volume: price.volume, time: now)
    }
}

/// Quotes out of a file, those of one timestamp together.
struct QuoteReplay: Sendable {
    private let steps: [[PaperQuote]]
    private var index = 0

    init(csv: String) throws(QuoteFileError) {
        var steps: [[PaperQuote]] = []
        let lines = csv.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        guard let head = lines.first, head == QuoteFile.head else {
            throw QuoteFileError(
                problem: "line 1 is not the heading", remedy: "begin it with \(QuoteFile.head)")
        }
        for (index, line) in lines.enumerated().dropFirst() where !line.isEmpty {
            let quote = try QuoteFile.quote(line, number: index + 1)
            let time = quote.time
            if let previous = steps.last?.last, previous.time == time {
                steps[steps.count - 1].append(quote)
            } else {
                steps.append([quote])
            }
        }
        self.steps = steps
    }

    mutating func advance() -> [PaperQuote] {
        guard index < steps.count else { return [] }
        defer { index += 1 }
        return steps[index]
    }
}
