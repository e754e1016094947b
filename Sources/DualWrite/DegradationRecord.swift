public import Ledger

/// What is known of degraded datasets over a restart of the core: a store that was found wrong is not
/// believed again before it has been compared.
public protocol DegradationRecord: Sendable {
    /// What was kept last; throws when that cannot be told. Called once, before anything is read.
    func kept() throws(StoreError) -> [HybridReader.Degradation]

    /// Keeps what there is now. Returns when it is durable.
    /// - Parameter present: asked when it is written, so that of two calls the later one holds.
    func keep(
        _ present: @escaping @Sendable () -> [HybridReader.Degradation]
    ) async throws(StoreError)
}
