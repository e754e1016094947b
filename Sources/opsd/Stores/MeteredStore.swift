import CoreMetrics
import Ledger

/// A store whose every call is measured: how long it took, and which datasets' writes failed.
struct MeteredStore<Store: RowStore>: RowStore {
    private let store: Store
    private let name: String
    private let factory: any MetricsFactory
    private let durations: [StoreOperation: Timer]

    /// - Parameter name: the label `store`.
    init(
        _ store: Store, name: String, factory: any MetricsFactory = MetricsSystem.factory
    ) {
        self.store = store
        self.name = name
        self.factory = factory
        let timers = StoreOperation.allCases.map { operation in
            (
                operation,
                Timer(
                    label: "opsd_store_operation_duration_seconds",
                    dimensions: [("operation", operation.rawValue), ("store", name)],
                    factory: factory)
            )
        }
        durations = Dictionary(timers, uniquingKeysWith: { first, _ in first })
    }

    func appliedSequence() async throws(StoreError) -> SequenceNumber {
        let done = measure(.appliedSequence)
        defer { done() }
        return try await store.appliedSequence()
    }

    func apply(_ batch: StoreBatch) async throws(StoreError) {
        let done = measure(.apply)
        defer { done() }
        do throws(StoreError) {
            try await store.apply(batch)
        } catch {
            countFailure(of: Set(batch.changes.map(\.key.dataset)))
            throw error
        }
    }

    func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        let done = measure(.row)
        defer { done() }
        return try await store.row(key)
    }

    func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        let done = measure(.rows)
        defer { done() }
        return try await store.rows(query)
    }

    func count(_ query: RowQuery) async throws(StoreError) -> Int {
        let done = measure(.count)
        defer { done() }
        return try await store.count(query)
    }

    func digests() async throws(StoreError) -> [DigestStamp] {
        let done = measure(.digests)
        defer { done() }
        return try await store.digests()
    }

    private func measure(_ operation: StoreOperation) -> () -> Void {
        let start = ContinuousClock.now
        return {
            let (seconds, attoseconds) = (ContinuousClock.now - start).components
            durations[operation]?
                .recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        }
    }

    /// A batch is written as a whole or not at all, so each of its datasets has failed.
    private func countFailure(of datasets: Set<String>) {
        for dataset in datasets {
            Counter(
                label: "opsd_store_write_failures_total",
                dimensions: [("dataset", dataset), ("store", name)], factory: factory
            ).increment()
        }
    }
}

private enum StoreOperation: String, CaseIterable {
    case apply, row, rows, count, digests, position, begin, fill, finish, scan, find, images,
        replace
    case appliedSequence = "applied_sequence"
}

extension MeteredStore: ReplicaStore where Store: ReplicaStore {
    func position() async throws(StoreError) -> StorePosition {
        let done = measure(.position)
        defer { done() }
        return try await store.position()
    }

    func begin(
        _ datasets: Set<String>, from found: StorePosition?, as begun: StorePosition
    ) async throws(StoreError) {
        let done = measure(.begin)
        defer { done() }
        try await store.begin(datasets, from: found, as: begun)
    }

    func fill(_ rows: [StampedRow], at begun: StorePosition?) async throws(StoreError) {
        let done = measure(.fill)
        defer { done() }
        do throws(StoreError) {
            try await store.fill(rows, at: begun)
        } catch {
            countFailure(of: Set(rows.map(\.row.dataset)))
            throw error
        }
    }

    func finish(
        _ position: StorePosition, from begun: StorePosition?, digests: [DigestStamp]
    ) async throws(StoreError) {
        let done = measure(.finish)
        defer { done() }
        try await store.finish(position, from: begun, digests: digests)
    }
}

extension MeteredStore: ScannableStore where Store: ScannableStore {
    /// What the reader takes of the time is in it.
    func scan(
        _ dataset: String, account: String?,
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        let done = measure(.scan)
        defer { done() }
        try await store.scan(dataset, account: account, consume)
    }

    func scanHashes(
        _ dataset: String, _ hashing: RowHashing,
        _ consume: @Sendable (HashedRows) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        let done = measure(.scan)
        defer { done() }
        try await store.scanHashes(dataset, hashing, consume)
    }

    func find(_ keys: [RowKey]) async throws(StoreError) -> [FoundRow?] {
        let done = measure(.find)
        defer { done() }
        return try await store.find(keys)
    }
}

extension MeteredStore: RepairableStore where Store: RepairableStore {
    func images(_ keys: [RowKey]) async throws(StoreError) -> [RowImage] {
        let done = measure(.images)
        defer { done() }
        return try await store.images(keys)
    }

    func replace(_ replacements: [RowReplacement]) async throws(StoreError) -> [RowImage?] {
        let done = measure(.replace)
        defer { done() }
        do throws(StoreError) {
            return try await store.replace(replacements)
        } catch {
            countFailure(of: Set(replacements.map(\.key.dataset)))
            throw error
        }
    }
}
