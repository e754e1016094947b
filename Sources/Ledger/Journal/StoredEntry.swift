internal import Foundation
internal import GRDB

/// A row of a journal file's table `entries`: when it was read, not yet believed.
struct StoredEntry {
    let sequence: SequenceNumber
    let time: Timestamp
    let body: [UInt8]
    let checksum: Checksum

    init(_ draft: EntryDraft, after previous: Checksum) {
        sequence = draft.sequence
        time = draft.time
        body = draft.encodedBody()
        checksum = previous.next(sequence: sequence, time: time, body: body)
    }

    /// Columns in the order sequence, time, body, checksum. What has another type than it was
    /// written with becomes something that the checksum will not match.
    init(_ row: GRDB.Row) {
        sequence = SequenceNumber(rawValue: Int64.fromDatabaseValue(row[0]) ?? -1)
        time = Timestamp(microseconds: Int64.fromDatabaseValue(row[1]) ?? -1)
        body = Array(Data.fromDatabaseValue(row[2]) ?? Data())
        checksum = Checksum(bytes: Array(Data.fromDatabaseValue(row[3]) ?? Data()))
    }

    /// The entry, when it follows `chain` and every byte is what was written.
    func verified(after chain: JournalHead, file: String) throws(JournalError) -> Entry {
        func damaged(_ problem: String) -> JournalError {
            .damaged(file: file, after: chain.sequence, problem: problem)
        }
        guard sequence.follows(chain.sequence) else {
            throw damaged("entry \(sequence) stands where \(chain.sequence.next) should")
        }
        guard chain.checksum.next(sequence: sequence, time: time, body: body) == checksum else {
            throw damaged("the checksum of entry \(sequence) does not match its bytes")
        }
        do {
            let draft = try EntryDraft(sequence: sequence, time: time, body: body)
            return Entry(draft: draft, checksum: checksum)
        } catch {
            throw damaged("entry \(sequence): \(error)")
        }
    }
}
