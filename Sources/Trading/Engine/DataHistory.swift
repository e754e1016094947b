public import Ledger

/// Answers for the rows of declared datasets: from where their route leads; without one, a single row
/// from memory and lists from the checkpoint.
public struct DataHistory: Sendable {
    private let published: PublishedState
    private let checkpoint: Checkpoint
    private let store: any RowStore
    private var routed: (any RoutedRows)?

    init(published: PublishedState, checkpoint: Checkpoint, store: any RowStore) {
        self.published = published
        self.checkpoint = checkpoint
        self.store = store
    }

    /// The same, read by the routes.
    public func reading(by routed: any RoutedRows) -> DataHistory {
        var copy = self
        copy.routed = routed
        return copy
    }

    public func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        if let routed, routed.isRouted(key.dataset) { return try await routed.row(key) }
        return published.declaredRow(key)
    }

    /// In the order of the keys. Shows everything durable at the moment of the call.
    /// - Parameter account: nil for a dataset whose rows belong to no account.
    public func page(
        of schema: Schema, account: String?, limit: Int, offset: Int
    ) async throws(StoreError) -> (total: Int, rows: [StampedRow]) {
        var query = RowQuery(dataset: schema.dataset)
        if let account, let field = schema.accountField {
            query.matching = [(schema.fields[field].name, [.text(account)])]
        }
        query.limit = limit
        query.offset = offset
        if let routed, routed.isRouted(schema.dataset) { return try await routed.page(query) }
        try await checkpoint.reach(published.head)
        return (try await store.count(query), try await store.rows(query))
    }
}
