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
    let pool: ConnectionPool<PostgresConnection>
    /// Whether nothing is made or changed in the database.
    private let isReading: Bool
    /// Nil until the database has been prepared. Only tables that were found fit are among them.
    private var shapes: [String: TableShape]?
    /// When the partitions were made last, in days since 1970 (UTC).
    private var partitionedDay: Int64?

    /// - Parameters:
    ///   - layouts: by dataset, for those that do not lie as their schema says. Refused: a name that
    ///     PostgreSQL cannot have, a field that is not there.
    ///   - isReading: the database is read as it is found, also one that opsd has not used yet: then
    ///     nothing is in it. What changes something is refused.
    public init(
        _ settings: PostgresSettings, schemas: SchemaCatalogue,
        layouts: [String: PostgresLayout] = [:], isReading: Bool = false
    ) throws(StoreError) {
        self.settings = settings
        self.isReading = isReading
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

    /// Keeps the pool at its size, and once a day sees that `audit_logs` has the partitions of the months
    /// to come. For a caller who does this every few seconds.
    public func maintain() async throws(StoreError) { try await maintain(at: .now()) }

    func maintain(at now: Timestamp) async throws(StoreError) {
        await pool.maintain()
        // A database that was not used yet is not asked for this alone.
        let day = now.microseconds / 86_400_000_000
        guard settings.makesTradingTables, !isReading, shapes != nil, day != partitionedDay else {
            return
        }
        try await makeAuditPartitions(from: now)
        partitionedDay = day
    }

    public var connections: PoolUse {
        get async { await pool.use }
    }

    // MARK: - RowStore

    public func appliedSequence() async throws(StoreError) -> SequenceNumber {
        try await position().applied
    }

    public func apply(_ batch: StoreBatch) async throws(StoreError) {
        try checkWritable()
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
                guard try batch.isDue(at: StampRows.lockedPlace(link), of: name) else { return }
                let rest = try writes.flatMap { try $0.copy(link) }
                try link.pipeline(
                    rest + StampRows.write(batch.digests) + [StampRows.move(to: batch.through)])
            }
        }
    }

    public func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        guard let table = try await readyTable(key.dataset) else { return nil }
        let parameters = try table.parameters(key)
        let sql = "\(table.selection) WHERE \(table.matchesKey)"
        return try await use { try table.rows($0.query(sql, parameters)).first }
    }

    public func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        guard let table = try await readyTable(query.dataset) else { return [] }
        let select = try table.select(query)
        return try await use { try table.rows($0.query(select.sql, select.parameters)) }
    }

    public func count(_ query: RowQuery) async throws(StoreError) -> Int {
        guard let select = try await readyTable(query.dataset)?.count(query) else { return 0 }
        return try await use { link in
            Int(try link.query(select.sql, select.parameters).integer(0, 0) ?? 0)
        }
    }

    public func digests() async throws(StoreError) -> [DigestStamp] {
        try await useOwn(else: []) { try StampRows.digests($0) }
    }

    // MARK: - Tables

    /// Makes the partitions of `audit_logs` for a moment's month and so many after it; those that are
    /// there stay as they are. A month without one takes no lines until it has one, which can be made at
    /// any time. Refused where a table that is no partition has the name of one.
    public func makeAuditPartitions(
        from now: Timestamp = .now(), months: Int = 3
    ) async throws(StoreError) {
        try checkWritable()
        let isMigrated = settings.makesTradingTables
        try await use { link in
            guard isMigrated else { return }
            try Preparation.makePartitions(link, from: now, months: Int64(months))
            try Preparation.checkPartitions(link, from: now, months: Int64(months))
        }
    }

    /// What tells the layout of a dataset from another one.
    var layouts: [String: String] { tables.mapValues(\.layout) }
    var name: String { settings.name }

    func table(_ dataset: String) throws(StoreError) -> PostgresTable {
        guard let table = tables[dataset] else {
            throw .refused(store: settings.name, problem: "no dataset '\(dataset)' is known")
        }
        return table
    }

    /// The table of a dataset, found fit for use; nil where who reads alone finds none.
    func readyTable(_ dataset: String) async throws(StoreError) -> PostgresTable? {
        let table = try table(dataset)
        let shape = try await shape(of: table)
        return shape.isMissing ? nil : table.lying(as: shape)
    }

    func checkWritable() throws(StoreError) {
        guard isReading else { return }
        throw .refused(store: settings.name, problem: "it was opened for reading only")
    }

    func shape(of table: PostgresTable) async throws(StoreError) -> TableShape {
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

    /// Reads opsd's own tables.
    /// - Parameter nothing: for a database without them, as who reads alone may find it.
    func useOwn<Result: Sendable>(
        else nothing: Result, _ body: @escaping @Sendable (PostgresLink) throws -> Result
    ) async throws(StoreError) -> Result {
        guard isReading else { return try await use(body) }
        switch try await attempt(body) {
        case .result(let result): return result
        case .isNew: return nothing
        }
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
        try checkWritable()
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
        let isReading = isReading
        let found = try await pool.with { connection throws(StoreError) in
            try await connection.run { link in
                isReading
                    ? try Preparation.look(link, settings, tables)
                    : try Preparation.run(link, settings, tables)
            }
        }
        shapes = found.compactMapValues { try? $0.get() }
            // Somebody is about to make what is missing.
            .filter { !$0.value.isMissing && $0.value.absent.isEmpty && $0.value.hasStamps }
        return found
    }
}
