import Foundation
import Ledger
import TestSupport
import Testing

/// No byte of an entry can change without the reader saying so.
@Suite struct JournalDamageTests {
    private let folder: TemporaryDirectory
    private let file: String
    private let whole: [UInt8]
    private static let drafts = Drafts.run(1...20)

    init() throws {
        folder = try TemporaryDirectory("journal")
        try SQLiteJournal(directory: folder.path).append(Self.drafts)
        file = try #require(Files.of(folder.path).first)
        whole = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
        #expect(!FileManager.default.fileExists(atPath: file + "-wal"), "closed and folded in")
    }

    /// Where the row of an entry lies: cell header, record header, time, body, checksum.
    private func region(of number: Int) throws -> Range<Int> {
        let body = Self.drafts[number - 1].encodedBody()
        let start = try #require(
            whole.indices.first { whole[$0...].starts(with: body) }, "the body is in one piece")
        // Before the body: payload length (2 bytes) and row number (6), then the record's header:
        // its length, four types (the body's takes two bytes), and the eight bytes of the time.
        return start - 8 - 2 - 6 - 6..<start + body.count + 32
    }

    private func write(_ bytes: [UInt8]) throws {
        let handle = try #require(FileHandle(forWritingAtPath: file))
        try handle.write(contentsOf: bytes)
        try handle.close()
    }

    private func readAll(pages: Int) throws -> [EntryDraft] {
        let reader = try JournalReader(directory: folder.path)
        var found: [EntryDraft] = []
        while true {
            let page = try reader.entries(after: found.last?.sequence ?? .none, limit: pages)
            if page.isEmpty { return found }
            found += page.map(\.draft)
        }
    }

    @Test(arguments: [1, 10, 20]) func everyByteOfAnEntryIsGuarded(_ number: Int) throws {
        let region = try region(of: number)
        let damaged = SequenceNumber(epoch: 1, number: Int64(number))
        for offset in region {
            for mask: UInt8 in [0xFF, 0x01] {
                var bytes = whole
                bytes[offset] ^= mask
                try write(bytes)
                for pages in [100, number, max(1, number - 1)] {
                    let error = #expect(
                        throws: JournalError.self, "byte \(offset - region.lowerBound) ^ \(mask)"
                    ) { try readAll(pages: pages) }
                    guard case .damaged(let named, let after, _) = error else {
                        Issue.record(
                            "\(offset - region.lowerBound) \(mask): \(String(describing: error))")
                        continue
                    }
                    #expect(named == file)
                    #expect(
                        after < damaged, "an entry before the damaged one is the last whole one")
                }
            }
        }
        try write(whole)
        #expect(try readAll(pages: 7) == Self.drafts)
    }

    @Test func noWriterOpensAJournalWhoseHeadIsDamaged() throws {
        for offset in try region(of: 20) {
            for mask: UInt8 in [0xFF, 0x01] {
                var bytes = whole
                bytes[offset] ^= mask
                try write(bytes)
                let error = #expect(throws: JournalError.self, "\(offset) ^ \(mask)") {
                    try SQLiteJournal(directory: folder.path)
                }
                guard case .damaged = error else {
                    Issue.record("\(offset): \(String(describing: error))")
                    continue
                }
            }
        }
        try write(whole)
        #expect(try SQLiteJournal(directory: folder.path).head.sequence.number == 20)
    }

    /// Anywhere in the file: what comes back is what was written, from the beginning on, or an error.
    @Test func damageAnywhereNeverAltersOrSkipsAnEntry() throws {
        var random = SeededGenerator(seed: 9)
        for offset in stride(from: 0, to: whole.count, by: 5) {
            var bytes = whole
            bytes[offset] ^= UInt8.random(in: 1...255, using: &random)
            try write(bytes)
            if let found = try? readAll(pages: 8) {
                #expect(Self.drafts.starts(with: found), "byte \(offset)")
            }
        }
    }

    @Test func anEntryLongerThanAPageIsGuardedToo() throws {
        let other = try TemporaryDirectory("journal")
        try SQLiteJournal(directory: other.path).append([
            Drafts.make(1), Drafts.make(2, padding: 9_000), Drafts.make(3),
        ])
        let file = try #require(Files.of(other.path).first)
        let whole = try Data(contentsOf: URL(fileURLWithPath: file))
        // Inside the run of padding: a random key may have an "x" elsewhere.
        let filled = whole.indices.dropFirst().dropLast().filter { index in
            whole[index - 1...index + 1].allSatisfy { $0 == UInt8(ascii: "x") }
        }
        #expect(filled.count > 8_900)
        for offset in stride(from: 0, to: filled.count, by: 97).map({ filled[$0] }) {
            var bytes = whole
            bytes[offset] ^= 0x01
            try bytes.write(to: URL(fileURLWithPath: file))
            let reader = try JournalReader(directory: other.path)
            #expect(throws: JournalError.self) { try reader.entries(after: .none, limit: 10) }
        }
    }
}
