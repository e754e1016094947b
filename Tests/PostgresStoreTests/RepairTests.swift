import Ledger
import TestSupport
import Testing

@testable import PostgresStore

/// Putting rows right in a database, and putting back what was there.
@Suite(
    .enabled(if: PostgresServer.isWanted, "PostgreSQL is not installed"), .timeLimit(.minutes(5)))
struct RepairTests {
    private func bench(_ database: TestDatabase) throws -> RepairConformance.Bench {
        .init(try database.open()) {
            let tables = try await database.psql(
                """
                SELECT oid::regclass FROM pg_class WHERE relkind = 'r'
                    AND (relnamespace = 'public'::regnamespace OR relname LIKE 'v\\_%') ORDER BY 1
                """)
            var text = ""
            for table in tables.split(separator: "\n") {
                text += try await database.psql(
                    "SELECT '\(table)', t::text FROM \(table) AS t ORDER BY t::text COLLATE \"C\"")
            }
            return text
        }
    }

    @Test(arguments: RepairConformance.checks)
    func conforms(_ check: RepairConformance) async throws {
        let database = try await TestDatabase()
        try await check.run { try bench(database) }
    }

    private static let foreign = """
        CREATE TABLE samples("group" text, number bigint, note varchar(80), amount numeric,
            time timestamp, flag boolean, detail json, weight bigint, account_id varchar(80),
            extra float8 DEFAULT 0.1, id bigint GENERATED ALWAYS AS IDENTITY,
            double bigint GENERATED ALWAYS AS (number / 2) STORED, words text[] DEFAULT '{a,"b c"}',
            PRIMARY KEY (number, "group"))
        """

    @Test(arguments: RepairConformance.checks)
    func conformsInAForeignTable(_ check: RepairConformance) async throws {
        let database = try await TestDatabase()
        try await database.psql(Self.foreign)
        try await check.run { try bench(database) }
    }

    private func stamped(_ number: Int64) throws -> StampedRow {
        StampedRow(row: try Batch.row(number), sequence: Batch.at(1))
    }

    private func key(_ number: Int64) -> RowKey {
        RowKey(dataset: "samples", values: [.text("g"), .integer(number)])
    }

    @Test(arguments: [
        "amount = 'NaN'", "amount = 5.0000", "amount = 1e40", "time = 'infinity'",
        "time = '-infinity'", "detail = '1e40'", "detail = 'null'", "note = E'\\\\ \", ( \\n é'",
        "note = NULL", "note = ''", "opsd_sequence = 77",
    ]) func aDamagedCellComesBack(_ fault: String) async throws {
        let database = try await TestDatabase()
        let bench = try bench(database)
        let rows = try (1...3).map { try stamped($0) }
        try await bench.store.fill(rows, at: nil)
        try await database.psql("UPDATE samples SET \(fault) WHERE number = 2")
        try await RepairConformance.repairAndUndo([(key(2), rows[1])], in: bench)
        try await RepairConformance.repairAndUndo([(key(2), nil), (key(3), nil)], in: bench)
    }

    @Test func anotherProgramsColumnsStay() async throws {
        let database = try await TestDatabase()
        try await database.psql(Self.foreign)
        let bench = try bench(database)
        let truth = try stamped(1)
        try await bench.store.fill([truth], at: nil)
        try await database.psql(
            "UPDATE samples SET extra = 1/3.0, words = NULL, amount = 5.50, detail = '{ \"b\":1,\"a\":1.0}'"
        )
        try await RepairConformance.repairAndUndo([(key(1), truth)], in: bench)
        try await RepairConformance.repairAndUndo([(key(1), nil)], in: bench)
        try await database.psql("DELETE FROM opsd.v_samples")
        try await RepairConformance.repairAndUndo([(key(1), truth)], in: bench)
        let image = try await bench.store.images([key(1)])[0]
        _ = try await bench.store.replace([
            RowReplacement(key: key(1), expected: image, content: .row(truth))
        ])
        let extra = try await database.psql("SELECT extra, words IS NULL, id, amount FROM samples")
        #expect(extra == "0.3333333333333333|t|1|5")
    }

    /// The same whatever a session's settings are.
    @Test func imagesAreTheSameInEverySession() async throws {
        let database = try await TestDatabase()
        let store = try database.open()
        try await store.fill([try stamped(1)], at: nil)
        let image = try await store.images([key(1)])
        try await database.psql(
            """
            ALTER DATABASE \(database.name) SET datestyle = 'SQL, DMY';
            ALTER DATABASE \(database.name) SET bytea_output = 'escape'
            """)
        let url = database.server.url(
            database.name, query: "?options=-c%20timezone%3DAsia/Tokyo%20-c%20datestyle%3Dgerman")
        let other = try PostgresStore(
            try PostgresSettings(url: Secret(url)), schemas: RowStoreConformance.catalogue)
        #expect(try await other.images([key(1)]) == image)
        await other.close()
    }

    /// A program that is about to insert comes before, and what it inserted stays.
    @Test func whatAnotherProgramIsAboutToInsertStays() async throws {
        let database = try await TestDatabase()
        try await database.psql(Self.foreign)
        let store = try database.open()
        let nothing = try await store.images([key(1), key(2)])
        async let inserted = database.psql(
            """
            BEGIN; INSERT INTO samples("group", number, account_id) VALUES ('g', 1, 'theirs');
            SELECT pg_sleep(1); COMMIT
            """)
        while try await database.psql(
            "SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = 'samples'::regclass"
        ) == "0" {
            try await Task.sleep(for: .milliseconds(10))
        }
        let replaced = try await store.replace(
            try [1, 2].map { number in
                RowReplacement(
                    key: key(number), expected: nothing[Int(number) - 1],
                    content: .row(try stamped(number)))
            })
        _ = try await inserted
        #expect(replaced.map { $0 == nil } == [true, false])
        let accounts = try await database.psql("SELECT account_id FROM samples ORDER BY number")
        #expect(accounts == "theirs\nA")
    }

    @Test func whoOnlyReadsReplacesNothing() async throws {
        let database = try await TestDatabase()
        let store = try database.open()
        let reader = try PostgresStore(
            try database.settings(), schemas: RowStoreConformance.catalogue, isReading: true)
        let nothing = try await reader.images([key(1)])
        try await store.fill([try stamped(1)], at: nil)
        #expect(try await store.images([key(2)]) == nothing)
        let image = try await reader.images([key(1)])[0]
        #expect(try await store.images([key(1)]) == [image])
        let error = await storeError {
            _ = try await reader.replace([
                RowReplacement(key: key(1), expected: image, content: .nothing)
            ])
        }
        #expect(error?.kind == "refused")
    }
}
