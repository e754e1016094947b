import Ledger
import Testing

@testable import PaperBroker

@Suite struct MatchingEngineTests {
    let now = Timestamp(microseconds: 1_760_000_000_000_000)

    private func engine(
        cash: Int = 10_000, bid: String = "99.99", ask: String = "100.01", partialFillOneIn: Int = 0
    ) throws -> MatchingEngine {
        var engine = try MatchingEngine(
            accounts: [PaperAccount(id: "a", cash: ExactDecimal(cash))], seed: 7,
            partialFillOneIn: partialFillOneIn)
        _ = engine.apply(try quote(bid, ask), now: now)
        return engine
    }

    private func quote(_ bid: String, _ ask: String) throws -> PaperQuote {
        PaperQuote(
            symbol: "X", bidPrice: try decimal(bid), askPrice: try decimal(ask),
            lastPrice: try decimal(bid), volume: 1, time: now)
    }

    private func terms(
        _ side: PaperSide, _ quantity: String, _ type: PaperOrderType = .market,
        limit: String? = nil, stop: String? = nil, for timeInForce: PaperTimeInForce = .day,
        extendedHours: Bool = false
    ) throws -> PaperTerms {
        PaperTerms(
            symbol: "X", side: side, type: type, quantity: try decimal(quantity),
            limitPrice: try limit.map(decimal), stopPrice: try stop.map(decimal),
            timeInForce: timeInForce, extendedHours: extendedHours)
    }

    private func refusal(
        _ engine: inout MatchingEngine, _ terms: PaperTerms
    ) -> PaperRefusal? {
        do throws(PaperRefusal) {
            _ = try engine.submit(terms, id: "r", clientOrderID: "r", account: "a", now: now)
            return nil
        } catch {
            return error
        }
    }

    private func submit(
        _ engine: inout MatchingEngine, _ id: String, _ terms: PaperTerms
    ) throws -> PaperOrder {
        let effects = try engine.submit(
            terms, id: id, clientOrderID: id, account: "a", now: now)
        return try #require(effects.orders.last)
    }

    @Test func aMarketBuyFillsAtTheAskAndASaleAtTheBid() throws {
        var engine = try engine()
        #expect(try submit(&engine, "1", terms(.buy, "10")).status == .filled)
        #expect(engine.accounts["a"]?.cash == (try decimal("8999.9")))
        #expect(try submit(&engine, "2", terms(.sell, "10")).status == .filled)
        #expect(engine.accounts["a"]?.cash == (try decimal("9999.8")))
        #expect(engine.accounts["a"]?.positions.isEmpty == true)
        #expect(engine.openOrders.isEmpty)
    }

    @Test func aLimitWaitsAndIsNeverPassed() throws {
        var engine = try engine()
        #expect(try submit(&engine, "1", terms(.buy, "10", .limit, limit: "99")).status == .new)
        #expect(try engine.accounts["a"]?.buyingPower() == ExactDecimal(9_010))
        #expect(engine.apply(try quote("99.00", "99.01"), now: now).fills.isEmpty)
        let fills = engine.apply(try quote("98.00", "98.50"), now: now).fills
        #expect(fills.map(\.price) == [try decimal("98.5")])
        #expect(engine.accounts["a"]?.reservedCash == .zero)
        #expect(engine.accounts["a"]?.cash == ExactDecimal(9_015))
    }

    @Test func stopsWaitForTheirTrigger() throws {
        var engine = try engine()
        _ = try submit(&engine, "0", terms(.buy, "10"))
        _ = try submit(&engine, "1", terms(.sell, "5", .stop, stop: "95"))
        _ = try submit(&engine, "2", terms(.sell, "5", .stopLimit, limit: "94.5", stop: "95"))
        #expect(engine.apply(try quote("95.01", "95.02"), now: now).fills.isEmpty)
        // The gap goes through the limit: the plain stop sells, the other waits, triggered.
        #expect(engine.apply(try quote("94.00", "94.10"), now: now).fills.map(\.orderID) == ["1"])
        #expect(engine.openOrders["2"]?.isTriggered == true)
        #expect(engine.apply(try quote("96.00", "96.10"), now: now).fills.map(\.orderID) == ["2"])
    }

    @Test func immediateOrdersLeaveNothingBehind() throws {
        var engine = try engine()
        for (id, force) in [("1", PaperTimeInForce.ioc), ("2", .fok)] {
            let order = try submit(&engine, id, terms(.buy, "1", .limit, limit: "50", for: force))
            #expect(order.status == .canceled)
        }
        #expect(engine.openOrders.isEmpty)
        #expect(engine.accounts["a"]?.reservedCash == .zero)
    }

