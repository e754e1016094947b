internal import Ledger

/// One dataset's table, and the SQL that speaks to it. What depends on the table as it lies there, and
/// not on its schema alone, is in `TableShape`.
struct PostgresTable: Sendable {
    static let stamp = "opsd_sequence"
    /// PostgreSQL cuts longer names off, and two might become one.
    private static let nameBytesMax = 63

    let schema: Schema
    /// `table`, or `schema.table`, each part quoted.
    let name: String
    /// Of each field, in the schema's order.
    private let columnNames: [String]

    init(_ schema: Schema, _ layout: PostgresLayout) throws(StoreError) {
        self.schema = schema
        let table = layout.table ?? PostgresLayout.tables[schema.dataset] ?? schema.dataset
        let parts = table.split(
            separator: ".", maxSplits: 1, omittingEmptySubsequences: false
        ).map(String.init)
        columnNames = schema.fields.map { layout.columns[$0.name] ?? $0.name }
        for name in parts + columnNames
        where name.isEmpty || name.utf8.count > Self.nameBytesMax || name.utf8.contains(0) {
            throw .refused(
                store: schema.dataset,
                problem: """
                    '\(name)' cannot be a name in PostgreSQL, which takes 1 to \(Self.nameBytesMax) \
                    bytes: map it to another one
                    """)
        }
        if let unknown = layout.columns.keys.sorted().first(where: { schema.index(of: $0) == nil })
        {
            throw .refused(
                store: schema.dataset, problem: "there is no field '\(unknown)' to map to a column")
        }
        var taken: Set<String> = [Self.stamp]
        for name in columnNames where !taken.insert(name).inserted {
            throw .refused(
                store: schema.dataset,
                problem: "the column '\(name)' would have two uses: map the field to another one")
        }
        name = parts.map(quoted).joined(separator: ".")
    }

    func column(_ index: Int) -> String { quoted(columnNames[index]) }
    func bareColumn(_ index: Int) -> String { columnNames[index] }

    /// Every field's column, then the stamp.
    var columns: [String] { columnNames.map(quoted) + [Self.stamp] }
    var keyColumns: [String] { columnNames.prefix(schema.keyCount).map(quoted) }

    // MARK: - Making it

    var creation: [String] {
        let columns = schema.fields.indices.map { definition($0) }
        let table = """
            CREATE TABLE \(name) (
                \(columns.joined(separator: ", ")), \(Self.stamp) bigint NOT NULL,
                PRIMARY KEY (\(keyColumns.joined(separator: ", "))))
            """
        return [table] + indexCreation
    }

    /// Texts are ordered by their bytes, as everywhere here.
    func definition(_ index: Int) -> String {
        let field = schema.fields[index]
        let order = field.type == .text ? " COLLATE \"C\"" : ""
        let presence = field.isOptional ? "" : " NOT NULL"
        return "\(column(index)) \(field.type.postgresName)\(order)\(presence)"
    }

    var indexCreation: [String] {
        schema.indexes.map { index in
            let list = index.fields.compactMap(schema.index(of:)).map(column).joined(
                separator: ", ")
            let only = index.present.flatMap(schema.index(of:)).map {
                " WHERE \(column($0)) IS NOT NULL"
            }
            // The server finds a name for it: one of ours might be too long.
            return "CREATE INDEX ON \(name) (\(list))\(only ?? "")"
        }
    }

    // MARK: - Writing

    private var replacement: String {
        let assignments = columns.dropFirst(schema.keyCount).map { "\($0) = EXCLUDED.\($0)" }
        return """
            ON CONFLICT (\(keyColumns.joined(separator: ", "))) DO UPDATE SET \
            \(assignments.joined(separator: ", "))
            """
    }

    private var insertion: String {
        "INSERT INTO \(name) (\(columns.joined(separator: ", ")))"
    }

    var upsert: String {
        let marks = (1...columns.count).map { "$\($0)" }.joined(separator: ", ")
        return "\(insertion) VALUES (\(marks)) \(replacement)"
    }

    var deletion: String { "DELETE FROM \(name) WHERE \(matchesKey)" }

    var copy: String {
        "COPY \(name) (\(columns.joined(separator: ", "))) FROM STDIN (FORMAT binary)"
    }

    /// A table of the connection's own, through which rows go that may replace others. It stays with
    /// the connection: a new one for each batch would fill the server's catalogue.
    private var staging: String {
        let hash = schema.dataset.utf8.reduce(UInt64(14_695_981_039_346_656_037)) {
            ($0 ^ UInt64($1)) &* 1_099_511_628_211
        }
        return "opsd_staging_" + String(hash, radix: 16)
    }

