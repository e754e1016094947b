/// A copy of the rows: what every store and the trading core's own checkpoint offer.
///
/// A store's applied sequence may trail its rows, never lead them: applying the same entries again
/// changes nothing.
public protocol RowStore: Sendable {
    /// The last entry whose effect is wholly in this store; `SequenceNumber.none` for an empty one.
    func appliedSequence() async throws(StoreError) -> SequenceNumber

    /// Takes the net effect of a run of entries, and their last sequence number, as one unit.
    func apply(_ batch: StoreBatch) async throws(StoreError)

    func row(_ key: RowKey) async throws(StoreError) -> StampedRow?

    /// One page of the rows that a query asks for.
    func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow]

    /// How many rows a query would find without its limit and offset.
    func count(_ query: RowQuery) async throws(StoreError) -> Int

    /// The digests as of the applied sequence.
    func digests() async throws(StoreError) -> [DigestStamp]
}

/// The net effect of a run of entries: one change a row, the latest.
public struct StoreBatch: Sendable {
    public struct Change: Sendable {
        public let key: RowKey
        /// Nil when the row is deleted.
        public let row: Row?
        public let sequence: SequenceNumber

        public init(key: RowKey, row: Row?, sequence: SequenceNumber) {
            self.key = key
            self.row = row
            self.sequence = sequence
        }
    }

    public let changes: [Change]
    public let digests: [DigestStamp]
    /// The entry at which the store must stand for the run to continue it: one that stands elsewhere
    /// throws `moved`, except at `through`, where the run is there already. Nil: what is there already
    /// is passed over, anything else taken.
    public let after: JournalPlace?
    /// The last entry of the run. Where it names a journal, the store must be that journal's.
    public let through: JournalPlace

    public init(
        changes: [Change], digests: [DigestStamp], after: JournalPlace?, through: JournalPlace
    ) {
        self.changes = changes
        self.digests = digests
        self.after = after
        self.through = through
    }

    /// Of no journal in particular.
    public init(
        changes: [Change], digests: [DigestStamp], after: SequenceNumber? = nil,
        through: SequenceNumber
    ) {
        self.init(
            changes: changes, digests: digests, after: after.map { JournalPlace(applied: $0) },
            through: JournalPlace(applied: through))
    }

    /// Whether a store at this place has to take the run.
    public func isDue(
        at place: JournalPlace, of store: String
    ) throws(StoreError) -> Bool {
        let isThere = place.applied == through.applied
        let continues = isThere ? place.isSameEntry(as: through) : after?.isSameEntry(as: place)
        guard through.journal == nil || through.journal == place.journal, continues ?? true else {
            throw .moved(store: store, applied: place.applied)
        }
        return place.applied < through.applied
    }
}

public struct RowQuery: Sendable {
    public struct Range: Sendable {
        public let field: String
        public let from: Value?
        public let before: Value?

        /// `from` is included, `before` is not.
        public init(field: String, from: Value?, before: Value?) {
            self.field = field
            self.from = from
            self.before = before
        }
    }

    public let dataset: String
    /// Fields and the values one of which each must equal.
    public var matching: [(field: String, anyOf: [Value])] = []
    /// Optional fields that must not be null.
    public var present: [String] = []
    public var range: Range?
    /// Only rows whose key stands after this one, in the order of the keys: how a large dataset is read
    /// page by page. Not together with `order`.
    public var afterKey: [Value]?
    /// The field to order by; ties, and everything when nil, by key.
    public var order: (field: String, descending: Bool)?
    public var limit = 100
    public var offset = 0

    public init(dataset: String) {
        self.dataset = dataset
    }
}

public enum StoreError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The store did not answer; whether a write arrived is unknown. Retrying is safe.
    case unavailable(store: String, problem: String)
    /// The store answered that it cannot: another try gives the same answer.
    case refused(store: String, problem: String)
    /// The store holds something that no entry put there.
    case damaged(store: String, problem: String)
    /// The store stands at another entry than it was left at: it was restored, emptied or replaced, or
    /// somebody else writes it. Nothing was written.
    case moved(store: String, applied: SequenceNumber)

    public var description: String {
        switch self {
        case .unavailable(let store, let problem): "\(store) did not answer: \(problem)"
        case .refused(let store, let problem): "\(store): \(problem)"
        case .damaged(let store, let problem): "\(store) is damaged: \(problem)"
        case .moved(let store, let applied):
            "\(store) stands at entry \(applied), which is not where it was left"
        }
    }
}
