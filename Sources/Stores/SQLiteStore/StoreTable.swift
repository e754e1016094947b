internal import Foundation
internal import GRDB
internal import Ledger

/// One dataset's table, and the SQL that speaks to it.
///
/// Decimals are TEXT in their canonical spelling, timestamps INTEGER microseconds, JSON TEXT in its
/// canonical spelling. The stamp of a row is a column of opsd's own. Of a table that another program has
/// made the stamps lie in a table beside it, and each column is spoken to in its own way
/// (`ForeignColumns`).
struct StoreTable: Sendable {
    struct Select: Sendable {
        let sql: String
        let arguments: StatementArguments
    }

    let schema: Schema
    let tableName: String
    /// Of each field, in the schema's order, quoted.
    private let names: [String]
    private let bareNames: [String]
    private let upsert: String
    /// Nil for a table of opsd's own.
    private var foreign: ForeignColumns?
    /// Places of fields that the table has no column for, as who reads alone may find it.
    private var absent: Set<Int> = []
    /// Whether another program's table has one beside it for stamps.
    private var hasStamps = true

    init(_ schema: Schema, _ layout: SQLiteLayout = SQLiteLayout()) {
        self.schema = schema
        tableName = layout.table ?? schema.dataset
        bareNames = schema.fields.map { layout.columns[$0.name] ?? $0.name }
        names = bareNames.map(Self.quoted)
        let marks = Array(repeating: "?", count: names.count + 1).joined(separator: ", ")
        let columns = (names + ["opsd_sequence"]).joined(separator: ", ")
        upsert =
            "INSERT OR REPLACE INTO \(Self.quoted(tableName)) (\(columns)) VALUES (\(marks))"
    }

    static func quoted(_ name: String) -> String {
        "\"" + name.replacingOccurrences(of: "\"", with: "\"\"") + "\""
    }

    var isForeign: Bool { foreign != nil }
    var name: String { Self.quoted(tableName) }
    var keyNames: ArraySlice<String> { names.prefix(schema.keyCount) }
    /// opsd's own, beside another program's table: the key, and the sequence number.
    private var stampsName: String { "opsd_v_" + schema.dataset }
    /// The table beside another program's; nil where there is none.
    var stampsTable: String? { isForeign && hasStamps ? stampsName : nil }
    private var stamps: String { Self.quoted(stampsName) }

    /// What tells the layout from another one of the dataset.
    var layout: String {
        let renamed = zip(schema.fields, bareNames).filter { $0.name != $1 }
            .map { "\($0.name)=\($1)" }.sorted()
        return ([name] + renamed).joined(separator: " ")
    }

    private var matchesKey: String {
        keyNames.enumerated().map { "\($1)\(order($0)) = ?" }.joined(separator: " AND ")
    }
    /// How the texts of a column are compared, where not by their bytes.
    private func order(_ index: Int) -> String {
        foreign?.isTime(index) == true ? " COLLATE opsd_time" : ""
    }

    /// What is read, and from where.
    var columns: String {
        let stamp =
            foreign == nil ? "t.opsd_sequence" : hasStamps ? "COALESCE(s.opsd_sequence, 0)" : "0"
        return (names.indices.map { absent.contains($0) ? "NULL" : "t.\(names[$0])" } + [stamp])
            .joined(separator: ", ")
    }
    var source: String {
        guard foreign != nil, hasStamps else { return "\(name) AS t" }
        let same = keyNames.enumerated().map { index, name in
            // Without the plus a column's affinity would keep the index of the stamps from being used. A
            // number needs it: its stamp has the text that it was written as.
            "s.\(name) = \(foreign?.isNumber(index) == true ? "" : "+")t.\(name)\(order(index))"
        }.joined(separator: " AND ")
        return "\(name) AS t LEFT JOIN \(stamps) AS s ON \(same)"
    }

    func isPresent(_ database: Database) throws -> Bool { try database.tableExists(tableName) }

    /// Makes what is not there: the table, the columns of fields that were declared after it was made,
    /// the indexes. Of another program's table nothing is changed.
    mutating func prepare(_ database: Database) throws {
        let present =
            try database.tableExists(tableName)
            ? try database.columns(in: tableName) : []
        if !present.isEmpty, !present.contains(where: { $0.name == "opsd_sequence" }) {
            foreign = try ForeignColumns(schema, bareNames, of: tableName, present)
            let key = keyNames.joined(separator: ", ")
            return try database.execute(
                sql: """
                    CREATE TABLE IF NOT EXISTS \(stamps)(
                        \(key), opsd_sequence INTEGER NOT NULL, PRIMARY KEY (\(key)))
                    """)
        }
        try database.execute(sql: creation)
        let known = Set(present.map { $0.name.lowercased() })
        for (index, field) in schema.fields.enumerated()
        where !present.isEmpty && !known.contains(bareNames[index].lowercased()) {
            guard field.isOptional else {
                throw StoreError.refused(
                    store: schema.dataset,
                    problem: """
                        its table was made without the field \(field.name), which must not be \
                        missing: move the database away, and it is filled again
                        """)
            }
            try database.execute(sql: "ALTER TABLE \(name) ADD COLUMN \(definition(index))")
        }
        for statement in indexCreation { try database.execute(sql: statement) }
    }

