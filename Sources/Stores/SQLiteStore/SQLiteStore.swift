internal import Foundation
internal import GRDB
public import Ledger

/// A copy of the rows in one SQLite database: a table a dataset, a column a field.
///
/// The store can always be filled again from the journal, so it is flushed at checkpoints only
/// (synchronous=NORMAL): after a power cut it may be behind the journal, but it is never half-way
/// through an entry, because the rows and the applied sequence change in one transaction.
public final class SQLiteStore: RowStore {
    private let path: String
    private let database: DatabasePool
    private let tables: [String: StoreTable]
    private let setsAside: Bool

    /// Opens the database, and makes it and the tables of the schemas that it lacks. Throws `refused`
    /// where a declared dataset has changed in another way than by optional fields at its end.
    /// - Parameters:
    ///   - layouts: by dataset, for those that do not lie as their schema says. A table that another program
    ///     has made is used as it is.
    ///   - setsAside: whether rows of a dataset that has no schema are kept until it has one again,
    ///     instead of refused.
    public init(
        path: String, schemas: SchemaCatalogue, layouts: [String: SQLiteLayout] = [:],
        setsAside: Bool = false
    ) throws(StoreError) {
        self.path = path
        self.setsAside = setsAside
        do {
            var configuration = GRDB.Configuration()
            configuration.maximumReaderCount = 4
            // Who had it open before may still be folding the write-ahead log in.
            configuration.busyMode = .timeout(5)
            configuration.prepareDatabase { database in
                // 8 MiB of page cache a connection.
                try database.execute(sql: "PRAGMA cache_size = -8192")
                // The log is folded in seldom: each time costs flushes that the journal waits behind.
                try database.execute(sql: "PRAGMA wal_autocheckpoint = 20000")
                database.add(collation: StoreTable.decimalOrder)
                database.add(collation: StoreTable.timeOrder)
            }
            let database = try DatabasePool(path: path, configuration: configuration)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
            let schemas = schemas.schemas
            tables = try database.write { database in
                var tables: [String: StoreTable] = [:]
                for statement in StampTables.creation + DeclaredTables.creation {
                    try database.execute(sql: statement)
                }
                for schema in schemas {
                    var table = StoreTable(schema, layouts[schema.dataset] ?? SQLiteLayout())
                    try DeclaredTables.fit(schema, table, store: path, in: database)
                    if try !table.isPresent(database) {
                        try StampTables.forget(schema.dataset, in: database)
                    }
                    try table.prepare(database)
                    try DeclaredTables.takeBack(schema, table, in: database)
                    try StampTables.note(table.layout, of: schema.dataset, in: database)
                    tables[schema.dataset] = table
                }
                return tables
            }
            self.database = database
        } catch {
            throw storeError(error, store: path)
        }
    }

    /// How far the store of a file has come, read without writing: no table is made, no log folded
    /// in. `none` for a database that is no store yet.
    public static func appliedSequence(path: String) async throws(StoreError) -> SequenceNumber {
        do {
            var configuration = GRDB.Configuration()
            configuration.readonly = true
            configuration.busyMode = .timeout(5)
            let database = try DatabaseQueue(path: path, configuration: configuration)
            return try await database.read { database in
                guard try database.tableExists(StampTables.applied) else { return .none }
                return try StampTables.appliedSequence(database)
            }
        } catch {
            throw storeError(error, store: path)
        }
    }

    public func appliedSequence() async throws(StoreError) -> SequenceNumber {
        try await read { try StampTables.appliedSequence($0) }
    }

    public func apply(_ batch: StoreBatch) async throws(StoreError) {
        let (tables, path, setsAside) = (tables, path, setsAside)
        do {
            try await database.write { database in
                guard try batch.isDue(at: StampTables.place(database), of: path) else { return }
                for change in batch.changes {
                    if let table = tables[change.key.dataset] {
                        try table.apply(change, to: database)
                    } else if setsAside {
                        try DeclaredTables.setAside(change, in: database)
                    } else {
                        throw unknown(change.key.dataset, path)
                    }
                }
                try StampTables.write(batch.digests, to: database)
                try StampTables.write(batch.through, to: database)
            }
        } catch {
            throw storeError(error, store: path)
        }
    }

