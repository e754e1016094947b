import Ledger
import Testing
import Trading

/// Every row as the journal has it, reckoned from its entries alone.
struct JournalRows {
    private(set) var rows: [RowKey: StampedRow] = [:]
    private(set) var digests: [DigestScope: Digest] = [:]
    private(set) var head = SequenceNumber.none
    let key: SipHashKey

    init(directory: String) throws {
        let reader = try JournalReader(directory: directory)
        key = try reader.digestKey()
        while true {
            let page = try reader.entries(after: head, limit: 5_000)
            guard let last = page.last else { return }
            for entry in page {
                for change in entry.changes {
                    let change = try change.storeChange(
                        at: entry.sequence, in: Datasets.catalogue)
                    rows[change.key] = change.row.map {
                        StampedRow(row: $0, sequence: change.sequence)
                    }
                }
                for stamp in entry.draft.digests { digests[stamp.scope] = stamp.digest }
            }
            head = last.sequence
        }
    }

    func rows(of scope: DigestScope, in schema: Schema) -> Set<StampedRow> {
        Set(
            rows.values.filter {
                $0.row.dataset == scope.dataset && $0.row.account(in: schema) == scope.account
            })
    }

    /// The digest of rows that were found somewhere.
    func digest(_ found: Set<StampedRow>, in schema: Schema) -> Digest {
        found.reduce(into: Digest.empty) { digest, stamped in
            digest.add(key.hash(stamped.row.encoded(keyCount: schema.keyCount)))
        }
    }
}
