import Ledger
import Testing

@testable import PaperBroker

/// Money is neither made nor lost: after thousands of random orders, cash and shares are exactly what
/// the fills alone say, and what is reserved is exactly what the open orders need.
@Suite struct ConservationTests {
    private static let symbols = ["AA", "BB", "CC"]
    private static let now = Timestamp(microseconds: 1_760_000_000_000_000)

    /// Sums the fills without the engine's own accounts.
    private struct Tally {
        var cash: [String: ExactDecimal] = [:]
        var shares: [String: [String: ExactDecimal]] = [:]
        var cumulative: [String: ExactDecimal] = [:]
        var fillIDs: Set<String> = []
        var fills = 0

        mutating func add(_ effects: MatchingEngine.Effects) throws {
            for fill in effects.fills {
                let cost = try fill.price.multiplied(by: fill.quantity)
                let isBuy = fill.side == .buy
                cash[fill.account] = try (cash[fill.account] ?? .zero)
                    .adding(isBuy ? cost.negated : cost)
                shares[fill.account, default: [:]][fill.symbol] =
                    try (shares[fill.account]?[fill.symbol] ?? .zero)
                    .adding(isBuy ? fill.quantity : fill.quantity.negated)
                cumulative[fill.orderID] =
                    try (cumulative[fill.orderID] ?? .zero).adding(fill.quantity)
                #expect(cumulative[fill.orderID] == fill.cumulativeQuantity)
                #expect(fillIDs.insert(fill.id).inserted)
                fills += 1
            }
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func cashAndSharesBalanceToTheLastDigit(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var engine = try MatchingEngine(
            accounts: ["a", "b"].map { PaperAccount(id: $0, cash: ExactDecimal(1_000_000)) },
            seed: seed, partialFillOneIn: 3)
        var walk = try RandomWalk(
            startPrices: [
                "AA": ExactDecimal(5), "BB": ExactDecimal(120), "CC": ExactDecimal(900),
            ], seed: seed)
        var tally = Tally()
        for quote in walk.advance(now: Self.now) {
            try tally.add(engine.apply(quote, now: Self.now))
        }
        for index in 0..<5_000 {
            try tally.add(try step(&engine, index, &random))
            if index % 5 == 0 {
                for quote in walk.advance(now: Self.now) {
                    try tally.add(engine.apply(quote, now: Self.now))
                }
            }
            if index % 250 == 0 { try check(engine, tally) }
        }
        try check(engine, tally)
        #expect(tally.fills > 1_000)
    }

    private func step(
        _ engine: inout MatchingEngine, _ index: Int, _ random: inout SplitMix64
    ) throws -> MatchingEngine.Effects {
        let account = Bool.random(using: &random) ? "a" : "b"
        if index % 7 == 0 {
            let open = engine.openOrders.values.filter { $0.account == account }
                .sorted { $0.sequence < $1.sequence }
            if let order = open.first {
                return try engine.cancel(id: order.id, account: account, now: Self.now)
            }
        }
        let terms = try terms(engine, &random)
        do throws(PaperRefusal) {
            return try engine.submit(
                terms, id: "\(index)", clientOrderID: "\(index)", account: account, now: Self.now)
        } catch {
            #expect(error.code == 40_310_000)
            return MatchingEngine.Effects()
        }
    }

    private func terms(
        _ engine: MatchingEngine, _ random: inout SplitMix64
    ) throws -> PaperTerms {
        let symbol = Self.symbols[Int.random(in: 0..<3, using: &random)]
        let type = [PaperOrderType.market, .market, .limit, .stop, .stopLimit][
            Int.random(in: 0..<5, using: &random)]
        let quote = try #require(engine.quotes[symbol])
        let cents = Int.random(in: -20...20, using: &random)
        let price = try quote.lastPrice.adding(
            try ExactDecimal(coefficient: Int128(cents), scale: 2))
        let isFraction = Int.random(in: 0..<4, using: &random) == 0
        let quantity = try ExactDecimal(
            coefficient: Int128(Int.random(in: 1...300, using: &random)), scale: isFraction ? 3 : 0)
        return PaperTerms(
            symbol: symbol, side: Bool.random(using: &random) ? .buy : .sell, type: type,
            quantity: quantity, limitPrice: type.hasLimit ? price : nil,
            stopPrice: type.hasStop ? price : nil,
            timeInForce: [.day, .gtc, .ioc, .fok][Int.random(in: 0..<4, using: &random)],
            extendedHours: false)
    }

    private func check(_ engine: MatchingEngine, _ tally: Tally) throws {
        for account in engine.accounts.values {
            let expected = try ExactDecimal(1_000_000).adding(tally.cash[account.id] ?? .zero)
            #expect(account.cash == expected)
            #expect(!account.cash.isNegative)
            for symbol in Self.symbols {
                #expect(
                    account.positions[symbol]?.quantity ?? .zero
                        == tally.shares[account.id]?[symbol] ?? .zero)
                #expect(try !account.availableShares(symbol).isNegative)
            }
            var reserved = ExactDecimal.zero
            for order in engine.openOrders.values where order.account == account.id {
                reserved = try reserved.adding(try order.reservedCash())
            }
            #expect(account.reservedCash == reserved)
        }
    }
}
