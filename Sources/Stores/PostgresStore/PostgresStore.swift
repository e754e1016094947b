public import Connections
public import Ledger

/// A copy of the rows in a PostgreSQL database: a table a dataset, a column a field, beside each row
/// its stamp, and opsd's own tables in the schema `opsd`.
///
/// A batch is one transaction: rows, digests and applied sequence change together. The database is not
/// asked for anything before the store is used, so that opsd starts while it is down.
public actor PostgresStore: RowStore {
    private let settings: PostgresSettings
    private let tables: [String: PostgresTable]
    private let pool: ConnectionPool<PostgresConnection>
    /// Nil until the database has been prepared. Only tables that were found fit are among them.
    private var shapes: [String: TableShape]?

    /// - Parameter layouts: by dataset, for those that do not lie as their schema says. Refused: a name
    ///   that PostgreSQL cannot have, a field that is not there.
    public init(
        _ settings: PostgresSettings, schemas: SchemaCatalogue,
        layouts: [String: PostgresLayout] = [:]
    ) throws(StoreError) {
        self.settings = settings
        var tables: [String: PostgresTable] = [:]
        var places: [String: String] = [:]
        for schema in schemas.schemas {
            let (dataset, layout) = (schema.dataset, layouts[schema.dataset] ?? PostgresLayout())
            tables[dataset] = try PostgresTable(schema, layout)
            var problem = settings.makesTradingTables ? layout.problem(of: dataset) : nil
            if let other = places.updateValue(dataset, forKey: layout.place(of: dataset)) {
                problem = "\(other) lies in the table \(layout.place(of: dataset)) too"
            }
            if let problem {
                throw .refused(
                    store: settings.name,
                    problem: "\(dataset): \(problem): map it to another table")
            }
        }
        self.tables = tables
        pool = ConnectionPool(store: settings.name, limits: settings.connections) {
            () async throws(StoreError) in
            try await PostgresConnection.open(settings)
        }
    }

    /// Closes the connections; what comes later is refused.
    public func close() async { await pool.close() }

    /// Keeps the pool at its size. For a caller who does this every few seconds.
    public func maintain() async { await pool.maintain() }

    public var connections: PoolUse {
        get async { await pool.use }
    }

    // MARK: - RowStore

    public func appliedSequence() async throws(StoreError) -> SequenceNumber {
        try await use { try StampRows.applied($0, locking: false).applied }
    }

    public func apply(_ batch: StoreBatch) async throws(StoreError) {
        var put: [String: [StampedRow]] = [:]
        var delete: [String: [RowKey]] = [:]
        for change in batch.changes {
            if let row = change.row {
                put[change.key.dataset, default: []].append(
                    StampedRow(row: row, sequence: change.sequence))
            } else {
                delete[change.key.dataset, default: []].append(change.key)
            }
        }
        let writes = try await writes(put, delete)
        let name = settings.name
        try await use { link in
            try link.transaction {
                let (_, applied) = try StampRows.applied(link, locking: true)
                guard try batch.isDue(at: applied, of: name) else { return }
                let rest = try writes.flatMap { try $0.copy(link) }
                try link.pipeline(
                    rest + StampRows.write(batch.digests) + [StampRows.move(to: batch.through)])
            }
        }
    }

    public func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        let table = try await readyTable(key.dataset)
        let parameters = try table.parameters(key)
        let sql = "\(table.selection) WHERE \(table.matchesKey)"
        return try await use { try table.rows($0.query(sql, parameters)).first }
    }

    public func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        let table = try await readyTable(query.dataset)
        let select = try table.select(query)
        return try await use { try table.rows($0.query(select.sql, select.parameters)) }
    }

    public func count(_ query: RowQuery) async throws(StoreError) -> Int {
        let select = try await readyTable(query.dataset).count(query)
        return try await use { link in
            Int(try link.query(select.sql, select.parameters).integer(0, 0) ?? 0)
        }
    }

    public func digests() async throws(StoreError) -> [DigestStamp] {
        try await use { try StampRows.digests($0) }
    }

    // MARK: - Tables

    /// Makes the partitions of `audit_logs` for the present month and so many after it; those that are
    /// there stay as they are. For a caller who does this at least once a month.
    public func makeAuditPartitions(months: Int = 3) async throws(StoreError) {
        let isMigrated = settings.makesTradingTables
        try await use { link in
            guard isMigrated else { return }
            try Preparation.makePartitions(link, months: Int64(months))
        }
    }

    func table(_ dataset: String) throws(StoreError) -> PostgresTable {
        guard let table = tables[dataset] else {
            throw .refused(store: settings.name, problem: "no dataset '\(dataset)' is known")
        }
        return table
    }

    /// The table of a dataset, found fit for use.
    private func readyTable(_ dataset: String) async throws(StoreError) -> PostgresTable {
        let table = try table(dataset)
        _ = try await shape(of: table)
        return table
    }

    private func shape(of table: PostgresTable) async throws(StoreError) -> TableShape {
        let dataset = table.schema.dataset
        if let shape = shapes?[dataset] { return shape }
        // What was not fit may have been mended.
        switch try await prepare()[dataset] {
        case .success(let shape)?: return shape
        case .failure(let error)?: throw error
        case nil: throw .refused(store: settings.name, problem: "no dataset '\(dataset)' is known")
        }
    }

    func writes(
        _ put: [String: [StampedRow]], _ delete: [String: [RowKey]] = [:]
    ) async throws(StoreError) -> [TableWrite] {
        var writes: [TableWrite] = []
        for dataset in Set(put.keys).union(delete.keys).sorted() {
            let table = try table(dataset)
            writes.append(
                try TableWrite(
                    table, try await shape(of: table), put: put[dataset] ?? [],
                    delete: delete[dataset] ?? []))
        }
        return writes
    }

    func setShapes(_ found: [String: TableShape]) {
        shapes = (shapes ?? [:]).merging(found) { $1 }
    }

    // MARK: - Connections

    private enum Answer<Result: Sendable>: Sendable {
        case result(Result)
        /// opsd's own tables are not there: the database was made anew.
        case isNew
    }

    /// Does something over a connection to a prepared database.
    func use<Result: Sendable>(
        _ body: @escaping @Sendable (PostgresLink) throws -> Result
    ) async throws(StoreError) -> Result {
        if shapes == nil { _ = try await prepare() }
        for _ in 0..<2 {
            switch try await attempt(body) {
            case .result(let result): return result
            case .isNew:
                shapes = nil
                _ = try await prepare()
            }
        }
        throw .unavailable(store: settings.name, problem: "somebody drops opsd's own tables")
    }

    private func attempt<Result: Sendable>(
        _ body: @escaping @Sendable (PostgresLink) throws -> Result
    ) async throws(StoreError) -> Answer<Result> {
        try await pool.with { connection throws(StoreError) in
            try await connection.run { link in
                do {
                    return .result(try body(link))
                } catch let failure as PostgresFailure where failure.isMissingTable {
                    let own = try link.query("SELECT to_regclass('opsd.store')")
                    if own.bytes(0, 0) == nil { return .isNew }
                    throw failure
                }
            }
        }
    }

    func migrate(
        to version: Int, migrations: [Migration]
    ) async throws(StoreError) {
        shapes = nil
        try await pool.with { connection throws(StoreError) in
            try await connection.run { link in
                try Preparation.alone(link) {
                    try Migrator.migrate(link, to: Int64(version), migrations: migrations)
                }
            }
        }
        shapes = nil
    }

    @discardableResult
    private func prepare() async throws(StoreError) -> [String: Result<TableShape, StoreError>] {
        let (settings, tables) = (settings, tables.values.sorted { $0.name < $1.name })
        let found = try await pool.with { connection throws(StoreError) in
            try await connection.run { try Preparation.run($0, settings, tables) }
        }
        shapes = found.compactMapValues { try? $0.get() }
        return found
    }
}
