internal import Ledger

/// What is done once, before anything else is asked of a database: opsd's own schema, the trading
/// desk's tables, and each dataset's table.
enum Preparation {
    /// How long a migration may take, also while another process is at it.
    private static let patience = Duration.seconds(120)

    /// The shape of each table, or why it cannot be used.
    static func run(
        _ link: PostgresLink, _ settings: PostgresSettings, _ tables: [PostgresTable]
    ) throws -> [String: Result<TableShape, StoreError>] {
        try alone(link) {
            try Migrator.migrate(
                link, migrations: settings.makesTradingTables ? Migration.all : Migration.own)
            if settings.makesTradingTables { try makePartitions(link, from: .now(), months: 3) }
            var shapes: [String: Result<TableShape, StoreError>] = [:]
            for table in tables {
                shapes[table.schema.dataset] = try shape(settings) {
                    try table.prepare(link, isRebuilding: false)
                }
            }
            return shapes
        }
    }

    /// The same for who only reads: nothing is made.
    static func look(
        _ link: PostgresLink, _ settings: PostgresSettings, _ tables: [PostgresTable]
    ) throws -> [String: Result<TableShape, StoreError>] {
        var shapes: [String: Result<TableShape, StoreError>] = [:]
        for table in tables {
            shapes[table.schema.dataset] = try shape(settings) { try table.look(link) }
        }
        return shapes
    }

    /// A refusal concerns this table only; a server that does not answer concerns all.
    private static func shape(
        _ settings: PostgresSettings, _ body: () throws -> TableShape
    ) throws -> Result<TableShape, StoreError> {
        let problem: StoreError
        do {
            return .success(try body())
        } catch let error as StoreError {
            problem = error
        } catch let error as PostgresFailure {
            problem = error.storeError(settings.name)
        }
        if case .unavailable = problem { throw problem }
        return .failure(problem)
    }

    /// Nobody else prepares the database meanwhile, and the server takes its time.
    static func alone<Result>(
        _ link: PostgresLink, _ body: () throws -> Result
    ) throws -> Result {
        let usual = link.patience
        link.patience = patience
        defer { link.patience = usual }
        let limit = patience.wholeMilliseconds * 9 / 10
        try link.execute("SET statement_timeout = \(limit); SET lock_timeout = \(limit)")
        // The numbers spell "opsd", and 1 for this lock.
        try link.execute("SELECT pg_advisory_lock(1869640548, 1)")
        defer {
            if !link.isBroken {
                try? link.execute("SELECT pg_advisory_unlock(1869640548, 1)")
                try? link.execute("RESET statement_timeout; RESET lock_timeout")
            }
        }
        return try body()
    }

    /// The partition of audit_logs for a moment's month, and those of the next.
    static func makePartitions(
        _ link: PostgresLink, from now: Timestamp, months: Int64
    ) throws(PostgresFailure) {
        _ = try link.query(
            "SELECT opsd.make_audit_partitions($1, $2::int)", partitions(now, months))
    }

    /// Somebody may have taken one out, and left its table.
    static func checkPartitions(
        _ link: PostgresLink, from now: Timestamp, months: Int64
    ) throws {
        let missing = try link.query(
            """
            SELECT name FROM (
                SELECT 'audit_logs_' || to_char(
                    date_trunc('month', $1 AT TIME ZONE 'UTC') + make_interval(months => step),
                    'YYYY_MM') AS name
                FROM generate_series(0, $2::int) AS step) AS wanted
            WHERE NOT EXISTS (
                SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                WHERE inhparent = 'audit_logs'::regclass AND relname = name)
            ORDER BY name
            """, partitions(now, months))
        guard missing.rowCount > 0, let name = missing.text(0, 0) else { return }
        throw StoreError.refused(
            store: "audit_logs",
            problem: """
                the table \(name) is no partition, so audit_logs takes no lines of its month: ALTER \
                TABLE audit_logs ATTACH PARTITION it, or rename it and it is made anew
                """)
    }

    private static func partitions(_ now: Timestamp, _ months: Int64) -> PostgresParameters {
        var parameters = PostgresParameters()
        parameters.append(.timestamp(now), as: .timestamp)
        parameters.append(months)
        return parameters
    }
}
