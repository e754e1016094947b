/// One journal entry, as it is told to programs that listen.
public struct JournalEvent: Sendable, Hashable {
    /// The entry's sequence number: two events of one id are the same event, sent twice.
    public var id: SequenceNumber
    /// The entry's kind, as `order.accepted`.
    public var type: String
    /// Empty when no row of the entry belongs to an account.
    public var account: String
    /// A JSON object of the rows that the entry changed.
    public var data: [UInt8]
    /// The entry's.
    public var time: Timestamp

    public init(id: SequenceNumber, type: String, account: String, data: [UInt8], time: Timestamp) {
        self.id = id
        self.type = type
        self.account = account
        self.data = data
        self.time = time
    }
}

/// Where a stream of events stands.
public struct EventPosition: Sendable, Hashable {
    /// The identity of the journal whose entries are in it.
    public var journal: String
    /// The last entry that was sent.
    public var applied: SequenceNumber

    public init(journal: String, applied: SequenceNumber) {
        self.journal = journal
        self.applied = applied
    }
}

/// Takes events in order, and remembers with them where it stands.
public protocol EventStream: Sendable {
    /// Nil for a stream to which nothing was ever sent, or which was emptied.
    func position() async throws(StoreError) -> EventPosition?

    /// Appends events and moves the position, as one unit. Throws `moved` when the stream stands
    /// elsewhere than at `position`; then nothing was appended.
    func append(
        _ events: [JournalEvent], at position: EventPosition?, to next: EventPosition
    ) async throws(StoreError)
}
