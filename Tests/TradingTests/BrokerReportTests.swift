import Ledger
import TestSupport
import Testing

@testable import Trading

@Suite struct BrokerReportTests {
    @Test(arguments: [true, false])
    func aReasonToCancelIsInTheEntryOfTheCancellation(_ isWithdrawn: Bool) throws {
        var fixture = try StateFixture.opened()
        let order = try fixture.place(limit(.buy, "10", at: "10"))
        fixture.commit()
        _ = try fixture.state.cancel(
            order.orderID, isWithdrawn: isWithdrawn, reason: "fat finger", at: fixture.clock,
            by: "lin")
        let entries = fixture.commit().drafts
        #expect(entries.map(\.kind) == [isWithdrawn ? "order.cancelled" : "order.cancel_requested"])
        let rows = try entries.flatMap(\.changes).filter { $0.dataset == "orders" }
            .map { try Order(row: try $0.row()) }
        #expect(rows.count == 1)
        #expect(rows.first?.reason?.contains("fat finger") == true, "\(rows)")
        #expect(rows.first?.reason?.contains("lin") == true)
        #expect(rows.first?.status == (isWithdrawn ? .cancelled : .pending))
        // Asked for again, it stays as it was asked for first.
        guard !isWithdrawn else { return }
        _ = try fixture.state.cancel(
            order.orderID, isWithdrawn: false, reason: "again", at: fixture.clock, by: "wu")
        #expect(fixture.commit().drafts.isEmpty)
        #expect(fixture.order(order.orderID)?.reason?.contains("fat finger") == true)
    }

    private func fills(_ order: Order) -> [BrokerFill] {
        [
            StateFixture.fill(order, "1", quantity: "1", price: "9.9", cumulative: "1"),
            StateFixture.fill(order, "2", quantity: "2.5", price: "9.95", cumulative: "3.5"),
            StateFixture.fill(order, "3", quantity: "0.5", price: "10", cumulative: "4"),
            StateFixture.fill(order, "4", quantity: "6", price: "9", cumulative: "10"),
        ]
    }

    private enum Arrival { case fill(BrokerFill), report(BrokerOrder) }

    /// Stream, REST and replay may bring the same things in any order and more than once.
    @Test(arguments: 0..<150) func fillsAndReportsCommute(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var fixture = try StateFixture.opened()
        let order = try fixture.placeAtBroker(limit(.buy, "10", at: "10"))
        let fills = fills(order)
        let reports = [
            StateFixture.brokerOrder(order, .accepted), StateFixture.brokerOrder(order, .working),
            StateFixture.brokerOrder(order, .partiallyFilled, filled: decimal("3.5")),
            StateFixture.brokerOrder(order, .filled, filled: decimal("10")),
        ]
        var arrivals = (fills + fills).map(Arrival.fill) + reports.map(Arrival.report)
        arrivals.shuffle(using: &random)
        for arrival in arrivals {
            switch arrival {
            case .fill(let fill):
                _ = try fixture.state.apply([fill], of: "A", at: fixture.clock)
            case .report(let report): _ = try fixture.state.report(report, at: fixture.clock)
            }
            fixture.commit()
            #expect(fixture.state.digests == fixture.digestsOfRows)
        }
        // What left a gap is fetched again, as the follower does.
        let outcome = try fixture.state.apply(
            fills.shuffled(using: &random), of: "A", at: fixture.clock)
        #expect(outcome == .done)
        fixture.commit()
        #expect(fixture.order(order.orderID)?.status == .filled)
        #expect(fixture.order(order.orderID)?.filledAmount == decimal("93.775"))
        #expect(fixture.cash == decimal("99906.225"))
        #expect(fixture.frozen == .zero)
        #expect(fixture.position("AAPL")?.cost == decimal("93.775"))
        #expect(fixture.rows.keys.filter { $0.dataset == "deals" }.count == 4)
        #expect(fixture.state.digests == fixture.digestsOfRows)
    }

