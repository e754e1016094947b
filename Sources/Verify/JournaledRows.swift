public import Ledger

/// What was journaled: the truth that copies are compared with.
public protocol JournaledRows: Sendable {
    var catalogue: SchemaCatalogue { get }
    /// The key of the digests, which every entry carries.
    var digestKey: SipHashKey { get }

    /// The last entry.
    func head() async throws(StoreError) -> SequenceNumber

    /// Whether the journal has this very entry, or may have had it before its oldest file.
    func has(_ place: JournalPlace) async throws(StoreError) -> Bool

    /// How rows stand as of one entry, the newest there is when it is asked, in their order.
    func rows(_ keys: [RowKey]) async throws(StoreError) -> [JournaledRow]

    /// The row that an entry put; nil where it put none under this key, or is not there any more.
    func row(_ key: RowKey, putBy sequence: SequenceNumber) async throws(StoreError) -> Row?

    /// The rows of a dataset that changed after an entry, the earliest of them where there are many: the
    /// next ones come after `through`, which is `sequence` when nothing was journaled since. Throws where
    /// the journal does not reach back so far.
    func changes(
        after sequence: SequenceNumber, in dataset: String
    ) async throws(StoreError) -> JournaledChanges

    /// All of them, however many, with the digests of all rows as they stand at the end.
    func changesAndDigests(
        after sequence: SequenceNumber, in dataset: String
    ) async throws(StoreError) -> JournaledChanges

    /// The keys of a dataset's rows after one of them, in an order of their own; none after the last one. A
    /// row that was journaled just now may be left out.
    func keys(
        in dataset: String, after key: RowKey?, limit: Int
    ) async throws(StoreError) -> [RowKey]

    /// What the rows of each account added up to at an entry; nil where that is not known any more, because
    /// the entry is too old.
    func digests(
        of dataset: String, asOf sequence: SequenceNumber
    ) async throws(StoreError) -> [DigestScope: Digest]?

    /// Every row of a dataset, some at a time, in no order. Those that change meanwhile come in one of
    /// their states, or not at all.
    /// - Returns: the entry as of which the other rows are.
    func scan(
        _ dataset: String, _ consume: @Sendable ([StampedRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) -> SequenceNumber
}

extension JournaledRows {
    /// The identity of the journal, which its copies carry.
    public var identity: String { digestKey.journalIdentity }
}

/// How one row stands as of an entry.
public struct JournaledRow: Sendable, Hashable {
    public let key: RowKey
    /// Nil when there is none.
    public let row: Row?
    /// The entry that changed it last. Where there is no row, one at which it was gone already; nil where
    /// there never was one as far as is known.
    public let sequence: SequenceNumber?
    public let asOf: SequenceNumber

    public init(key: RowKey, row: Row?, sequence: SequenceNumber?, asOf: SequenceNumber) {
        self.key = key
        self.row = row
        self.sequence = sequence
        self.asOf = asOf
    }
}

/// What has become of a dataset after an entry.
public struct JournaledChanges: Sendable {
    /// The last entry that is in here.
    public var through: SequenceNumber
    /// The rows that changed, each as it stands at the end.
    public var rows: [RowKey: JournaledRow]
    /// Of every account's rows as they stand at the end; none where they were not asked for.
    public var digests: [DigestScope: Digest]

    public init(
        through: SequenceNumber, rows: [RowKey: JournaledRow], digests: [DigestScope: Digest] = [:]
    ) {
        self.through = through
        self.rows = rows
        self.digests = digests
    }
}

extension JournaledChanges {
    /// What the rows that did not change add up to, by account, and the hashes of the keys that did.
    func resting(
        _ schema: Schema, _ digestKey: SipHashKey
    ) -> (digests: [String: Digest], moved: Set<UInt64>) {
        var resting: [String: Digest] = [:]
        for (scope, digest) in digests { resting[scope.account] = digest }
        var moved: Set<UInt64> = []
        for (key, journaled) in rows {
            moved.insert(digestKey.keyHash(key))
            guard let row = journaled.row else { continue }
            resting[row.account(in: schema), default: .empty].remove(
                digestKey.hash(row.encoded(keyCount: schema.keyCount)))
        }
        return (resting, moved)
    }
}
