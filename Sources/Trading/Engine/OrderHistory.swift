public import Ledger

/// Answers for orders, deals and positions, live or past: from memory what may not be in the checkpoint
/// yet, from the checkpoint all else; lists of a dataset that has a route, from where it leads.
public struct OrderHistory: Sendable {
    private let published: PublishedState
    private let checkpoint: Checkpoint
    private let store: any RowStore
    private var routed: (any RoutedRows)?

    /// The same, with lists read by their routes.
    public func reading(by routed: any RoutedRows) -> OrderHistory {
        var copy = self
        copy.routed = routed
        return copy
    }

    public init(published: PublishedState, checkpoint: Checkpoint, store: any RowStore) {
        self.published = published
        self.checkpoint = checkpoint
        self.store = store
    }

    public func order(_ orderID: String) async throws(StoreError) -> Order? {
        if let order = published.order(orderID) { return order }
        let key = RowKey(dataset: "orders", values: [.text(orderID)])
        return try await store.row(key).map { stamped throws(StoreError) in
            try entity(stamped)
        }
    }

    /// An order that ended and has left memory; nil while it is in memory, and when there is none.
    func pastOrder(_ orderID: String) async throws(StoreError) -> PastOrder? {
        let head = published.head
        if published.order(orderID) != nil { return nil }
        let key = RowKey(dataset: "orders", values: [.text(orderID)])
        guard let row = try await store.row(key) else { return nil }
        return PastOrder(order: try entity(row), row: row, lookedUpAt: head)
    }

    /// Which of these fills the checkpoint has as deals.
    func bookedFills(
        of accountID: String, among ids: [String]
    ) async throws(StoreError) -> Set<String> {
        var query = RowQuery(dataset: "deals")
        query.matching = [("account_id", [.text(accountID)]), ("deal_id", ids.map(Value.text))]
        query.limit = max(1, ids.count)
        let deals: [Deal] = try await entities(query)
        return Set(deals.map(\.dealID))
    }

    /// What was counted when the account was taken over.
    func opening(of accountID: String) async throws(StoreError) -> Opening? {
        let key = RowKey(dataset: "openings", values: [.text(accountID)])
        var row = try await store.row(key)
        if row == nil {
            try await checkpoint.reach(published.head)
            row = try await store.row(key)
        }
        return try row.map { stamped throws(StoreError) in try entity(stamped) }
    }

    /// The order under a client's own id, and the head of the journal at which this was true.
    public func order(
        accountID: String, clientOrderID: String
    ) async throws(StoreError) -> (order: Order?, head: SequenceNumber) {
        let head = published.head
        if let order = published.order(accountID: accountID, clientOrderID: clientOrderID) {
            return (order, head)
        }
        var query = RowQuery(dataset: "orders")
        query.matching = [
            ("account_id", [.text(accountID)]), ("client_order_id", [.text(clientOrderID)]),
        ]
        query.present = ["client_order_id"]
        query.limit = 1
        let found: [Order] = try await entities(query)
        return (found.first, head)
    }

    /// Newest first.
    public func orders(
        accountID: String, statuses: [OrderStatus], limit: Int, offset: Int
    ) async throws(StoreError) -> (total: Int, orders: [Order]) {
        var query = RowQuery(dataset: "orders")
        query.matching = [("account_id", [.text(accountID)])]
        if !statuses.isEmpty {
            query.matching.append(("status", statuses.map { .text($0.rawValue) }))
        }
        query.order = ("order_id", descending: true)
        return try await page(query, limit: limit, offset: offset)
    }

    /// Newest first; `from` is included, `before` is not.
    public func deals(
        accountID: String, symbol: String?, from: Timestamp?, before: Timestamp?, limit: Int,
        offset: Int
    ) async throws(StoreError) -> (total: Int, deals: [Deal]) {
        var query = RowQuery(dataset: "deals")
        query.matching = [("account_id", [.text(accountID)])]
        if let symbol { query.matching.append(("symbol", [.text(symbol)])) }
        query.range = RowQuery.Range(
            field: "executed_at", from: from.map(Value.timestamp),
            before: before.map(Value.timestamp))
        query.order = ("executed_at", descending: true)
        return try await page(query, limit: limit, offset: offset)
    }

    /// What an account holds, ordered by symbol; nothing of what it holds no more.
    public func positions(_ accountID: String) async throws(StoreError) -> [Position] {
        var positions = published.positions(accountID)
        if let routed, routed.isRouted(Datasets.positions.dataset) {
            var query = RowQuery(dataset: Datasets.positions.dataset)
            query.matching = [("account_id", [.text(accountID)])]
            query.limit = .max
            positions = []
            for row in try await routed.page(query).rows { positions.append(try entity(row)) }
        }
        return positions.filter { !$0.quantity.isZero }
    }

    /// A page that shows everything durable at the moment of the call.
    private func page<Item: Entity>(
        _ query: RowQuery, limit: Int, offset: Int
    ) async throws(StoreError) -> (Int, [Item]) {
        var query = query
        query.limit = limit
        query.offset = offset
        if let routed, routed.isRouted(query.dataset) {
            let (total, rows) = try await routed.page(query)
            var items: [Item] = []
            for stamped in rows { items.append(try entity(stamped)) }
            return (total, items)
        }
        try await checkpoint.reach(published.head)
        return (try await store.count(query), try await entities(query))
    }

    private func entities<Item: Entity>(_ query: RowQuery) async throws(StoreError) -> [Item] {
        var items: [Item] = []
        for stamped in try await store.rows(query) { items.append(try entity(stamped)) }
        return items
    }

    private func entity<Item: Entity>(_ stamped: StampedRow) throws(StoreError) -> Item {
        do {
            return try Item(row: stamped.row)
        } catch {
            throw .damaged(store: stamped.row.dataset, problem: "\(error)")
        }
    }
}

/// An order as the checkpoint has it, with the head of the journal before it was read.
struct PastOrder: Sendable {
    let order: Order
    let row: StampedRow
    let lookedUpAt: SequenceNumber
}