    /// The table as it lies there, for who changes nothing; nil where there is none yet.
    func asItLies(_ database: Database) throws -> StoreTable? {
        // Asked anew each time: another process may be about to make it.
        let select = "SELECT * FROM pragma_table_info(?)"
        func columns(_ table: String) throws -> [ColumnInfo] {
            try ColumnInfo.fetchAll(database, sql: select, arguments: [table])
        }
        let present = try columns(tableName)
        if present.isEmpty { return nil }
        var table = self
        if !present.contains(where: { $0.name == "opsd_sequence" }) {
            table.foreign = try ForeignColumns(schema, bareNames, of: tableName, present)
            table.hasStamps = try !columns(stampsName).isEmpty
            return table
        }
        let known = Set(present.map { $0.name.lowercased() })
        table.absent = Set(names.indices.filter { !known.contains(bareNames[$0].lowercased()) })
        if let field = table.absent.map({ schema.fields[$0] }).first(where: { !$0.isOptional }) {
            throw StoreError.refused(
                store: schema.dataset,
                problem:
                    "its table has no column for the field \(field.name), which must not be missing"
            )
        }
        return table
    }

    private func definition(_ index: Int) -> String {
        let field = schema.fields[index]
        let type =
            switch field.type {
            case .text, .decimal, .json: "TEXT"
            case .integer, .timestamp, .boolean: "INTEGER"
            }
        return "\(names[index]) \(type)\(field.isOptional ? "" : " NOT NULL")"
    }

    private var creation: String {
        let columns = schema.fields.indices.map(definition)
        return """
            CREATE TABLE IF NOT EXISTS \(name)(
                \(columns.joined(separator: ", ")), opsd_sequence INTEGER NOT NULL,
                PRIMARY KEY (\(keyNames.joined(separator: ", ")))) WITHOUT ROWID
            """
    }

    private var indexCreation: [String] {
        schema.indexes.map { index in
            let indexName = Self.quoted(
                "\(schema.dataset)_by_\(index.fields.joined(separator: "_"))")
            let list = index.fields.compactMap(schema.index(of:)).map { names[$0] }
                .joined(separator: ", ")
            let only =
                index.present.flatMap(schema.index(of:))
                .map { " WHERE \(names[$0]) IS NOT NULL" } ?? ""
            return "CREATE INDEX IF NOT EXISTS \(indexName) ON \(name) (\(list))\(only)"
        }
    }

    func apply(_ change: StoreBatch.Change, to database: Database) throws {
        guard let row = change.row else {
            let key = try stored(change.key.values[...])
            try database.cachedStatement(sql: "DELETE FROM \(name) WHERE \(matchesKey)")
                .execute(arguments: key)
            if foreign != nil {
                try database.cachedStatement(sql: "DELETE FROM \(stamps) WHERE \(matchesKey)")
                    .execute(arguments: key)
            }
            return
        }
        try put(StampedRow(row: row, sequence: change.sequence), to: database)
    }

    func put(_ stamped: StampedRow, to database: Database) throws {
        let values = stamped.row.values
        guard values.count == schema.fields.count else {
            throw StoreError.refused(
                store: schema.dataset,
                problem: """
                    a row has \(values.count) values where \(schema.fields.count) are declared
                    """)
        }
        guard foreign != nil else {
            let statement = try database.cachedStatement(sql: upsert)
            return try statement.execute(binding: values, then: stamped.sequence.rawValue)
        }
        try putForeign(values, to: database)
        let key = values.prefix(schema.keyCount)
        let marks = Array(repeating: "?", count: key.count + 1).joined(separator: ", ")
        try database.cachedStatement(sql: "INSERT OR REPLACE INTO \(stamps) VALUES (\(marks))")
            .execute(
                arguments: try stored(key) + StatementArguments([stamped.sequence.rawValue]))
    }

