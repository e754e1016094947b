public import Ledger

/// One step of the database's tables, and the way back.
struct Migration: Sendable {
    let version: Int64
    let name: String
    let up: String
    let down: String
}

/// Brings the tables that opsd brings along to a version. Each step is a transaction; what was run is in
/// `opsd.migrations`, with its checksum. The caller holds the lock that keeps others away.
enum Migrator {
    /// - Parameter target: the last one when nil. Going back takes the rows of the tables along.
    static func migrate(
        _ link: PostgresLink, to target: Int64? = nil,
        migrations: [Migration] = Migration.all
    ) throws {
        let target = target ?? migrations.last?.version ?? 0
        guard target == 0 || migrations.contains(where: { $0.version == target }) else {
            throw refused("there is no migration \(target)")
        }
        try begin(link)
        let done = try recorded(link)
        try check(done, against: migrations, link)
        for migration in migrations where migration.version <= target {
            if done[migration.version] == nil { try forward(migration, link) }
        }
        for migration in migrations.reversed()
        where migration.version > target && done[migration.version] != nil {
            try back(migration, link)
        }
    }

    private static func begin(_ link: PostgresLink) throws {
        // On a copy that is read only even this would be refused.
        if try link.query("SELECT to_regclass('opsd.migrations')").bytes(0, 0) != nil { return }
        try link.execute(
            """
            CREATE SCHEMA IF NOT EXISTS opsd;
            CREATE TABLE opsd.migrations (
                version bigint PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now());
            """)
    }

    private static func recorded(_ link: PostgresLink) throws -> [Int64: String] {
        let result = try link.query("SELECT version, checksum FROM opsd.migrations")
        var done: [Int64: String] = [:]
        for row in 0..<result.rowCount {
            done[result.integer(row, 0) ?? 0] = result.text(row, 1) ?? ""
        }
        return done
    }

    /// What was run must be what is here.
    private static func check(
        _ done: [Int64: String], against migrations: [Migration], _ link: PostgresLink
    ) throws {
        for (version, checksum) in done.sorted(by: { $0.key < $1.key }) {
            guard let migration = migrations.first(where: { $0.version == version }) else {
                // A newer opsd has been at work; its tables have columns that this one leaves alone.
                continue
            }
            if try self.checksum(migration, link) != checksum {
                throw refused(
                    """
                    migration \(version) (\(migration.name)) is not the one that was run on this \
                    database: use the opsd that ran it, or restore its file, and change tables by \
                    a new migration
                    """)
            }
        }
    }

    private static func forward(_ migration: Migration, _ link: PostgresLink) throws {
        var parameters = PostgresParameters()
        parameters.append(migration.version)
        parameters.append(migration.name)
        parameters.append(try checksum(migration, link))
        try link.transaction {
            try link.execute(migration.up)
            _ = try link.query(
                "INSERT INTO opsd.migrations (version, name, checksum) VALUES ($1, $2, $3)",
                parameters)
        }
    }

    private static func back(_ migration: Migration, _ link: PostgresLink) throws {
        var parameters = PostgresParameters()
        parameters.append(migration.version)
        try link.transaction {
            try link.execute(migration.down)
            _ = try link.query("DELETE FROM opsd.migrations WHERE version = $1", parameters)
        }
    }

    /// By the server, which has a hash at hand.
    private static func checksum(_ migration: Migration, _ link: PostgresLink) throws -> String {
        var parameters = PostgresParameters()
        parameters.append(migration.up + "\u{1}" + migration.down)
        return try link.query(
            "SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex')", parameters
        ).text(0, 0) ?? ""
    }

    private static func refused(_ problem: String) -> StoreError {
        .refused(store: "opsd.migrations", problem: problem)
    }
}

extension PostgresStore {
    /// Brings the tables to a version, forward or back; back takes the tables and their rows away. What
    /// is asked of the store afterwards brings them forward again.
    public func migrate(to version: Int) async throws(StoreError) {
        try await migrate(to: version, migrations: Migration.all)
    }
}
