import Ledger
import TestSupport
import Testing

@testable import PostgresStore

/// Whose copy the database is, and where its rows lay before.
@Suite(
    .enabled(if: PostgresServer.isWanted, "PostgreSQL is not installed"), .timeLimit(.minutes(2)))
struct CopyTests {
    private static let held = Schema(
        dataset: "held", kind: .declared, key: [Field("id", .text)],
        fields: [Field("days", .integer)])

    private static let rows = ["a", "b"].map {
        StampedRow(
            row: Row(dataset: "held", values: [.text($0), .integer(3)]), sequence: Batch.at(1))
    }

    private static let whole = StorePosition(
        journal: "j", applied: Batch.at(1), checksum: "c1", datasets: ["held"])

    private func fill(_ store: PostgresStore) async throws {
        try await store.begin(["held"])
        try await store.fill(Self.rows)
        try await store.finish(Self.whole, digests: [])
    }

    private func open(
        _ database: TestDatabase, _ table: String?, _ columns: [String: String] = [:]
    ) throws -> PostgresStore {
        try database.open(
            SchemaCatalogue([Self.held]),
            layouts: ["held": PostgresLayout(table: table, columns: columns)])
    }

    @Test(
        arguments: [("other", [:]), (nil, ["days": "held_days"]), ("other", ["id": "name"])]
            as [(String?, [String: String])])
    func anotherLayoutIsFilledAndLeavesNothingBehind(
        _ table: String?, _ columns: [String: String]
    ) async throws {
        let database = try await TestDatabase()
        try await fill(try open(database, nil))
        #expect(try await open(database, nil).position() == Self.whole)
        let store = try open(database, table, columns)
        #expect(try await store.position() == StorePosition(Self.whole.place, datasets: []))
        // Interrupted, and under a third layout for a while: nothing is forgotten.
        try await store.begin(["held"])
        try await store.fill([Self.rows[0]])
        try await open(database, "third").begin(["held"])
        try await fill(store)
        #expect(try await store.position() == Self.whole)
        #expect(try await store.rows(RowQuery(dataset: "held")) == Self.rows)
        let tables = try await database.psql(
            "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class"
                + " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
        #expect(tables == table ?? "held")
    }

    @Test func anothersTableKeepsItsOwnRows() async throws {
        let database = try await TestDatabase()
        try await database.psql(
            """
            CREATE TABLE held (id text PRIMARY KEY, days bigint, opsd_sequence bigint NOT NULL DEFAULT 0)
            """)
        try await fill(try open(database, nil))
        try await database.psql("INSERT INTO held VALUES ('theirs', 1)")
        try await fill(try open(database, "other"))
        #expect(try await database.psql("SELECT string_agg(id, ',') FROM held") == "theirs")
        #expect(try await open(database, "other").rows(RowQuery(dataset: "held")) == Self.rows)
    }

    /// X lay where Y lies now: it is not X's to take away.
    @Test func aTableThatAnotherDatasetHasByNowStays() async throws {
        let database = try await TestDatabase()
        try await fill(try open(database, nil))
        let other = Schema(
            dataset: "other", kind: .declared, key: [Field("id", .text)],
            fields: [Field("days", .integer)])
        let taken = try database.open(
            SchemaCatalogue([other]), layouts: ["other": PostgresLayout(table: "held")])
        try await taken.begin(["other"])
        let row = StampedRow(
            row: Row(dataset: "other", values: [.text("x"), .integer(1)]), sequence: Batch.at(2))
        try await taken.fill([row])
        try await fill(try open(database, "moved"))
        #expect(try await taken.rows(RowQuery(dataset: "other")) == [row])
    }

    @Test func aDatabaseOfBeforeLayoutsWereKeptIsAsItIs() async throws {
        let database = try await TestDatabase()
        try await fill(try open(database, nil))
        try await database.psql(
            """
            DROP TABLE opsd.made_tables;
            ALTER TABLE opsd.datasets DROP COLUMN table_name, DROP COLUMN layout;
            ALTER TABLE opsd.store DROP COLUMN checksum;
            DELETE FROM opsd.migrations WHERE version = 6;
            """)
        var before = Self.whole
        before.place.checksum = nil
        #expect(try await open(database, nil).position() == before)
        #expect(try await open(database, "other").position().datasets == [])
    }

    // MARK: - Partitions

    @Test func partitionsAreMadeInTime() async throws {
        let database = try await TestDatabase()
        let store = try database.open(tradingTables: true)
        let count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass"
        func time(_ text: String) throws -> Timestamp { try #require(Timestamp(text)) }
        // Nothing was asked of the database yet.
        try await store.maintain(at: try time("2031-01-15T12:00:00Z"))
        _ = try await store.position()
        #expect(try await database.psql(count) == "4")
        try await store.maintain(at: try time("2031-01-15T12:00:00Z"))
        #expect(try await database.psql(count) == "8")
        // Once a day.
        try await database.psql("DROP TABLE audit_logs_2031_01")
        try await store.maintain(at: try time("2031-01-15T23:59:59Z"))
        #expect(try await database.psql(count) == "7")
        try await store.maintain(at: try time("2031-01-16T00:00:00Z"))
        #expect(try await database.psql(count) == "8")
        try await store.maintain(at: try time("2031-02-01T00:00:00Z"))
        #expect(try await database.psql(count) == "9")
        try await database.psql(
            "INSERT INTO audit_logs (action, created_at) VALUES ('a', '2031-05-31 23:59:59+00')")
    }

    @Test func aPartitionThatWasTakenOutIsSaid() async throws {
        let database = try await TestDatabase()
        let store = try database.open(tradingTables: true)
        _ = try await store.position()
        let now = try #require(Timestamp("2031-01-15T12:00:00Z"))
        try await store.maintain(at: now)
        try await database.psql("ALTER TABLE audit_logs DETACH PARTITION audit_logs_2031_02")
        let error = await storeError { try await store.makeAuditPartitions(from: now) }
        #expect(error?.kind == "refused")
        #expect("\(String(describing: error))".contains("audit_logs_2031_02"))
        #expect(try await store.position() == .empty, "the store goes on")
    }
}
