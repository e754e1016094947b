/// A copy that can be read as it lies, for those who prove that it holds what was journaled.
///
/// Unlike a query, a scan does not give up at the first thing that is no row: it says where it lies and
/// what is wrong with it, and goes on. Neither changes anything in the store.
public protocol ScannableStore: ReplicaStore {
    /// Everything that lies where a dataset's rows lie, straight from the store, some at a time, in no
    /// order. Each row that is there all the while comes exactly once; one that is put, changed or taken
    /// out meanwhile comes as it was, as it is, or not at all. Throws when a part could not be read:
    /// what was not read is not known, and never missing. Memory is bounded, whatever there is to read.
    /// - Parameter account: the rows of this account alone, where the dataset has accounts; nil: all.
    func scan(
        _ dataset: String, account: String?,
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError)

    /// The same of all accounts, and of each row only what comparing takes: a store reads rows for that
    /// several times as fast.
    func scanHashes(
        _ dataset: String, _ hashing: RowHashing,
        _ consume: @Sendable (HashedRows) async throws(StoreError) -> Void
    ) async throws(StoreError)

    /// What lies at each of some keys of one dataset, in their order, in as few round trips as the store
    /// has for it; nil where nothing does.
    func find(_ keys: [RowKey]) async throws(StoreError) -> [FoundRow?]
}

extension ScannableStore {
    public func scanHashes(
        _ dataset: String, _ hashing: RowHashing,
        _ consume: @Sendable (HashedRows) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        try await scan(dataset, account: nil) { found async throws(StoreError) in
            let hasher = RowHasher(hashing)
            for row in found { hasher.append(row) }
            try await consume(hasher.take())
        }
    }
}

/// What lies where a row should.
public enum FoundRow: Sendable, Hashable {
    case row(StampedRow)
    /// Something that opsd would not have written there: it is of another type, is no row of the schema,
    /// has a stamp that is none, will expire though it is to be kept.
    case damaged(DamagedRow)
}

public struct DamagedRow: Sendable, Hashable {
    /// Nil where the place does not tell which row it would be.
    public let key: RowKey?
    /// In the store's own words: a key and a field, a file and a line.
    public let place: String
    /// In one sentence, without a secret.
    public let problem: String

    public init(key: RowKey?, place: String, problem: String) {
        self.key = key
        self.place = place
        self.problem = problem
    }
}