    /// A row that shows the values already stays as it is, and columns that are the other program's alone
    /// keep what they have. Its table may have no index of the key that `ON CONFLICT` could name. What is
    /// damaged is written over, as in a table of opsd's own.
    private func putForeign(_ values: [Value], to database: Database) throws {
        let key = values.prefix(schema.keyCount)
        guard
            let present = try find(
                RowKey(dataset: schema.dataset, values: Array(key)), in: database)
        else {
            let marks = Array(repeating: "?", count: names.count).joined(separator: ", ")
            try database.cachedStatement(
                sql: "INSERT INTO \(name) (\(names.joined(separator: ", "))) VALUES (\(marks))"
            ).execute(arguments: try stored(values[...]))
            return
        }
        if case .row(let stamped) = present, stamped.row.values == values { return }
        let assignments = names.dropFirst(schema.keyCount).map { "\($0) = ?" }
        try database.cachedStatement(
            sql: "UPDATE \(name) SET \(assignments.joined(separator: ", ")) WHERE \(matchesKey)"
        ).execute(arguments: try stored(values.dropFirst(schema.keyCount)) + stored(key))
    }

    /// As the columns of their fields have them.
    func stored(_ values: ArraySlice<Value>) throws(StoreError) -> StatementArguments {
        var stored: [DatabaseValue] = []
        for (index, value) in zip(values.indices, values) {
            stored.append(try self.stored(value, index))
        }
        return StatementArguments(stored)
    }

    func stored(_ value: Value, _ index: Int) throws(StoreError) -> DatabaseValue {
        try foreign?.stored(value, index) ?? value.stored
    }

    func isEmpty(_ database: Database) throws -> Bool {
        guard try database.tableExists(tableName) else { return true }
        return try GRDB.Row.fetchOne(database, sql: "SELECT 1 FROM \(name) LIMIT 1") == nil
    }

    /// `prepare` makes it anew. Another program's stays.
    func drop(_ database: Database) throws {
        guard try database.tableExists(tableName),
            try database.columns(in: tableName).contains(where: { $0.name == "opsd_sequence" })
        else { return }
        try database.execute(sql: "DROP TABLE IF EXISTS \(name)")
    }

    func empty(_ database: Database) throws {
        try database.execute(sql: "DELETE FROM \(name)")
        if foreign != nil { try database.execute(sql: "DELETE FROM \(stamps)") }
    }

    func row(_ key: RowKey, in database: Database) throws -> StampedRow? {
        try rows(select(key), in: database).first
    }

    func select(_ key: RowKey) throws(StoreError) -> Select {
        let matches = (0..<schema.keyCount).map { "\(column($0)) = ?" }
            .joined(separator: " AND ")
        return Select(
            sql: "SELECT \(columns) FROM \(source) WHERE \(matches)",
            arguments: try stored(key.values[...]))
    }

    func rows(_ select: Select, in database: Database) throws -> [StampedRow] {
        let statement = try database.cachedStatement(sql: select.sql)
        let cursor = try GRDB.Row.fetchCursor(statement, arguments: select.arguments)
        var found: [StampedRow] = []
        while let row = try cursor.next() { found.append(try decoded(row)) }
        return found
    }

    private func decoded(_ row: GRDB.Row) throws -> StampedRow {
        switch found(row) {
        case .row(let row): return row
        case .damaged(let damage):
            throw StoreError.damaged(store: schema.dataset, problem: damage.problem)
        }
    }

    /// A row of a result, or what is wrong with it.
    func found(_ row: GRDB.Row) -> FoundRow {
        var values: [Value] = []
        values.reserveCapacity(schema.fields.count)
        func damaged(_ problem: String) -> FoundRow {
            let key = (0..<schema.keyCount).map { (row[$0] as DatabaseValue).description }
            let hasKey = values.count >= schema.keyCount
            return .damaged(
                DamagedRow(
                    key: hasKey
                        ? RowKey(
                            dataset: schema.dataset, values: Array(values.prefix(schema.keyCount)))
                        : nil,
                    place: "the row (\(key.joined(separator: ", ").prefix(200))) of \(tableName)",
                    problem: problem))
        }
        for (index, field) in schema.fields.enumerated() {
            let stored: DatabaseValue = row[index]
            guard
                let value = foreign.map({ $0.value(stored, of: field) })
                    ?? Value(stored: stored, as: field.type),
                field.isOptional || value != .null
            else { return damaged("\(field.name) is no \(field.type.rawValue)") }
            values.append(value)
        }
        guard case .int64(let sequence) = (row[schema.fields.count] as DatabaseValue).storage else {
            return damaged("opsd_sequence is no integer")
        }
        return .row(
            StampedRow(
                row: Ledger.Row(dataset: schema.dataset, values: values),
                sequence: SequenceNumber(rawValue: sequence)))
    }

    // MARK: - Queries

    func select(_ query: RowQuery) throws(StoreError) -> Select {
        let (condition, arguments) = try condition(query)
        var order = (0..<schema.keyCount).map(comparable)
        if let wanted = query.order {
            let direction = wanted.descending ? " DESC" : ""
            order = order.map { $0 + direction }
            order.insert(comparable(try place(wanted.field)) + direction, at: 0)
        }
        let sql = """
            SELECT \(columns) FROM \(source)\(condition) ORDER BY \(order.joined(separator: ", ")) \
            LIMIT ? OFFSET ?
            """
        return Select(
            sql: sql, arguments: StatementArguments(arguments + [query.limit, query.offset]))
    }

