internal import Foundation
internal import GRDB
internal import Ledger

/// opsd's own tables: how far the store has come, and the digests of its rows at that point.
enum StampTables {
    static let creation = [
        "CREATE TABLE IF NOT EXISTS opsd_applied(sequence INTEGER NOT NULL)",
        """
        CREATE TABLE IF NOT EXISTS opsd_digests(
            dataset TEXT NOT NULL, account TEXT NOT NULL, sum BLOB NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (dataset, account)) WITHOUT ROWID
        """,
    ]

    static func appliedSequence(_ database: Database) throws -> SequenceNumber {
        let raw = try Int64.fetchOne(database, sql: "SELECT sequence FROM opsd_applied")
        return raw.map(SequenceNumber.init(rawValue:)) ?? .none
    }

    static func write(
        _ digests: [DigestStamp], through sequence: SequenceNumber, to database: Database
    ) throws {
        try database.execute(sql: "DELETE FROM opsd_applied")
        try database.execute(
            sql: "INSERT INTO opsd_applied VALUES (?)", arguments: [sequence.rawValue])
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
        let cursor = try GRDB.Row.fetchCursor(database, sql: "SELECT * FROM opsd_digests")
        var stamps: [DigestStamp] = []
        while let row = try cursor.next() {
            let sum = (row["sum"] as Data).reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
            stamps.append(
                DigestStamp(
                    scope: DigestScope(dataset: row["dataset"], account: row["account"]),
                    digest: Digest(sum: sum, count: row["count"])))
        }
        return stamps
    }
}
