internal import Foundation
internal import GRDB
internal import Ledger

/// opsd's own tables: how far the store has come, and the digests of its rows at that point.
enum StampTables {
    static let applied = "opsd_applied"
    static let creation = [
        "CREATE TABLE IF NOT EXISTS opsd_applied(sequence INTEGER NOT NULL)",
        """
        CREATE TABLE IF NOT EXISTS opsd_digests(
            dataset TEXT NOT NULL, account TEXT NOT NULL, sum BLOB NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (dataset, account)) WITHOUT ROWID
        """,
        "CREATE TABLE IF NOT EXISTS opsd_datasets(dataset TEXT NOT NULL PRIMARY KEY)",
        // In which layout each of those was filled.
        "CREATE TABLE IF NOT EXISTS opsd_layouts(dataset TEXT NOT NULL PRIMARY KEY, layout TEXT)",
        "CREATE TABLE IF NOT EXISTS opsd_journal(journal TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS opsd_checksum(checksum TEXT NOT NULL)",
    ]

    private static let names: Set<String> = [
        applied, "opsd_digests", "opsd_datasets", "opsd_layouts", "opsd_journal", "opsd_checksum",
    ]

    /// Those that are not there, as in a database that is no store yet.
    static func missing(_ database: Database) throws -> [String] {
        let select = "SELECT name FROM sqlite_master WHERE type = 'table'"
        return try names.subtracting(String.fetchAll(database, sql: select)).sorted()
    }

    static func appliedSequence(_ database: Database) throws -> SequenceNumber {
        let select = "SELECT sequence FROM opsd_applied"
        guard let row = try GRDB.Row.fetchOne(database, sql: select) else { return .none }
        guard case .int64(let sequence) = (row[0] as DatabaseValue).storage else {
            throw StoreError.damaged(store: "opsd_applied", problem: "sequence is no integer")
        }
        return SequenceNumber(rawValue: sequence)
    }

    static func place(_ database: Database) throws -> JournalPlace {
        JournalPlace(
            journal: try String.fetchOne(database, sql: "SELECT journal FROM opsd_journal"),
            applied: try appliedSequence(database),
            checksum: try String.fetchOne(database, sql: "SELECT checksum FROM opsd_checksum"))
    }

    /// - Parameter layouts: what tells a layout from another one, by dataset.
    static func position(
        _ database: Database, layouts: [String: String]
    ) throws -> StorePosition {
        let cursor = try GRDB.Row.fetchCursor(
            database,
            sql: "SELECT dataset, layout FROM opsd_datasets LEFT JOIN opsd_layouts USING (dataset)")
        var filled: [String: String?] = [:]
        while let row = try cursor.next() {
            let (dataset, layout): (String, String?) = (row[0], row[1])
            filled.updateValue(layout, forKey: dataset)
        }
        return StorePosition(
            try place(database), datasets: StorePosition.whole(filled, in: layouts))
    }

    static func take(
        _ position: StorePosition, layouts: [String: String], into database: Database
    ) throws {
        try write(position.place, to: database)
        try write(position.journal, to: "opsd_journal", in: database)
        try database.execute(sql: "DELETE FROM opsd_datasets; DELETE FROM opsd_layouts")
        for dataset in position.datasets {
            try database.execute(
                sql: "INSERT INTO opsd_datasets VALUES (?)", arguments: [dataset])
            try database.execute(
                sql: "INSERT INTO opsd_layouts VALUES (?, ?)",
                arguments: [dataset, layouts[dataset]])
        }
    }

    /// A dataset from before layouts were kept lies in the present one.
    static func note(_ layout: String, of dataset: String, in database: Database) throws {
        try database.execute(
            sql: """
                INSERT OR IGNORE INTO opsd_layouts
                SELECT dataset, ? FROM opsd_datasets WHERE dataset = ?
                """, arguments: [layout, dataset])
    }

    /// Its table is gone, and what was filled went with it.
    static func forget(_ dataset: String, in database: Database) throws {
        try database.execute(
            sql: "DELETE FROM opsd_datasets WHERE dataset = ?", arguments: [dataset])
    }

    static func forgetDigests(of dataset: String, in database: Database) throws {
        try database.execute(
            sql: "DELETE FROM opsd_digests WHERE dataset = ?", arguments: [dataset])
    }

    /// Leaves whose copy the store is.
    static func write(_ place: JournalPlace, to database: Database) throws {
        try database.execute(sql: "DELETE FROM opsd_applied")
        try database.execute(
            sql: "INSERT INTO opsd_applied VALUES (?)", arguments: [place.applied.rawValue])
        try write(place.checksum, to: "opsd_checksum", in: database)
    }

    private static func write(
        _ text: String?, to table: String, in database: Database
    ) throws {
        try database.execute(sql: "DELETE FROM \(table)")
        if let text {
            try database.execute(sql: "INSERT INTO \(table) VALUES (?)", arguments: [text])
        }
    }

    static func write(_ digests: [DigestStamp], to database: Database) throws {
        let statement = try database.cachedStatement(
            sql: "INSERT OR REPLACE INTO opsd_digests VALUES (?, ?, ?, ?)")
        for stamp in digests {
            try statement.execute(arguments: [
                stamp.scope.dataset, stamp.scope.account,
                withUnsafeBytes(of: stamp.digest.sum.bigEndian) { Data($0) }, stamp.digest.count,
            ])
        }
    }

    static func digests(_ database: Database) throws -> [DigestStamp] {
        let cursor = try GRDB.Row.fetchCursor(
            database, sql: "SELECT dataset, account, sum, count FROM opsd_digests")
        var stamps: [DigestStamp] = []
        while let row = try cursor.next() {
            guard case .string(let dataset) = (row[0] as DatabaseValue).storage,
                case .string(let account) = (row[1] as DatabaseValue).storage,
                case .blob(let sum) = (row[2] as DatabaseValue).storage, sum.count == 16,
                case .int64(let count) = (row[3] as DatabaseValue).storage
            else {
                throw StoreError.damaged(
                    store: "opsd_digests", problem: "the row \(row) is not a digest")
            }
            stamps.append(
                DigestStamp(
                    scope: DigestScope(dataset: dataset, account: account),
                    digest: Digest(
                        sum: sum.reduce(UInt128(0)) { $0 << 8 | UInt128($1) }, count: count)))
        }
        return stamps
    }
}
