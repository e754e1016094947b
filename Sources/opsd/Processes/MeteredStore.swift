import CoreMetrics
import Ledger

/// A store whose every call is measured: how long it took, and which datasets' writes failed.
struct MeteredStore: RowStore {
    private let store: any RowStore
    private let name: String
    private let factory: any MetricsFactory
    private let durations: [Operation: Timer]

    private enum Operation: String, CaseIterable {
        case apply, row, rows, count, digests
        case appliedSequence = "applied_sequence"
    }

    /// - Parameter name: the label `store`.
    init(
        _ store: any RowStore, name: String, factory: any MetricsFactory = MetricsSystem.factory
    ) {
        self.store = store
        self.name = name
        self.factory = factory
        let timers = Operation.allCases.map { operation in
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
        let done = begin(.appliedSequence)
        defer { done() }
        return try await store.appliedSequence()
    }

    func apply(_ batch: StoreBatch) async throws(StoreError) {
        let done = begin(.apply)
        defer { done() }
        do throws(StoreError) {
            try await store.apply(batch)
        } catch {
            countFailure(of: batch)
            throw error
        }
    }

    func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        let done = begin(.row)
        defer { done() }
        return try await store.row(key)
    }

    func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        let done = begin(.rows)
        defer { done() }
        return try await store.rows(query)
    }

    func count(_ query: RowQuery) async throws(StoreError) -> Int {
        let done = begin(.count)
        defer { done() }
        return try await store.count(query)
    }

    func digests() async throws(StoreError) -> [DigestStamp] {
        let done = begin(.digests)
        defer { done() }
        return try await store.digests()
    }

    private func begin(_ operation: Operation) -> () -> Void {
        let start = ContinuousClock.now
        return {
            let (seconds, attoseconds) = (ContinuousClock.now - start).components
            durations[operation]?
                .recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        }
    }

    /// A batch is written as a whole or not at all, so each of its datasets has failed.
    private func countFailure(of batch: StoreBatch) {
        for dataset in Set(batch.changes.map(\.key.dataset)) {
            Counter(
                label: "opsd_store_write_failures_total",
                dimensions: [("dataset", dataset), ("store", name)], factory: factory
            ).increment()
        }
    }
}
