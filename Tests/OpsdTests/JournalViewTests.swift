import Foundation
import Ledger
import SQLiteStore
import TestSupport
import Testing
import Verify

@testable import opsd

/// The journal as another process than the core reads it.
@Suite struct JournalViewTests {
    private static let schema = Schema(
        dataset: "held", kind: .declared,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [Field("days", .integer)], accountField: "account_id")

    private static func row(_ number: Int) -> Row {
        Row(
            dataset: "held",
            values: [.text("A\(number % 7)"), .text("S\(number)"), .integer(Int64(number))])
    }

    /// Far behind, what has changed comes in pages: all of it, in order, and never more than a page.
    @Test(.timeLimit(.minutes(1))) func whoIsFarBehindGetsItInPages() async throws {
        let folder = try ConfigurationFolder()
        let layout = DataLayout(try folder.load("{}"))
        try layout.prepare()
        let catalogue = SchemaCatalogue([Self.schema])
        let journal = try SQLiteJournal(directory: layout.journal)
        var sequence = journal.head.sequence
        let start = sequence
        let count = 25_000
        for first in stride(from: 0, to: count, by: 1_000) {
            var drafts: [EntryDraft] = []
            for number in first..<first + 1_000 {
                sequence = sequence.next
                drafts.append(
                    EntryDraft(
                        sequence: sequence, time: .now(), kind: "test",
                        changes: [.put(Self.row(number), keyCount: 2)], digests: []))
            }
            try journal.append(drafts)
        }
        // The checkpoint is ahead of the first half, which is no longer in the view's memory.
        let checkpoint = try SQLiteStore(path: layout.checkpoint, schemas: catalogue)
        try await checkpoint.apply(
            StoreBatch(
                changes: (0..<count / 2).map { number in
                    let row = Self.row(number)
                    return StoreBatch.Change(
                        key: row.key(in: Self.schema), row: row,
                        sequence: SequenceNumber(rawValue: start.rawValue + Int64(number) + 1))
                }, digests: [],
                through: SequenceNumber(rawValue: start.rawValue + Int64(count / 2))))
        let view = try await JournalView(layout, catalogue)
        var position = start
        var found: [RowKey: Row] = [:]
        var pages = 0
        while position < sequence {
            let page = try await view.changes(after: position, in: "held")
            #expect(page.rows.count <= 10_000 && page.through > position)
            for (key, row) in page.rows { found[key] = row.row }
            position = page.through
            pages += 1
        }
        #expect(pages == 3 && position == sequence && found.count == count)
        #expect(try await view.changes(after: sequence, in: "held").rows.isEmpty)
        #expect(try await view.changes(after: start, in: "others").rows.isEmpty)
        #expect(try await view.reachesBack(to: start))

        // The keys of the checkpoint, a page after the other.
        var keys: [RowKey] = []
        while case let page = try await view.keys(in: "held", after: keys.last, limit: 1_000),
            !page.isEmpty
        {
            keys += page
        }
        #expect(keys.count == count / 2 && Set(keys).count == keys.count)
    }
}
