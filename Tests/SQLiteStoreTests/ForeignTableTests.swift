import Foundation
import Ledger
import TestSupport
import Testing

@testable import SQLiteStore

/// Tables and columns that a layout names, also those that another program has made.
@Suite struct ForeignTableTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("foreign")
    }

    private var path: String { folder.path("theirs.sqlite") }

    private static let layouts = [
        "samples": SQLiteLayout(
            table: "their samples", columns: ["group": "Grp", "note": "remark", "time": "at"]),
        "others": SQLiteLayout(table: "their others", columns: ["text \"quoted\"": "words"]),
    ]

    /// What the other program does, and what it sees: a line a row.
    @discardableResult
    private func theirs(_ sql: String) throws -> [String] {
        let shell = Process()
        let output = Pipe()
        shell.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        shell.standardOutput = output
        shell.arguments = [
            "-c",
            """
            import sqlite3, sys
            database = sqlite3.connect(sys.argv[1])
            for row in database.execute(sys.argv[2]):
                print("|".join(map(str, row)))
            database.commit()
            """, path, sql,
        ]
        try shell.run()
        let text = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        shell.waitUntilExit()
        try #require(shell.terminationStatus == 0)
        return text.split(separator: "\n").map(String.init)
    }

    private func makeTheirs() throws {
        try theirs(
            """
            CREATE TABLE "their samples"(
                own TEXT DEFAULT 'mine', grp TEXT, number INTEGER, remark VARCHAR(20),
                amount TEXT, at DATETIME, flag BOOLEAN, detail TEXT, weight BIGINT, account_id TEXT)
            """)
        try theirs("CREATE TABLE \"their others\"(id TEXT PRIMARY KEY, words TEXT, own INT)")
    }

    private func open() throws -> SQLiteStore {
        try SQLiteStore(
            path: path, schemas: RowStoreConformance.catalogue, layouts: Self.layouts)
    }

    @Test(arguments: RowStoreConformance.checks, [true, false])
    func conforms(_ check: RowStoreConformance, _ isTheirs: Bool) async throws {
        if isTheirs { try makeTheirs() }
        do {
            try await check.run { try open() }
        } catch StoreError.refused(_, let problem) where isTheirs {
            // A year of five digits, in a column of texts that other programs read.
            #expect(problem.contains("no time that other programs could read"))
        }
    }

    @Test(arguments: ReplicaConformance.checks, [true, false])
    func followsTheJournal(_ check: ReplicaConformance, _ isTheirs: Bool) async throws {
        if isTheirs { try makeTheirs() }
        try await check.run { try open() }
    }

    private static let held = Schema(
        dataset: "held", kind: .declared,
        key: [Field("account_id", .text), Field("at", .timestamp)],
        fields: [Field("price", .decimal), Field("note", .text, optional: true)],
        accountField: "account_id")

    private func held() throws -> SQLiteStore {
        try SQLiteStore(path: path, schemas: SchemaCatalogue([Self.held]))
    }

    private static func row(_ second: Int64, _ price: String) throws -> Row {
        Row(
            dataset: "held",
            values: [
                .text("A"), .timestamp(Timestamp(microseconds: second * 1_000_000)),
                .decimal(try #require(ExactDecimal(price))), .null,
            ])
    }

    @Test func rowsOfAnotherProgramAreReadAsTheyLieAndStayAsTheyAre() async throws {
        try theirs(
            "CREATE TABLE held(account_id TEXT, at TEXT, price REAL, note TEXT, own TEXT)")
        try theirs(
            """
            INSERT INTO held VALUES ('A', '1970-01-01 00:00:05', 10.10, NULL, 'a'),
                ('A', '1970-01-01T00:00:07.5Z', 3, NULL, 'b')
            """)
        let before = try theirs("SELECT * FROM held ORDER BY own")
        let store = try held()
        let found = try await store.rows(RowQuery(dataset: "held"))
        #expect(found.first == StampedRow(row: try Self.row(5, "10.1"), sequence: .none))
        #expect(found.map(\.sequence) == [.none, .none])
        // Stamps lie beside them, and what the rows show stays.
        let at = SequenceNumber(epoch: 1, number: 4)
        try await store.fill(found.map { StampedRow(row: $0.row, sequence: at) })
        #expect(try theirs("SELECT * FROM held ORDER BY own") == before)
        #expect(try await store.rows(RowQuery(dataset: "held")).map(\.sequence) == [at, at])
        // A change leaves alone what is the program's own, and finds the row whatever its spelling.
        try await store.fill([StampedRow(row: try Self.row(5, "11.25"), sequence: at)])
        #expect(try theirs("SELECT price, own FROM held ORDER BY own") == ["11.25|a", "3.0|b"])
        let key = try Self.row(5, "0").key(in: Self.held)
        #expect(try await store.row(key)?.row == Self.row(5, "11.25"))
        let gone = StoreBatch.Change(key: key, row: nil, sequence: at)
        try await store.apply(StoreBatch(changes: [gone], digests: [], through: at))
        #expect(try theirs("SELECT own FROM held") == ["b"])
        #expect(try theirs("SELECT COUNT(*) FROM opsd_v_held") == ["1"])
    }

    @Test func aDecimalThatTheColumnWouldRoundIsRefused() async throws {
        try theirs("CREATE TABLE held(account_id TEXT, at TEXT, price DECIMAL(10, 2), note TEXT)")
        let store = try held()
        let at = SequenceNumber(epoch: 1, number: 1)
        for price in ["123456789012.345", "0.000000000012345"] {
            try await store.fill([StampedRow(row: try Self.row(1, price), sequence: at)])
            #expect(
                try await store.rows(RowQuery(dataset: "held")).first?.row == Self.row(1, price))
        }
        let error = await #expect(throws: StoreError.self) {
            try await store.fill([
                StampedRow(row: try Self.row(2, "1234567890123.4567"), sequence: at)
            ])
        }
        #expect(error?.description.contains("15 digits") == true)
        #expect(try await store.count(RowQuery(dataset: "held")) == 1)
    }

    @Test(arguments: [
        ("account_id TEXT, at INTEGER, price TEXT, note TEXT", "would change a timestamp"),
        ("account_id TEXT, at TEXT, price TEXT", "no column for the field note"),
        ("account_id INTEGER, at TEXT, price TEXT, note TEXT", "would change a text"),
    ])
    func aTableThatWillNotDoIsRefused(_ columns: String, _ problem: String) throws {
        try theirs("CREATE TABLE held(\(columns))")
        let error = #expect(throws: StoreError.self) { _ = try held() }
        #expect(error?.description.contains(problem) == true, "\(String(describing: error))")
        #expect(error.map { if case .refused = $0 { true } else { false } } == true)
    }
}
