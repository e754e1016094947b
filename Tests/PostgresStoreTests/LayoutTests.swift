import Ledger
import TestSupport
import Testing

@testable import PostgresStore

@Suite(.enabled(if: PostgresServer.isWanted, "PostgreSQL is not installed"))
struct LayoutTests {
    private static let first = Schema(
        dataset: "held", kind: .declared, key: [Field("id", .text)],
        fields: [Field("days", .integer)])

    private static func put(_ values: [Value], at number: Int64) -> StoreBatch {
        let row = Row(dataset: "held", values: values)
        return StoreBatch(
            changes: [.init(key: row.key(in: first), row: row, sequence: Batch.at(number))],
            digests: [], through: Batch.at(number))
    }

    @Test func tableAndColumnsAreMapped() async throws {
        let database = try await TestDatabase()
        try await database.psql("CREATE SCHEMA \"Desk\"")
        let layout = PostgresLayout(table: "Desk.held \"days\"", columns: ["days": "n days"])
        let store = try database.open(
            SchemaCatalogue([Self.first]), layouts: ["held": layout])
        try await store.apply(Self.put([.text("a"), .integer(3)], at: 1))
        let found = try await database.psql(
            "SELECT id, \"n days\", opsd_sequence FROM \"Desk\".\"held \"\"days\"\"\"")
        #expect(found == "a|3|\(Batch.at(1).rawValue)")
        #expect(try await store.rows(RowQuery(dataset: "held")).count == 1)
    }