    public func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        let table = try table(key.dataset)
        return try await read { try table.row(key, in: $0) }
    }

    public func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        let table = try table(query.dataset)
        let select = try table.select(query)
        return try await read { try table.rows(select, in: $0) }
    }

    public func count(_ query: RowQuery) async throws(StoreError) -> Int {
        let select = try table(query.dataset).count(query)
        return try await read { database in
            try Int.fetchOne(database, sql: select.sql, arguments: select.arguments) ?? 0
        }
    }

    public func digests() async throws(StoreError) -> [DigestStamp] {
        try await read { try StampTables.digests($0) }
    }

    private func table(_ dataset: String) throws(StoreError) -> StoreTable {
        guard let table = tables[dataset] else {
            throw unknown(dataset, path)
        }
        return table
    }

    private func write(
        _ body: @escaping @Sendable (Database) throws -> Void
    ) async throws(StoreError) {
        do {
            try await database.write(body)
        } catch {
            throw storeError(error, store: path)
        }
    }

    private func read<Result: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Result
    ) async throws(StoreError) -> Result {
        do {
            return try await database.read(body)
        } catch {
            throw storeError(error, store: path)
        }
    }
}

extension SQLiteStore: ReplicaStore {
    private var layouts: [String: String] { tables.mapValues(\.layout) }

    public func position() async throws(StoreError) -> StorePosition {
        let layouts = layouts
        return try await read { try StampTables.position($0, layouts: layouts) }
    }

    /// Does something to a store that has this position.
    private func write(
        at wanted: StorePosition?, _ body: @escaping @Sendable (Database) throws -> Void
    ) async throws(StoreError) {
        let (layouts, path) = (layouts, path)
        try await write { database in
            if wanted != nil {
                try StampTables.position(database, layouts: layouts).expect(wanted, of: path)
            }
            try body(database)
        }
    }

    public func begin(
        _ datasets: Set<String>, from found: StorePosition?, as begun: StorePosition
    ) async throws(StoreError) {
        let (tables, layouts, path) = (tables, layouts, path)
        try await write(at: found) { database in
            for dataset in datasets {
                guard let table = tables[dataset] else { throw unknown(dataset, path) }
                try table.empty(database)
                try StampTables.forgetDigests(of: dataset, in: database)
            }
            try StampTables.take(begun, layouts: layouts, into: database)
        }
    }

    public func fill(
        _ rows: [StampedRow], at begun: StorePosition?
    ) async throws(StoreError) {
        let (tables, path) = (tables, path)
        try await write(at: begun) { database in
            for stamped in rows {
                guard let table = tables[stamped.row.dataset] else {
                    throw unknown(stamped.row.dataset, path)
                }
                try table.put(stamped, to: database)
            }
        }
    }

    public func finish(
        _ position: StorePosition, from begun: StorePosition?, digests: [DigestStamp]
    ) async throws(StoreError) {
        let layouts = layouts
        try await write(at: begun) { database in
            try StampTables.write(digests, to: database)
            try StampTables.take(position, layouts: layouts, into: database)
        }
    }
}

private func unknown(_ dataset: String, _ store: String) -> StoreError {
    .refused(store: store, problem: "no dataset '\(dataset)' is known")
}

private func storeError(_ error: any Error, store: String) -> StoreError {
    switch error {
    case let error as StoreError: return error
    case let error as DatabaseError:
        let problem = error.message ?? "\(error)"
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: return .damaged(store: store, problem: problem)
        case .SQLITE_ERROR, .SQLITE_MISMATCH, .SQLITE_MISUSE, .SQLITE_CONSTRAINT:
            return .refused(store: store, problem: problem)
        default: return .unavailable(store: store, problem: problem)
        }
    default: return .unavailable(store: store, problem: "\(error)")
    }
}
