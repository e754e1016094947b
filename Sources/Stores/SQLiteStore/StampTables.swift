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
        "CREATE TABLE IF NOT EXISTS opsd_journal(journal TEXT NOT NULL)",
    ]

    static func appliedSequence(_ database: Database) throws -> SequenceNumber {
        let select = "SELECT sequence FROM opsd_applied"
        guard let row = try GRDB.Row.fetchOne(database, sql: select) else { return .none }
        guard case .int64(let sequence) = (row[0] as DatabaseValue).storage else {
            throw StoreError.damaged(store: "opsd_applied", problem: "sequence is no integer")
        }
        return SequenceNumber(rawValue: sequence)
    }

    static func position(_ database: Database) throws -> StorePosition {
        StorePosition(
            journal: try String.fetchOne(database, sql: "SELECT journal FROM opsd_journal"),
            applied: try appliedSequence(database),
            datasets: Set(
                try String.fetchAll(database, sql: "SELECT dataset FROM opsd_datasets")))
    }

    static func take(_ position: StorePosition, into database: Database) throws {
        try write(position.applied, to: database)
        try database.execute(sql: "DELETE FROM opsd_journal")
        if let journal = position.journal {
            try database.execute(
                sql: "INSERT INTO opsd_journal VALUES (?)", arguments: [journal])
        }
        try database.execute(sql: "DELETE FROM opsd_datasets")
        for dataset in position.datasets {
            try database.execute(
                sql: "INSERT INTO opsd_datasets VALUES (?)", arguments: [dataset])
        }
    }

    static func forget(_ dataset: String, in database: Database) throws {
        for table in ["opsd_digests", "opsd_datasets"] {
            try database.execute(
                sql: "DELETE FROM \(table) WHERE dataset = ?", arguments: [dataset])
        }
    }

    static func write(_ sequence: SequenceNumber, to database: Database) throws {
        try database.execute(sql: "DELETE FROM opsd_applied")
        try database.execute(
            sql: "INSERT INTO opsd_applied VALUES (?)", arguments: [sequence.rawValue])
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