    var stagingCreation: String {
        let columns =
            schema.fields.enumerated().map { "f\($0) \($1.type.postgresName)" } + ["stamp bigint"]
        return """
            CREATE TEMPORARY TABLE IF NOT EXISTS \(staging) (\(columns.joined(separator: ", "))) \
            ON COMMIT DELETE ROWS
            """
    }

    var stagingCopy: String { "COPY pg_temp.\(staging) FROM STDIN (FORMAT binary)" }
    var stagingTransfer: String { "\(insertion) TABLE pg_temp.\(staging) \(replacement)" }

    // MARK: - Reading

    var matchesKey: String {
        keyColumns.enumerated().map { "\($1) = $\($0 + 1)" }.joined(separator: " AND ")
    }

    /// What is read: each column as the type of its field, whatever type it has itself.
    var selection: String {
        let fields = schema.fields.enumerated().map { index, field in
            "\(column(index))::\(field.type.postgresName)"
        }
        return "SELECT \((fields + [Self.stamp]).joined(separator: ", ")) FROM \(name)"
    }

    func parameters(_ key: RowKey) throws(StoreError) -> PostgresParameters {
        guard key.values.count == schema.keyCount else {
            throw .refused(
                store: schema.dataset,
                problem: "a key has \(key.values.count) values, not \(schema.keyCount)")
        }
        var parameters = PostgresParameters()
        for (value, field) in zip(key.values, schema.keyFields) {
            try append(value, of: field, to: &parameters)
        }
        return parameters
    }

    func parameters(_ stamped: StampedRow) throws(StoreError) -> PostgresParameters {
        try check(stamped.row)
        var parameters = PostgresParameters()
        for (value, field) in zip(stamped.row.values, schema.fields) {
            parameters.append(value, as: field.type)
        }
        parameters.append(stamped.sequence.rawValue)
        return parameters
    }

    /// Of a row to be written: that it has the schema's shape, and nothing that no column can hold.
    func check(_ row: Row) throws(StoreError) {
        guard row.values.count == schema.fields.count else {
            throw .refused(
                store: schema.dataset,
                problem: """
                    a row has \(row.values.count) values where \(schema.fields.count) are declared
                    """)
        }
        for (value, field) in zip(row.values, schema.fields) { try check(value, of: field) }
    }

    /// - Parameter lengths: of columns that take so many characters, by their fields' places.
    func check(_ row: Row, within lengths: [Int: Int]) throws(StoreError) {
        for (index, most) in lengths {
            guard index < row.values.count,
                let count = row.values[index].text?.unicodeScalars.count,
                count > most
            else { continue }
            throw .refused(
                store: schema.dataset,
                problem: """
                    \(schema.fields[index].name) has \(count) characters, and its column takes \(most): \
                    ALTER TABLE \(name) ALTER COLUMN \(column(index)) TYPE text
                    """)
        }
    }

    func append(
        _ value: Value, of field: Field, to parameters: inout PostgresParameters
    ) throws(StoreError) {
        try check(value, of: field)
        parameters.append(value, as: field.type)
    }

    private func check(_ value: Value, of field: Field) throws(StoreError) {
        if let type = value.type, type != field.type {
            throw .refused(
                store: schema.dataset,
                problem: "\(field.name) is \(type.rawValue), not \(field.type.rawValue)")
        }
        if let problem = BinaryValue.problem(value) {
            throw .refused(store: schema.dataset, problem: "\(field.name) \(problem)")
        }
    }

    func rows(_ result: PostgresResult) throws(StoreError) -> [StampedRow] {
        var rows: [StampedRow] = []
        rows.reserveCapacity(result.rowCount)
        for index in 0..<result.rowCount { rows.append(try row(result, index)) }
        return rows
    }

    private func row(_ result: PostgresResult, _ row: Int) throws(StoreError) -> StampedRow {
        var values: [Value] = []
        values.reserveCapacity(schema.fields.count)
        for (index, field) in schema.fields.enumerated() {
            guard let bytes = result.bytes(row, index) else {
                guard field.isOptional else { throw damage("\(field.name) is null") }
                values.append(.null)
                continue
            }
            guard let value = BinaryValue.decode(bytes, as: field.type) else {
                throw damage("\(field.name) is no \(field.type.rawValue)")
            }
            values.append(value)
        }
        guard let sequence = result.integer(row, schema.fields.count) else {
            throw damage("\(Self.stamp) is null")
        }
        return StampedRow(
            row: Row(dataset: schema.dataset, values: values),
            sequence: SequenceNumber(rawValue: sequence))
    }

    private func damage(_ problem: String) -> StoreError {
        .damaged(store: schema.dataset, problem: problem)
    }
}
