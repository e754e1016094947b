import Foundation
import GRDB
import Ledger
import TestSupport
import Testing

@Suite struct JournalTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("journal")
    }

    @Test func entriesComeBackAfterReopening() throws {
        let drafts = Drafts.run(1...30)
        var head: JournalHead?
        var key: SipHashKey?
        do {
            let journal = try SQLiteJournal(directory: folder.path)
            #expect(journal.head.sequence == SequenceNumber(epoch: 1, number: 0))
            try journal.append(Array(drafts[..<10]))
            try journal.append(Array(drafts[10...]))
            try journal.append([])
            #expect(try journal.entries(after: .none, limit: 100).map(\.draft) == drafts)
            head = journal.head
            key = journal.digestKey
        }
        let reopened = try SQLiteJournal(directory: folder.path, epochAbove: 7)
        #expect(reopened.head == head)
        #expect(reopened.digestKey == key)
        #expect(reopened.head.sequence == SequenceNumber(epoch: 1, number: 30))
        #expect(
            try reopened.entries(after: drafts[19].sequence, limit: 4).map(\.draft)
                == Array(drafts[20..<24]))
        #expect(try reopened.entries(after: .none, limit: 0).isEmpty)
        #expect(try reopened.entries(after: drafts[29].sequence, limit: 4).isEmpty)
        #expect(try reopened.entries(after: SequenceNumber(epoch: 9, number: 1), limit: 4).isEmpty)
        try reopened.append(Drafts.run(31...31))
        #expect(try JournalReader(directory: folder.path).head() == reopened.head)
    }

    @Test func everyChecksumDependsOnTheOneBefore() throws {
        let journal = try SQLiteJournal(directory: folder.path)
        try journal.append(Drafts.run(1...3))
        let other = try TemporaryDirectory("journal")
        let fork = try SQLiteJournal(directory: other.path)
        try fork.append([Drafts.make(1, padding: 3)] + Drafts.run(2...3))
        let (left, right) = (
            try journal.entries(after: .none, limit: 9), try fork.entries(after: .none, limit: 9)
        )
        #expect(left.last?.draft == right.last?.draft)
        #expect(left.last?.checksum != right.last?.checksum)
    }

    @Test func aBatchOutOfOrderIsRefusedWhole() throws {
        let journal = try SQLiteJournal(directory: folder.path)
        try journal.append(Drafts.run(1...2))
        let head = journal.head
        for numbers in [[1], [2], [4], [3, 5], [3, 3], [4, 3]] {
            let found = SequenceNumber(epoch: 1, number: Int64(numbers.last ?? 0))
            let error = #expect(throws: JournalError.self) {
                try journal.append(numbers.map { Drafts.make($0) })
            }
            if case .outOfOrder = error {
            } else {
                Issue.record("\(String(describing: error)) \(found)")
            }
        }
        #expect(journal.head == head)
        #expect(try journal.entries(after: .none, limit: 9).count == 2)
        try journal.append(Drafts.run(3...3))
    }

    @Test func aLaterEpochMayFollowWithItsFirstNumber() throws {
        let journal = try SQLiteJournal(directory: folder.path, epochAbove: 4)
        #expect(journal.head.sequence == SequenceNumber(epoch: 5, number: 0))
        try journal.append([
            Drafts.make(1, epoch: 5), Drafts.make(2, epoch: 5), Drafts.make(1, epoch: 8),
        ])
        #expect(throws: JournalError.self) { try journal.append([Drafts.make(1, epoch: 7)]) }
        #expect(throws: JournalError.self) { try journal.append([Drafts.make(2, epoch: 9)]) }
        try journal.append([Drafts.make(2, epoch: 8)])
        #expect(
            try journal.entries(after: .none, limit: 9).map(\.sequence.epochAndNumber) == [
                "5-1", "5-2", "8-1", "8-2",
            ])
        #expect(
            try journal.entries(after: SequenceNumber(epoch: 6, number: 9), limit: 9).count == 2)
    }

    @Test func thereIsOneWriter() throws {
        var journal: SQLiteJournal? = try SQLiteJournal(directory: folder.path)
        for _ in 0..<3 {
            #expect(throws: JournalError.lockedElsewhere(path: folder.path)) {
                try SQLiteJournal(directory: folder.path)
            }
        }
        withExtendedLifetime(journal) {}
        journal = nil
        #expect(throws: Never.self) { try SQLiteJournal(directory: folder.path) }
    }

    @Test func anotherProcessWithTheLockKeepsTheWriterOut() throws {
        _ = try SQLiteJournal(directory: folder.path)
        let holder = Process()
        holder.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        holder.arguments = [
            "-c",
            """
            import fcntl, sys
            lock = open(sys.argv[1], "r+")
            fcntl.flock(lock, fcntl.LOCK_EX)
            print("locked", flush=True)
            sys.stdin.read()
            """, folder.path("writer.lock"),
        ]
        let (input, output) = (Pipe(), Pipe())
        holder.standardInput = input
        holder.standardOutput = output
        try holder.run()
        #expect(try output.fileHandleForReading.read(upToCount: 6) == Data("locked".utf8))
        #expect(throws: JournalError.lockedElsewhere(path: folder.path)) {
            try SQLiteJournal(directory: folder.path)
        }
        #expect(throws: Never.self) { try JournalReader(directory: folder.path).head() }
        try input.fileHandleForWriting.close()
        holder.waitUntilExit()
        #expect(throws: Never.self) { try SQLiteJournal(directory: folder.path) }
    }

    @Test func aDirectoryWithoutJournalIsMissing() throws {
        #expect(throws: JournalError.missing(path: folder.path)) {
            try JournalReader(directory: folder.path)
        }
    }

    /// A killed process leaves its write-ahead log; copying the files without closing is the same.
    @Test func whatWasAppendedIsInTheFilesBeforeTheJournalIsClosed() throws {
        let journal = try SQLiteJournal(directory: folder.path)
        try journal.append(Drafts.run(1...20))
        let copy = try TemporaryDirectory("journal-copy")
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            try FileManager.default.copyItem(atPath: folder.path(name), toPath: copy.path(name))
        }
        let recovered = try SQLiteJournal(directory: copy.path)
        #expect(recovered.head == journal.head)
        #expect(try recovered.entries(after: .none, limit: 99).map(\.draft) == Drafts.run(1...20))
    }

    @Test func aFollowerReadsEveryEntryWhileTheWriterWritesAndRolls() async throws {
        var options = SQLiteJournal.Options()
        options.rollAtBytes = 20_000
        options.checkpointPages = 10
        let (directory, total) = (folder.path, 1_500)
        _ = try SQLiteJournal(directory: directory, options: options)
        let follower = Task.detached {
            let reader = try JournalReader(directory: directory)
            var found: [EntryDraft] = []
            while found.count < total {
                let page = try reader.entries(after: found.last?.sequence ?? .none, limit: 37)
                found += page.map(\.draft)
                await Task.yield()
            }
            return found
        }
        let journal = try SQLiteJournal(directory: directory, options: options)
        for first in stride(from: 1, to: total, by: 5) {
            try journal.append(Drafts.run(first...first + 4))
        }
        #expect(try await follower.value == Drafts.run(1...total))
        #expect(Files.of(directory).count > 5)
    }
}

enum Drafts {
    static func make(_ number: Int, epoch: Int64 = 1, padding: Int = 0) -> EntryDraft {
        let row = Row(
            dataset: "notes",
            values: [
                .text("note-\(number)"), .text(String(repeating: "x", count: padding)), .integer(7),
            ])
        return EntryDraft(
            sequence: SequenceNumber(epoch: epoch, number: Int64(number)),
            time: Timestamp(microseconds: 1_795_253_400_000_000 + Int64(number)),
            kind: "note.written", actor: "tester", changes: [.put(row, keyCount: 1)],
            digests: [
                DigestStamp(
                    scope: DigestScope(dataset: "notes", account: ""),
                    digest: Digest(sum: UInt128(number), count: Int64(number)))
            ])
    }

    static func run(_ numbers: ClosedRange<Int>) -> [EntryDraft] {
        numbers.map { make($0) }
    }
}

enum Files {
    /// The journal's database files, oldest first.
    static func of(_ directory: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { $0.hasSuffix(".sqlite") }.sorted().map { directory + "/" + $0 }
    }
}
