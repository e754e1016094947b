import Foundation
import Ledger
import TestSupport
import Testing

@testable import PostgresStore

/// Reading everything as it lies: what is wrong is said of each row, and stops nothing.
@Suite(
    .enabled(if: PostgresServer.isWanted, "PostgreSQL is not installed"), .timeLimit(.minutes(5)))
struct ScanTests {
    @Test(arguments: ScanConformance.checks)
    func conforms(_ check: ScanConformance) async throws {
        let database = try await TestDatabase()
        try await check.run { try database.open() }
    }

    @Test(arguments: ScanConformance.checks)
    func conformsInAForeignTable(_ check: ScanConformance) async throws {
        let database = try await TestDatabase()
        try await database.psql(
            """
            CREATE TABLE samples("group" text, number integer, note text, amount numeric,
                time timestamp, flag boolean, detail jsonb, weight bigint, account_id varchar(80),
                extra text, PRIMARY KEY (number, "group"))
            """)
        // Its numbers are smaller.
        if check.description.hasPrefix("rows come as they were put") { return }
        try await check.run { try database.open() }
    }

    private func stamped(_ numbers: ClosedRange<Int64>) throws -> [StampedRow] {
        try numbers.map { StampedRow(row: try Batch.row($0), sequence: Batch.at(1)) }
    }

    private func key(_ number: Int64) -> RowKey {
        RowKey(dataset: "samples", values: [.text("g"), .integer(number)])
    }

    @Test(arguments: [
        ("amount", "'NaN'"), ("amount", "'Infinity'"), ("amount", "1e40"), ("time", "'infinity'"),
        ("time", "'-infinity'"), ("detail", "'1e40'"), ("account_id", "NULL"),
        ("opsd_sequence", "NULL"),
    ]) func aDamagedRowIsNamedAndTheOthersCome(_ column: String, _ content: String) async throws {
        let database = try await TestDatabase()
        let store = try database.open()
        let rows = try stamped(1...3)
        try await store.fill(rows, at: nil)
        if content == "NULL" {
            try await database.psql("ALTER TABLE samples ALTER COLUMN \(column) DROP NOT NULL")
        }
        try await database.psql("UPDATE samples SET \(column) = \(content) WHERE number = 2")
        let found = try await ScanConformance.scan(store, "samples")
        #expect(found.count == 3)
        #expect(Set(found).isSuperset(of: [.row(rows[0]), .row(rows[2])]))
        let damage = found.compactMap { found -> DamagedRow? in
            if case .damaged(let damage) = found { damage } else { nil }
        }
        #expect(damage.map(\.key) == [key(2)])
        #expect(damage.first?.problem.contains(column) == true)
        let some = try await store.find([key(3), key(2)])
        #expect(some == [.row(rows[2]), damage.first.map(FoundRow.damaged)])
    }

    @Test func aColumnOfAnotherTypeIsRefused() async throws {
        let database = try await TestDatabase()
        let store = try database.open()
        try await store.fill(try stamped(1...3), at: nil)
        try await database.psql("ALTER TABLE samples ALTER COLUMN amount TYPE text")
        let error = await storeError { _ = try await ScanConformance.scan(store, "samples") }
        #expect(error?.kind == "refused")
        #expect("\(String(describing: error))".contains("amount"))
    }

