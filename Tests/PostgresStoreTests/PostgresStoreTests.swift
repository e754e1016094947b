import Connections
import Ledger
import TestSupport
import Testing

@testable import PostgresStore

/// A database of one test's own, and stores on it.
struct TestDatabase {
    let server: PostgresServer
    let name: String

    init(_ server: PostgresServer? = nil) async throws {
        if let server {
            self.server = server
        } else {
            self.server = try await PostgresServer.shared()
        }
        name = try await self.server.makeDatabase()
    }

    func settings(
        user: String = PostgresServer.user, password: String = PostgresServer.password,
        timeout: Duration = .seconds(10), max: Int = 4
    ) throws -> PostgresSettings {
        try PostgresSettings(
            url: Secret(server.url(name, user: user, password: password)), timeout: timeout,
            connections: PoolLimits(min: 0, max: max, acquireTimeout: .seconds(20)))
    }

    func open(
        _ schemas: SchemaCatalogue = RowStoreConformance.catalogue,
        layouts: [String: PostgresLayout] = [:], tradingTables: Bool = false,
        timeout: Duration = .seconds(10)
    ) throws -> PostgresStore {
        var settings = try settings(timeout: timeout)
        settings.makesTradingTables = tradingTables
        return try PostgresStore(settings, schemas: schemas, layouts: layouts)
    }

    @discardableResult
    func psql(_ sql: String) async throws -> String { try await server.psql(name, sql) }
}

/// Rows and batches of the conformance suite's first dataset.
enum Batch {
    static func row(_ number: Int64, note: String? = "note", detail: String = "{}") throws -> Row {
        Row(
            dataset: "samples",
            values: [
                .text("g"), .integer(number), .optional(note), .decimal(ExactDecimal(5)),
                .timestamp(Timestamp(microseconds: 5)), .boolean(true),
                .json(try CanonicalJSON(parsing: detail)), .integer(5), .text("A"),
            ])
    }

    static func at(_ number: Int64) -> SequenceNumber { SequenceNumber(epoch: 1, number: number) }

    static func put(
        _ rows: [Row], after: Int64? = nil, at number: Int64
    ) -> StoreBatch {
        let stamp = DigestStamp(
            scope: DigestScope(dataset: "samples", account: "A"),
            digest: Digest(sum: 9, count: Int64(rows.count)))
        return StoreBatch(
            changes: rows.map {
                .init(
                    key: $0.key(in: RowStoreConformance.schema), row: $0, sequence: at(number))
            }, digests: [stamp],
            after: after.map { $0 == 0 ? .none : at($0) }, through: at(number))
    }
}

extension StoreError {
    /// The case, without its words.
    var kind: String {
        switch self {
        case .unavailable: "unavailable"
        case .refused: "refused"
        case .damaged: "damaged"
        case .moved: "moved"
        }
    }
}

/// What a call throws.
func storeError(_ body: () async throws -> Void) async -> StoreError? {
    do {
        try await body()
    } catch let error as StoreError {
        return error
    } catch {
        Issue.record("\(error)")
    }
    return nil
}

@Suite(.enabled(if: PostgresServer.isWanted, "PostgreSQL is not installed"))
struct PostgresStoreTests {
    @Test(arguments: RowStoreConformance.checks)
    func conforms(_ check: RowStoreConformance) async throws {
        let database = try await TestDatabase()
        try await check.run { try database.open() }
    }

    @Test(arguments: ReplicaConformance.checks)
    func followsTheJournal(_ check: ReplicaConformance) async throws {
        let database = try await TestDatabase()
        try await check.run { try database.open() }
    }
}
