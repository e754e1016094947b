import Ledger
import TestSupport
import Testing
import Trading

@testable import PostgresStore

@Suite(.enabled(if: PostgresServer.isWanted, "PostgreSQL is not installed"))
struct MigrationTests {
    private static let tables = [
        "accounts", "approvals", "audit_logs", "cash_flows", "change_logs", "orders", "positions",
        "strategies", "strategy_versions", "trades", "user_roles", "users",
    ]
    private static let presentTables = """
        SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
            AND NOT relispartition
        """

    /// A row of a schema; texts that a constraint looks at are of those it allows.
    private static func row(_ schema: Schema) throws -> Row {
        let words = [
            "origin": "client", "side": "buy", "type": "limit", "time_in_force": "day",
            "status": "pending", "saga_step": "submitting", "flow_type": "trade",
            "positions.side": "long",
        ]
        return try schema.row(
            schema.fields.map { field in
                switch field.type {
                case .text:
                    .text(
                        words["\(schema.dataset).\(field.name)"] ?? words[field.name] ?? "x")
                case .integer: .integer(1)
                case .decimal: .optional(ExactDecimal("3"))
                case .timestamp: .timestamp(Timestamp(microseconds: 1_700_000_000_000_001))
                case .boolean: .boolean(false)
                case .json: .json(try CanonicalJSON(parsing: "{}"))
                }
            })
    }

    private static func fill(_ store: PostgresStore, at number: Int64) async throws {
        let changes = try Datasets.catalogue.schemas.map { schema in
            let row = try row(schema)
            return StoreBatch.Change(key: row.key(in: schema), row: row, sequence: Batch.at(number))
        }
        try await store.apply(
            StoreBatch(changes: changes, digests: [], through: Batch.at(number)))
    }

    private static func expectAll(_ store: PostgresStore) async throws {
        for schema in Datasets.catalogue.schemas {
            let row = try row(schema)
            #expect(try await store.row(row.key(in: schema))?.row == row)
        }
    }

