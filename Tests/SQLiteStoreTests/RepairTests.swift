import Foundation
import Ledger
import TestSupport
import Testing

@testable import SQLiteStore

/// Putting rows right in a database, and putting back what was there.
@Suite(.timeLimit(.minutes(5))) struct RepairTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("store")
    }

    private var path: String { folder.path("rows.sqlite") }

    private func open() throws -> SQLiteStore {
        try SQLiteStore(path: path, schemas: RowStoreConformance.catalogue)
    }

    /// What another program sees: every cell as SQLite quotes it.
    private static let dump = """
        import sqlite3, sys
        database = sqlite3.connect(sys.argv[1])
        database.text_factory = bytes
        if len(sys.argv) > 2:
            database.executescript(sys.argv[2])
            database.commit()
        tables = [name.decode() for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        for table in tables:
            if table.startswith("opsd_") and not table.startswith("opsd_v_"): continue
            names = [row[1].decode() for row in database.execute(f'PRAGMA table_info("{table}")')]
            cells = ", ".join("quote(\\"%s\\"), typeof(\\"%s\\")" % (
                name.replace('"', '""'), name.replace('"', '""')) for name in names)
            for row in sorted(database.execute(f'SELECT {cells} FROM "{table}"')):
                print(table, row)
        """

    /// - Parameter sql: carried out before.
    @discardableResult
    private static func python(_ path: String, _ sql: String? = nil) throws -> String {
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        shell.arguments = ["-c", dump, path] + (sql.map { [$0] } ?? [])
        let output = Pipe()
        shell.standardOutput = output
        try shell.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        shell.waitUntilExit()
        try #require(shell.terminationStatus == 0)
        return String(decoding: text, as: UTF8.self)
    }

    private func bench() throws -> RepairConformance.Bench {
        let path = path
        return .init(try open()) { try Self.python(path) }
    }

    @Test(arguments: RepairConformance.checks)
    func conforms(_ check: RepairConformance) async throws {
        try await check.run { try bench() }
    }

    private static let foreign = """
        CREATE TABLE samples("group" TEXT, number INTEGER, note TEXT, amount TEXT, time,
            flag INTEGER, detail TEXT, weight INTEGER, account_id TEXT, extra DEFAULT 'own',
            double INTEGER GENERATED ALWAYS AS (number * 2))
        """

    @Test(arguments: RepairConformance.checks)
    func conformsInForeignTables(_ check: RepairConformance) async throws {
        try Self.python(path, Self.foreign)
        // Times beyond what RFC 3339 has are refused there, and only an index makes it fast.
        try Self.python(path, "CREATE INDEX i ON samples(\"group\", number)")
        try await check.run { try bench() }
    }

    private func row(_ number: Int64) throws -> StampedRow {
        let values: [Value] = [
            .text("g"), .integer(number), .text("note"), .decimal(ExactDecimal(5)),
            .timestamp(Timestamp(microseconds: 5)), .boolean(true),
            .json(try CanonicalJSON(parsing: "{}")), .integer(5), .text("A"),
        ]
        return StampedRow(
            row: Row(dataset: "samples", values: values),
            sequence: SequenceNumber(epoch: 1, number: 1))
    }

    private func key(_ number: Int64) -> RowKey {
        RowKey(dataset: "samples", values: [.text("g"), .integer(number)])
    }

    @Test(arguments: [
        "note = x'6e6f7465'", "note = CAST(x'fffe00' AS TEXT)", "amount = 'five'", "time = 1.5",
        "flag = 2", "detail = '{ \"a\" :1.50}'", "weight = -0.0", "weight = 1e300",
        "account_id = x''", "opsd_sequence = 'new'", "note = ''", "note = 'a' || char(0) || 'b'",
    ]) func aDamagedCellComesBackWithItsType(_ fault: String) async throws {
        let bench = try bench()
        let rows = try (1...3).map { try row($0) }
        try await bench.store.fill(rows, at: nil)
        try Self.python(path, "UPDATE samples SET \(fault) WHERE number = 2")
        try await RepairConformance.repairAndUndo([(key(2), rows[1])], in: bench)
        try await RepairConformance.repairAndUndo([(key(2), nil), (key(3), nil)], in: bench)
    }

    /// Another program's columns stay in a repair, and its second row of one key goes and comes back.
    @Test func anotherProgramsColumnsStay() async throws {
        try Self.python(path, Self.foreign)
        let bench = try bench()
        let truth = try row(1)
        try await bench.store.fill([truth], at: nil)
        try Self.python(
            path, "UPDATE samples SET extra = x'00ff', detail = '{\"a\": 1.50}', amount = 'x'")
        try await RepairConformance.repairAndUndo([(key(1), truth)], in: bench)
        let before = try await bench.store.images([key(1)])
        _ = try await bench.store.replace([
            RowReplacement(key: key(1), expected: before[0], content: .row(truth))
        ])
        #expect(try Self.python(path).contains("X'00FF'"))
        try Self.python(
            path, "INSERT INTO samples(\"group\", number, note) VALUES ('g', 1, 'second')")
        try await RepairConformance.repairAndUndo([(key(1), truth)], in: bench)
        try await RepairConformance.repairAndUndo([(key(1), nil)], in: bench)
    }

    @Test func whoOnlyReadsReplacesNothing() async throws {
        let store = try open()
        try await store.fill([try row(1)], at: nil)
        let reader = try SQLiteStore(reading: path, schemas: RowStoreConformance.catalogue)
        let images = try await store.images([key(1), key(2)])
        #expect(try await reader.images([key(1), key(2)]) == images)
        let error = await #expect(throws: StoreError.self) {
            _ = try await reader.replace([
                RowReplacement(key: key(1), expected: images[0], content: .nothing)
            ])
        }
        guard case .refused? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }
}
