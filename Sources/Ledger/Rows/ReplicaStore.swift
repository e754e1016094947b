/// A copy that follows the journal: beside what every store does, it knows what it is a copy of, and
/// can be emptied and filled again while it is in use.
///
/// One dataset is filled by `begin`, `fill` as often as it takes, `finish`. Until then the dataset is
/// not among the position's. Whoever fills it has it read after `finish` only.
public protocol ReplicaStore: RowStore {
    func position() async throws(StoreError) -> StorePosition

    /// Takes all rows of these datasets out, whoever put them there, with their stamps and digests.
    func begin(_ datasets: Set<String>) async throws(StoreError)

    /// Puts rows, and leaves the applied sequence where it is. The same rows again change nothing.
    func fill(_ rows: [StampedRow]) async throws(StoreError)

    /// The store takes over this position, whatever it had before: exactly the position's datasets are
    /// wholly there, as of its applied sequence or later. Digests of other scopes stay.
    func finish(
        _ position: StorePosition, digests: [DigestStamp]
    ) async throws(StoreError)
}

/// What a replica is a copy of, and how far.
public struct StorePosition: Sendable, Hashable {
    /// The journal's identity; nil for a store that no journal has written.
    public var journal: String?
    public var applied: SequenceNumber
    /// The datasets that are wholly there as of `applied`.
    public var datasets: Set<String>

    public init(journal: String?, applied: SequenceNumber, datasets: Set<String>) {
        self.journal = journal
        self.applied = applied
        self.datasets = datasets
    }

    public static let empty = StorePosition(journal: nil, applied: .none, datasets: [])
}
