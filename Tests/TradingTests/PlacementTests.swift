import Ledger
import TestSupport
import Testing

@testable import Trading

@Suite struct PlacementTests {
    @Test func aBuyFreezesItsPriceTimesItsQuantity() throws {
        var fixture = try StateFixture.opened(cash: "1000")
        let order = try fixture.place(limit(.buy, "2.5", at: "100.01"))
        #expect((order.status, order.step) == (.pending, .submitting))
        #expect(fixture.frozen == decimal("250.025"))
        #expect(fixture.cash == decimal("1000"))
        _ = try fixture.state.cancel(order.orderID, isWithdrawn: true, at: fixture.clock, by: "x")
        #expect(fixture.frozen == .zero)
        #expect(fixture.order(order.orderID)?.step == .compensated)
    }

    @Test func marketAndStopBuysFreezeFivePerCentMore() throws {
        var fixture = try StateFixture.opened()
        let market = OrderTerms(symbol: "AAPL", side: .buy, type: .market, quantity: decimal("3"))
        var request = OrderRequest(accountID: "A", terms: market)
        #expect(throws: Refusal.noPrice(symbol: "AAPL")) {
            try fixture.state.place(request, at: fixture.clock, by: "x")
        }
        request.referencePrice = decimal("10.01")
        _ = try fixture.state.place(request, at: fixture.clock, by: "x")
        #expect(fixture.frozen == decimal("31.5315"))
        _ = try fixture.place(
            OrderTerms(
                symbol: "AAPL", side: .buy, type: .stop, quantity: decimal("1"),
                stopPrice: decimal("100")))
        #expect(fixture.frozen == decimal("136.5315"))
    }

    @Test func aSellHoldsSharesOnly() throws {
        let held = BrokerPosition(
            symbol: "AAPL", quantity: decimal("10"), averageEntryPrice: decimal("5"))
        var fixture = try StateFixture.opened(positions: [held])
        _ = try fixture.place(limit(.sell, "4", at: "6"))
        #expect(fixture.position("AAPL")?.heldQuantity == decimal("4"))
        #expect(fixture.frozen == .zero)
        #expect(throws: Refusal.insufficientPosition(needed: "7", available: "6")) {
            try fixture.place(limit(.sell, "7", at: "6"))
        }
    }

    @Test func theSameClientOrderIDGivesTheSameOrder() throws {
        var fixture = try StateFixture.opened()
        let first = try fixture.place(limit(.buy, "1", at: "5"), id: "mine")
        #expect(try fixture.place(limit(.buy, "1.0", at: "5.00"), id: "mine") == first)
        #expect(fixture.frozen == decimal("5"))
        #expect(throws: Refusal.clientOrderIDTaken(orderID: first.orderID)) {
            try fixture.place(limit(.buy, "2", at: "5"), id: "mine")
        }
        fixture.commit()
        _ = try fixture.state.cancel(first.orderID, isWithdrawn: true, at: fixture.clock, by: "x")
        fixture.commit()
        fixture.state.evictEnded(
            through: fixture.state.lastSequence, orderIDs: [first.orderID])
        #expect(throws: Refusal.staleLookUp) {
            try fixture.place(limit(.buy, "1", at: "5"), id: "mine")
        }
    }

    private func refusal(
        _ rules: AccountRules = AccountRules(accountID: "A"), cash: String = "100",
        _ change: (inout OrderRequest) -> Void
    ) throws -> Refusal? {
        var fixture = try StateFixture.opened(cash: cash, rules: rules)
        var request = OrderRequest(accountID: "A", terms: limit(.buy, "1", at: "5"))
        change(&request)
        let before = fixture.essence
        let mark = fixture.state.mark
        do throws(Refusal) {
            _ = try fixture.state.place(request, at: fixture.clock, by: "x")
            return nil
        } catch {
            fixture.state.rollback(to: mark)
            #expect(fixture.essence == before, "a refusal leaves no trace")
            return error
        }
    }

    @Test func malformedOrdersAreRefusedByTheFieldAtFault() throws {
        let cases: [(String, (inout OrderTerms) -> Void)] = [
            ("symbol", { $0.symbol = "" }), ("symbol", { $0.symbol = "aapl" }),
            ("symbol", { $0.symbol = String(repeating: "A", count: 33) }),
            ("qty", { $0.quantity = .zero }), ("qty", { $0.quantity = decimal("-1") }),
            ("qty", { $0.quantity = decimal("0.0000000001") }),
            ("qty", { $0.quantity = decimal("1e12") }), ("limit_price", { $0.limitPrice = nil }),
            ("limit_price", { $0.limitPrice = .zero }),
            ("limit_price", { $0.limitPrice = decimal("5.001") }),
            ("limit_price", { $0.limitPrice = decimal("0.12345") }),
            ("limit_price", { $0.limitPrice = decimal("1e9") }),
            ("limit_price", { $0.type = .market }), ("stop_price", { $0.stopPrice = decimal("1") }),
            ("stop_price", { $0.type = .stopLimit }),
            (
                "extended_hours",
                {
                    $0.extendedHours = true; $0.timeInForce = .gtc
                }
            ),
        ]
        for (index, (field, change)) in cases.enumerated() {
            let found = try refusal { change(&$0.terms) }
            guard case .invalid(let named, _) = found else {
                Issue.record("case \(index): \(String(describing: found))")
                continue
            }
            #expect(named == field, "case \(index)")
        }
        for id in ["", String(repeating: "x", count: 129), "a\u{0}b"] {
            let found = try refusal { $0.clientOrderID = id }
            guard case .invalid("client_order_id", _) = found else {
                Issue.record("the id \(id.count)")
                continue
            }
        }
    }

    @Test func rulesOfTheAccountRefuse() throws {
        #expect(try refusal { $0.accountID = "B" } == .unknownAccount("B"))
        var rules = AccountRules(accountID: "A")
        rules.closedReason = "its status is suspended"
        #expect(
            try refusal(rules) { _ in }
                == .accountClosed(account: "A", reason: "its status is suspended"))
        rules = AccountRules(accountID: "A", maxConcurrentOrders: 0)
        #expect(try refusal(rules) { _ in } == .tooManyOrders(limit: 0))
        #expect(
            try refusal(cash: "4.99") { _ in }
                == .insufficientFunds(needed: "5", available: "4.99"))
        #expect(try refusal(cash: "5") { _ in } == nil)
        func rule(_ rules: AccountRules, _ change: (inout OrderRequest) -> Void = { _ in }) throws
            -> String?
        {
            guard case .risk(let rule, _) = try refusal(rules, change) else { return nil }
            return rule
        }
        #expect(
            try rule(AccountRules(accountID: "A", maxPositionSize: decimal("4.99")))
                == "max_position_size")
        #expect(
            try rule(AccountRules(accountID: "A", allowedOrderTypes: [.market]))
                == "allowed_order_types")
        #expect(
            try rule(
                AccountRules(
                    accountID: "A",
                    allowedInstruments: .only(classes: [], symbols: ["MSFT"])))
                == "allowed_instruments")
        #expect(
            try rule(AccountRules(accountID: "A")) { $0.terms.extendedHours = true }
                == "extended_hours_trading")
    }

    @Test func openBuysCountTowardsThePosition() throws {
        var fixture = try StateFixture.opened(
            rules: AccountRules(accountID: "A", maxPositionSize: decimal("100")))
        _ = try fixture.place(limit(.buy, "9", at: "10"))
        #expect(throws: Refusal.self) { try fixture.place(limit(.buy, "2", at: "10")) }
        _ = try fixture.place(limit(.buy, "1", at: "10"))
    }

    @Test func anAccountThatIsNotOpenedOrHaltedTakesNoOrders() throws {
        var fixture = StateFixture()
        #expect(throws: Refusal.accountNotReady(account: "A")) {
            try fixture.place(limit(.buy, "1", at: "5"))
        }
        fixture = try StateFixture.opened()
        _ = try fixture.state.halt("A", reason: "audit", at: fixture.clock, by: "ops")
        #expect(throws: Refusal.accountClosed(account: "A", reason: "halted: audit")) {
            try fixture.place(limit(.buy, "1", at: "5"))
        }
        _ = try fixture.state.resume("A", reason: "done", at: fixture.clock, by: "ops")
        _ = try fixture.place(limit(.buy, "1", at: "5"))
    }

    @Test func aLossOfTheDayStopsNewOrdersUntilTheNextDay() throws {
        let held = BrokerPosition(
            symbol: "AAPL", quantity: decimal("10"), averageEntryPrice: decimal("10"))
        var fixture = try StateFixture.opened(
            positions: [held],
            rules: AccountRules(accountID: "A", masterAccount: "M", maxDailyLoss: decimal("50")))
        let order = try fixture.placeAtBroker(limit(.sell, "10", at: "5"))
        let fill = StateFixture.fill(order, "f", quantity: "10", price: "5", cumulative: "10")
        _ = try fixture.state.apply([fill], of: "A", at: fixture.clock)
        #expect(fixture.state.risk["M"]?.value.realizedProfit == decimal("-50"))
        let error = #expect(throws: Refusal.self) { try fixture.place(limit(.buy, "1", at: "5")) }
        guard case .risk("max_daily_loss", _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        fixture.clock = fixture.clock.advanced(bySeconds: 86_400)
        _ = try fixture.place(limit(.buy, "1", at: "5"))
    }
}
