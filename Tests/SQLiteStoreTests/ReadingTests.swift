import Foundation
import Ledger
import TestSupport
import Testing

@testable import SQLiteStore

/// A store that another process writes, read as it is.
@Suite(.timeLimit(.minutes(3))) struct ReadingTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("store")
    }

    private var path: String { folder.path("rows.sqlite") }
    private static let catalogue = RowStoreConformance.catalogue

    private func row(_ number: Int64) -> StampedRow {
        StampedRow(
            row: Row(dataset: "others", values: [.text("\(number % 50)"), .text("\(number)")]),
            sequence: SequenceNumber(epoch: 1, number: number))
    }

    private func batch(_ number: Int64) -> StoreBatch {
        let row = row(number)
        return StoreBatch(
            changes: [
                .init(
                    key: row.row.key(in: RowStoreConformance.other), row: row.row,
                    sequence: row.sequence)
            ],
            digests: [
                DigestStamp(
                    scope: DigestScope(dataset: "others", account: ""),
                    digest: Digest(sum: UInt128(number), count: number))
            ], through: row.sequence)
    }

    @Test func aFileThatIsNotThereIsNotMade() async throws {
        let error = #expect(throws: StoreError.self) {
            try SQLiteStore(reading: path, schemas: Self.catalogue)
        }
        guard case .unavailable = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    /// A database without a table of opsd's, and nothing is made there.
    @Test func aDatabaseThatIsNoStoreYetIsEmpty() async throws {
        try python("CREATE TABLE strangers(a)")
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        let store = try SQLiteStore(reading: path, schemas: Self.catalogue)
        #expect(try await store.position() == .empty)
        #expect(try await store.digests() == [])
        #expect(try await store.digestsAsApplied().applied == .none)
        #expect(try await store.rows(RowQuery(dataset: "others")) == [])
        #expect(try await store.count(RowQuery(dataset: "others")) == 0)
        #expect(try await ScanConformance.scan(store, "others") == [])
        let key = RowKey(dataset: "others", values: [.text("1")])
        #expect(try await store.row(key) == nil)
        #expect(try await store.find([key]) == [nil])
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
        // What is made later is seen.
        let writer = try SQLiteStore(path: path, schemas: Self.catalogue)
        try await writer.apply(batch(1))
        #expect(try await ScanConformance.scan(store, "others") == [.row(row(1))])
        #expect(try await store.appliedSequence() == row(1).sequence)
    }

    private func python(_ sql: String) throws {
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        shell.arguments = [
            "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])",
            path, sql,
        ]
        try shell.run()
        shell.waitUntilExit()
        try #require(shell.terminationStatus == 0)
    }

    @Test func nothingIsChanged() async throws {
        let writer = try SQLiteStore(path: path, schemas: Self.catalogue)
        try await writer.apply(batch(1))
        let store = try SQLiteStore(reading: path, schemas: Self.catalogue)
        let changes: [@Sendable () async throws -> Void] = [
            { try await store.apply(batch(2)) }, { try await store.fill([row(2)], at: nil) },
            { try await store.begin(["others"], from: nil, as: .empty) },
            { try await store.finish(.empty, from: nil, digests: []) },
        ]
        for change in changes {
            let error = await #expect(throws: StoreError.self) { try await change() }
            guard case .refused = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
        #expect(try await writer.appliedSequence() == row(1).sequence)
    }

    @Test func digestsAreThoseOfTheEntryWhileAnotherWrites() async throws {
        let writer = try SQLiteStore(path: path, schemas: Self.catalogue)
        try await writer.apply(batch(1))
        let store = try SQLiteStore(reading: path, schemas: Self.catalogue)
        let writing = Task {
            for number in 2...2_000 { try await writer.apply(batch(Int64(number))) }
        }
        var last: Int64 = 0
        while last < 2_000 {
            let (applied, digests) = try await store.digestsAsApplied()
            #expect(digests.map(\.digest.count) == [applied.number])
            #expect(applied.number >= last)
            last = applied.number
            for case .damaged(let damage) in try await ScanConformance.scan(store, "others") {
                Issue.record("\(damage)")
            }
        }
        try await writing.value
        #expect(try await store.count(RowQuery(dataset: "others")) == 50)
    }

    /// The log can be folded in while the store is open, so that it does not grow.
    @Test func theLogIsFoldedInMeanwhile() async throws {
        let writer = try SQLiteStore(path: path, schemas: Self.catalogue)
        try await writer.fill((0..<5_000).map { row($0) }, at: nil)
        let store = try SQLiteStore(reading: path, schemas: Self.catalogue)
        let path = path
        try await store.scan("others", account: nil) { _ throws(StoreError) in
            do {
                let answer = try SQLiteStoreTests.query("PRAGMA wal_checkpoint(TRUNCATE)", in: path)
                #expect(answer == "(0, 0, 0)")
            } catch {
                throw .unavailable(store: "", problem: "\(error)")
            }
        }
        #expect(try await store.count(RowQuery(dataset: "others")) == 50)
    }

    @Test func aFieldThatHasNoColumnYetIsNull() async throws {
        func schema(_ fields: Field...) -> SchemaCatalogue {
            SchemaCatalogue([
                Schema(dataset: "later", kind: .declared, key: [Field("id", .text)], fields: fields)
            ])
        }
        let number = Field("number", .integer)
        let writer = try SQLiteStore(path: path, schemas: schema(number))
        let at = SequenceNumber(epoch: 1, number: 1)
        let row = Row(dataset: "later", values: [.text("a"), .integer(1)])
        try await writer.fill([StampedRow(row: row, sequence: at)], at: nil)
        let wider = schema(number, Field("note", .text, optional: true))
        let store = try SQLiteStore(reading: path, schemas: wider)
        let whole = StampedRow(
            row: Row(dataset: "later", values: row.values + [.null]), sequence: at)
        #expect(try await ScanConformance.scan(store, "later") == [.row(whole)])
        var query = RowQuery(dataset: "later")
        query.matching = [("note", [.null])]
        #expect(try await store.rows(query) == [whole])
        let stricter = try SQLiteStore(
            reading: path, schemas: schema(number, Field("must", .text)))
        let error = await #expect(throws: StoreError.self) {
            _ = try await ScanConformance.scan(stricter, "later")
        }
        guard case .refused(_, let problem) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.contains("must"))
    }

    @Test func anotherFileInItsPlaceIsNotTakenForIt() async throws {
        do { try await SQLiteStore(path: path, schemas: Self.catalogue).apply(batch(1)) }
        let store = try SQLiteStore(reading: path, schemas: Self.catalogue)
        #expect(try await store.appliedSequence() == row(1).sequence)
        try FileManager.default.moveItem(atPath: path, toPath: path + ".old")
        do { try await SQLiteStore(path: path, schemas: Self.catalogue).apply(batch(2)) }
        let error = await #expect(throws: StoreError.self) { _ = try await store.appliedSequence() }
        guard case .unavailable = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        let anew = try SQLiteStore(reading: path, schemas: Self.catalogue)
        #expect(try await anew.appliedSequence() == row(2).sequence)
    }
}

extension SQLiteStoreTests {
    /// What a process of another program is answered.
    static func query(_ sql: String, in path: String) throws -> String {
        let shell = Process()
        let output = Pipe()
        shell.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        shell.arguments = [
            "-c",
            "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone())",
            path, sql,
        ]
        shell.standardOutput = output
        try shell.run()
        shell.waitUntilExit()
        return String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
