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
            if settings.makesTradingTables { try makePartitions(link, months: 3) }
            var shapes: [String: Result<TableShape, StoreError>] = [:]
            for table in tables {
                shapes[table.schema.dataset] = try shape(of: table, link, settings)
            }
            return shapes
        }
    }

    /// A refusal concerns this table only; a server that does not answer concerns all.
    private static func shape(
        of table: PostgresTable, _ link: PostgresLink, _ settings: PostgresSettings
    ) throws -> Result<TableShape, StoreError> {
        let problem: StoreError
        do {
            return .success(try table.prepare(link, isRebuilding: false))
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

    /// The present month's partition of audit_logs and those of the next.
    static func makePartitions(_ link: PostgresLink, months: Int64) throws(PostgresFailure) {
        var parameters = PostgresParameters()
        parameters.append(months)
        _ = try link.query("SELECT opsd.make_audit_partitions(now(), $1::int)", parameters)
    }
}