    @Test func aPageThatCannotBeReadEndsTheScan() async throws {
        let server = try await PostgresServer()
        let database = try await TestDatabase(server)
        let store = try database.open()
        try await store.fill(try stamped(1...5_000), at: nil)
        try await database.psql("CHECKPOINT")
        let file = try await database.psql("SELECT pg_relation_filepath('samples')")
        await store.close()
        server.stop()
        let handle = try #require(
            FileHandle(forUpdatingAtPath: "\(server.folder)/data/\(file)"))
        try handle.seek(toOffset: 3 * 8_192)
        try handle.write(contentsOf: Data(repeating: 0xA5, count: 8_192))
        try handle.close()
        try await server.start()
        let again = try database.open()
        let error = await storeError { _ = try await ScanConformance.scan(again, "samples") }
        #expect(error?.kind == "unavailable", "\(String(describing: error))")
        // The connection is as good as new.
        #expect(try await again.find([key(1)]).count == 1)
    }

    @Test func aServerThatGoesMeanwhileEndsTheScan() async throws {
        let server = try await PostgresServer()
        let database = try await TestDatabase(server)
        let store = try database.open()
        try await store.fill(try stamped(1...25_000), at: nil)
        let error = await storeError {
            try await store.scan("samples", account: nil) { _ throws(StoreError) in
                await server.killAll()
            }
        }
        #expect(error?.kind == "unavailable", "\(String(describing: error))")
    }

    // MARK: - For reading only

    private func reader(
        _ database: TestDatabase, _ catalogue: SchemaCatalogue = RowStoreConformance.catalogue
    ) throws -> PostgresStore {
        try PostgresStore(try database.settings(), schemas: catalogue, isReading: true)
    }

    @Test func aDatabaseThatIsNoStoreYetIsEmptyAndStaysSo() async throws {
        let database = try await TestDatabase()
        let store = try reader(database)
        #expect(try await store.position() == .empty)
        #expect(try await store.appliedSequence() == .none)
        #expect(try await store.digests() == [])
        #expect(try await store.rows(RowQuery(dataset: "samples")) == [])
        #expect(try await store.count(RowQuery(dataset: "samples")) == 0)
        #expect(try await store.row(key(1)) == nil)
        #expect(try await ScanConformance.scan(store, "samples") == [])
        #expect(try await store.find([key(1)]) == [nil])
        let made = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        #expect(try await database.psql(made) == "0")
        #expect(try await database.psql("SELECT to_regnamespace('opsd')") == "")
        // What is made later is seen.
        try await database.open().apply(Batch.put([try Batch.row(1)], at: 1))
        #expect(try await ScanConformance.scan(store, "samples") == [.row(try stamped(1...1)[0])])
        #expect(try await store.appliedSequence() == Batch.at(1))
    }

    @Test func whoOnlyReadsChangesNothing() async throws {
        let database = try await TestDatabase()
        try await database.open().apply(Batch.put([try Batch.row(1)], at: 1))
        let store = try reader(database)
        let row = StampedRow(row: try Batch.row(2), sequence: Batch.at(2))
        let changes: [@Sendable () async throws -> Void] = [
            { try await store.apply(Batch.put([row.row], at: 2)) },
            { try await store.fill([row], at: nil) },
            { try await store.begin(["samples"], from: nil, as: .empty) },
            { try await store.finish(.empty, from: nil, digests: []) },
            { try await store.makeAuditPartitions() },
        ]
        for change in changes {
            let error = await storeError { try await change() }
            #expect(error?.kind == "refused")
        }
        #expect(try await store.appliedSequence() == Batch.at(1))
        #expect(try await store.count(RowQuery(dataset: "samples")) == 1)
    }

    /// A field that was declared since, and another program's table that nobody has used yet.
    @Test func whatIsMissingInATableIsNotMade() async throws {
        let database = try await TestDatabase()
        func catalogue(_ fields: [Field]) -> SchemaCatalogue {
            SchemaCatalogue([
                Schema(dataset: "later", kind: .declared, key: [Field("id", .text)], fields: fields)
            ])
        }
        let number = Field("number", .integer)
        let wide = catalogue([number, Field("note", .text, optional: true)])
        let row = StampedRow(
            row: Row(dataset: "later", values: [.text("a"), .integer(1)]), sequence: Batch.at(1))
        let whole = Row(dataset: "later", values: row.row.values + [.null])
        try await database.open(catalogue([number])).fill([row], at: nil)
        let store = try reader(database, wide)
        #expect(
            try await ScanConformance.scan(store, "later")
                == [.row(StampedRow(row: whole, sequence: Batch.at(1)))])
        let foreign = try await TestDatabase()
        try await foreign.psql(
            """
            CREATE TABLE later (id text PRIMARY KEY, number integer NOT NULL, note text);
            INSERT INTO later VALUES ('a', 1)
            """)
        let other = try reader(foreign, wide)
        #expect(
            try await ScanConformance.scan(other, "later")
                == [.row(StampedRow(row: whole, sequence: .none))])
        #expect(try await foreign.psql("SELECT to_regnamespace('opsd')") == "")
    }
}
