internal import Connections
public import Ledger

/// The rows of any table, whoever made it, as they are compared with something else. Nothing in the database
/// is changed, and opsd needs to have nothing there.
public final class PostgresRows: Sendable {
    let table: ComparedTable
    let schema: Schema
    /// Of each field, in the schema's order.
    let columns: [ComparedColumn]
    let pool: ConnectionPool<PostgresConnection>
    /// Parts of the table that are read at once.
    let parallelMax: Int
    let name: String

    private static let pageRows = 10_000
    private static let findMax = 1_000

    /// - Parameters:
    ///   - schema: of the rows that are wanted.
    ///   - columns: of fields whose columns are called otherwise.
    public init(
        _ settings: PostgresSettings, _ table: ComparedTable, as schema: Schema,
        columns names: [String: String] = [:]
    ) throws(StoreError) {
        self.table = table
        self.schema = schema
        name = settings.name
        var columns: [ComparedColumn] = []
        for field in schema.fields {
            let name = names[field.name] ?? field.name
            guard let column = table.columns.first(where: { $0.name == name }) else {
                throw .refused(
                    store: settings.name,
                    problem:
                        "the table \(table.sql) has no column for the field \(field.name): name it "
                        + "under columns, or the field under ignore")
            }
            guard column.gives(field.type) else {
                throw .refused(
                    store: settings.name,
                    problem: "the column \(table.sql).\(name) is \(column.type), which gives no "
                        + "\(field.type.rawValue): compare a view that casts it, or name the field "
                        + "under ignore")
            }
            columns.append(column)
        }
        if let field = schema.keyFields.first(where: { $0.type == .json }) {
            throw .refused(
                store: settings.name,
                problem: "\(field.name) is JSON, which tells no rows apart: name other keys")
        }
        self.columns = columns
        var settings = settings.comparing
        parallelMax = max(1, min(4, settings.connections.max))
        settings.connections.min = 0
        let limits = settings
        pool = ConnectionPool(store: settings.name, limits: settings.connections) {
            () async throws(StoreError) in
            try await PostgresConnection.open(limits)
        }
    }

    public func close() async { await pool.close() }

    // MARK: Reading

    /// Everything, as of one moment.
    public func scan(
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        let sql = "SELECT \(values) FROM \(table.sql)"
        try await pool.with { connection async throws(StoreError) in
            try await connection.look(leavesTransaction: true) { link in
                // Who takes the rows may take his time with a page.
                try link.execute(
                    "BEGIN READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 120000")
                try link.execute("DECLARE opsd_scan NO SCROLL CURSOR FOR \(sql)")
            }
            while true {
                let rows = try await connection.look(leavesTransaction: true) { link in
                    let page = try link.query("FETCH FORWARD \(Self.pageRows) FROM opsd_scan")
                    return (0..<page.rowCount).map { self.found(page, $0) }
                }
                if rows.isEmpty { break }
                do throws(StoreError) {
                    try await consume(rows)
                } catch {
                    try? await connection.run { try $0.execute("ROLLBACK") }
                    throw error
                }
            }
            try await connection.look { try $0.execute("COMMIT") }
        }
    }

    public func find(_ keys: [RowKey]) async throws(StoreError) -> [[FoundRow]] {
        var found = [[FoundRow]](repeating: [], count: keys.count)
        // What a column cannot have is not there. Null is equal to nothing, and asked for by itself.
        let possible = keys.indices.filter { index in
            zip(columns, keys[index].values).allSatisfy { $0.canHave($1) }
        }
        let whole = possible.filter { !keys[$0].values.contains(.null) }
        for start in stride(from: 0, to: whole.count, by: Self.findMax) {
            let some = Array(whole[start..<min(start + Self.findMax, whole.count)])
            try await find(some, keys, &found)
        }
        for index in possible where keys[index].values.contains(.null) {
            try await find([index], keys, &found)
        }
        return found
    }

    /// - Parameter wanted: places of keys, all with the same fields that are null.
    private func find(
        _ wanted: [Int], _ keys: [RowKey], _ found: inout [[FoundRow]]
    ) async throws(StoreError) {
        guard let first = wanted.first else { return }
        var parameters = PostgresParameters()
        var tuples: [String] = []
        for index in wanted {
            var marks = ["\(index)::bigint"]
            for (value, field) in zip(keys[index].values, schema.keyFields) {
                parameters.append(value, as: field.type)
                marks.append("$\(parameters.count)")
            }
            tuples.append("(\(marks.joined(separator: ", ")))")
        }
        let names = (0..<schema.keyCount).map { "opsd_w\($0)" }
        let matches = names.enumerated().map { place, name in
            keys[first].values[place] == .null
                ? "\(quoted(columns[place].name)) IS NULL"
                : columns[place].equals(name, as: schema.fields[place].type)
        }
        let sql = """
            SELECT \(values), opsd_place FROM \(table.sql) JOIN (VALUES \
            \(tuples.joined(separator: ", "))) \
            AS opsd_wanted (opsd_place, \(names.joined(separator: ", "))) \
            ON \(matches.joined(separator: " AND "))
            """
        let query = PostgresQuery(sql: sql, parameters: parameters)
        let rows = try await pool.with { connection throws(StoreError) in
            try await connection.look { link in
                let result = try link.query(query.sql, query.parameters)
                return (0..<result.rowCount).map { row in
                    let place = result.integer(row, self.schema.fields.count) ?? -1
                    return (Int(place), self.found(result, row))
                }
            }
        }
        for (place, row) in rows where found.indices.contains(place) {
            // A database may take for equal what is not.
            if case .row(let row) = row, row.row.key(in: schema) != keys[place] { continue }
            found[place].append(row)
        }
    }

    // MARK: Rows

    private var values: String {
        zip(columns, schema.fields).map { $0.value(as: $1.type) }.joined(separator: ", ")
    }

    private func found(_ result: PostgresResult, _ row: Int) -> FoundRow {
        var values: [Value] = []
        values.reserveCapacity(schema.fields.count)
        for (index, field) in schema.fields.enumerated() {
            guard let bytes = result.bytes(row, index) else {
                values.append(.null)
                continue
            }
            guard let value = BinaryValue.decode(bytes, as: field.type) else {
                return damage("\(field.name) is no \(field.type.rawValue) that opsd has", values)
            }
            values.append(value)
        }
        return .row(
            StampedRow(row: Row(dataset: schema.dataset, values: values), sequence: .none))
    }

    /// - Parameter values: as far as they could be read.
    func damage(_ problem: String, _ values: [Value]) -> FoundRow {
        let key = values.prefix(schema.keyCount)
        let hasKey = key.count == schema.keyCount
        let shown = key.map(\.description).joined(separator: ", ").prefix(200)
        return .damaged(
            DamagedRow(
                key: hasKey ? RowKey(dataset: schema.dataset, values: Array(key)) : nil,
                place: hasKey ? "the row (\(shown)) of \(table.sql)" : "a row of \(table.sql)",
                problem: problem))
    }
}