    @Test(arguments: [
        PostgresLayout(table: ""), PostgresLayout(table: "a."),
        PostgresLayout(table: String(repeating: "t", count: 64)),
        PostgresLayout(columns: ["days": "id"]), PostgresLayout(columns: ["days": "opsd_sequence"]),
        PostgresLayout(columns: ["nothing": "x"]),
    ]) func aLayoutThatCannotBeIsRefused(_ layout: PostgresLayout) throws {
        let settings = try PostgresSettings(url: Secret("postgres://nobody@localhost/none"))
        let error = #expect(throws: StoreError.self) {
            try PostgresStore(
                settings, schemas: SchemaCatalogue([Self.first]), layouts: ["held": layout])
        }
        #expect(error?.kind == "refused")
    }

    @Test func aFieldThatIsDeclaredLaterGetsAColumn() async throws {
        let database = try await TestDatabase()
        let store = try database.open(SchemaCatalogue([Self.first]))
        try await store.apply(Self.put([.text("a"), .integer(3)], at: 1))
        let more = Schema(
            dataset: "held", kind: .declared, key: [Field("id", .text)],
            fields: [Field("days", .integer), Field("note", .text, optional: true)])
        let later = try database.open(SchemaCatalogue([more]))
        let rows = try await later.rows(RowQuery(dataset: "held"))
        #expect(rows.map(\.row.values) == [[.text("a"), .integer(3), .null]])
        // What every row must have cannot be made up.
        let required = Schema(
            dataset: "held", kind: .declared, key: [Field("id", .text)],
            fields: [Field("days", .integer), Field("price", .decimal)])
        let last = try database.open(SchemaCatalogue([required]))
        let error = await storeError { _ = try await last.rows(RowQuery(dataset: "held")) }
        #expect("\(String(describing: error))".contains("opsd rebuild held"))
        #expect(try await last.position().applied == Batch.at(1))
        try await last.begin(["held"])
        try await last.fill([
            StampedRow(
                row: Row(
                    dataset: "held",
                    values: [.text("a"), .integer(3), .decimal(ExactDecimal(7))]),
                sequence: Batch.at(1))
        ])
        #expect(try await last.count(RowQuery(dataset: "held")) == 1)
    }

    @Test(arguments: [
        ("text", "days"), ("numeric(8,2)", "days"), ("int GENERATED ALWAYS AS (1) STORED", "days"),
    ]) func aColumnThatCannotHoldTheFieldIsRefused(_ type: String, _ column: String) async throws {
        let database = try await TestDatabase()
        try await database.psql(
            "CREATE TABLE held (id text PRIMARY KEY, days \(type), opsd_sequence bigint NOT NULL)")
        let other = Schema(
            dataset: "others", kind: .declared, key: [Field("id", .text)], fields: [])
        let store = try database.open(SchemaCatalogue([Self.first, other]))
        let error = await storeError {
            try await store.apply(Self.put([.text("a"), .integer(3)], at: 1))
        }
        #expect(error?.kind == "refused")
        #expect("\(String(describing: error))".contains("ALTER COLUMN \"days\" TYPE bigint"))
        // The others go on.
        #expect(try await store.count(RowQuery(dataset: "others")) == 0)
        // And it goes on itself as soon as it is mended.
        try await database.psql(
            "ALTER TABLE held DROP COLUMN days; ALTER TABLE held ADD COLUMN days bigint")
        try await store.apply(Self.put([.text("a"), .integer(3)], at: 1))
        #expect(try await store.count(RowQuery(dataset: "held")) == 1)
    }

    /// Narrower types of another program's table hold what fits, and refuse the rest.
    @Test func anothersTableIsWrittenThroughItsOwnTypes() async throws {
        let database = try await TestDatabase()
        try await database.psql(
            """
            CREATE TABLE held (id varchar(5) PRIMARY KEY, days smallint NOT NULL, own text DEFAULT 'x',
                opsd_sequence bigint NOT NULL DEFAULT 0)
            """)
        let store = try database.open(SchemaCatalogue([Self.first]))
        try await store.apply(Self.put([.text("a"), .integer(3)], at: 1))
        let rows = (0..<100).map { Row(dataset: "held", values: [.text("r\($0)"), .integer($0)]) }
        try await store.fill(rows.map { StampedRow(row: $0, sequence: Batch.at(1)) })
        #expect(try await store.count(RowQuery(dataset: "held")) == 101)
        #expect(try await database.psql("SELECT DISTINCT own FROM held") == "x")
        // PostgreSQL itself would cut the spaces off.
        let exact = Row(dataset: "held", values: [.text("abc  "), .integer(1)])
        try await store.fill([StampedRow(row: exact, sequence: Batch.at(1))])
        #expect(try await store.row(exact.key(in: Self.first))?.row == exact)
        let long = (0..<100).map {
            Row(dataset: "held", values: [.text("s\($0)    "), .integer($0)])
        }
        let refusal = await storeError {
            try await store.fill(long.map { StampedRow(row: $0, sequence: Batch.at(1)) })
        }
        #expect(refusal?.kind == "refused")
        #expect("\(String(describing: refusal))".contains("ALTER COLUMN \"id\" TYPE text"))
        for values in [
            [Value.text("too long"), .integer(3)], [.text("a"), .integer(70_000)],
            [.text("ab    "), .integer(3)],
        ] {
            let error = await storeError { try await store.apply(Self.put(values, at: 2)) }
            #expect(error?.kind == "refused")
        }
        #expect(try await store.appliedSequence() == Batch.at(1))
    }

    /// It would take few of a field's texts, and none as opsd sends them.
    @Test func aColumnOfAnotherKindOfTextIsRefused() async throws {
        let database = try await TestDatabase()
        try await database.psql(
            "CREATE TABLE held (id uuid PRIMARY KEY, days bigint, opsd_sequence bigint NOT NULL)")
        let store = try database.open(SchemaCatalogue([Self.first]))
        let error = await storeError { _ = try await store.rows(RowQuery(dataset: "held")) }
        #expect("\(String(describing: error))".contains("ALTER COLUMN \"id\" TYPE text"))
    }

    // MARK: Whose table it is

    /// Filling begins with emptying.
    @Test(arguments: [
        ("id text PRIMARY KEY, days bigint", "ADD COLUMN opsd_sequence"),
        ("id text PRIMARY KEY, days text, opsd_sequence bigint", "TYPE bigint"),
        (
            "id text PRIMARY KEY, days int GENERATED ALWAYS AS (1) STORED, opsd_sequence bigint",
            "days"
        ),
        ("name text PRIMARY KEY, days bigint, opsd_sequence bigint", "key field id"),
    ]) func aTableThatIsNotOpsdsIsNotEmptied(_ columns: String, _ problem: String) async throws {
        let database = try await TestDatabase()
        try await database.psql(
            "CREATE TABLE customers (\(columns)); INSERT INTO customers VALUES ('mine')")
        let store = try database.open(
            SchemaCatalogue([Self.first]), layouts: ["held": PostgresLayout(table: "customers")])
        let error = await storeError { try await store.begin(["held"]) }
        #expect(error?.kind == "refused")
        #expect("\(String(describing: error))".contains(problem))
        #expect(try await database.psql("SELECT * FROM customers").hasPrefix("mine"))
    }

    private static func open(
        _ dataset: String, _ table: String?, tradingTables: Bool = true
    ) throws -> PostgresStore {
        var settings = try PostgresSettings(url: Secret("postgres://nobody@localhost/none"))
        settings.makesTradingTables = tradingTables
        let schema = Schema(
            dataset: dataset, kind: .declared, key: [Field("id", .text)], fields: [])
        return try PostgresStore(
            settings, schemas: SchemaCatalogue([schema]),
            layouts: table.map { [dataset: PostgresLayout(table: $0)] } ?? [:])
    }

    @Test(
        arguments: [
            ("users", nil), ("audit_logs", nil), ("audit_logs_2026_11", nil), ("trades", nil),
            ("held", "approvals"), ("held", "public.change_logs"), ("deals", "orders"),
        ] as [(String, String?)]) func aTableOfTheMigrationsIsNobodyElses(
            _ dataset: String, _ table: String?
        ) throws
    {
        let error = #expect(throws: StoreError.self) { try Self.open(dataset, table) }
        #expect("\(String(describing: error))".contains("map it to another table"))
        _ = try Self.open(dataset, table, tradingTables: false)
        _ = try Self.open(dataset, "desk.users")
        _ = try Self.open("deals", "trades")
        _ = try Self.open("audit_logs_of_mine", nil)
    }

    @Test func everyTableOfTheMigrationsIsKnown() {
        let made = Migration.all.flatMap { migration in
            migration.up.matches(of: /CREATE TABLE ([a-z_]+) \(/).map { String($0.1) }
        }
        #expect(Set(made) == Set(PostgresLayout.migrated.keys))
    }

    @Test(
        arguments: [("trades", nil), (nil, "public.held"), ("desk.x", "desk.x")]
            as [(String?, String?)])
    func twoDatasetsDoNotShareATable(_ first: String?, _ second: String?) throws {
        let settings = try PostgresSettings(url: Secret("postgres://nobody@localhost/none"))
        let schemas = ["held", first == "trades" ? "deals" : "others"].map {
            Schema(dataset: $0, kind: .declared, key: [Field("id", .text)], fields: [])
        }
        var plain = settings
        plain.makesTradingTables = false
        let names = schemas.map(\.dataset)
        let layouts = [
            names[0]: PostgresLayout(table: first), names[1]: PostgresLayout(table: second),
        ]
        let error = #expect(throws: StoreError.self) {
            try PostgresStore(plain, schemas: SchemaCatalogue(schemas), layouts: layouts)
        }
        #expect("\(String(describing: error))".contains("held lies in the table"))
    }

    @Test func aTableWithoutStampsIsRefusedWithTheRemedy() async throws {
        let database = try await TestDatabase()
        try await database.psql("CREATE TABLE held (id text PRIMARY KEY, days bigint)")
        let store = try database.open(SchemaCatalogue([Self.first]))
        let error = await storeError { _ = try await store.rows(RowQuery(dataset: "held")) }
        #expect("\(String(describing: error))".contains("ADD COLUMN opsd_sequence"))
    }

    @Test func aTimeThatPostgresDoesNotHaveIsRefused() async throws {
        let database = try await TestDatabase()
        let schema = Schema(
            dataset: "held", kind: .declared, key: [Field("id", .text)],
            fields: [Field("at", .timestamp)])
        let store = try database.open(SchemaCatalogue([schema]))
        for (time, fits) in [
            (BinaryValue.timestampMin, true), (BinaryValue.timestampMin - 1, false), (.min, false),
            (.max, true),
        ] {
            let row = Row(
                dataset: "held",
                values: [.text("\(time)"), .timestamp(Timestamp(microseconds: time))])
            let error = await storeError {
                try await store.fill([StampedRow(row: row, sequence: Batch.at(1))])
            }
            #expect((error == nil) == fits, "\(time)")
            if fits { #expect(try await store.row(row.key(in: schema))?.row == row) }
        }
    }

    @Test func jsonComesBackInItsOneSpelling() async throws {
        let database = try await TestDatabase()
        let store = try database.open()
        let texts = [
            #"{"b":[1.5,-0.000000000000000001,99999999999999999999999999999999999999],"a":{}}"#,
            #"{"é":"漢😀","\n":null,"":[true,false],"aa":1,"b":2}"#, "\"\\u0001\\\"\\\\\"", "[]", "0",
        ]
        for (index, text) in texts.enumerated() {
            let row = try Batch.row(Int64(index), detail: text)
            try await store.apply(Batch.put([row], at: Int64(index + 1)))
            #expect(try await store.row(row.key(in: RowStoreConformance.schema))?.row == row)
        }
    }
}
