/// A copy that follows the journal: beside what every store does, it knows what it is a copy of, and
/// can be emptied and filled again while it is in use.
///
/// One dataset is filled by `begin`, `fill` as often as it takes, `finish`. Until then the dataset is
/// not among the position's. Whoever fills it has it read after `finish` only.
///
/// Each of them names the position that it builds upon, as a batch names its place. A store that has
/// another one throws `moved` and writes nothing, so that of two journals that are pointed at one store
/// only one goes on. Nil: whatever position it has.
public protocol ReplicaStore: RowStore {
    func position() async throws(StoreError) -> StorePosition

    /// The store takes over the position `begun`, which is without these datasets. Then all their rows go
    /// out, whoever put them there, with their stamps and digests, and what opsd put elsewhere under an
    /// earlier layout of theirs.
    func begin(
        _ datasets: Set<String>, from found: StorePosition?, as begun: StorePosition
    ) async throws(StoreError)

    /// Puts rows, and leaves the position as it is. The same rows again change nothing.
    func fill(_ rows: [StampedRow], at begun: StorePosition?) async throws(StoreError)

    /// The store takes over this position: exactly the position's datasets are wholly there, as of its
    /// applied sequence or later. Digests of other scopes stay.
    func finish(
        _ position: StorePosition, from begun: StorePosition?, digests: [DigestStamp]
    ) async throws(StoreError)
}

/// What a replica is a copy of, and how far.
public struct StorePosition: Sendable, Hashable {
    /// Without a journal for a store that no journal has written.
    public var place: JournalPlace
    /// The datasets that are wholly there as of `place`, and lie as the store lays them now.
    public var datasets: Set<String>

    public init(_ place: JournalPlace, datasets: Set<String>) {
        self.place = place
        self.datasets = datasets
    }

    public init(
        journal: String?, applied: SequenceNumber, checksum: String? = nil, datasets: Set<String>
    ) {
        self.init(
            JournalPlace(journal: journal, applied: applied, checksum: checksum), datasets: datasets
        )
    }

    public var journal: String? {
        get { place.journal }
        set { place.journal = newValue }
    }

    public var applied: SequenceNumber {
        get { place.applied }
        set { place.applied = newValue }
    }

    /// Throws `moved` unless a store has the position that is built upon.
    public func expect(_ wanted: StorePosition?, of store: String) throws(StoreError) {
        if let wanted, wanted != self { throw .moved(store: store, applied: applied) }
    }

    /// Which of the datasets that were filled are whole: not those that lie in another layout than the
    /// store gives them now. A dataset that the store does not know at present is as it was left.
    /// - Parameters:
    ///   - filled: with the layout in which each was filled; nil in a store from before it was kept.
    ///   - layouts: what tells a layout from another one, by dataset.
    public static func whole(
        _ filled: [String: String?], in layouts: [String: String]
    ) -> Set<String> {
        Set(
            filled.filter { dataset, layout in
                guard let layout, let present = layouts[dataset] else { return true }
                return layout == present
            }.keys)
    }

    public static let empty = StorePosition(journal: nil, applied: .none, datasets: [])
}
