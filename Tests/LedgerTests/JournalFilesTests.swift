import Foundation
import GRDB
import Ledger
import TestSupport
import Testing

@Suite struct JournalFilesTests {
    private let folder: TemporaryDirectory
    private let drafts = Drafts.run(1...200)

    init() throws {
        folder = try TemporaryDirectory("journal")
    }

    /// Two hundred entries in several files.
    private func fill() throws -> [String] {
        var options = SQLiteJournal.Options()
        options.rollAtBytes = 6_000
        let journal = try SQLiteJournal(directory: folder.path, options: options)
        for first in stride(from: 0, to: drafts.count, by: 10) {
            try journal.append(Array(drafts[first..<first + 10]))
        }
        return Files.of(folder.path)
    }

    private func readAll(pages: Int = 9) throws -> [EntryDraft] {
        let reader = try JournalReader(directory: folder.path)
        var found: [EntryDraft] = []
        while true {
            let page = try reader.entries(after: found.last?.sequence ?? .none, limit: pages)
            if page.isEmpty { return found }
            found += page.map(\.draft)
        }
    }

    @Test func pagesReachAcrossFiles() throws {
        let files = try fill()
        #expect(files.count > 3)
        for pages in [1, 7, 50, 1_000] { #expect(try readAll(pages: pages) == drafts) }
        for start in [0, 1, 57, 199] {
            let after = start == 0 ? .none : drafts[start - 1].sequence
            let reader = try JournalReader(directory: folder.path)
            #expect(
                try reader.entries(after: after, limit: 1_000).map(\.draft)
                    == Array(drafts[start...]))
        }
        let reopened = try SQLiteJournal(directory: folder.path)
        #expect(reopened.head.sequence == drafts.last?.sequence)
    }

    @Test func pagesEndAtANumberOfBytesAlsoAcrossFiles() throws {
        _ = try fill()
        for bytesMax in [1, 500, 3_000, 20_000] {
            let reader = try JournalReader(directory: folder.path)
            var found: [EntryDraft] = []
            while true {
                let page = try reader.entries(
                    after: found.last?.sequence ?? .none, limit: 150, bytesMax: bytesMax)
                if page.isEmpty { break }
                let sizes = page.map { $0.draft.encodedBody().count }
                #expect(sizes.dropLast().reduce(0, +) < bytesMax)
                let isLast = page.last?.sequence == drafts.last?.sequence
                #expect(isLast || page.count == 150 || sizes.reduce(0, +) >= bytesMax)
                found += page.map(\.draft)
            }
            #expect(found == drafts)
        }
    }

    @Test func aRolledFileIsReadOnlyAndHasNoLog() throws {
        let files = try fill()
        for file in files.dropLast() {
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions]
            #expect((mode as? NSNumber)?.intValue == 0o400, "\(file)")
            #expect(!FileManager.default.fileExists(atPath: file + "-wal"))
        }
    }

    @Test func aFileWithAReaderIsRolledAndFinishedAtTheNextOpening() throws {
        var options = SQLiteJournal.Options()
        options.rollAtBytes = 3_000
        do {
            let journal = try SQLiteJournal(directory: folder.path, options: options)
            try journal.append(Array(drafts[..<30]))
            let reader = try JournalReader(directory: folder.path)
            #expect(try reader.entries(after: .none, limit: 5).count == 5)
            try journal.append(Array(drafts[30..<60]))
            #expect(Files.of(folder.path).count == 2)
            #expect(try reader.entries(after: drafts[4].sequence, limit: 500).count == 55)
        }
        _ = try SQLiteJournal(directory: folder.path)
        let first = try #require(Files.of(folder.path).first)
        let mode = try FileManager.default.attributesOfItem(atPath: first)[.posixPermissions]
        #expect((mode as? NSNumber)?.intValue == 0o400)
        #expect(try readAll() == Array(drafts[..<60]))
    }

    @Test func aMissingFileInTheMiddleIsNamed() throws {
        let files = try fill()
        try FileManager.default.removeItem(atPath: files[1])
        try expectDamage(naming: files[2])
    }

    @Test func whoReadsFromBeforeTheOldestFileIsToldWhatIsGone() throws {
        let files = try fill()
        try FileManager.default.removeItem(atPath: files[0])
        try expectDamage(naming: files[1])
        let reader = try JournalReader(directory: folder.path)
        let last = try #require(drafts.last)
        #expect(try reader.entries(after: drafts[190].sequence, limit: 100).count == 9)
        #expect(try reader.head().sequence == last.sequence)
        #expect(throws: Never.self) { try SQLiteJournal(directory: folder.path) }
    }

    @Test func swappedFilesAreNamed() throws {
        let files = try fill()
        for (left, right) in [(0, 1), (1, 2), (0, files.count - 1)] {
            try swap(files[left], files[right])
            try expectDamage(naming: files[left])
            try swap(files[left], files[right])
        }
        #expect(try readAll() == drafts)
    }

    @Test func aFileOfAnotherJournalIsNamed() throws {
        let files = try fill()
        let stranger = try JournalFilesTests()
        let others = try stranger.fill()
        #expect(
            others.map { URL(fileURLWithPath: $0).lastPathComponent }
                == files.map { URL(fileURLWithPath: $0).lastPathComponent })
        try FileManager.default.removeItem(atPath: files[1])
        try FileManager.default.copyItem(atPath: others[1], toPath: files[1])
        try expectDamage(naming: files[1])
    }

    @Test(arguments: [0, 1, 100, 511, 512, 4_095, 4_096, 5_000, 8_191, 8_192])
    func aTruncatedFileIsNamed(_ length: Int) throws {
        let files = try fill()
        let whole = try Data(contentsOf: URL(fileURLWithPath: files[1]))
        try #require(length < whole.count)
        try FileManager.default.removeItem(atPath: files[1])
        try whole.prefix(length).write(to: URL(fileURLWithPath: files[1]))
        try expectDamage(naming: files[1])
    }

    @Test func theFileInUseHasAWriteAheadLog() throws {
        _ = try SQLiteJournal(directory: folder.path)
        let file = try #require(Files.of(folder.path).first)
        let database = try DatabaseQueue(path: file)
        let mode = try database.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") }
        #expect(mode == "wal")
    }

    private func swap(_ left: String, _ right: String) throws {
        try FileManager.default.moveItem(atPath: left, toPath: left + ".aside")
        try FileManager.default.moveItem(atPath: right, toPath: left)
        try FileManager.default.moveItem(atPath: left + ".aside", toPath: right)
    }

    private func expectDamage(naming file: String) throws {
        for pages in [3, 1_000] {
            let error = #expect(throws: JournalError.self) { try readAll(pages: pages) }
            switch error {
            case .damaged(let named, _, _), .deleted(let named, _, _):
                #expect(named == file, "\(String(describing: error))")
            default: Issue.record("\(String(describing: error))")
            }
        }
    }
}
