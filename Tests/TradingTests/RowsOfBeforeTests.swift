import Foundation
import Ledger
import SQLiteStore
import TestSupport
import Testing

@testable import Trading

/// Journals and checkpoints of before positions and balances had what they are worth.
@Suite struct RowsOfBeforeTests {
    private let folder: TemporaryDirectory
    private let rules = AccountRules(accountID: "A", masterAccount: "M")
    /// Datasets and how many fields their rows had.
    private static let fieldCounts = ["positions": 7, "balances": 4]

    private static let schemas = SchemaCatalogue(
        Datasets.catalogue.schemas.map { schema in
            guard let count = fieldCounts[schema.dataset] else { return schema }
            return Schema(
                dataset: schema.dataset, kind: schema.kind, key: Array(schema.keyFields),
                fields: Array(schema.fields[schema.keyCount..<count]), accountField: "account_id",
                indexes: schema.indexes)
        })

    init() throws {
        folder = try TemporaryDirectory("before")
    }

    private static func shortened(_ row: Row) -> Row {
        Row(
            dataset: row.dataset,
            values: Array(row.values.prefix(fieldCounts[row.dataset] ?? row.values.count)))
    }

    /// The same entries as the program of before wrote them, with its digests.
    private func entries(_ entries: [Entry], _ key: SipHashKey) throws -> [EntryDraft] {
        var hashes: [RowKey: UInt128] = [:]
        var digests: [DigestScope: Digest] = [:]
        return try entries.map { entry in
            var changes: [RowChange] = []
            for change in entry.changes {
                let schema = try #require(Datasets.catalogue[change.dataset])
                let row = Self.shortened(try change.row())
                let rowKey = row.key(in: schema)
                let scope = DigestScope(dataset: row.dataset, account: row.account(in: schema))
                let short = RowChange.put(row, keyCount: schema.keyCount)
                if let old = hashes[rowKey] { digests[scope, default: .empty].remove(old) }
                let hash = key.hash(short.encoded)
                hashes[rowKey] = hash
                digests[scope, default: .empty].add(hash)
                changes.append(short)
            }
            return EntryDraft(
                sequence: entry.sequence, time: entry.time, kind: entry.kind,
                actor: entry.draft.actor, changes: changes,
                digests: entry.draft.digests.map {
                    DigestStamp(scope: $0.scope, digest: digests[$0.scope] ?? .empty)
                })
        }
    }

    /// An account with a position, in a journal as it was before. The last entry is a fill.
    private func journal() throws -> (fixture: StateFixture, drafts: [EntryDraft]) {
        let journal = try SQLiteJournal(directory: folder.path("journal"))
        var fixture = StateFixture([rules])
        fixture.state = TradingState(
            rules: [rules], digestKey: journal.digestKey, sequence: journal.head.sequence)
        try fixture.state.open(
            "A",
            AccountSnapshot(
                balance: BrokerBalance(cash: decimal("1000")),
                positions: [
                    BrokerPosition(
                        symbol: "MSFT", quantity: decimal("3"), averageEntryPrice: decimal("10"))
                ], openOrders: [], fillCursor: nil), at: fixture.clock)
        let order = try fixture.placeAtBroker(limit(.buy, "2", at: "60"))
        let fill = StateFixture.fill(order, "f1", quantity: "2", price: "50", cumulative: "2")
        _ = try fixture.state.apply([fill], of: "A", at: fixture.clock)
        fixture.commit()
        let drafts = try entries(fixture.entries, journal.digestKey)
        try journal.append(drafts)
        return (fixture, drafts)
    }

    private func recover() async throws -> Recovery.Outcome {
        let store = try SQLiteStore(
            path: folder.path("state.sqlite"), schemas: Datasets.catalogue)
        return try await Recovery.run(
            rules: [rules], journal: try JournalReader(directory: folder.path("journal")),
            store: store)
    }

    /// - Parameter checkpointed: how many of the entries the checkpoint of before had.
    @Test(arguments: [0, 2, 4]) func nothingIsLostAndTheValuesComeIn(
        _ checkpointed: Int
    ) async throws {
        let (fixture, drafts) = try journal()
        #expect(drafts.count == 4)
        do {
            let old = try SQLiteStore(path: folder.path("state.sqlite"), schemas: Self.schemas)
            let part = drafts.prefix(checkpointed)
            let changes = try part.flatMap { draft in
                try draft.changes.map { try $0.storeChange(at: draft.sequence, in: Self.schemas) }
            }
            var run = JournalRun(drafts: Array(part), changes: changes)
            if checkpointed == 0 { run.drafts = [] }
            try await old.apply(StoreBatch(net: [run]))
        }
        let outcome = try await recover()
        var state = outcome.state
        #expect(outcome.replayedEntries == 4 - checkpointed)
        for stamp in try #require(drafts.last).digests {
            #expect(state.digests[stamp.scope] == stamp.digest)
        }
        // Without a price, at cost: 1000 - 100 in cash, and 30 + 100.
        let balance = try #require(state.balances["A"]?.value)
        #expect(balance.cash == fixture.cash)
        #expect(balance.buyingPower == decimal("900"))
        #expect(balance.portfolioValue == decimal("1030"))
        #expect(state.positions["A"]?["AAPL"]?.value.marketValue == decimal("100"))
        #expect(state.positions["A"]?["AAPL"]?.value.side == .long)

        // The next fill writes the rows whole, and the digests go on from what was written.
        guard
            case .accepted(let order) = try state.place(
                OrderRequest(accountID: "A", terms: limit(.buy, "1", at: "60")), at: fixture.clock,
                by: "x")
        else { return }
        _ = try state.submission(
            .confirmed(StateFixture.brokerOrder(order)), of: order.orderID, at: fixture.clock)
        let fill = StateFixture.fill(order, "f2", quantity: "1", price: "55", cumulative: "1")
        _ = try state.apply([fill], of: "A", at: fixture.clock)
        #expect(state.balances["A"]?.value.portfolioValue == decimal("1040"))
        let batch = state.commit()
        try SQLiteJournal(directory: folder.path("journal")).append(batch.drafts)
        outcome.checkpoint.add(batch)
        try await outcome.checkpoint.write()

        // From the checkpoint alone, which has rows of both kinds.
        let again = try await recover()
        #expect(again.replayedEntries == 0)
        #expect(again.state.digests == state.digests)
        #expect(
            again.state.balances.mapValues(\.value) == state.balances.mapValues(\.value))
        #expect(
            again.state.positions["A"]?.mapValues(\.value)
                == state.positions["A"]?.mapValues(\.value))
        let msft = RowKey(dataset: "positions", values: [.text("A"), .text("MSFT")])
        let row = try await again.checkpoint.store.row(msft)
        #expect(row?.row.values.suffix(3) == [.null, .null, .null])
    }

    /// Who follows the journal gets whole rows, whatever is in its files.
    @Test func theFeedCompletesRows() async throws {
        let (_, drafts) = try journal()
        let feed = JournalFeed(
            directory: folder.path("journal"), head: try #require(drafts.last).sequence,
            schemas: Datasets.catalogue)
        let start = SequenceNumber(epoch: 1, number: 0)
        let run = try await feed.run(after: start, rowsMax: 1_000)
        #expect(run.drafts == drafts)
        let counts = Set(
            run.changes.filter { $0.key.dataset == "positions" }.compactMap { $0.row?.values.count }
        )
        #expect(counts == [10])
    }
}
