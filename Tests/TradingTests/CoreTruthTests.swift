import Ledger
import SQLiteStore
import Synchronization
import TestSupport
import Testing

@testable import Trading

/// The whole core beside a broker that has a past, loses requests, and knows orders that we do not.
@Suite(.timeLimit(.minutes(1))) struct CoreTruthTests: CoreRuns {
    let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("truth")
    }

    private func start(
        _ broker: ScriptedBroker, settle: Duration = .seconds(30)
    ) async throws -> Running {
        try await start(broker, orders: 500, workers: 1, settle: settle)
    }

    private func stop(_ running: Running) async {
        running.run.cancel()
        #expect(await running.run.value == nil)
    }

    private func cash(_ core: TradingCore) -> ExactDecimal? {
        core.engine.published.balance("A")?.cash
    }

    /// Fills a working order at the broker.
    private func fill(_ broker: ScriptedBroker, _ id: String, fillID: String? = nil) {
        broker.content.withLock { content in
            guard let order = content.orders[id] else { return }
            content.orders[id]?.status = .filled
            content.orders[id]?.filledQuantity = order.terms.quantity
            content.fills.append(
                BrokerFill(
                    id: fillID ?? "f-\(id)", brokerOrderID: order.brokerOrderID,
                    symbol: order.terms.symbol, side: order.terms.side,
                    quantity: order.terms.quantity, price: decimal("10"),
                    cumulativeQuantity: order.terms.quantity, time: .now()))
        }
    }

    /// Cash and positions at the opening have the old fills in them already.
    @Test func whatWasFilledBeforeTheOpeningIsNeverBookedAgain() async throws {
        let broker = ScriptedBroker(otherwise: .work)
        broker.take(limit(.buy, "5", at: "10"), "gtc", isFilled: false)
        for number in 1...10 {
            broker.take(limit(.buy, "1", at: "10"), "old-\(number)", isFilled: true)
        }
        let running = try await start(broker)
        let core = running.core
        #expect(core.engine.published.order("gtc")?.status == .working)
        let own = try await place(core)
        await eventually { core.engine.published.order(own.orderID)?.status == .working }
        // The order has ended at the broker, and its fill is not listed yet: fills are read from
        // long ago.
        broker.content.withLock {
            $0.orders["gtc"]?.status = .filled
            $0.orders["gtc"]?.filledQuantity = decimal("5")
        }
        let reads = broker.content.withLock { $0.orderReads }
        await eventually { broker.content.withLock { $0.orderReads } > reads + 5 }
        #expect(cash(core) == decimal("1000000"))
        fill(broker, "gtc")
        #expect(try await ended("gtc", core).status == .filled)
        #expect(cash(core) == decimal("999950"))
        await stop(running)
        // A restart looks at past orders as well.
        let again = try await start(broker)
        fill(broker, own.orderID)
        #expect(try await ended(own.orderID, again.core).status == .filled)
        #expect(cash(again.core) == decimal("999850"))
        let deals = try await again.core.history.deals(
            accountID: "A", symbol: nil, from: nil, before: nil, limit: 100, offset: 0)
        #expect(deals.total == 2)
        await stop(again)
    }

    /// Another tool buys while the core trades: its fill is money too.
    @Test func aFillOfAnOrderUnknownHereBringsTheOrderIn() async throws {
        let broker = ScriptedBroker(otherwise: .work)
        let running = try await start(broker)
        let own = try await place(running.core)
        await eventually { running.core.engine.published.order(own.orderID)?.status == .working }
        broker.take(limit(.buy, "3", at: "20", "MSFT"), "manual", isFilled: true)
        #expect(try await ended("manual", running.core).origin == .recovered)
        fill(broker, own.orderID)
        #expect(try await ended(own.orderID, running.core).status == .filled)
        #expect(cash(running.core) == decimal("999840"))
        #expect(running.core.engine.published.balance("A")?.frozen == .zero)
        #expect(running.core.engine.published.account("A")?.fillCursor == "f-\(own.orderID)")
        await stop(running)
    }

    /// A process was killed with a request on its way, and that request arrives after the look-up.
    @Test func aRefusalAfterARestartProvesNothingWhileARequestMayArrive() async throws {
        let broker = ScriptedBroker(otherwise: .unavailable)
        let first = try await start(broker)
        let order = try await place(first.core)
        await stop(first)
        broker.content.withLock { $0.script = [.rejectAsEarlierLands] }
        let second = try await start(broker)
        #expect(try await ended(order.orderID, second.core).status == .filled)
        #expect(cash(second.core) == decimal("999900"))
        #expect(second.core.engine.published.balance("A")?.frozen == .zero)
        await stop(second)
    }

    @Test func aRefusalAfterARestartIsBelievedOnceNothingCanArrive() async throws {
        let broker = ScriptedBroker(otherwise: .unavailable)
        let first = try await start(broker)
        let order = try await place(first.core)
        await stop(first)
        broker.content.withLock { $0.otherwise = .reject }
        let second = try await start(broker, settle: .milliseconds(10))
        #expect(try await ended(order.orderID, second.core).status == .rejected)
        #expect(broker.content.withLock { $0.submissions } > 1)
        await stop(second)
    }

    @Test func aCancellationAfterARestartWaitsForARequestThatMayArrive() async throws {
        let broker = ScriptedBroker(otherwise: .unavailable)
        let first = try await start(broker)
        let order = try await place(first.core)
        await stop(first)
        let second = try await start(broker)
        let sent = broker.content.withLock { $0.submissions }
        await eventually { broker.content.withLock { $0.submissions } > sent }
        _ = try await second.core.cancel(order.orderID, by: "x")
        try? await Task.sleep(for: .milliseconds(60))
        broker.take(order.terms, order.orderID, isFilled: false)
        let cancelled = try await ended(order.orderID, second.core)
        #expect(cancelled.status == .cancelled)
        #expect(cancelled.brokerOrderID != nil, "the broker has it, and has cancelled it")
        #expect(broker.content.withLock { $0.orders[order.orderID]?.status } == .cancelled)
        await stop(second)
    }

    /// Resolved by hand, while the request was still under way; and out of memory since.
    @Test func anOrderThatEndedHereAndArrivesIsOpenedAgain() async throws {
        let broker = ScriptedBroker([.work, .timeOutLost], otherwise: .unavailable)
        let running = try await start(broker)
        let core = running.core
        let resting = try await place(core)
        await eventually { core.engine.published.order(resting.orderID)?.status == .working }
        let order = try await place(core)
        await eventually { core.engine.published.order(order.orderID)?.status == .unknown }
        try await core.engine.perform { state, now throws(Refusal) in
            try state.resolve(order.orderID, as: .rejected, reason: "", at: now, by: "ops")
        }
        try await core.checkpoint.reach(core.engine.published.head)
        // The next decision lets go of what the checkpoint has.
        try await eventually {
            _ = try await core.engine.perform { state, now throws(Refusal) in
                try state.halt("A", reason: "x", at: now, by: "ops")
            }
            return core.engine.published.order(order.orderID) == nil
        }
        broker.take(order.terms, order.orderID, isFilled: true)
        await eventually { broker.content.withLock { $0.fills.count } == 1 }
        #expect(try await ended(order.orderID, core).status.isTerminal)
        try await eventually {
            try await core.history.order(order.orderID)?.status == .filled
        }
        #expect(cash(core) == decimal("999900"))
        #expect(core.engine.published.balance("A")?.frozen == decimal("100"), "the resting order's")
        await stop(running)
    }

    @Test func anOrderThatIsOpenedAgainIsAmongTheLiveOnes() async throws {
        let running = try await start(ScriptedBroker([.timeOutLost], otherwise: .unavailable))
        let core = running.core
        let order = try await place(core)
        await eventually { core.engine.published.order(order.orderID)?.status == .unknown }
        try await core.engine.perform { state, now throws(Refusal) in
            try state.resolve(order.orderID, as: .rejected, reason: "", at: now, by: "ops")
        }
        #expect(core.engine.published.liveOrders(of: "A").isEmpty)
        let outcome = try await core.engine.perform { state, now throws(Refusal) in
            // It may have left memory between the two.
            state.orders[order.orderID] == nil
                ? nil : try state.report(StateFixture.brokerOrder(order), at: now)
        }
        if outcome != nil {
            #expect(core.engine.published.liveOrders(of: "A").map(\.orderID) == [order.orderID])
        }
        await stop(running)
    }

    @Test func ordersLostWithTheJournalsTailAreTakenInAfterFailures() async throws {
        let broker = ScriptedBroker(otherwise: .work)
        let first = try await start(broker)
        await stop(first)
        let lost = OrderID.make(SequenceNumber(epoch: 1, number: 1_000))
        broker.take(limit(.buy, "1", at: "10"), "lost-\(lost)", isFilled: false)
        broker.take(limit(.buy, "1", at: "10"), lost, isFilled: false)
        broker.content.withLock {
            $0.orders[lost]?.status = .cancelled
            $0.listsToFail = 5
        }
        let second = try await start(broker)
        await eventually {
            second.core.engine.published.order("lost-\(lost)")?.status == .working
        }
        var id = ""
        try await eventually {
            id = try await place(second.core).orderID
            return id.hasPrefix("o2-")
        }
        await stop(second)
    }

    @Test func aCancellationThatTheBrokerDroppedIsAskedForAgain() async throws {
        let broker = ScriptedBroker(otherwise: .work)
        broker.content.withLock { $0.cancellationsToRefuse = 3 }
        let running = try await start(broker)
        let order = try await place(running.core)
        await eventually { running.core.engine.published.order(order.orderID)?.status == .working }
        _ = try await running.core.cancel(order.orderID, by: "x")
        #expect(try await ended(order.orderID, running.core).status == .cancelled)
        #expect(broker.content.withLock { $0.cancellations } >= 4)
        await stop(running)
    }

    @Test func aForgottenPlaceAmongTheFillsStopsNothing() async throws {
        let broker = ScriptedBroker(otherwise: .fill)
        let running = try await start(broker)
        let first = try await ended(place(running.core).orderID, running.core)
        #expect(first.status == .filled)
        broker.content.withLock { $0.refusesCursors = true }
        let second = try await ended(place(running.core).orderID, running.core)
        #expect(second.status == .filled)
        #expect(cash(running.core) == decimal("999800"))
        await stop(running)
    }

    @Test func followingReadsOpenOrdersAlone() async throws {
        let broker = ScriptedBroker(otherwise: .fill)
        let running = try await start(broker)
        let lists = broker.content.withLock { $0.listsOfAll }
        for _ in 0..<20 { _ = try await ended(place(running.core).orderID, running.core) }
        broker.content.withLock { $0.otherwise = .work }
        let order = try await place(running.core)
        await eventually { running.core.engine.published.order(order.orderID)?.status == .working }
        broker.content.withLock { $0.orders[order.orderID]?.status = .expired }
        #expect(try await ended(order.orderID, running.core).status == .expired)
        #expect(broker.content.withLock { $0.listsOfAll } == lists)
        await stop(running)
    }

    @Test func aLongListOfFillsIsTakenInChunksAndABadOneAlone() async throws {
        let running = try await start(ScriptedBroker(otherwise: .work))
        let core = running.core
        let order = try await place(core, "250")
        let other = try await place(core, "1")
        for id in [order.orderID, other.orderID] {
            await eventually { core.engine.published.order(id)?.status == .working }
        }
        var fills = (1...250).map { number in
            BrokerFill(
                id: "f\(number)", brokerOrderID: "b-\(order.orderID)", symbol: "AAPL", side: .buy,
                quantity: decimal("1"), price: decimal("10"),
                cumulativeQuantity: ExactDecimal(number), time: .now())
        }
        var bad = fills[0]
        bad.id = "bad"
        bad.brokerOrderID = "b-\(other.orderID)"
        bad.price = decimal("99999999999999999999999999999999999999")
        bad.quantity = decimal("0.5")
        bad.cumulativeQuantity = decimal("0.5")
        fills.insert(bad, at: 220)
        let head = core.engine.published.head.number
        let booking = FillBooking(
            accountID: "A", engine: core.engine, history: core.history)
        let applied = try await booking.book(fills, movesCursor: true)
        #expect(applied == AppliedFills(refused: [bad]))
        #expect(core.engine.published.order(order.orderID)?.status == .filled)
        #expect(cash(core) == decimal("997500"))
        // Two whole chunks, and fifty fills of the third one by one.
        #expect(core.engine.published.head.number == head + 52)
        #expect(core.engine.published.account("A")?.fillCursor == "f220")
        await stop(running)
    }
}
