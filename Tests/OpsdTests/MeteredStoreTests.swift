import Control
import Ledger
import Testing

@testable import opsd

@Suite struct MeteredStoreTests {
    private func text(_ registry: MetricsRegistry) -> String {
        String(decoding: registry.encode(), as: UTF8.self)
    }

    private func batch() -> StoreBatch {
        let sequence = SequenceNumber.none
        let changes = ["orders", "deals", "orders"].enumerated().map { index, dataset in
            StoreBatch.Change(
                key: RowKey(dataset: dataset, values: [.integer(Int64(index))]), row: nil,
                sequence: sequence)
        }
        return StoreBatch(changes: changes, digests: [], through: sequence)
    }

    @Test func everyCallIsMeasured() async throws {
        let registry = MetricsRegistry(descriptions: CoreMetrics.descriptions)
        let store = MeteredStore(DeafStore(fails: false), name: "checkpoint", factory: registry)
        try await store.apply(batch())
        _ = try await store.appliedSequence()
        _ = try await store.digests()
        _ = try await store.digests()
        let name = "opsd_store_operation_duration_seconds_count"
        let page = text(registry)
        #expect(page.contains("\(name){operation=\"apply\",store=\"checkpoint\"} 1\n"))
        #expect(page.contains("\(name){operation=\"applied_sequence\",store=\"checkpoint\"} 1\n"))
        #expect(page.contains("\(name){operation=\"digests\",store=\"checkpoint\"} 2\n"))
        #expect(page.contains("\(name){operation=\"rows\",store=\"checkpoint\"} 0\n"))
        #expect(!page.contains("opsd_store_write_failures_total"))
    }

    @Test func aFailedBatchCountsOnceForEachOfItsDatasets() async {
        let registry = MetricsRegistry(descriptions: CoreMetrics.descriptions)
        let store = MeteredStore(DeafStore(fails: true), name: "checkpoint", factory: registry)
        await #expect(throws: StoreError.self) { try await store.apply(batch()) }
        let page = text(registry)
        for dataset in ["orders", "deals"] {
            #expect(
                page.contains(
                    "opsd_store_write_failures_total{dataset=\"\(dataset)\","
                        + "store=\"checkpoint\"} 1\n"))
        }
        #expect(page.contains(#"_count{operation="apply",store="checkpoint"} 1"#))
    }
}

/// Takes everything, or nothing.
private struct DeafStore: RowStore {
    let fails: Bool

    func appliedSequence() async throws(StoreError) -> SequenceNumber { .none }
    func apply(_ batch: StoreBatch) async throws(StoreError) {
        if fails { throw .unavailable(store: "deaf", problem: "the disk is full") }
    }
    func row(_ key: RowKey) async throws(StoreError) -> StampedRow? { nil }
    func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] { [] }
    func count(_ query: RowQuery) async throws(StoreError) -> Int { 0 }
    func digests() async throws(StoreError) -> [DigestStamp] { [] }
}
