public import Ledger

/// Rows as their datasets' routes have them read: what the trading core asks of the stores for its
/// answers to clients. Its decisions never ask them.
public protocol RoutedRows: Sendable {
    /// Whether a dataset is to be read there at all, and not from the core's own rows.
    func isRouted(_ dataset: String) -> Bool

    /// Shows what was durable at the call.
    func row(_ key: RowKey) async throws(StoreError) -> StampedRow?

    /// One page, and how many rows there are. Shows everything that was durable at the call.
    func page(
        _ query: RowQuery
    ) async throws(StoreError) -> (total: Int, rows: [StampedRow])
}
