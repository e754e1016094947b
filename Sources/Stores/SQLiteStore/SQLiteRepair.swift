internal import Foundation
internal import GRDB
public import Ledger

/// What lies in the places of rows, and putting something else there: a transaction for each thousand rows.
///
/// An image is the cells of every row that has the key, in every column of the table, whoever made it, and
/// of its stamps where those lie in a table beside it. Where another program's table has several rows of one
/// key, a repair leaves one.
extension SQLiteStore: RepairableStore {
    private static let rowsMax = 1_000

    public func images(_ keys: [RowKey]) async throws(StoreError) -> [RowImage] {
        guard let dataset = keys.first?.dataset else { return [] }
        var images: [RowImage] = []
        for start in stride(from: 0, to: keys.count, by: Self.rowsMax) {
            let some = Array(keys[start..<min(start + Self.rowsMax, keys.count)])
            let nothing = [RowImage](repeating: SQLiteImage().encoded, count: some.count)
            images += try await look(dataset, else: nothing) { table, database in
                let repair = try TableRepair(table, database)
                return try some.map { try repair.image($0).encoded }
            }
        }
        return images
    }

    public func replace(
        _ replacements: [RowReplacement]
    ) async throws(StoreError) -> [RowImage?] {
        guard let dataset = replacements.first?.key.dataset else { return [] }
        var images: [RowImage?] = []
        for start in stride(from: 0, to: replacements.count, by: Self.rowsMax) {
            let some = Array(replacements[start..<min(start + Self.rowsMax, replacements.count)])
            images += try await write(dataset) { table, database in
                let repair = try TableRepair(table, database)
                return try some.map { try repair.replace($0)?.encoded }
            }
        }
        return images
    }
}

/// The rows of one key as they lie.
private struct SQLiteImage: Codable, Equatable {
    struct Line: Codable, Equatable {
        var columns: [String]
        /// `n` null, `i5` an integer, `r` and the bits of a number, `tA` a text, `u` and `b` and Base64 a text
        /// that is not UTF-8 and a blob.
        var cells: [String]
    }

    var version = 1
    var rows: [Line] = []
    var stamps: [Line] = []

    var encoded: RowImage {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Numbers and texts are all there is to encode.
        return RowImage(bytes: (try? encoder.encode(self)).map { Array($0) } ?? [])
    }

    init() {}

    /// Nil for what no version up to this one has written.
    init?(_ image: RowImage) {
        guard let read = try? JSONDecoder().decode(Self.self, from: Data(image.bytes)),
            read.version == 1
        else { return nil }
        self = read
    }
}

/// Looks at rows of one table and puts others into their place, within a transaction.
private struct TableRepair {
    private let table: StoreTable
    private let database: Database
    private let columns: [String]
    private let stampColumns: [String]

    init(_ table: StoreTable, _ database: Database) throws {
        self.table = table
        self.database = database
        columns = try Self.columns(of: table.tableName, database)
        stampColumns = try table.stampsTable.map { try Self.columns(of: $0, database) } ?? []
    }

    /// Those that can be written: none that is computed.
    private static func columns(of table: String, _ database: Database) throws -> [String] {
        try String.fetchAll(
            database, sql: "SELECT name FROM pragma_table_info(?)", arguments: [table])
    }

    func image(_ key: RowKey) throws -> SQLiteImage {
        let schema = table.schema
        guard key.dataset == schema.dataset, key.values.count == schema.keyCount else {
            throw StoreError.refused(
                store: schema.dataset, problem: "\(key) is no key of \(schema.dataset)")
        }
        var image = SQLiteImage()
        // What its column cannot hold is not there.
        guard let values = try? table.stored(key.values[...]) else { return image }
        image.rows = try lines(table.tableName, columns, values)
        if let stamps = table.stampsTable { image.stamps = try lines(stamps, stampColumns, values) }
        return image
    }