    @Test func onePartialFillAndTheRestOnTheNextTick() throws {
        var engine = try engine(partialFillOneIn: 1)
        let first = try submit(&engine, "1", terms(.buy, "50"))
        #expect(first.status == .partiallyFilled)
        #expect(first.filledQuantity.isPositive && first.filledQuantity < ExactDecimal(50))
        let rest = engine.apply(try quote("99.99", "100.01"), now: now)
        #expect(rest.fills.map(\.cumulativeQuantity) == [ExactDecimal(50)])
        #expect(rest.orders.last?.status == .filled)
        // Fill-or-kill is never filled in part; immediate-or-cancel gives up its rest.
        #expect(try submit(&engine, "2", terms(.buy, "10", for: .fok)).status == .filled)
        #expect(try submit(&engine, "3", terms(.buy, "10", for: .ioc)).status == .canceled)
        #expect(engine.accounts["a"]?.reservedCash == .zero)
    }

    @Test func cashThatIsReservedCannotBeSpentTwice() throws {
        var engine = try engine(cash: 1_000)
        _ = try submit(&engine, "1", terms(.buy, "9", .limit, limit: "99"))
        let refusal = refusal(&engine, try terms(.buy, "2", .limit, limit: "99"))
        #expect(refusal?.status == 403)
        #expect(refusal?.code == 40_310_000)
        #expect(refusal?.fields == ["buying_power": "109", "cost_basis": "198"])
        _ = try engine.cancel(id: "1", account: "a", now: now)
        #expect(try submit(&engine, "2", terms(.buy, "2", .limit, limit: "99")).status == .new)
    }

    @Test func sharesHeldForASaleCannotBeSoldTwice() throws {
        var engine = try engine()
        _ = try submit(&engine, "1", terms(.buy, "10"))
        _ = try submit(&engine, "2", terms(.sell, "6", .limit, limit: "200"))
        let refusal = refusal(&engine, try terms(.sell, "5"))
        #expect(refusal?.code == 40_310_000)
        #expect(
            refusal?.message
                == "insufficient qty available for order (requested: 5, available: 4)")
        #expect(
            refusal?.fields
                == ["available": "4", "existing_qty": "10", "held_for_orders": "6", "symbol": "X"])
    }

    @Test func aMarketThatRunsAwayNeverMakesCashNegative() throws {
        var engine = try engine(cash: 10_001, partialFillOneIn: 1)
        #expect(try submit(&engine, "1", terms(.buy, "100")).status == .partiallyFilled)
        let effects = engine.apply(try quote("900.00", "900.01"), now: now)
        #expect(effects.orders.last?.status == .canceled)
        #expect(engine.accounts["a"]?.cash.isNegative == false)
        #expect(engine.accounts["a"]?.reservedCash == .zero)
    }

    @Test func termsThatCannotBeAreRefused() throws {
        var engine = try engine()
        for bad in [
            try terms(.buy, "0"), try terms(.buy, "-1"), try terms(.buy, "1", .limit),
            try terms(.buy, "1", .limit, limit: "1.001"),
            try terms(.buy, "1", .limit, limit: "0.99999"),
            try terms(.buy, "1", .market, limit: "5"), try terms(.buy, "1", .stop),
            try terms(.buy, "1", extendedHours: true),
            try terms(.buy, "1", .limit, limit: "5", for: .gtc, extendedHours: true),
            try terms(.buy, "1000000000"), try terms(.buy, "0.0000000001"),
        ] {
            #expect(refusal(&engine, bad)?.code == 42_210_000)
        }
        #expect(try submit(&engine, "1", terms(.buy, "1", .limit, limit: "0.9999")).status == .new)
        let extended = try terms(.buy, "1", .limit, limit: "5", extendedHours: true)
        #expect(try submit(&engine, "2", extended).status == .new)
    }

    @Test func aReplacementThatIsRefusedLeavesTheOrderInPlace() throws {
        var engine = try engine(cash: 1_000)
        _ = try submit(&engine, "1", terms(.buy, "9", .limit, limit: "99"))
        let before = engine.accounts
        #expect(throws: PaperRefusal.self) {
            try engine.replace(id: "1", by: "2", clientOrderID: "2", account: "a", now: now) {
                $0.quantity = ExactDecimal(11)
            }
        }
        #expect(engine.accounts == before)
        #expect(engine.openOrders.keys.sorted() == ["1"])
        let effects = try engine.replace(
            id: "1", by: "2", clientOrderID: "2", account: "a", now: now
        ) { $0.quantity = ExactDecimal(10) }
        #expect(effects.orders.map(\.status) == [.replaced, .new])
        #expect(engine.openOrders.keys.sorted() == ["2"])
    }

    @Test func theAverageEntryPriceIsRoundedAtNineDigits() throws {
        var account = PaperAccount(id: "a", cash: ExactDecimal(100))
        try account.bought("X", ExactDecimal(1), cost: ExactDecimal(10))
        try account.bought("X", ExactDecimal(2), cost: ExactDecimal(10))
        #expect(try account.positions["X"]?.averageEntryPrice() == (try decimal("6.666666667")))
        try account.sold("X", ExactDecimal(3), proceeds: ExactDecimal(21))
        #expect(account.positions.isEmpty)
        #expect(account.cash == ExactDecimal(101))
    }
}
