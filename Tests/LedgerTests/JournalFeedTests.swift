import Ledger
import TestSupport
import Testing

@Suite struct JournalFeedTests {
    /// Entries of a mebibyte each, from the files and from memory.
    @Test(arguments: [true, false])
    func whatIsHandedOutAtOnceEndsAtANumberOfBytes(fromFiles: Bool) async throws {
        let folder = try TemporaryDirectory("feed")
        let drafts = (1...40).map { Drafts.make($0, padding: 1 << 20) }
        let journal = try SQLiteJournal(directory: folder.path)
        try journal.append(drafts)
        let feed = JournalFeed(
            directory: folder.path, head: fromFiles ? journal.head.sequence : .none,
            schemas: SchemaCatalogue([]))
        if !fromFiles {
            for draft in drafts { feed.add(JournalRun(drafts: [draft])) }
        }
        var found: [EntryDraft] = []
        var sizes: [Int] = []
        while sizes.last != 0 {
            let run = try await feed.run(
                after: found.last?.sequence ?? .none, rowsMax: 1_000)
            found += run.drafts
            sizes.append(run.drafts.count)
        }
        #expect(found == drafts)
        let atOnce = JournalFeed.bytesMax >> 20
        #expect(sizes == [atOnce, atOnce, 40 - 2 * atOnce, 0])
    }
}
