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
        sequence = SequenceNumber(rawValue: (row[0] as DatabaseValue).storedInteger ?? -1)
        time = Timestamp(microseconds: (row[1] as DatabaseValue).storedInteger ?? -1)
        body = (row[2] as DatabaseValue).storedBytes ?? []
        checksum = Checksum(bytes: (row[3] as DatabaseValue).storedBytes ?? [])
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

/// Columns as they are stored, without SQLite's conversions: a blob that has turned into a text is
/// damage, although its bytes may be the same.
extension DatabaseValue {
    var storedInteger: Int64? {
        if case .int64(let number) = storage { number } else { nil }
    }

    var storedBytes: [UInt8]? {
        if case .blob(let data) = storage { Array(data) } else { nil }
    }
}
