import Ledger
import SQLiteStore
import Synchronization
import TestSupport
import Testing

@testable import Trading

/// The whole core on a real journal and a real store; only the broker is scripted.
@Suite(.timeLimit(.minutes(1))) struct TradingCoreTests: CoreRuns {
    let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("core")
    }

    @Test(
        arguments: [
            [], [.timeOutTaken], [.timeOutLost, .fill], [.timeOutLost, .timeOutLost, .timeOutLost],
            [.timeOutLost, .timeOutTaken], [.unavailable, .unavailable, .unavailable],
            [.unavailable, .timeOutLost, .unavailable, .timeOutTaken],
        ] as [[ScriptedBroker.Step]])
    func anOrderIsFilledOnceWhateverHappensOnTheWay(_ script: [ScriptedBroker.Step]) async throws {
        let broker = ScriptedBroker(script)
        let (core, run) = try await start(broker)
        let order = try await place(core)
        #expect(order.status == .pending)
        #expect(try await ended(order.orderID, core).status == .filled)
        let balance = try #require(core.engine.published.balance("A"))
        #expect(balance.cash == decimal("999900"))
        #expect(balance.frozen == .zero)
        #expect(broker.content.withLock { $0.orders.count } == 1)
        #expect(core.engine.published.positions("A").first?.quantity == decimal("10"))
        run.cancel()
        #expect(await run.value == nil)
    }

    /// As when something is journaled and an order of a lost journal is seen at the broker, in one batch.
    @Test func listsAnswerWhenAnEpochWasBegunWithoutAnEntry() async throws {
        let (core, run) = try await start(ScriptedBroker())
        let revocation = Revocation(
            tokenID: "t", accountID: "A", expiresAt: Timestamp.now().advanced(bySeconds: 60))
        try await core.engine.perform { state, now throws(Refusal) in
            state.revoke(revocation, at: now, by: "x")
            state.raiseEpoch(above: 6)
        }
        #expect(core.engine.published.head == core.feed.head)
        let list = try await core.history.orders(
            accountID: "A", statuses: [], limit: 1, offset: 0)
        #expect(list.total == 0)
        // The next entry is of the new epoch all the same.
        let order = try await place(core)
        #expect(OrderID.sequence(order.orderID)?.epoch == 7)
        run.cancel()
        #expect(await run.value == nil)
    }

    @Test func aRejectionGivesTheFundsBack() async throws {
        let (core, run) = try await start(ScriptedBroker([.reject]))
        let order = try await ended(place(core).orderID, core)
        #expect(order.status == .rejected)
        #expect(order.reason == "insufficient buying power (403)")
        #expect(core.engine.published.balance("A")?.frozen == .zero)
        run.cancel()
        #expect(await run.value == nil)
    }

    @Test func aLateCancellationGoesToTheBroker() async throws {
        let broker = ScriptedBroker(otherwise: .work)
        let (core, run) = try await start(broker)
        let order = try await place(core)
        await eventually { core.engine.published.order(order.orderID)?.status == .working }
        #expect(try await core.cancel(order.orderID, by: "x").cancelRequested)
        #expect(try await ended(order.orderID, core).status == .cancelled)
        #expect(core.engine.published.balance("A")?.frozen == .zero)
        run.cancel()
        #expect(await run.value == nil)
    }

    @Test func aCancellationOutlivesARestart() async throws {
        let broker = ScriptedBroker(otherwise: .work)
        broker.content.withLock { $0.ignoresCancellations = true }
        let (first, run) = try await start(broker)
        let order = try await place(first)
        await eventually { first.engine.published.order(order.orderID)?.status == .working }
        _ = try await first.cancel(order.orderID, by: "x")
        await eventually { broker.content.withLock { $0.cancellations } > 0 }
        run.cancel()
        #expect(await run.value == nil)
        broker.content.withLock { $0.ignoresCancellations = false }
        let (second, again) = try await start(broker)
        #expect(try await ended(order.orderID, second).status == .cancelled)
        again.cancel()
        #expect(await again.value == nil)
    }

    @Test func everyAcceptedOrderComesToItsEndOnceAfterARestart() async throws {
        let broker = ScriptedBroker(
            [.fill, .work, .timeOutTaken, .timeOutLost], otherwise: .unavailable)
        let (first, run) = try await start(broker)
        var placed: [String] = []
        for number in 1...40 { placed.append(try await place(first, "\(number)").orderID) }
        run.cancel()
        #expect(await run.value == nil)
        await #expect(throws: EngineError.stopped) { try await place(first) }

        broker.content.withLock {
            $0.otherwise = .fill
            $0.script = []
        }
        let (second, again) = try await start(broker)
        let working = broker.content.withLock { content in
            content.orders.values.first { $0.status == .working }?.clientOrderID
        }
        for id in placed where id != working {
            #expect(try await ended(id, second).status == .filled)
        }
        if let working {
            _ = try await second.cancel(working, by: "x")
            #expect(try await ended(working, second).status == .cancelled)
        }
        #expect(broker.content.withLock { $0.orders.count } == 40)
        let deals = try await second.history.deals(
            accountID: "A", symbol: nil, from: nil, before: nil, limit: 100, offset: 0)
        #expect(deals.total == (working == nil ? 40 : 39))
        #expect(Set(deals.deals.map(\.orderID)).count == deals.total)
        let spent = try deals.deals.reduce(ExactDecimal.zero) { try $0.adding($1.amount) }
        let balance = try #require(second.engine.published.balance("A"))
        #expect(balance.cash == (try ExactDecimal(1_000_000).subtracting(spent)))
        #expect(balance.frozen == .zero)
        again.cancel()
        #expect(await again.value == nil)
    }

    @Test func aNewCoreAnswersBeforeAnythingWasWritten() async throws {
        let store = FlakyStore()
        let core = try await TradingCore.start(
            rules: [], journalDirectory: folder.path("journal"), store: store,
            broker: ScriptedBroker())
        let run = Task { await core.run() }
        let orders = try await core.history.orders(
            accountID: "A", statuses: [], limit: 10, offset: 0)
        #expect(orders.total == 0)
        run.cancel()
        #expect(await run.value == nil)
    }

    @Test func aStoreAheadOfTheJournalStopsTheStart() async throws {
        _ = try SQLiteJournal(directory: folder.path("journal"))
        let store = FlakyStore()
        let ahead = SequenceNumber(epoch: 1, number: 5)
        store.content.withLock { $0.applied = ahead }
        do {
            _ = try await TradingCore.start(
                rules: [], journalDirectory: folder.path("journal"), store: store,
                broker: ScriptedBroker())
            Issue.record("it started")
        } catch {
            guard case .recovery(.storeAhead(ahead, SequenceNumber(epoch: 1, number: 0))) = error
            else {
                Issue.record("\(error)")
                return
            }
        }
    }
}

struct Unexpected: Error {}
