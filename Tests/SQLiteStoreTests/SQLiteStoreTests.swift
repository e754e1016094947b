import Foundation
import Ledger
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct SQLiteStoreTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("store")
    }

    private func open() throws -> SQLiteStore {
        try SQLiteStore(
            path: folder.path("rows.sqlite"), schemas: RowStoreConformance.catalogue)
    }

    @Test(arguments: RowStoreConformance.checks)
    func conforms(_ check: RowStoreConformance) async throws {
        try await check.run { try open() }
    }

    @Test(arguments: ReplicaConformance.checks)
    func followsTheJournal(_ check: ReplicaConformance) async throws {
        try await check.run { try open() }
    }

    /// Columns of fields that were declared after the table was made, and an index over one of them.
    @Test func aFieldThatIsDeclaredLaterIsNullInWhatWasThere() async throws {
        func schema(_ fields: [Field], _ indexes: [Index] = []) -> Schema {
            Schema(
                dataset: "later", kind: .declared, key: [Field("id", .text)], fields: fields,
                indexes: indexes)
        }
        let path = folder.path("later.sqlite")
        let at = SequenceNumber(epoch: 1, number: 1)
        let row = Row(dataset: "later", values: [.text("a"), .integer(1)])
        let number = Field("number", .integer)
        do {
            let store = try SQLiteStore(path: path, schemas: SchemaCatalogue([schema([number])]))
            try await store.fill([StampedRow(row: row, sequence: at)])
        }
        let note = Field("note", .text, optional: true)
        let wider = schema([number, note], [Index("note", present: "note")])
        for _ in 0..<2 {
            let store = try SQLiteStore(path: path, schemas: SchemaCatalogue([wider]))
            let whole = wider.completed(row)
            #expect(try await store.row(row.key(in: wider))?.row == whole)
            #expect(whole.encoded(keyCount: 1) == row.encoded(keyCount: 1))
        }
        #expect {
            _ = try SQLiteStore(
                path: path, schemas: SchemaCatalogue([schema([number, Field("must", .text)])]))
        } throws: { "\($0)".contains("Only optional fields can be added") }
    }

    @Test func aTableThatIsGoneIsFilledAnew() async throws {
        let schemas = RowStoreConformance.catalogue.schemas.map(\.dataset)
        let at = SequenceNumber(epoch: 1, number: 1)
        let whole = StorePosition(journal: "j", applied: at, datasets: Set(schemas))
        do { try await open().finish(whole, from: nil, digests: []) }
        try alter("DROP TABLE \(schemas[0])")
        #expect(try await open().position().datasets == whole.datasets.subtracting([schemas[0]]))
        #expect(try await open().position().applied == at)
    }

    /// What a person with the sqlite3 command may do.
    private func alter(_ sql: String) throws {
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        shell.arguments = [
            "-c",
            """
            import sqlite3, sys
            database = sqlite3.connect(sys.argv[1])
            database.execute(sys.argv[2])
            database.commit()
            """, folder.path("rows.sqlite"), sql,
        ]
        try shell.run()
        shell.waitUntilExit()
        try #require(shell.terminationStatus == 0)
    }

    private func batch(_ number: Int64) throws -> StoreBatch {
        let values: [Value] = [
            .text("g"), .integer(1), .text("note"), .decimal(ExactDecimal(5)),
            .timestamp(Timestamp(microseconds: 5)), .boolean(true),
            .json(try CanonicalJSON(parsing: "{}")), .integer(5), .text("A"),
        ]
        let sequence = SequenceNumber(epoch: 1, number: number)
        let row = Row(dataset: "samples", values: values)
        let stamp = DigestStamp(
            scope: DigestScope(dataset: "samples", account: "A"), digest: Digest(sum: 9, count: 1))
        return StoreBatch(
            changes: [
                .init(key: row.key(in: RowStoreConformance.schema), row: row, sequence: sequence)
            ], digests: [stamp], through: sequence)
    }

    @Test func aStoreGoesOnWhereItWas() async throws {
        try await open().apply(batch(5))
        let store = try open()
        #expect(try await store.appliedSequence() == SequenceNumber(epoch: 1, number: 5))
        #expect(try await store.digests().count == 1)
        #expect(try await store.count(RowQuery(dataset: "samples")) == 1)
    }

    @Test func theAppliedSequenceIsReadWithoutWriting() async throws {
        let path = folder.path("rows.sqlite")
        await #expect(throws: StoreError.self) {
            _ = try await SQLiteStore.appliedSequence(path: path)
        }
        #expect(!FileManager.default.fileExists(atPath: path))
        try await open().apply(batch(5))
        #expect(
            try await SQLiteStore.appliedSequence(path: path)
                == SequenceNumber(epoch: 1, number: 5))
        // A database that is no store yet stays as it is.
        try alter("DROP TABLE opsd_applied")
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(try await SQLiteStore.appliedSequence(path: path) == .none)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
    }

    @Test(arguments: [
        ("note", "x'6e6f7465'"), ("amount", "'five'"),
        ("amount", "x'35'"), ("time", "'soon'"), ("time", "5.5"), ("flag", "2"), ("flag", "'yes'"),
        ("detail", "'{'"), ("detail", "x'7b7d'"), ("weight", "'heavy'"), ("weight", "x'05'"),
        ("account_id", "x'41'"), ("opsd_sequence", "'new'"),
    ]) func aDamagedColumnIsNamed(_ column: String, _ content: String) async throws {
        let store = try open()
        try await store.apply(batch(1))
        try alter("UPDATE samples SET \(column) = \(content)")
        let error = await #expect(throws: StoreError.self) {
            _ = try await store.rows(RowQuery(dataset: "samples"))
        }
        guard case .damaged(_, let problem) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.contains(column))
    }

    @Test func nullIsNoDamageWhereItIsAllowed() async throws {
        let store = try open()
        try await store.apply(batch(1))
        try alter("UPDATE samples SET note = NULL, amount = NULL, flag = NULL")
        #expect(try await store.rows(RowQuery(dataset: "samples")).count == 1)
    }

    @Test(arguments: [
        "UPDATE opsd_digests SET sum = 5", "UPDATE opsd_digests SET sum = x'05'",
        "UPDATE opsd_digests SET count = 'many'", "UPDATE opsd_digests SET account = x'41'",
        "UPDATE opsd_applied SET sequence = 'later'",
    ]) func damagedStampsAreAnErrorAndNoCrash(_ sql: String) async throws {
        let store = try open()
        try await store.apply(batch(1))
        try alter(sql)
        let error = await #expect(throws: StoreError.self) {
            _ = try await store.digests()
            _ = try await store.appliedSequence()
        }
        if case .damaged = error {} else { Issue.record("\(String(describing: error))") }
    }

    @Test func aFileThatIsNoDatabaseIsNamed() throws {
        try Data("this is not a database, and long enough to be looked at as one".utf8)
            .write(to: URL(fileURLWithPath: folder.path("rows.sqlite")))
        let error = #expect(throws: StoreError.self) { try open() }
        if case .damaged = error {} else { Issue.record("\(String(describing: error))") }
    }
}
