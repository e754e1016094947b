import Ledger
import TestSupport
import Testing

@testable import Trading

/// What the broker says that does not fit, comes late, or is about orders that are unknown here.
@Suite struct BrokerDoubtTests {
    // MARK: Orders that ended here

    private func resolved(_ fixture: inout StateFixture) throws -> Order {
        let order = try fixture.place(limit(.buy, "10", at: "10"))
        let id = order.orderID
        _ = try fixture.state.submission(.ambiguous("time-out"), of: id, at: fixture.clock)
        try fixture.state.resolve(id, as: .rejected, reason: "", at: fixture.clock, by: "ops")
        #expect(fixture.frozen == .zero)
        fixture.commit()
        return order
    }

    /// The request was under way while an operator resolved the order, and arrives.
    @Test(arguments: ["confirmation", "report"]) func anOrderThatLivesAtTheBrokerIsOpenedAgain(
        _ word: String
    ) throws {
        var fixture = try StateFixture.opened()
        let order = try resolved(&fixture)
        let there = StateFixture.brokerOrder(order)
        let outcome =
            word == "report"
            ? try fixture.state.report(there, at: fixture.clock)
            : try fixture.state.submission(
                .confirmed(there), of: order.orderID, at: fixture.clock)
        #expect(outcome == .reopened)
        #expect(fixture.order(order.orderID)?.status == .working)
        #expect(fixture.frozen == decimal("100"))
        #expect(fixture.commit().effects.contains(.follow(accountID: "A")))
        let fill = StateFixture.fill(order, "f", quantity: "10", price: "9", cumulative: "10")
        _ = try fixture.state.apply([fill], of: "A", at: fixture.clock)
        fixture.commit()
        #expect(fixture.cash == decimal("99910"))
        #expect(fixture.frozen == .zero)
        #expect(fixture.entries.filter { $0.draft.kind == "order.reopened" }.count == 1)
        #expect(fixture.state.digests == fixture.digestsOfRows)
    }

