import Foundation
import Ledger
import SQLiteStore
import Synchronization
import TestSupport
import Testing

@testable import Trading

@Suite(.timeLimit(.minutes(1))) struct RecoveryTests {
    private let folder: TemporaryDirectory
    private let rules = [AccountRules(accountID: "A", maxConcurrentOrders: .max)]

    init() throws {
        folder = try TemporaryDirectory("recovery")
    }

    /// An account, orders, half of which have ended, and a revoked token, in a journal and, as far as
    /// the test wants, in a store.
    private func journal(orders: Int) throws -> (state: TradingState, batch: CommittedBatch) {
        let journal = try SQLiteJournal(directory: folder.path("journal"))
        var state = TradingState(
            rules: rules, digestKey: journal.digestKey, sequence: journal.head.sequence)
        let now = Timestamp.now()
        try state.open(
            "A",
            AccountSnapshot(
                balance: BrokerBalance(cash: decimal("1000000000")), positions: [],
                openOrders: [], fillCursor: nil), at: now)
        for number in 0..<orders {
            let request = OrderRequest(accountID: "A", terms: limit(.buy, "1", at: "10"))
            guard case .accepted(let order) = try state.place(request, at: now, by: "x") else {
                continue
            }
            if number.isMultiple(of: 2) {
                _ = try state.cancel(order.orderID, isWithdrawn: true, at: now, by: "x")
            }
        }
        let batch = state.commit()
        try journal.append(batch.drafts)
        return (state, batch)
    }

    private func store() throws -> SQLiteStore {
        try SQLiteStore(path: folder.path("rows.sqlite"), schemas: Datasets.catalogue)
    }

    private func recover(_ store: some RowStore) async throws -> Recovery.Outcome {
        try await Recovery.run(
            rules: rules, journal: try JournalReader(directory: folder.path("journal")),
            store: store, unwrittenPagesMax: 2)
    }

    @Test func withoutACheckpointAllIsMadeAgainWithoutHoldingAllInMemory() async throws {
        let (state, _) = try journal(orders: 7_000)
        let store = try store()
        let outcome = try await recover(store)
        #expect(outcome.replayedEntries == 10_501)
        #expect(outcome.checkpoint.waitingRows < 6_000)
        #expect(try await store.appliedSequence().number >= 8_000)
        #expect(outcome.state.balances["A"]?.value == state.balances["A"]?.value)
        #expect(outcome.state.digests == state.digests)
        #expect(outcome.state.liveOrderCounts["A"] == 3_500)
        #expect(outcome.state.orders.count < 6_000, "those that ended are in the store alone")
    }

    @Test(arguments: ["balances", "accounts"])
    func aRowThatSomebodyChangedInTheCheckpointIsNotBelieved(_ dataset: String) async throws {
        let (state, batch) = try journal(orders: 3)
        let flaky = FlakyStore()
        try await flaky.apply(
            StoreBatch(
                changes: batch.changes,
                digests: state.digests.map { DigestStamp(scope: $0.key, digest: $0.value) },
                through: state.lastSequence))
        _ = try await recover(flaky)
        flaky.content.withLock { content in
            for (key, stamped) in content.rows where key.dataset == dataset {
                var values = stamped.row.values
                values[1] = dataset == "balances" ? .decimal(decimal("7")) : .text("halted")
                content.rows[key] = StampedRow(
                    row: Row(dataset: dataset, values: values), sequence: stamped.sequence)
            }
        }
        await #expect {
            _ = try await recover(flaky)
        } throws: { "\($0)".contains("the rows of \(dataset) of 'A' are not those") }
        flaky.content.withLock { content in
            content.rows = content.rows.filter { $0.key.dataset != dataset }
        }
        await #expect(throws: Recovery.Failure.self) { _ = try await recover(flaky) }
    }

    @Test func aJournalThatCannotBeReadIsNoEmptyJournal() throws {
        try "no directory".write(
            toFile: folder.path("journal"), atomically: true, encoding: .utf8)
        #expect(throws: JournalError.self) {
            _ = try JournalReader.isPresent(in: folder.path("journal"))
        }
        #expect(try !JournalReader.isPresent(in: folder.path("nowhere")))
    }

    @Test func aRowThatChangesTwiceInALongEntryIsJournaledOnce() throws {
        var fixture = try StateFixture.opened(
            rules: AccountRules(accountID: "A", maxConcurrentOrders: .max))
        var orders: [Order] = []
        for _ in 0..<30 { orders.append(try fixture.place(limit(.buy, "1", at: "1"))) }
        fixture.commit()
        for order in orders + orders {
            var changed = try #require(fixture.order(order.orderID))
            changed.updatedAt = changed.updatedAt.advanced(bySeconds: 1)
            fixture.state.put(changed)
        }
        fixture.state.seal("test", at: fixture.clock)
        let draft = try #require(fixture.commit().drafts.last)
        #expect(draft.changes.count == 30)
        let times = try draft.changes.map { try Order(row: $0.row()).updatedAt }
        #expect(times.allSatisfy { $0 == fixture.clock.advanced(bySeconds: 2) })
        #expect(fixture.state.digests == fixture.digestsOfRows)
    }
}
