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

    var creation: [String] {
        let columns = schema.fields.map { field in
            let type =
                switch field.type {
                case .text, .decimal, .json: "TEXT"
                case .integer, .timestamp, .boolean: "INTEGER"
                }
            return "\(Self.quoted(field.name)) \(type)\(field.isOptional ? "" : " NOT NULL")"
        }
        let key = schema.keyFields.map { Self.quoted($0.name) }.joined(separator: ", ")
        let table = """
            CREATE TABLE IF NOT EXISTS \(name)(
                \(columns.joined(separator: ", ")), opsd_sequence INTEGER NOT NULL,
                PRIMARY KEY (\(key))) WITHOUT ROWID
            """
        let indexes = schema.indexes.map { index in
            let indexName = Self.quoted(
                "\(schema.dataset)_by_\(index.fields.joined(separator: "_"))")
            let list = index.fields.map(Self.quoted).joined(separator: ", ")
            let only = index.present.map { " WHERE \(Self.quoted($0)) IS NOT NULL" } ?? ""
            return "CREATE INDEX IF NOT EXISTS \(indexName) ON \(name) (\(list))\(only)"
        }
        return [table] + indexes
    }

    func apply(_ change: StoreBatch.Change, to database: Database) throws {
        guard let row = change.row else {
            let statement = try database.cachedStatement(
                sql: "DELETE FROM \(name) WHERE \(matchesKey)")
            try statement.execute(arguments: StatementArguments(change.key.values.map(\.stored)))
            return
        }
        let statement = try database.cachedStatement(sql: upsert)
        var arguments = row.values.map(\.stored)
        arguments.append(change.sequence.rawValue.databaseValue)
        statement.setUncheckedArguments(StatementArguments(arguments))
        try statement.execute()
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
            guard let value = Value(stored: row[index], as: field.type) else {
                throw StoreError.damaged(
                    store: schema.dataset, problem: "\(field.name) is no \(field.type.rawValue)")
            }
            values.append(value)
        }
        let sequence = Int64.fromDatabaseValue(row[schema.fields.count]) ?? 0
        return StampedRow(
            row: Ledger.Row(dataset: schema.dataset, values: values),
            sequence: SequenceNumber(rawValue: sequence))
    }

    // MARK: - Queries

    func select(_ query: RowQuery) throws(StoreError) -> Select {
        let (condition, arguments) = try condition(query)
        var order = schema.keyFields.map { Self.quoted($0.name) }
        if let wanted = query.order {
            let direction = wanted.descending ? " DESC" : ""
            order = order.map { $0 + direction }
            order.insert(try column(wanted.field) + direction, at: 0)
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
            terms.append("\(try column(field)) IN (\(marks))")
            arguments += values.map(\.stored)
        }
        for field in query.present { terms.append("\(try column(field)) IS NOT NULL") }
        if let range = query.range {
            let column = try column(range.field)
            if let from = range.from {
                terms.append("\(column) >= ?")
                arguments.append(from.stored)
            }
            if let before = range.before {
                terms.append("\(column) < ?")
                arguments.append(before.stored)
            }
        }
        return (terms.isEmpty ? "" : " WHERE " + terms.joined(separator: " AND "), arguments)
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

    /// Nil when the column does not hold this type.
    init?(stored: (any DatabaseValueConvertible)?, as type: FieldType) {
        let stored = stored?.databaseValue ?? .null
        if stored.isNull {
            self = .null
            return
        }
        switch type {
        case .text:
            guard let text = String.fromDatabaseValue(stored) else { return nil }
            self = .text(text)
        case .integer:
            guard let number = Int64.fromDatabaseValue(stored) else { return nil }
            self = .integer(number)
        case .decimal:
            guard let text = String.fromDatabaseValue(stored), let number = ExactDecimal(text)
            else { return nil }
            self = .decimal(number)
        case .timestamp:
            guard let time = Int64.fromDatabaseValue(stored) else { return nil }
            self = .timestamp(Timestamp(microseconds: time))
        case .boolean:
            guard let flag = Bool.fromDatabaseValue(stored) else { return nil }
            self = .boolean(flag)
        case .json:
            guard let text = String.fromDatabaseValue(stored),
                let json = try? CanonicalJSON(parsing: text)
            else { return nil }
            self = .json(json)
        }
    }
}
