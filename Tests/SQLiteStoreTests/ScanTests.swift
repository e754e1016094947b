import Foundation
import Ledger
import TestSupport
import Testing

@testable import SQLiteStore

/// Reading everything as it lies: what is wrong is said of each row, and stops nothing.
@Suite(.timeLimit(.minutes(5))) struct ScanTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("store")
    }

    private var path: String { folder.path("rows.sqlite") }

    private func open() throws -> SQLiteStore {
        try SQLiteStore(path: path, schemas: RowStoreConformance.catalogue)
    }

    @Test(arguments: ScanConformance.checks)
    func conforms(_ check: ScanConformance) async throws {
        try await check.run { try open() }
    }

    /// In tables that another program has made: with numbers for its rows, and without.
    @Test(arguments: ScanConformance.checks, ["", "WITHOUT ROWID"])
    func conformsInForeignTables(_ check: ScanConformance, _ kind: String) async throws {
        try python(
            """
            CREATE TABLE samples("group" TEXT, number INTEGER, note TEXT, amount TEXT, time,
                flag INTEGER, detail TEXT, weight INTEGER, account_id TEXT,
                PRIMARY KEY ("group", number)) \(kind)
            """)
        // Times beyond what RFC 3339 has are refused there.
        if check.description.hasPrefix("rows come as they were put") { return }
        try await check.run { try open() }
    }

    /// What a person with the sqlite3 command may do.
    private func python(_ sql: String) throws {
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        shell.arguments = [
            "-c",
            """
            import sqlite3, sys
            database = sqlite3.connect(sys.argv[1])
            database.executescript(sys.argv[2])
            database.commit()
            """, path, sql,
        ]
        try shell.run()
        shell.waitUntilExit()
        try #require(shell.terminationStatus == 0)
    }

    private func row(_ number: Int64, account: String = "A") throws -> StampedRow {
        let values: [Value] = [
            .text("g"), .integer(number), .text("note"), .decimal(ExactDecimal(5)),
            .timestamp(Timestamp(microseconds: 5)), .boolean(true),
            .json(try CanonicalJSON(parsing: "{}")), .integer(5), .text(account),
        ]
        return StampedRow(
            row: Row(dataset: "samples", values: values),
            sequence: SequenceNumber(epoch: 1, number: 1))
    }

    private func key(_ number: Int64) -> RowKey {
        RowKey(dataset: "samples", values: [.text("g"), .integer(number)])
    }

    @Test(arguments: [
        ("note", "x'6e6f7465'"), ("amount", "'five'"), ("time", "'soon'"), ("flag", "2"),
        ("detail", "'{'"), ("weight", "'heavy'"), ("account_id", "x'41'"),
        ("opsd_sequence", "'new'"),
        ("\"group\"", "x'67'"), ("number", "'one'"),
    ]) func aDamagedRowIsNamedAndTheOthersCome(_ column: String, _ content: String) async throws {
        let store = try open()
        let rows = try (1...3).map { try row($0) }
        try await store.fill(rows, at: nil)
        try python("UPDATE samples SET \(column) = \(content) WHERE number = 2")
        let found = try await ScanConformance.scan(store, "samples")
        #expect(found.count == 3)
        #expect(Set(found).isSuperset(of: [.row(rows[0]), .row(rows[2])]))
        guard case .damaged(let damage)? = found.first(where: { !$0.isRow }) else {
            Issue.record("\(found)")
            return
        }
        let isKey = column == "number" || column == "\"group\""
        #expect(damage.key == (isKey ? nil : key(2)))
        #expect(damage.place.contains("samples"))
        #expect(damage.problem.contains(column.replacing("\"", with: "")))
        let some = try await store.find([key(3), key(2)])
        #expect(some[0] == .row(rows[2]))
        #expect(some[1] == (isKey ? nil : .damaged(damage)))
    }

    @Test func aPageThatCannotBeReadEndsTheScan() async throws {
        do {
            let store = try open()
            try await store.fill(try (0..<20_000).map { try row($0) }, at: nil)
        }
        try python("PRAGMA wal_checkpoint(TRUNCATE)")
        let handle = try #require(FileHandle(forUpdatingAtPath: path))
        let size = try handle.seekToEnd()
        try handle.seek(toOffset: size / 2 / 4_096 * 4_096)
        try handle.write(contentsOf: Data(repeating: 0xA5, count: 4_096))
        try handle.close()
        let store = try open()
        let error = await #expect(throws: StoreError.self) {
            _ = try await ScanConformance.scan(store, "samples")
        }
        guard case .unavailable = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    /// A key that says something else than where it lies, just where a page ends.
    @Test(arguments: [9_998, 9_999, 10_000, 10_001])
    func aKeyThatIsNotWhereItShouldBeHidesNoOtherRow(_ number: Int) async throws {
        do {
            let store = try open()
            let rows = try (0..<20_100).map { index -> StampedRow in
                let name = "k\(String(100_000 + index))"
                return StampedRow(
                    row: Row(dataset: "others", values: [.text(name), .text("x")]),
                    sequence: try row(1).sequence)
            }
            try await store.fill(rows, at: nil)
        }
        try python("PRAGMA wal_checkpoint(TRUNCATE)")
        var data = try Data(contentsOf: URL(fileURLWithPath: path))
        let place = try #require(data.range(of: Data("k\(100_000 + number)".utf8)))
        data[place.lowerBound] = UInt8(ascii: "z")
        try data.write(to: URL(fileURLWithPath: path))
        let found = try await ScanConformance.scan(try open(), "others")
        #expect(found.count == 20_100)
        #expect(Set(found).count == 20_100)
    }
}

extension FoundRow {
    var isRow: Bool { if case .row = self { true } else { false } }
}
