import Dispatch
import Ledger
import Synchronization

/// A store that is opened with its first use, and again with the next one where that failed: a folder
/// that is not mounted yet, or a server that is down, must not keep the core from starting.
///
/// The lock guards the store that is open; it is held to look it up.
final class LateStore: RepairableStore {
    private let open: @Sendable () throws(StoreError) -> any RepairableStore
    private let opened = Mutex<(any RepairableStore)?>(nil)
    /// Whether a store that is a file is opened anew when it is not available: another one may lie in its
    /// place.
    private let isReading: Bool

    init(
        isReading: Bool = false,
        _ open: @escaping @Sendable () throws(StoreError) -> any RepairableStore
    ) {
        self.isReading = isReading
        self.open = open
    }

    private func reading<Result>(
        _ body: (any RepairableStore) async throws(StoreError) -> Result
    ) async throws(StoreError) -> Result {
        let store = try await store()
        do {
            return try await body(store)
        } catch {
            if isReading, pooled == nil, case .unavailable = error { opened.withLock { $0 = nil } }
            throw error
        }
    }

    /// Opened by two at once, the second one is used: each is a view of the same copy.
    private func store() async throws(StoreError) -> any RepairableStore {
        if let store = opened.withLock({ $0 }) { return store }
        // Files are opened here, which may block.
        let outcome: Result<any RepairableStore, StoreError> = await withCheckedContinuation {
            waiting in
            DispatchQueue.global().async { [open] in
                do throws(StoreError) {
                    waiting.resume(returning: .success(try open()))
                } catch {
                    waiting.resume(returning: .failure(error))
                }
            }
        }
        let store = try outcome.get()
        opened.withLock { $0 = store }
        return store
    }

    /// Nil while it has not been opened.
    var pooled: (any PooledStore)? { opened.withLock { $0 } as? any PooledStore }

    func appliedSequence() async throws(StoreError) -> SequenceNumber {
        try await store().appliedSequence()
    }
    func apply(_ batch: StoreBatch) async throws(StoreError) {
        try await store().apply(batch)
    }
    func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        try await store().row(key)
    }
    func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        try await store().rows(query)
    }
    func count(_ query: RowQuery) async throws(StoreError) -> Int {
        try await store().count(query)
    }
    func digests() async throws(StoreError) -> [DigestStamp] {
        try await store().digests()
    }
    func position() async throws(StoreError) -> StorePosition {
        try await reading { store async throws(StoreError) in try await store.position() }
    }
    func begin(
        _ datasets: Set<String>, from found: StorePosition?, as begun: StorePosition
    ) async throws(StoreError) {
        try await store().begin(datasets, from: found, as: begun)
    }
    func fill(_ rows: [StampedRow], at begun: StorePosition?) async throws(StoreError) {
        try await store().fill(rows, at: begun)
    }
    func finish(
        _ position: StorePosition, from begun: StorePosition?, digests: [DigestStamp]
    ) async throws(StoreError) {
        try await store().finish(position, from: begun, digests: digests)
    }
    func scan(
        _ dataset: String, account: String?,
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        try await reading { store async throws(StoreError) in
            try await store.scan(dataset, account: account, consume)
        }
    }
    func scanHashes(
        _ dataset: String, _ hashing: RowHashing,
        _ consume: @Sendable (HashedRows) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        try await store().scanHashes(dataset, hashing, consume)
    }

    func find(_ keys: [RowKey]) async throws(StoreError) -> [FoundRow?] {
        try await reading { store async throws(StoreError) in try await store.find(keys) }
    }
    func images(_ keys: [RowKey]) async throws(StoreError) -> [RowImage] {
        try await reading { store async throws(StoreError) in try await store.images(keys) }
    }
    func replace(_ replacements: [RowReplacement]) async throws(StoreError) -> [RowImage?] {
        try await store().replace(replacements)
    }
}

/// A store with a pool of connections that somebody has to look after.
protocol PooledStore: ReplicaStore {
    func maintain() async throws(StoreError)
    func close() async
}