    @Test func aGapWaitsForTheFillBeforeIt() throws {
        var fixture = try StateFixture.opened()
        let order = try fixture.placeAtBroker(limit(.buy, "10", at: "10"))
        let fills = fills(order)
        let before = fixture.cash
        #expect(
            try fixture.state.apply([fills[1]], of: "A", at: fixture.clock)
                == .fillsMissing)
        #expect(fixture.cash == before)
        #expect(
            try fixture.state.report(
                StateFixture.brokerOrder(order, .filled, filled: decimal("10")), at: fixture.clock)
                == .fillsMissing)
        #expect(fixture.order(order.orderID)?.status.isTerminal == false)
        #expect(
            try fixture.state.apply(fills, of: "A", at: fixture.clock) == .done)
        #expect(fixture.order(order.orderID)?.status == .filled)
    }

    @Test func aCancellationKeepsWhatWasFilled() throws {
        var fixture = try StateFixture.opened()
        let order = try fixture.placeAtBroker(limit(.buy, "10", at: "10"))
        #expect(
            try fixture.state.cancel(order.orderID, isWithdrawn: false, at: fixture.clock, by: "x")
                == .requested)
        _ = try fixture.state.apply(
            [fills(order)[0]], of: "A", at: fixture.clock)
        #expect(fixture.frozen == decimal("90"))
        _ = try fixture.state.report(
            StateFixture.brokerOrder(order, .cancelled, filled: decimal("1")), at: fixture.clock)
        #expect(fixture.order(order.orderID)?.status == .cancelled)
        #expect(fixture.frozen == .zero)
        #expect(fixture.cash == decimal("99990.1"))
        #expect(throws: Refusal.notCancelable(orderID: order.orderID, status: "cancelled")) {
            try fixture.state.cancel(order.orderID, isWithdrawn: false, at: fixture.clock, by: "x")
        }
    }

    @Test func anUnknownOrderKeepsItsFundsUntilTheBrokersWord() throws {
        for outcome in ["confirmed", "refused", "resolved"] {
            var fixture = try StateFixture.opened()
            let order = try fixture.place(limit(.buy, "10", at: "10"))
            let id = order.orderID
            _ = try fixture.state.submission(.ambiguous("time-out"), of: id, at: fixture.clock)
            #expect(fixture.order(id)?.status == .unknown)
            #expect(fixture.frozen == decimal("100"))
            #expect(fixture.commit().effects.contains(.lookUp(orderID: id)))
            try fixture.state.resolve(
                id, as: .lookup, reason: "", at: fixture.clock, by: "ops")
            #expect(fixture.commit().effects == [.lookUp(orderID: id)])
            switch outcome {
            case "confirmed":
                let answer = StateFixture.brokerOrder(order)
                _ = try fixture.state.submission(.confirmed(answer), of: id, at: fixture.clock)
                #expect(fixture.order(id)?.status == .working)
                #expect(fixture.frozen == decimal("100"))
                _ = try fixture.state.submission(.refused("old"), of: id, at: fixture.clock)
                #expect(fixture.order(id)?.status == .working)
                #expect(throws: Refusal.notResolvable(orderID: id, status: "working")) {
                    try fixture.state.resolve(
                        id, as: .rejected, reason: "", at: fixture.clock, by: "ops")
                }
            case "refused":
                _ = try fixture.state.submission(.refused("no"), of: id, at: fixture.clock)
                #expect(fixture.order(id)?.status == .rejected)
                #expect(fixture.frozen == .zero)
            default:
                try fixture.state.resolve(
                    id, as: .rejected, reason: "called them", at: fixture.clock, by: "ops")
                #expect(fixture.order(id)?.reason == "resolved by ops: called them")
                #expect(fixture.frozen == .zero)
            }
            fixture.commit()
            #expect(fixture.state.digests == fixture.digestsOfRows)
        }
    }

    @Test func ordersFoundAtTheBrokerAreAdoptedWithTheirReserve() throws {
        let terms = limit(.buy, "10", at: "10")
        let found = BrokerOrder(
            brokerOrderID: "b9", clientOrderID: "manual-1", terms: terms, status: .partiallyFilled,
            rawStatus: "partially_filled", filledQuantity: decimal("4"),
            submittedAt: Timestamp(microseconds: 5))
        var fixture = try StateFixture.opened(orders: [found])
        #expect(fixture.order("manual-1")?.origin == .recovered)
        #expect(fixture.frozen == decimal("60"))
        #expect(fixture.cash == decimal("100000"), "the fill was before the opening")
        try fixture.state.adopt(found, accountID: "A", at: fixture.clock)
        #expect(fixture.frozen == decimal("60"), "once")
        let fill = BrokerFill(
            id: "f", brokerOrderID: "b9", symbol: "AAPL", side: .buy, quantity: decimal("6"),
            price: decimal("9"), cumulativeQuantity: decimal("10"), time: fixture.clock)
        _ = try fixture.state.apply([fill], of: "A", at: fixture.clock)
        fixture.commit()
        #expect(fixture.cash == decimal("99946"))
        #expect(fixture.frozen == .zero)
        #expect(fixture.state.digests == fixture.digestsOfRows)
    }

    /// Another tool may sell short at the broker: the fills of that order must apply all the same.
    @Test func aShortSaleThatWasAdoptedSettles() throws {
        var fixture = try StateFixture.opened()
        let terms = limit(.sell, "4", at: "10")
        let found = BrokerOrder(
            brokerOrderID: "b9", clientOrderID: "short", terms: terms, status: .working,
            rawStatus: "new", filledQuantity: .zero, submittedAt: fixture.clock)
        try fixture.state.adopt(found, accountID: "A", at: fixture.clock)
        let sale = BrokerFill(
            id: "s", brokerOrderID: "b9", symbol: "AAPL", side: .sell, quantity: decimal("4"),
            price: decimal("10"), cumulativeQuantity: decimal("4"), time: fixture.clock)
        _ = try fixture.state.apply([sale], of: "A", at: fixture.clock)
        #expect(fixture.position("AAPL")?.quantity == decimal("-4"))
        #expect(fixture.position("AAPL")?.cost == decimal("-40"))
        let cover = try fixture.placeAtBroker(limit(.buy, "6", at: "10"))
        let fill = StateFixture.fill(cover, "c", quantity: "6", price: "9", cumulative: "6")
        _ = try fixture.state.apply([fill], of: "A", at: fixture.clock)
        #expect(fixture.position("AAPL")?.realizedProfit == decimal("4"))
        #expect(fixture.position("AAPL")?.quantity == decimal("2"))
        #expect(fixture.position("AAPL")?.cost == decimal("18"))
        #expect(fixture.cash == decimal("99986"))
    }

    @Test func positionsWithALongAverageCanBeTakenOver() throws {
        let held = BrokerPosition(
            symbol: "AAPL", quantity: decimal("0.123456789"),
            averageEntryPrice: decimal("101.123456789012"))
        let fixture = try StateFixture.opened(positions: [held])
        #expect(fixture.position("AAPL")?.cost == decimal("12.484377268"))
    }

    @Test func epochsRiseAboveThoseSeen() throws {
        var fixture = try StateFixture.opened()
        fixture.state.raiseEpoch(above: 0)
        let first = try fixture.place(limit(.buy, "1", at: "5"))
        #expect(first.orderID.hasPrefix("o1-"))
        fixture.state.raiseEpoch(above: 6)
        let second = try fixture.place(limit(.buy, "1", at: "5"))
        #expect(second.orderID == "o7-000000000001")
        #expect(OrderID.sequence(second.orderID) == SequenceNumber(epoch: 7, number: 1))
        #expect(first.orderID < second.orderID)
    }
}
