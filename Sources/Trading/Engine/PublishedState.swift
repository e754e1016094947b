public import Ledger
internal import Synchronization

/// The committed state as readers see it, published by the writer after each flush.
///
/// The lock is held for a look-up by readers and for the changes of one batch by the writer; it is
/// there because reads must neither wait for a flush nor see what is not durable.
public final class PublishedState: Sendable {
    private struct Content {
        var orders: [String: Order] = [:]
        var clientOrderIDs: [ClientOrderKey: String] = [:]
        var balances: [String: Balance] = [:]
        var positions: [String: [String: Position]] = [:]
        var accounts: [String: AccountState] = [:]
        var revokedTokens: Set<String> = []
        var head = SequenceNumber.none
        var unknownOrders = 0
        /// Live orders by account.
        var live: [String: Set<String>] = [:]

        mutating func put(_ order: Order) {
            if let old = orders[order.orderID], old.status == .unknown { unknownOrders -= 1 }
            if order.status == .unknown { unknownOrders += 1 }
            orders[order.orderID] = order
            if order.status.isTerminal {
                live[order.accountID]?.remove(order.orderID)
            } else {
                live[order.accountID, default: []].insert(order.orderID)
            }
            guard let clientOrderID = order.clientOrderID else { return }
            let key = ClientOrderKey(accountID: order.accountID, clientOrderID: clientOrderID)
            clientOrderIDs[key] = order.orderID
        }
    }

    private let content: Mutex<Content>

    init(_ state: TradingState) {
        var initial = Content()
        for tracked in state.orders.values { initial.put(tracked.value) }
        initial.balances = state.balances.mapValues(\.value)
        initial.positions = state.positions.mapValues { $0.mapValues(\.value) }
        initial.accounts = state.accounts.mapValues(\.value)
        initial.revokedTokens = Set(state.revocations.keys)
        initial.head = state.lastSequence
        content = Mutex(initial)
    }

    public var head: SequenceNumber { content.withLock { $0.head } }
    public var unknownOrders: Int { content.withLock { $0.unknownOrders } }

    /// An order that is live, or ended too recently to be in the checkpoint.
    public func order(_ orderID: String) -> Order? { content.withLock { $0.orders[orderID] } }

    public func order(accountID: String, clientOrderID: String) -> Order? {
        content.withLock { content in
            content.clientOrderIDs[
                ClientOrderKey(accountID: accountID, clientOrderID: clientOrderID)
            ].flatMap { content.orders[$0] }
        }
    }

    /// Every live order, oldest first.
    public func liveOrders() -> [Order] {
        content.withLock { content in
            content.live.values.joined().compactMap { content.orders[$0] }
        }.sorted { $0.orderID < $1.orderID }
    }

    /// The live orders of an account, oldest first.
    public func liveOrders(of accountID: String) -> [Order] {
        content.withLock { content in
            content.live[accountID, default: []].compactMap { content.orders[$0] }
        }.sorted { $0.orderID < $1.orderID }
    }

    public func balance(_ accountID: String) -> Balance? {
        content.withLock { $0.balances[accountID] }
    }

    /// Positions of an account, ordered by symbol.
    public func positions(_ accountID: String) -> [Position] {
        let held = content.withLock { $0.positions[accountID] } ?? [:]
        return held.values.sorted { $0.symbol < $1.symbol }
    }

    public func account(_ accountID: String) -> AccountState? {
        content.withLock { $0.accounts[accountID] }
    }

    public func isRevoked(tokenID: String) -> Bool {
        content.withLock { $0.revokedTokens.contains(tokenID) }
    }

    /// Takes over what one batch changed.
    func publish(_ batch: CommittedBatch, _ state: TradingState) {
        content.withLock { content in
            for change in batch.changes { Self.take(change.key, from: state, into: &content) }
            content.head = state.lastSequence
        }
    }

    private static func take(
        _ key: RowKey, from state: TradingState, into content: inout Content
    ) {
        guard let id = key.values.first?.text else { return }
        switch key.dataset {
        case "orders":
            guard let order = state.orders[id]?.value else { return }
            content.put(order)
        case "balances": content.balances[id] = state.balances[id]?.value
        case "positions":
            guard key.values.count == 2, let symbol = key.values[1].text else { return }
            content.positions[id, default: [:]][symbol] = state.positions[id]?[symbol]?.value
        case "accounts": content.accounts[id] = state.accounts[id]?.value
        case "revocations": content.revokedTokens.insert(id)
        default: break
        }
    }

    func evict(_ state: TradingState, orderIDs: [String]) {
        content.withLock { content in
            for id in orderIDs where state.orders[id] == nil {
                guard let order = content.orders.removeValue(forKey: id),
                    let clientOrderID = order.clientOrderID
                else { continue }
                content.clientOrderIDs[
                    ClientOrderKey(accountID: order.accountID, clientOrderID: clientOrderID)] = nil
            }
        }
    }
}
