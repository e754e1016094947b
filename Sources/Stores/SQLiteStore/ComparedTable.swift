internal import GRDB
public import Ledger

/// What a file says of a table that somebody wants to compare.
public struct SQLiteComparedTable: Sendable, Hashable {
    public struct Column: Sendable, Hashable {
        public let name: String
        /// What its declaration sounds like. SQLite itself keeps anything in any column.
        public let usual: FieldType
    }

    /// In the table's order, without opsd's own.
    public let columns: [Column]
    /// The columns of its primary key; empty where it has none.
    public let key: [String]

    /// Refused: a table that is not there. Unavailable: a file that cannot be read.
    public static func describe(
        _ table: String, path: String
    ) async throws(StoreError) -> SQLiteComparedTable {
        do {
            var configuration = GRDB.Configuration()
            configuration.readonly = true
            configuration.busyMode = .timeout(5)
            let database = try DatabaseQueue(path: path, configuration: configuration)
            return try await database.read { database in
                guard try database.tableExists(table) else {
                    throw StoreError.refused(store: path, problem: "there is no table \(table)")
                }
                let columns = try database.columns(in: table)
                    .filter { $0.name != "opsd_sequence" }
                    .map { Column(name: $0.name, usual: usual($0.type)) }
                let key = try database.primaryKey(table)
                return SQLiteComparedTable(
                    columns: columns, key: key.isRowID && key.rowIDColumn == nil ? [] : key.columns)
            }
        } catch let error as StoreError {
            throw error
        } catch {
            throw .unavailable(store: path, problem: "\(error)")
        }
    }

    private static func usual(_ declared: String) -> FieldType {
        let type = declared.uppercased()
        let sounds: [(String, FieldType)] = [
            ("BOOL", .boolean), ("INT", .integer), ("JSON", .json), ("DATE", .timestamp),
            ("TIME", .timestamp), ("REAL", .decimal), ("FLOA", .decimal), ("DOUB", .decimal),
            ("DEC", .decimal), ("NUM", .decimal),
        ]
        return sounds.first { type.contains($0.0) }?.1 ?? .text
    }
}
