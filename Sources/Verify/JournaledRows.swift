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

    /// What has become of a dataset after an entry. Throws where the journal does not reach back so far.
    func changes(
        after sequence: SequenceNumber, in dataset: String
    ) async throws(StoreError) -> JournaledChanges

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
    /// The entry that changed it last; nil where there is no row and it is not known since when.
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
    /// Of every account's rows as they stand at the end.
    public var digests: [DigestScope: Digest]

    public init(
        through: SequenceNumber, rows: [RowKey: JournaledRow], digests: [DigestScope: Digest]
    ) {
        self.through = through
        self.rows = rows
        self.digests = digests
    }
}
