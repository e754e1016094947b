public import Ledger

/// What is to be said of a row in a copy.
public enum Verdict: String, Sendable, Hashable, CaseIterable {
    case equal
    /// The store has not come to the entry yet that changed the row last.
    case lag
    /// It is another row than was journaled.
    case corrupt
    case missing
    /// Nobody journaled it.
    case rogue
    /// It is of an entry that the journal does not have.
    case ahead
    /// It could not be read. Neither equal nor different.
    case unknown
}

/// One row that a copy does not have as it was journaled, or of which that is not known.
public struct Difference: Sendable, Hashable {
    public struct FieldDifference: Sendable, Hashable {
        public let field: String
        public let journaled: Value
        public let found: Value
    }

    public let dataset: String
    /// Nil where something lies of which it cannot be told what row it would be.
    public let key: RowKey?
    public let verdict: Verdict
    /// In one sentence.
    public let problem: String
    /// Of a row that both have: the fields in which they differ.
    public let fields: [FieldDifference]
    /// The row as it was journaled; nil where the journal has none.
    public let journaled: Row?
    /// The entry that changed the row last, as far as it is known.
    public let journaledSequence: SequenceNumber?
    /// The row as it lies in the store.
    public let found: StampedRow?

    init(
        dataset: String, key: RowKey?, verdict: Verdict, problem: String,
        fields: [FieldDifference] = [], journaled: JournaledRow? = nil, found: StampedRow? = nil
    ) {
        self.dataset = dataset
        self.key = key
        self.verdict = verdict
        self.problem = problem
        self.fields = fields
        self.journaled = journaled?.row
        journaledSequence = journaled?.sequence
        self.found = found
    }

    /// Of a row in two places of which neither has a journal: the left one stands for what should be there.
    init(
        dataset: String, key: RowKey?, verdict: Verdict, problem: String,
        fields: [FieldDifference] = [], left: Row?, right: Row?
    ) {
        self.dataset = dataset
        self.key = key
        self.verdict = verdict
        self.problem = problem
        self.fields = fields
        journaled = left
        journaledSequence = nil
        found = right.map { StampedRow(row: $0, sequence: .none) }
    }

    /// What an earlier verification has found, of which the rest is not known any more.
    public init(known key: RowKey, verdict: Verdict) {
        self.init(
            dataset: key.dataset, key: key, verdict: verdict, problem: "it was found earlier")
    }

    /// Whether another look has found the same, whatever words it has for it: what a sentence says of the
    /// journal's end, or of the time that is left, is another one each time.
    func isSame(as other: Difference) -> Bool {
        key == other.key && verdict == other.verdict && found == other.found
            && journaledSequence == other.journaledSequence
    }
}
