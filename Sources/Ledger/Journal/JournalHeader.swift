internal import Foundation
internal import GRDB

/// What a journal file says of itself: the key of the digests and the head of the journal when the
/// file was begun. The chain of the file's entries starts from a checksum of this header.
struct JournalHeader: Equatable {
    private static let format = 1
    let digestKey: SipHashKey
    let previous: JournalHead

    var checksum: Checksum {
        let key = Checksum(bytes: digestKey.bytes).description
        return previous.checksum.next(
            text: "opsd journal \(Self.format) \(previous.sequence) \(key)")
    }

    /// Where the chain of the file's entries begins.
    var start: JournalHead {
        JournalHead(sequence: previous.sequence, checksum: checksum)
    }

    func create(in database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE header(
                    format INTEGER NOT NULL, digest_key BLOB NOT NULL,
                    previous_sequence INTEGER NOT NULL, previous_checksum BLOB NOT NULL);
                CREATE TABLE entries(
                    sequence INTEGER PRIMARY KEY, time INTEGER NOT NULL,
                    body BLOB NOT NULL, checksum BLOB NOT NULL);
                """)
        try database.execute(
            sql: "INSERT INTO header VALUES (?, ?, ?, ?)",
            arguments: [
                Self.format, Data(digestKey.bytes), previous.sequence.rawValue,
                Data(previous.checksum.bytes),
            ])
    }

    /// Nil when the header is not one of this format.
    static func read(_ database: Database) throws -> JournalHeader? {
        let select = """
            SELECT format, digest_key, previous_sequence, previous_checksum FROM header
            """
        guard let row = try GRDB.Row.fetchOne(database, sql: select),
            (row[0] as DatabaseValue).storedInteger == Int64(format),
            let keyBytes = (row[1] as DatabaseValue).storedBytes,
            let key = SipHashKey(bytes: keyBytes),
            let sequence = (row[2] as DatabaseValue).storedInteger,
            let checksumBytes = (row[3] as DatabaseValue).storedBytes,
            let checksum = Checksum(stored: checksumBytes)
        else { return nil }
        return JournalHeader(
            digestKey: key,
            previous: JournalHead(
                sequence: SequenceNumber(rawValue: sequence), checksum: checksum))
    }
}
