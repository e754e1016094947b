public import Ledger

/// As a test calls them that is not about where a store stands: whatever position it has.
extension ReplicaStore {
    /// Leaves the store where it is.
    public func begin(_ datasets: Set<String>) async throws(StoreError) {
        var position = StorePosition.empty
        do throws(StoreError) {
            position = try await self.position()
        } catch {
            guard case .damaged = error else { throw error }
        }
        position.datasets.subtract(datasets)
        try await begin(datasets, from: nil, as: position)
    }

    public func fill(_ rows: [StampedRow]) async throws(StoreError) {
        try await fill(rows, at: nil)
    }

    public func finish(
        _ position: StorePosition, digests: [DigestStamp]
    ) async throws(StoreError) {
        try await finish(position, from: nil, digests: digests)
    }
}
