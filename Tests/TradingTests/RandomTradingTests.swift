import Ledger
import TestSupport
import Testing

@testable import Trading

/// Long seeded runs against a model of all rows: what holds after every one of thousands of steps.
@Suite struct RandomTradingTests {
    /// One random step: an order, a fill, a report, a cancellation.
    private struct Trader {
        var fixture: StateFixture
        var random: SeededGenerator
        var live: [String] = []
        var fillCount = 0

        init(seed: UInt64) throws {
            let held = BrokerPosition(
                symbol: "MSFT", quantity: decimal("12.345678901"),
                averageEntryPrice: decimal("333.333333333333"))
            fixture = try StateFixture.opened(
                cash: "1000000", positions: [held],
                rules: AccountRules(accountID: "A", masterAccount: "M", maxConcurrentOrders: 50))
            random = SeededGenerator(seed: seed)
        }

        mutating func step() throws(Refusal) {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4: try place()
            case 4..<9: try fill()
            default: try end()
            }
        }

        private mutating func number(_ range: ClosedRange<Int64>, scale: Int) -> ExactDecimal {
            (try? ExactDecimal(
                coefficient: Int128(Int64.random(in: range, using: &random)), scale: scale))
                ?? .zero
        }

        private mutating func place() throws(Refusal) {
            let symbol = ["AAPL", "MSFT", "X"][Int.random(in: 0..<3, using: &random)]
            let side: OrderSide = Bool.random(using: &random) ? .buy : .sell
            let terms = OrderTerms(
                symbol: symbol, side: side, type: .limit,
                quantity: number(1...20_000_000_000, scale: 9),
                limitPrice: number(100...50_000, scale: 2))
            let request = OrderRequest(accountID: "A", terms: terms)
            guard
                case .accepted(let order) = try fixture.state.place(
                    request, at: fixture.clock, by: "x")
            else { return }
            let outcome: Submission =
                switch Int.random(in: 0..<10, using: &random) {
                case 0: .refused("no")
                case 1: .ambiguous("time-out")
                default: .confirmed(StateFixture.brokerOrder(order))
                }
            _ = try fixture.state.submission(outcome, of: order.orderID, at: fixture.clock)
            if case .ambiguous = outcome, Bool.random(using: &random) {
                _ = try fixture.state.submission(
                    .confirmed(StateFixture.brokerOrder(order)), of: order.orderID,
                    at: fixture.clock)
            }
            // Refused, and there all the same: it is opened again.
            if case .refused = outcome, Bool.random(using: &random) {
                let confirmed = try fixture.state.submission(
                    .confirmed(StateFixture.brokerOrder(order)), of: order.orderID,
                    at: fixture.clock)
                #expect(confirmed == .reopened)
            }
            live.append(order.orderID)
        }

        private var someOrder: Order? {
            mutating get {
                live.randomElement(using: &random).flatMap { fixture.order($0) }
                    .flatMap { $0.status.isTerminal || $0.brokerOrderID == nil ? nil : $0 }
            }
        }

        private mutating func fill() throws(Refusal) {
            guard let order = someOrder else { return }
            let part = number(1...1_000_000_000, scale: 9)
            let rest = order.remainingQuantity
            let share =
                (try? rest.multiplied(by: part, dividedBy: ExactDecimal(1), roundedToPlaces: 9))
                ?? rest
            let quantity = share.isZero || Int.random(in: 0..<3, using: &random) == 0 ? rest : share
            guard let cumulative = try? order.filledQuantity.adding(quantity) else { return }
            fillCount += 1
            let fill = StateFixture.fill(
                order, "f\(fillCount)", quantity: "\(quantity)",
                price: "\(number(10_000...5_000_000, scale: 4))", cumulative: "\(cumulative)")
            for _ in 0...Int.random(in: 0...1, using: &random) {
                let outcome = try fixture.state.apply(
                    [fill], of: "A", at: fixture.clock)
                #expect(outcome == .done)
            }
        }

