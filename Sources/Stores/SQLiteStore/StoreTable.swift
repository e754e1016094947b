internal import Foundation
internal import GRDB
internal import Ledger

/// One dataset's table, and the SQL that speaks to it.
///
/// Decimals are TEXT in their canonical spelling, timestamps INTEGER microseconds, JSON TEXT in its
/// canonical spelling. The stamp of a row is a column of opsd's own.
struct StoreTable: Sendable {
    struct Select: Sendable {
        let sql: String
        let arguments: StatementArguments
    }

    private let schema: Schema
    private let upsert: String
    private let columns: String
    private let matchesKey: String

    init(_ schema: Schema) {
        self.schema = schema
        let names = schema.fields.map { Self.quoted($0.name) }
        columns = (names + ["opsd_sequence"]).joined(separator: ", ")
        let marks = Array(repeating: "?", count: names.count + 1).joined(separator: ", ")
        upsert =
            "INSERT OR REPLACE INTO \(Self.quoted(schema.dataset)) (\(columns)) VALUES (\(marks))"
        matchesKey = schema.keyFields.map { "\(Self.quoted($0.name)) = ?" }
            .joined(separator: " AND ")
    }

    private static func quoted(_ name: String) -> String {
        "\"" + name.replacingOccurrences(of: "\"", with: "\"\"") + "\""
    }

    private var name: String { Self.quoted(schema.dataset) }

    /// Makes what is not there: the table, the columns of fields that were declared after it was made,
    /// the indexes.
    func prepare(_ database: Database) throws {
        try database.execute(sql: creation)
        let present = Set(try database.columns(in: schema.dataset).map(\.name))
        for field in schema.fields where !present.contains(field.name) {
            guard field.isOptional else {
                throw StoreError.refused(
                    store: schema.dataset,
                    problem: """
                        its table was made without the field \(field.name), which must not be \
                        missing: move the database away, and it is filled again
                        """)
            }
            try database.execute(sql: "ALTER TABLE \(name) ADD COLUMN \(Self.definition(field))")
        }
        for statement in indexCreation { try database.execute(sql: statement) }
    }

    private static func definition(_ field: Field) -> String {
        let type =
            switch field.type {
            case .text, .decimal, .json: "TEXT"
            case .integer, .timestamp, .boolean: "INTEGER"
            }
        return "\(quoted(field.name)) \(type)\(field.isOptional ? "" : " NOT NULL")"
    }

    private var creation: String {
        let columns = schema.fields.map(Self.definition)
        let key = schema.keyFields.map { Self.quoted($0.name) }.joined(separator: ", ")
        return """
            CREATE TABLE IF NOT EXISTS \(name)(
                \(columns.joined(separator: ", ")), opsd_sequence INTEGER NOT NULL,
                PRIMARY KEY (\(key))) WITHOUT ROWID
            """
    }

    private var indexCreation: [String] {
        schema.indexes.map { index in
            let indexName = Self.quoted(
                "\(schema.dataset)_by_\(index.fields.joined(separator: "_"))")
            let list = index.fields.map(Self.quoted).joined(separator: ", ")
            let only = index.present.map { " WHERE \(Self.quoted($0)) IS NOT NULL" } ?? ""
            return "CREATE INDEX IF NOT EXISTS \(indexName) ON \(name) (\(list))\(only)"
        }
    }

