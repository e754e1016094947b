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
    /// Another program's table: it gets no column of opsd's, and the stamps lie in a table beside it.
    private(set) var isForeign = false
    /// Whether the table for another program's stamps is there, and which fields have no column: for who
    /// reads alone, and makes neither.
    private(set) var hasStamps = true
    private(set) var absent: Set<Int> = []
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

    /// The same, as the table lies in the database.
    func lying(as shape: TableShape) -> PostgresTable {
        var table = self
        table.isForeign = shape.isForeign
        table.hasStamps = shape.hasStamps
        table.absent = shape.absent
        return table
    }

    /// Every field's column, then the stamp where it is among them.
    var columns: [String] { columnNames.map(quoted) + (isForeign ? [] : [Self.stamp]) }
    var keyColumns: [String] { columnNames.prefix(schema.keyCount).map(quoted) }

    /// What tells the layout from another one of the dataset. A field that is declared later changes it
    /// only by a name of its own.
    var layout: String {
        let renamed = zip(schema.fields, columnNames).filter { $0.name != $1 }
            .map { "\($0.name)=\($1)" }.sorted()
        return ([name] + renamed).joined(separator: " ")
    }

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
        let others = columns.dropFirst(schema.keyCount)
        let conflict = "ON CONFLICT (\(keyColumns.joined(separator: ", ")))"
        if others.isEmpty { return conflict + " DO NOTHING" }
        let assignments = others.map { "\($0) = EXCLUDED.\($0)" }
        let update = "\(conflict) DO UPDATE SET \(assignments.joined(separator: ", "))"
        guard isForeign else { return update }
        // A row that shows the values already is not touched: the other program may have triggers.
        func comparable(_ side: String) -> String {
            schema.fields.indices.dropFirst(schema.keyCount).map { index in
                // The type json has no equality.
                "\(side).\(column(index))" + (schema.fields[index].type == .json ? "::jsonb" : "")
            }.joined(separator: ", ")
        }
        return """
            \(update) WHERE (\(comparable("t"))) IS DISTINCT FROM (\(comparable("EXCLUDED")))
            """
    }

    private var insertion: String {
        "INSERT INTO \(name) AS t (\(columns.joined(separator: ", ")))"
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
    var stagingTransfers: [String] {
        guard isForeign else { return ["\(insertion) TABLE pg_temp.\(staging) \(replacement)"] }
        let fields = schema.fields.indices.map { "f\($0)" }.joined(separator: ", ")
        let keys = (0..<schema.keyCount).map { "f\($0)" }.joined(separator: ", ")
        return [
            "\(insertion) SELECT \(fields) FROM pg_temp.\(staging) \(replacement)",
            "INSERT INTO \(stamps) SELECT \(keys), stamp FROM pg_temp.\(staging) \(stamping)",
        ]
    }

    // MARK: - Stamps beside another program's table

    var stamps: String { "opsd." + quoted("v_" + schema.dataset) }
    var stampKeys: [String] { (0..<schema.keyCount).map { "opsd_k\($0)" } }

    var stampCreation: String {
        let keys = zip(stampKeys, schema.keyFields).map { key, field in
            "\(key) \(field.type.postgresName)\(field.type == .text ? " COLLATE \"C\"" : "") NOT NULL"
        }
        return """
            CREATE TABLE IF NOT EXISTS \(stamps) (
                \(keys.joined(separator: ", ")), \(Self.stamp) bigint NOT NULL,
                PRIMARY KEY (\(stampKeys.joined(separator: ", "))))
            """
    }

    private var stamping: String {
        """
        ON CONFLICT (\(stampKeys.joined(separator: ", "))) DO UPDATE SET \
        \(Self.stamp) = EXCLUDED.\(Self.stamp)
        """
    }

    private var stampUpsert: String {
        let marks = (1...schema.keyCount + 1).map { "$\($0)" }.joined(separator: ", ")
        return "INSERT INTO \(stamps) VALUES (\(marks)) \(stamping)"
    }

    private var stampDeletion: String {
        let matches = stampKeys.enumerated().map { "\($1) = $\($0 + 1)" }
        return "DELETE FROM \(stamps) WHERE \(matches.joined(separator: " AND "))"
    }

    private var stampJoin: String {
        let matches = zip(stampKeys, keyColumns).map { "\($0) = \($1)" }
        return "LEFT JOIN \(stamps) ON \(matches.joined(separator: " AND "))"
    }

    // MARK: - Statements

    func putting(_ stamped: StampedRow) throws(StoreError) -> [PostgresLink.Statement] {
        let row = PostgresLink.Statement(sql: upsert, parameters: try parameters(stamped))
        guard isForeign else { return [row] }
        var stamp = try parameters(stamped.row.key(in: schema))
        stamp.append(stamped.sequence.rawValue)
        return [row, .init(sql: stampUpsert, parameters: stamp)]
    }

    func deleting(_ key: RowKey) throws(StoreError) -> [PostgresLink.Statement] {
        let row = PostgresLink.Statement(sql: deletion, parameters: try parameters(key))
        guard isForeign else { return [row] }
        return [row, .init(sql: stampDeletion, parameters: try parameters(key))]
    }

    // MARK: - Reading

    var matchesKey: String {
        keyColumns.enumerated().map { "\($1) = $\($0 + 1)" }.joined(separator: " AND ")
    }

    /// What is read: each column as the type of its field, whatever type it has itself.
    var selection: String { "SELECT \(selected) FROM \(source)" }

    var selected: String {
        let fields = schema.fields.enumerated().map { index, field in
            absent.contains(index) ? "NULL" : "\(column(index))::\(field.type.postgresName)"
        }
        let stamp = isForeign ? hasStamps ? "coalesce(\(Self.stamp), 0)" : "0::bigint" : Self.stamp
        return (fields + [stamp]).joined(separator: ", ")
    }

    var source: String { name + (isForeign && hasStamps ? " " + stampJoin : "") }

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
        if !isForeign { parameters.append(stamped.sequence.rawValue) }
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
        switch found(result, row) {
        case .row(let row): return row
        case .damaged(let damage):
            throw .damaged(store: schema.dataset, problem: damage.problem)
        }
    }

    /// A row of a result, or what is wrong with it.
    func found(_ result: PostgresResult, _ row: Int) -> FoundRow {
        var values: [Value] = []
        values.reserveCapacity(schema.fields.count)
        for (index, field) in schema.fields.enumerated() {
            guard let bytes = result.bytes(row, index) else {
                guard field.isOptional else { return damage("\(field.name) is null", values) }
                values.append(.null)
                continue
            }
            guard let value = BinaryValue.decode(bytes, as: field.type) else {
                return damage("\(field.name) is no \(field.type.rawValue)", values)
            }
            values.append(value)
        }
        guard let sequence = result.integer(row, schema.fields.count) else {
            return damage("\(Self.stamp) is null", values)
        }
        return .row(
            StampedRow(
                row: Row(dataset: schema.dataset, values: values),
                sequence: SequenceNumber(rawValue: sequence)))
    }

    /// - Parameter values: as far as they could be read.
    private func damage(_ problem: String, _ values: [Value]) -> FoundRow {
        let key = values.prefix(schema.keyCount)
        let hasKey = key.count == schema.keyCount
        let shown = key.map(\.description).joined(separator: ", ").prefix(200)
        return .damaged(
            DamagedRow(
                key: hasKey ? RowKey(dataset: schema.dataset, values: Array(key)) : nil,
                place: hasKey ? "the row (\(shown)) of \(name)" : "a row of \(name)",
                problem: problem))
    }
}