        private mutating func end() throws(Refusal) {
            guard let order = someOrder else { return }
            _ = try fixture.state.cancel(
                order.orderID, isWithdrawn: false, at: fixture.clock, by: "x")
            let report = StateFixture.brokerOrder(order, .cancelled, filled: order.filledQuantity)
            _ = try fixture.state.report(report, at: fixture.clock)
        }
    }

    private func sum(_ numbers: some Sequence<ExactDecimal>) throws -> ExactDecimal {
        try numbers.reduce(.zero) { try $0.adding($1) }
    }

    /// What is told beside cash, quantity and cost agrees with them at all times.
    private func expectValued(_ state: TradingState) throws {
        let balance = try #require(state.balances["A"]?.value)
        let positions = state.positions["A", default: [:]].values.map(\.value)
        #expect(balance.portfolioValue == (try sum([balance.cash] + positions.map(\.marketValue))))
        #expect(balance.buyingPower == (try balance.cash.subtracting(balance.frozen)))
        for position in positions {
            #expect(
                position.unrealizedProfit == (try position.marketValue.subtracting(position.cost)))
            #expect((position.side == .flat) == position.marketValue.isZero)
        }
    }

    @Test(arguments: [11, 12, 13] as [UInt64]) func noMoneyIsMadeOrLost(_ seed: UInt64) throws {
        var trader = try Trader(seed: seed)
        let openingCost = try sum(
            trader.fixture.state.positions["A", default: [:]].values.map(\.value.cost))
        for step in 0..<1_500 {
            let mark = trader.fixture.state.mark
            do throws(Refusal) {
                try trader.step()
            } catch {
                trader.fixture.state.rollback(to: mark)
            }
            if step % 3 == 0 { trader.fixture.commit() }
            try expectValued(trader.fixture.state)
            if step % 50 != 0 { continue }
            let fixture = trader.fixture
            let positions = fixture.state.positions["A", default: [:]].values.map(\.value)
            // Every cent: cash + cost - profit has not moved since the opening.
            let wealth = try sum(
                [fixture.cash] + positions.map(\.cost) + positions.map(\.realizedProfit.negated))
            #expect(wealth == (try ExactDecimal(1_000_000).adding(openingCost)))
            #expect(
                try sum(positions.map(\.realizedProfit))
                    == fixture.state.risk["M"]?.value.realizedProfit ?? .zero)
            // What is set aside is what the open orders still want.
            let live = fixture.state.orders.values.map(\.value).filter { !$0.status.isTerminal }
            #expect(
                try sum(live.map { try $0.reservePrice.multiplied(by: $0.remainingQuantity) })
                    == fixture.frozen)
            for position in positions {
                let sells = live.filter {
                    $0.terms.side == .sell && $0.terms.symbol == position.symbol
                }
                #expect(try sum(sells.map(\.remainingQuantity)) == position.heldQuantity)
                #expect(!position.quantity.isNegative)
            }
            #expect(fixture.state.liveOrderCounts["A", default: 0] == live.count)
        }
        trader.fixture.commit()
        let fixture = trader.fixture
        #expect(fixture.state.digests == fixture.digestsOfRows)
        let flows = fixture.rows.values.filter { $0.dataset == "cash_flows" }
        #expect(flows.count > 200)
        #expect(try sum(flows.compactMap { $0.values[3].decimal }) == fixture.cash)
    }

    @Test func aRollbackRestoresTheStateExactly() throws {
        var trader = try Trader(seed: 21)
        for _ in 0..<400 {
            trader.fixture.commit()
            let before = trader.fixture.essence
            let saved = (trader.fixture, trader.live)
            for _ in 0..<3 {
                let inner = trader.fixture.essence
                let mark = trader.fixture.state.mark
                let live = trader.live
                try? trader.step()
                trader.fixture.state.rollback(to: mark)
                trader.live = live
                #expect(trader.fixture.essence == inner)
                try? trader.step()
            }
            trader.fixture.state.rollback()
            #expect(trader.fixture.essence == before)
            #expect(trader.fixture.state.uncommitted.drafts.isEmpty)
            #expect(trader.fixture.state.uncommitted.effects.isEmpty)
            (trader.fixture, trader.live) = saved
            let mark = trader.fixture.state.mark
            do { try trader.step() } catch { trader.fixture.state.rollback(to: mark) }
        }
    }

    @Test(arguments: [31, 32] as [UInt64]) func theJournalBringsTheSameStateBack(
        _ seed: UInt64
    ) throws {
        var trader = try Trader(seed: seed)
        for step in 0..<600 {
            let mark = trader.fixture.state.mark
            do { try trader.step() } catch { trader.fixture.state.rollback(to: mark) }
            if step == 300 { trader.fixture.state.raiseEpoch(above: 4) }
            trader.fixture.commit()
            let checked = trader.fixture
            if step % 100 == 0 { #expect(checked.state.digests == checked.digestsOfRows) }
        }
        var replayed = StateFixture([
            AccountRules(accountID: "A", masterAccount: "M", maxConcurrentOrders: 50)
        ])
        for entry in trader.fixture.entries {
            let body = entry.draft.encodedBody()
            let draft = try EntryDraft(sequence: entry.sequence, time: entry.time, body: body)
            let changes = try replayed.state.replay(Entry(draft: draft, checksum: .origin))
            for change in changes { replayed.rows[change.key] = change.row }
        }
        #expect(replayed.essence == trader.fixture.essence)
        #expect(replayed.rows == trader.fixture.rows)
    }
}