    func apply(_ change: StoreBatch.Change, to database: Database) throws {
        guard let row = change.row else {
            let statement = try database.cachedStatement(
                sql: "DELETE FROM \(name) WHERE \(matchesKey)")
            try statement.execute(arguments: StatementArguments(change.key.values.map(\.stored)))
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
        let statement = try database.cachedStatement(sql: upsert)
        try statement.execute(binding: values, then: stamped.sequence.rawValue)
    }

    func isEmpty(_ database: Database) throws -> Bool {
        try GRDB.Row.fetchOne(database, sql: "SELECT 1 FROM \(name) LIMIT 1") == nil
    }

    /// `prepare` makes it anew.
    func drop(_ database: Database) throws {
        try database.execute(sql: "DROP TABLE IF EXISTS \(name)")
    }

    func empty(_ database: Database) throws {
        try database.execute(sql: "DELETE FROM \(name)")
    }

    func row(_ key: RowKey, in database: Database) throws -> StampedRow? {
        let select = Select(
            sql: "SELECT \(columns) FROM \(name) WHERE \(matchesKey)",
            arguments: StatementArguments(key.values.map(\.stored)))
        return try rows(select, in: database).first
    }

    func rows(_ select: Select, in database: Database) throws -> [StampedRow] {
        let statement = try database.cachedStatement(sql: select.sql)
        let cursor = try GRDB.Row.fetchCursor(statement, arguments: select.arguments)
        var found: [StampedRow] = []
        while let row = try cursor.next() { found.append(try decoded(row)) }
        return found
    }

    private func decoded(_ row: GRDB.Row) throws -> StampedRow {
        var values: [Value] = []
        values.reserveCapacity(schema.fields.count)
        for (index, field) in schema.fields.enumerated() {
            let stored: DatabaseValue = row[index]
            guard let value = Value(stored: stored, as: field.type),
                field.isOptional || value != .null
            else {
                throw StoreError.damaged(
                    store: schema.dataset, problem: "\(field.name) is no \(field.type.rawValue)")
            }
            values.append(value)
        }
        guard case .int64(let sequence) = (row[schema.fields.count] as DatabaseValue).storage else {
            throw StoreError.damaged(
                store: schema.dataset, problem: "opsd_sequence is no integer")
        }
        return StampedRow(
            row: Ledger.Row(dataset: schema.dataset, values: values),
            sequence: SequenceNumber(rawValue: sequence))
    }

    // MARK: - Queries

    func select(_ query: RowQuery) throws(StoreError) -> Select {
        let (condition, arguments) = try condition(query)
        var order = keyOrder
        if let wanted = query.order {
            let direction = wanted.descending ? " DESC" : ""
            order = order.map { $0 + direction }
            order.insert(try comparable(wanted.field) + direction, at: 0)
        }
        let sql = """
            SELECT \(columns) FROM \(name)\(condition) ORDER BY \(order.joined(separator: ", ")) \
            LIMIT ? OFFSET ?
            """
        return Select(
            sql: sql, arguments: StatementArguments(arguments + [query.limit, query.offset]))
    }

    func count(_ query: RowQuery) throws(StoreError) -> Select {
        let (condition, arguments) = try condition(query)
        return Select(
            sql: "SELECT COUNT(*) FROM \(name)\(condition)",
            arguments: StatementArguments(arguments))
    }

    private func condition(
        _ query: RowQuery
    ) throws(StoreError) -> (sql: String, arguments: [any DatabaseValueConvertible]) {
        var terms: [String] = []
        var arguments: [any DatabaseValueConvertible] = []
        for (field, values) in query.matching {
            let marks = Array(repeating: "?", count: values.count).joined(separator: ", ")
            let column = try column(field)
            let orNull = values.contains(.null) ? " OR \(column) IS NULL" : ""
            terms.append("(\(column) IN (\(marks))\(orNull))")
            arguments += values.map(\.stored)
        }
        for field in query.present { terms.append("\(try column(field)) IS NOT NULL") }
        if let range = query.range {
            let column = try comparable(range.field)
            if let from = range.from {
                terms.append("\(column) >= ?")
                arguments.append(from.stored)
            }
            if let before = range.before {
                terms.append("\(column) < ?")
                arguments.append(before.stored)
            }
        }
        if let key = query.afterKey {
            let marks = Array(repeating: "?", count: key.count).joined(separator: ", ")
            terms.append("(\(keyOrder.joined(separator: ", "))) > (\(marks))")
            arguments += key.map(\.stored)
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

    private var keyOrder: [String] { schema.keyFields.map(comparable) }

    /// A column as it is compared with others by size.
    private func comparable(_ field: Field) -> String {
        Self.quoted(field.name) + (field.type == .decimal ? " COLLATE opsd_decimal" : "")
    }

    private func comparable(_ field: String) throws(StoreError) -> String {
        _ = try column(field)
        return schema.fields.first { $0.name == field }.map(comparable) ?? ""
    }

    private func column(_ field: String) throws(StoreError) -> String {
        guard schema.index(of: field) != nil else {
            throw .refused(store: schema.dataset, problem: "there is no field '\(field)'")
        }
        return Self.quoted(field)
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
