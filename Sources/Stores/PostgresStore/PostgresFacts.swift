public import Ledger

/// What a database says of itself. Asking changes nothing in it.
public struct PostgresFacts: Sendable, Hashable {
    /// As the server writes it: `15.8 (Debian 15.8-0+deb12u1)`.
    public var version: String
    /// 150008 of 15.8.
    public var versionNumber: Int
    /// Nil when opsd has not used the database yet.
    public var migrations: [Int]?
    /// Those that this opsd has.
    public var knownMigrations: [Int]

    public init(
        version: String, versionNumber: Int, migrations: [Int]?, knownMigrations: [Int]
    ) {
        self.version = version
        self.versionNumber = versionNumber
        self.migrations = migrations
        self.knownMigrations = knownMigrations
    }

    /// Over a connection of its own.
    public static func ask(_ settings: PostgresSettings) async throws(StoreError) -> PostgresFacts {
        let connection = try await PostgresConnection.open(settings)
        do throws(StoreError) {
            let facts = try await connection.run { try PostgresFacts($0) }
            await connection.close()
            return facts
        } catch {
            await connection.close()
            throw error
        }
    }

    private init(_ link: PostgresLink) throws {
        let server = try link.query(
            """
            SELECT current_setting('server_version'), \
            current_setting('server_version_num')::bigint, to_regclass('opsd.migrations')
            """)
        version = server.text(0, 0) ?? "?"
        versionNumber = Int(server.integer(0, 1) ?? 0)
        knownMigrations = Migration.all.map { Int($0.version) }
        if server.bytes(0, 2) != nil {
            let done = try link.query("SELECT version FROM opsd.migrations ORDER BY version")
            migrations = (0..<done.rowCount).map { Int(done.integer($0, 0) ?? 0) }
        }
    }
}