    private func lines(
        _ name: String, _ columns: [String], _ key: StatementArguments
    ) throws -> [SQLiteImage.Line] {
        // A text goes by its bytes: it may be none in UTF-8.
        let cells = columns.map { column in
            let cell = "t." + StoreTable.quoted(column)
            return """
                CASE typeof(\(cell)) WHEN 'text' THEN CAST(\(cell) AS BLOB) ELSE \(cell) END, \
                typeof(\(cell)) = 'text'
                """
        }
        let matches = (0..<table.schema.keyCount).map { "\(table.column($0)) = ?" }
        let statement = try database.cachedStatement(
            sql: """
                SELECT \(cells.joined(separator: ", ")) FROM \(StoreTable.quoted(name)) AS t \
                WHERE \(matches.joined(separator: " AND "))
                """)
        let cursor = try GRDB.Row.fetchCursor(statement, arguments: key)
        var lines: [SQLiteImage.Line] = []
        while let row = try cursor.next() {
            let cells = columns.indices.map { Self.cell(row[$0 * 2], isText: row[$0 * 2 + 1]) }
            lines.append(SQLiteImage.Line(columns: columns, cells: cells))
        }
        return lines.sorted { $0.cells.lexicographicallyPrecedes($1.cells) }
    }

    private static func cell(_ value: DatabaseValue, isText: Bool) -> String {
        switch value.storage {
        case .null: return "n"
        case .int64(let number): return "i\(number)"
        case .double(let number): return "r\(number.bitPattern)"
        case .string(let text): return "t" + text
        case .blob(let data):
            if isText, let text = String(validating: data, as: UTF8.self) { return "t" + text }
            return (isText ? "u" : "b") + data.base64EncodedString()
        }
    }

    // MARK: - Replacing

    /// Nil where something else lies there than expected.
    func replace(_ replacement: RowReplacement) throws -> SQLiteImage? {
        let key = replacement.key
        let found = try image(key)
        guard found.encoded == replacement.expected else { return nil }
        switch replacement.content {
        case .row(let stamped):
            guard stamped.row.key(in: table.schema) == key else {
                throw StoreError.refused(
                    store: table.schema.dataset, problem: "the row for \(key) has another key")
            }
            if table.isForeign, found.rows.count > 1 {
                try remove(key)
                try insert(found.rows.prefix(1), into: table.tableName)
            }
            try table.put(stamped, to: database)
        case .nothing: try remove(key)
        case .image(let image):
            guard let image = SQLiteImage(image) else {
                throw StoreError.refused(
                    store: table.schema.dataset,
                    problem: "the image for \(key) is not one of this opsd's")
            }
            try remove(key)
            try insert(image.rows[...], into: table.tableName)
            if let stamps = table.stampsTable { try insert(image.stamps[...], into: stamps) }
        }
        return try image(key)
    }

    private func remove(_ key: RowKey) throws {
        try table.apply(.init(key: key, row: nil, sequence: .none), to: database)
    }

    private func insert(_ lines: ArraySlice<SQLiteImage.Line>, into name: String) throws {
        for line in lines {
            let columns = line.columns.map(StoreTable.quoted).joined(separator: ", ")
            let marks = line.cells.map { "tu".contains($0.prefix(1)) ? "CAST(? AS TEXT)" : "?" }
            try database.cachedStatement(
                sql: """
                    INSERT INTO \(StoreTable.quoted(name)) (\(columns)) \
                    VALUES (\(marks.joined(separator: ", ")))
                    """
            ).execute(arguments: StatementArguments(line.cells.map(Self.value)))
        }
    }

    private static func value(_ cell: String) -> DatabaseValue {
        let content = cell.dropFirst()
        switch cell.first {
        case "i": return (Int64(content) ?? 0).databaseValue
        case "r": return Double(bitPattern: UInt64(content) ?? 0).databaseValue
        case "t": return Data(content.utf8).databaseValue
        case "u", "b": return (Data(base64Encoded: String(content)) ?? Data()).databaseValue
        default: return .null
        }
    }
}
