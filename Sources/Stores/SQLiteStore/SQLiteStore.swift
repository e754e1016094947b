internal import Foundation
internal import GRDB
public import Ledger

/// A copy of the rows in one SQLite database: a table a dataset, a column a field.
///
/// The store can always be filled again from the journal, so it is flushed at checkpoints only
/// (synchronous=NORMAL): after a power cut it may be behind the journal, but it is never half-way
/// through an entry, because the rows and the applied sequence change in one transaction.
public final class SQLiteStore: RowStore {
    let path: String
    private let database: any DatabaseWriter
    private let tables: [String: StoreTable]
    private let setsAside: Bool
    /// Of the file that is open, where the store is for reading only; nil where it is not.
    private let readingFile: FileIdentity?

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
        readingFile = nil
        do {
            let configuration = Self.configuration
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

    /// Opens a database that another process writes, to read it as it is: no table is made, no column
    /// added, no log folded in, nothing locked for longer than a page takes. What changes something is
    /// refused. A table that is not there yet has no rows; a column that is not there yet is null where
    /// its field is optional, otherwise its dataset is refused.
    ///
    /// Unavailable where there is no file yet, and as soon as another one lies in its place.
    public init(
        reading path: String, schemas: SchemaCatalogue, layouts: [String: SQLiteLayout] = [:]
    ) throws(StoreError) {
        self.path = path
        setsAside = false
        guard let file = FileIdentity(path) else {
            throw .unavailable(store: path, problem: "there is no such file yet")
        }
        readingFile = file
        tables = Dictionary(
            schemas.schemas.map {
                ($0.dataset, StoreTable($0, layouts[$0.dataset] ?? SQLiteLayout()))
            }, uniquingKeysWith: { first, _ in first })
        do {
            var configuration = Self.configuration
            configuration.readonly = true
            database = try DatabaseQueue(path: path, configuration: configuration)
        } catch {
            throw storeError(error, store: path)
        }
    }

    private static var configuration: GRDB.Configuration {
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
        return configuration
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
        try await readStamps(else: .none) { try StampTables.appliedSequence($0) }
    }

    public func apply(_ batch: StoreBatch) async throws(StoreError) {
        try checkWritable()
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
        try await read(key.dataset, else: nil) { try $0.row(key, in: $1) }
    }

    public func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        try await read(query.dataset, else: []) { try $0.rows($0.select(query), in: $1) }
    }

    public func count(_ query: RowQuery) async throws(StoreError) -> Int {
        try await read(query.dataset, else: 0) { table, database in
            let select = try table.count(query)
            return try Int.fetchOne(database, sql: select.sql, arguments: select.arguments) ?? 0
        }
    }

    public func digests() async throws(StoreError) -> [DigestStamp] {
        try await readStamps(else: []) { try StampTables.digests($0) }
    }

    /// The digests, and the entry as of which they are, of one moment.
    public func digestsAsApplied() async throws(StoreError) -> (
        applied: SequenceNumber, digests: [DigestStamp]
    ) {
        try await readStamps(else: (.none, [])) {
            (try StampTables.appliedSequence($0), try StampTables.digests($0))
        }
    }

    /// Changes the rows of one dataset, in one transaction.
    func write<Result: Sendable>(
        _ dataset: String, _ body: @escaping @Sendable (StoreTable, Database) throws -> Result
    ) async throws(StoreError) -> Result {
        guard let table = tables[dataset] else { throw unknown(dataset, path) }
        return try await write { try body(table, $0) }
    }

    private func write<Result: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Result
    ) async throws(StoreError) -> Result {
        try checkWritable()
        do {
            return try await database.write(body)
        } catch {
            throw storeError(error, store: path)
        }
    }

    private func checkWritable() throws(StoreError) {
        guard readingFile != nil else { return }
        throw .refused(store: path, problem: "it was opened for reading only")
    }

    /// Reads the rows of one dataset.
    /// - Parameter nothing: for a table that is not there yet, as who reads alone may find it.
    func read<Result: Sendable>(
        _ dataset: String, else nothing: Result,
        _ body: @escaping @Sendable (StoreTable, Database) throws -> Result
    ) async throws(StoreError) -> Result {
        guard let table = tables[dataset] else { throw unknown(dataset, path) }
        guard readingFile != nil else { return try await read { try body(table, $0) } }
        return try await read { database in
            try table.asItLies(database).map { try body($0, database) } ?? nothing
        }
    }

    /// Reads opsd's own tables.
    /// - Parameter nothing: for a database that is no store yet, as who reads alone may find it.
    private func readStamps<Result: Sendable>(
        else nothing: Result, _ body: @escaping @Sendable (Database) throws -> Result
    ) async throws(StoreError) -> Result {
        guard readingFile != nil else { return try await read(body) }
        return try await read { database in
            switch try StampTables.missing(database) {
            case []: return try body(database)
            case let missing where missing.contains(StampTables.applied): return nothing
            case let missing:
                throw StoreError.unavailable(
                    store: missing.joined(separator: ", "),
                    problem: "the file is of an earlier opsd, whose core has not been started anew")
            }
        }
    }

    private func read<Result: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Result
    ) async throws(StoreError) -> Result {
        if let readingFile, FileIdentity(path) != readingFile {
            throw .unavailable(
                store: path, problem: "another file lies there since it was opened: open it anew")
        }
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
        return try await readStamps(else: .empty) {
            try StampTables.position($0, layouts: layouts)
        }
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

/// Tells a file from another one that has come into its place.
private struct FileIdentity: Sendable, Equatable {
    let device: UInt64
    let inode: UInt64

    /// Nil where there is no file.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
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