    func count(_ query: RowQuery) throws(StoreError) -> Select {
        let (condition, arguments) = try condition(query)
        return Select(
            sql: "SELECT COUNT(*) FROM \(name) AS t\(condition)",
            arguments: StatementArguments(arguments))
    }

    private func condition(
        _ query: RowQuery
    ) throws(StoreError) -> (sql: String, arguments: [any DatabaseValueConvertible]) {
        var terms: [String] = []
        var arguments: [any DatabaseValueConvertible] = []
        for (field, values) in query.matching {
            let marks = Array(repeating: "?", count: values.count).joined(separator: ", ")
            let index = try place(field)
            let column = column(index)
            let orNull = values.contains(.null) ? " OR \(column) IS NULL" : ""
            terms.append("(\(column) IN (\(marks))\(orNull))")
            for value in values { arguments.append(try stored(value, index)) }
        }
        for field in query.present { terms.append("\(column(try place(field))) IS NOT NULL") }
        if let range = query.range {
            let index = try place(range.field)
            for (sign, value) in [(">=", range.from), ("<", range.before)] {
                guard let value else { continue }
                terms.append("\(comparable(index)) \(sign) ?")
                arguments.append(try stored(value, index))
            }
        }
        if let key = query.afterKey {
            let columns = (0..<schema.keyCount).map(comparable).joined(separator: ", ")
            let marks = Array(repeating: "?", count: key.count).joined(separator: ", ")
            terms.append("(\(columns)) > (\(marks))")
            for (index, value) in key.enumerated() { arguments.append(try stored(value, index)) }
        }
        return (terms.isEmpty ? "" : " WHERE " + terms.joined(separator: " AND "), arguments)
    }

    /// Decimals are texts, so that none is rounded; ordered as texts, 10 would stand before 9.
    static let decimalOrder = DatabaseCollation("opsd_decimal") { left, right in
        guard let left = ExactDecimal(left), let right = ExactDecimal(right) else {
            return left.utf8.lexicographicallyPrecedes(right.utf8)
                ? .orderedAscending : left == right ? .orderedSame : .orderedDescending
        }
        return left < right ? .orderedAscending : left == right ? .orderedSame : .orderedDescending
    }

    /// Of times as texts: another program may spell one in several ways.
    static let timeOrder = DatabaseCollation("opsd_time") { left, right in
        guard case .timestamp(let one)? = Value(plainText: left, as: .timestamp),
            case .timestamp(let other)? = Value(plainText: right, as: .timestamp)
        else {
            return left < right
                ? .orderedAscending : left == right ? .orderedSame : .orderedDescending
        }
        let (a, b) = (one.microseconds, other.microseconds)
        return a < b ? .orderedAscending : a == b ? .orderedSame : .orderedDescending
    }

    /// A column as it is compared with others by size.
    private func comparable(_ index: Int) -> String {
        let isText = schema.fields[index].type == .decimal && foreign?.isNumber(index) != true
        return isText ? column(index) + " COLLATE opsd_decimal" : column(index)
    }

    func column(_ index: Int) -> String {
        absent.contains(index) ? "NULL" : "t.\(names[index])\(order(index))"
    }

    private func place(_ field: String) throws(StoreError) -> Int {
        guard let index = schema.index(of: field) else {
            throw .refused(store: schema.dataset, problem: "there is no field '\(field)'")
        }
        return index
    }
}

extension Value {
    var stored: DatabaseValue {
        switch self {
        case .null: .null
        case .text(let text): text.databaseValue
        case .integer(let number): number.databaseValue
        case .decimal(let number): number.description.databaseValue
        case .timestamp(let time): time.microseconds.databaseValue
        case .boolean(let flag): flag.databaseValue
        case .json(let json): json.text.databaseValue
        }
    }

    /// Nil when the column does not hold this type as this store writes it: SQLite lets any column
    /// hold anything, and would convert it silently.
    init?(stored: DatabaseValue, as type: FieldType) {
        switch (type, stored.storage) {
        case (_, .null): self = .null
        case (.text, .string(let text)): self = .text(text)
        case (.integer, .int64(let number)): self = .integer(number)
        case (.decimal, .string(let text)):
            guard let number = ExactDecimal(text) else { return nil }
            self = .decimal(number)
        case (.timestamp, .int64(let time)): self = .timestamp(Timestamp(microseconds: time))
        case (.boolean, .int64(let flag)):
            guard flag == 0 || flag == 1 else { return nil }
            self = .boolean(flag == 1)
        case (.json, .string(let text)):
            guard let json = try? CanonicalJSON(parsing: text) else { return nil }
            self = .json(json)
        default: return nil
        }
    }
}