    @Test func everyDatasetOfTheCoreHasItsTable() async throws {
        let database = try await TestDatabase()
        let store = try database.open(Datasets.catalogue, tradingTables: true)
        try await Self.fill(store, at: 1)
        try await Self.expectAll(store)
        #expect(
            try await database.psql("SELECT avg_cost, side, last_price FROM positions")
                == "1.000000|long|1.000000")
        #expect(try await database.psql("SELECT avg_fill_price FROM orders") == "1.000000")
        #expect(try await database.psql("SELECT account_id, qty FROM trades") == "x|3")
    }

    @Test func forwardBackAndForwardOnAFullDatabase() async throws {
        let database = try await TestDatabase()
        let store = try database.open(Datasets.catalogue, tradingTables: true)
        try await Self.fill(store, at: 1)
        try await database.psql(
            """
            INSERT INTO users (username, role) VALUES ('ann', 'admin');
            INSERT INTO strategies (name, version, author_id, config) VALUES ('s', '1', 1, '{"a": 1}');
            INSERT INTO strategy_versions (strategy_id, version) VALUES (1, '1');
            INSERT INTO audit_logs (user_id, action) VALUES (1, 'deploy');
            """)
        for version in [3, 5, 4, 5, 1, 4, 0] { try await store.migrate(to: version) }
        #expect(try await database.psql("SELECT count(*) FROM opsd.migrations") == "0")
        let left = try await database.psql(Self.presentTables)
        for table in Self.tables { #expect(!left.split(separator: ",").contains("\(table)")) }
        try await store.migrate(to: 5)
        #expect(try await store.position() == .empty)
        try await Self.fill(store, at: 2)
        try await Self.expectAll(store)
        let error = await storeError { try await store.migrate(to: 99) }
        #expect(error?.kind == "refused")
    }

    /// Going back takes columns away: the rows are not those that the digests are of, and are filled
    /// again. What others of the database's datasets have stays.
    @Test func withoutItsColumnsADatasetIsNotWhole() async throws {
        let database = try await TestDatabase()
        let store = try database.open(Datasets.catalogue, tradingTables: true)
        try await Self.fill(store, at: 1)
        let all = Set(Datasets.catalogue.schemas.map(\.dataset))
        let digests = ["orders", "positions"].map {
            DigestStamp(
                scope: DigestScope(dataset: $0, account: "x"), digest: Digest(sum: 7, count: 1))
        }
        try await store.finish(
            StorePosition(journal: "j", applied: Batch.at(1), datasets: all), digests: digests)
        try await store.migrate(to: 4)
        #expect(
            try await database.psql(
                "SELECT count(*) FROM pg_attribute WHERE attrelid = 'positions'::regclass"
                    + " AND attname IN ('side', 'market_value', 'last_price')"
                    + " AND NOT attisdropped") == "0")
        let again = try database.open(Datasets.catalogue, tradingTables: true)
        #expect(try await again.position().datasets == all.subtracting(["positions"]))
        #expect(try await again.digests().map(\.scope.dataset) == ["orders"])
        try await Self.fill(again, at: 2)
        try await Self.expectAll(again)
    }

    /// Who does not want the tables does not want them gone either.
    @Test func withoutTheTradingTablesThoseThatAreThereStay() async throws {
        let database = try await TestDatabase()
        try await Self.fill(try database.open(Datasets.catalogue, tradingTables: true), at: 1)
        _ = try await database.open(tradingTables: false).position()
        #expect(try await database.psql("SELECT count(*) FROM orders") == "1")
        let left = try await database.psql(Self.presentTables)
        for table in Self.tables { #expect(left.split(separator: ",").contains("\(table)")) }
    }

    @Test func manyAtOnceMigrateOnce() async throws {
        let database = try await TestDatabase()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<6 {
                let store = try database.open(Datasets.catalogue, tradingTables: true)
                group.addTask { _ = try await store.position() }
            }
            try await group.waitForAll()
        }
        #expect(try await database.psql("SELECT count(*) FROM opsd.migrations") == "5")
    }

    @Test func aChangedMigrationIsRefused() async throws {
        let database = try await TestDatabase()
        let store = try database.open(tradingTables: true)
        _ = try await store.position()
        var changed = Migration.all
        let second = changed[1]
        changed[1] = Migration(
            version: 2, name: second.name, up: second.up + "-- another", down: second.down)
        let migrations = changed
        let error = await storeError { try await store.migrate(to: 5, migrations: migrations) }
        #expect(error?.kind == "refused")
        #expect("\(String(describing: error))".contains("migration 2 (trading)"))
    }

    @Test func aMigrationThatFailsLeavesNothing() async throws {
        let database = try await TestDatabase()
        let store = try database.open(tradingTables: true)
        _ = try await store.position()
        let bad = Migration(
            version: 6, name: "bad", up: "CREATE TABLE half (a int); SELECT 1 / 0;", down: "")
        let error = await storeError {
            try await store.migrate(to: 6, migrations: Migration.all + [bad])
        }
        #expect(error?.kind == "refused")
        #expect(try await database.psql("SELECT max(version) FROM opsd.migrations") == "5")
        #expect(try await database.psql("SELECT to_regclass('half') IS NULL") == "t")
    }

    @Test func aTableThatIsNotOursStaysWhatItIs() async throws {
        let database = try await TestDatabase()
        try await database.psql("CREATE TABLE orders (id int)")
        let store = try database.open(tradingTables: true)
        let error = await storeError { _ = try await store.position() }
        #expect(error?.kind == "refused")
        #expect("\(String(describing: error))".contains("map the dataset to another table"))
        // Without the migrations the two live side by side.
        let other = try database.open(
            Datasets.catalogue, layouts: ["orders": PostgresLayout(table: "opsd_orders")])
        try await Self.fill(other, at: 1)
        try await Self.expectAll(other)
    }

    // MARK: - What psql sees

    @Test func theCatalogueHasTablesConstraintsAndPartitions() async throws {
        let database = try await TestDatabase()
        let store = try database.open(tradingTables: true)
        _ = try await store.position()
        let tables = Set(
            try await database.psql(Self.presentTables).split(separator: ",").map(String.init))
        #expect(tables.isSuperset(of: Self.tables))
        let partitions = try await database.psql(
            """
            SELECT bool_and(to_regclass('audit_logs_'
                || to_char((now() AT TIME ZONE 'UTC')::date + make_interval(months => i), 'YYYY_MM'))
                IS NOT NULL)
            FROM generate_series(0, 3) AS i
            """)
        #expect(partitions == "t")
        let checks = try await database.psql(
            "SELECT count(*) >= 10 FROM pg_constraint WHERE contype = 'c'")
        #expect(checks == "t")
        let gin = try await database.psql(
            "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE '%USING gin%'"
        )
        #expect((Int(gin) ?? 0) >= 3)
        // No foreign key of a copied table stands in the way of its rows' order.
        let keys = try await database.psql(
            """
            SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND (NOT condeferred
                OR conrelid IN ('accounts'::regclass, 'orders'::regclass, 'trades'::regclass,
                    'positions'::regclass, 'cash_flows'::regclass))
            """)
        #expect(keys == "0")
    }

    @Test func partitionsAreMadeAheadHoweverOften() async throws {
        let database = try await TestDatabase()
        let store = try database.open(tradingTables: true)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 { group.addTask { try await store.makeAuditPartitions(months: 14) } }
            try await group.waitForAll()
        }
        let count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass"
        #expect(try await database.psql(count) == "15")
        // Across the turn of a year, each month without a gap.
        try await database.psql(
            """
            SELECT opsd.make_audit_partitions('2023-11-15 00:00+00', 3);
            INSERT INTO audit_logs (action, created_at)
            SELECT 'a', t FROM generate_series(
                '2023-11-01 00:00+00'::timestamptz, '2024-02-29 23:00+00', interval '1 hour') AS t;
            """)
        #expect(try await database.psql("SELECT count(*) FROM audit_logs_2024_02") == "696")
    }

    @Test(arguments: [
        "UPDATE orders SET status = 'done'", "UPDATE orders SET side = 'hold'",
        "UPDATE trades SET side = ''", "UPDATE cash_flows SET flow_type = 'gift'",
    ]) func aConstraintRefuses(_ sql: String) async throws {
        let database = try await TestDatabase()
        let store = try database.open(Datasets.catalogue, tradingTables: true)
        try await Self.fill(store, at: 1)
        await #expect(throws: PostgresServer.Failure.self) { try await database.psql(sql) }
    }
}