    @Test func anOrderThatLeftMemoryIsOpenedAgainWithADigestThatFits() throws {
        var fixture = try StateFixture.opened()
        let order = try resolved(&fixture)
        let head = fixture.state.lastSequence
        let key = RowKey(dataset: "orders", values: [.text(order.orderID)])
        let row = StampedRow(row: try #require(fixture.rows[key]), sequence: head)
        fixture.state.evictEnded(through: head, orderIDs: [order.orderID])
        #expect(fixture.order(order.orderID) == nil)
        let stale = PastOrder(order: try Order(row: row.row), row: row, lookedUpAt: .none)
        #expect(throws: Refusal.staleLookUp) { try fixture.state.recall(stale) }
        let past = PastOrder(order: stale.order, row: row, lookedUpAt: head)
        try fixture.state.recall(past)
        _ = try fixture.state.report(StateFixture.brokerOrder(order), at: fixture.clock)
        fixture.commit()
        #expect(fixture.order(order.orderID)?.status == .working)
        #expect(fixture.frozen == decimal("100"))
        #expect(fixture.state.digests == fixture.digestsOfRows)
    }

    @Test func theBrokersEndOfAnOrderThatEndedHereChangesNothing() throws {
        var fixture = try StateFixture.opened()
        let order = try resolved(&fixture)
        let there = StateFixture.brokerOrder(order, .rejected)
        #expect(try fixture.state.report(there, at: fixture.clock) == .done)
        #expect(fixture.commit().drafts.isEmpty)
    }

    @Test func aFillAfterTheEndMovesMoneyAndReleasesNothingTwice() throws {
        var fixture = try StateFixture.opened()
        let order = try fixture.placeAtBroker(limit(.buy, "10", at: "10"))
        let report = StateFixture.brokerOrder(order, .cancelled)
        _ = try fixture.state.report(report, at: fixture.clock)
        #expect(fixture.frozen == .zero)
        let fills = [
            StateFixture.fill(order, "f1", quantity: "4", price: "9", cumulative: "4"),
            StateFixture.fill(order, "f2", quantity: "6", price: "9", cumulative: "10"),
        ]
        _ = try fixture.state.apply([fills[0]], of: "A", at: fixture.clock)
        #expect(fixture.order(order.orderID)?.status == .cancelled)
        _ = try fixture.state.apply([fills[1]], of: "A", at: fixture.clock)
        fixture.commit()
        #expect(fixture.order(order.orderID)?.status == .filled)
        #expect(fixture.cash == decimal("99910"))
        #expect(fixture.frozen == .zero)
        #expect(fixture.state.liveOrderCounts["A", default: 0] == 0)
        #expect(fixture.state.digests == fixture.digestsOfRows)
    }

    // MARK: Other orders under our ids

    @Test(arguments: ["symbol", "side", "quantity", "id"]) func anotherOrderUnderOurIDIsNotOurs(
        _ difference: String
    ) throws {
        var fixture = try StateFixture.opened()
        let order = try fixture.place(limit(.buy, "10", at: "10"))
        var other = StateFixture.brokerOrder(order)
        switch difference {
        case "symbol": other.terms.symbol = "MSFT"
        case "side": other.terms.side = .sell
        case "quantity": other.terms.quantity = decimal("9")
        default: other.clientOrderID = "another"
        }
        let outcome = try fixture.state.submission(
            .confirmed(other), of: order.orderID, at: fixture.clock)
        #expect(outcome == .otherTerms)
        #expect(fixture.order(order.orderID)?.status == .unknown)
        #expect(fixture.order(order.orderID)?.brokerOrderID == nil)
        #expect(fixture.frozen == decimal("100"))
        #expect(fixture.commit().effects.contains(.lookUp(orderID: order.orderID)))
        _ = try fixture.state.submission(.confirmed(other), of: order.orderID, at: fixture.clock)
        #expect(fixture.commit().drafts.isEmpty, "said once")
    }

    @Test func aConfirmedOrderIsNotTakenForAnotherOne() throws {
        var fixture = try StateFixture.opened()
        let order = try fixture.placeAtBroker(limit(.buy, "10", at: "10"))
        fixture.commit()
        var other = StateFixture.brokerOrder(order, .cancelled)
        other.brokerOrderID = "b-other"
        #expect(try fixture.state.report(other, at: fixture.clock) == .otherTerms)
        #expect(fixture.commit().drafts.isEmpty)
        #expect(fixture.order(order.orderID)?.status == .working)
    }

    @Test func aFillThatIsNotOfItsOrderIsNotBookedAndTheCursorStopsBeforeIt() throws {
        var fixture = try StateFixture.opened()
        let first = try fixture.placeAtBroker(limit(.buy, "1", at: "10"))
        let second = try fixture.placeAtBroker(limit(.buy, "1", at: "10"))
        let third = try fixture.placeAtBroker(limit(.buy, "1", at: "10"))
        let good = StateFixture.fill(first, "f1", quantity: "1", price: "10", cumulative: "1")
        var wrong = StateFixture.fill(second, "f2", quantity: "1", price: "10", cumulative: "1")
        wrong.symbol = "MSFT"
        let late = StateFixture.fill(third, "f3", quantity: "1", price: "10", cumulative: "1")
        let applied = try fixture.state.apply([good, wrong, late], of: "A", at: fixture.clock)
        #expect(applied == AppliedFills(refused: [wrong]))
        #expect(fixture.cash == decimal("99980"))
        #expect(fixture.order(second.orderID)?.status == .working)
        #expect(fixture.state.accounts["A"]?.value.fillCursor == "f1")
    }

    // MARK: Orders that are unknown here

    @Test func theCursorStopsAtAFillOfAnOrderUnknownHere() throws {
        var fixture = try StateFixture.opened()
        let order = try fixture.placeAtBroker(limit(.buy, "3", at: "10"))
        let fills = (1...3).map {
            StateFixture.fill(order, "f\($0)", quantity: "1", price: "10", cumulative: "\($0)")
        }
        var foreign = fills[1]
        foreign.id = "foreign"
        foreign.brokerOrderID = "elsewhere"
        // Long ago, so that no confirmation can be on its way.
        foreign.time = Timestamp(microseconds: 0)
        let list = [fills[0], foreign, fills[1]]
        let applied = try fixture.state.apply(list, of: "A", at: fixture.clock)
        #expect(applied == AppliedFills(unknown: [foreign]))
        #expect(fixture.state.accounts["A"]?.value.fillCursor == "f1")
        #expect(fixture.order(order.orderID)?.filledQuantity == decimal("2"))
        let settled = try fixture.state.apply(
            [foreign, fills[1], fills[2]], of: "A", settled: ["foreign"], at: fixture.clock)
        #expect(settled == .done)
        #expect(fixture.state.accounts["A"]?.value.fillCursor == "f3")
    }

    @Test func whatWasCountedAtTheOpeningIsJournaled() throws {
        var fixture = StateFixture()
        let time = Timestamp(microseconds: 77)
        try fixture.state.open(
            "A",
            AccountSnapshot(
                balance: BrokerBalance(cash: decimal("5")), positions: [], openOrders: [],
                fillCursor: "f9", lastFillAt: time), at: fixture.clock)
        fixture.commit()
        let key = RowKey(dataset: "openings", values: [.text("A")])
        let opening = try Opening(row: try #require(fixture.rows[key]))
        #expect(opening.lastFillID == "f9")
        #expect(opening.lastFillAt == time)
        #expect(fixture.entries.count == 1)
    }

    // MARK: Ids

    @Test func onlyIDsAsWeWriteThemTellASequence() {
        let sequence = SequenceNumber(epoch: 3, number: 42)
        #expect(OrderID.sequence("o3-000000000042") == sequence)
        for id in [
            "o3-42", "o3-0000000000042", "o03-000000000042", "o+3-000000000042", "o3-00000000004x",
            "o3--00000000042", "o3-000000000000", "o99999-000000000001", "3-000000000042", "o-1",
            "o3-000000000042 ",
        ] { #expect(OrderID.sequence(id) == nil, "\(id)") }
    }

    @Test func theLastEpochCannotBeRisenAbove() throws {
        var fixture = try StateFixture.opened()
        let before = fixture.state.lastSequence
        for seen in [SequenceNumber.epochMax, .max] { fixture.state.raiseEpoch(above: seen) }
        #expect(fixture.state.lastSequence == before)
        fixture.state.raiseEpoch(above: SequenceNumber.epochMax - 1)
        #expect(fixture.state.lastSequence.epoch == SequenceNumber.epochMax)
    }

    @Test func anOrderFromALostTailOfTheJournalBeginsAnEpoch() throws {
        var fixture = try StateFixture.opened()
        let head = fixture.state.lastSequence
        let lost = BrokerOrder(
            brokerOrderID: "b", clientOrderID: OrderID.make(head.next.next),
            terms: limit(.buy, "1", at: "5"), status: .working, rawStatus: "new",
            filledQuantity: .zero, submittedAt: fixture.clock)
        try fixture.state.adopt(lost, accountID: "A", at: fixture.clock)
        #expect(fixture.state.lastSequence == SequenceNumber(epoch: 2, number: 1))
        let ours = try fixture.place(limit(.buy, "1", at: "5"))
        #expect(ours.orderID == "o2-000000000002")
    }
}
