public import Ledger
internal import Synchronization

/// The committed state as readers see it, published by the writer after each flush.
///
/// The lock is held for a look-up by readers and for the changes of one batch by the writer; it is
/// there because reads must neither wait for a flush nor see what is not durable.
public final class PublishedState: Sendable {
    private struct Content {
        var orders: [String: Tracked<Order>] = [:]
        var clientOrderIDs: [ClientOrderKey: String] = [:]
        var balances: [String: Tracked<Balance>] = [:]
        var positions: [String: [String: Tracked<Position>]] = [:]
        var accounts: [String: Tracked<AccountState>] = [:]
        var revokedTokens = RevokedTokens()
        var repairs: [String: Tracked<RepairRecord>] = [:]
        var declared: [RowKey: DeclaredRow] = [:]
        var head = SequenceNumber.none
        var unknownOrders = 0
        var isJournalFull = false
        /// Live orders by account.
        var live: [String: Set<String>] = [:]

        mutating func put(_ tracked: Tracked<Order>) {
            let order = tracked.value
            let old = orders.updateValue(tracked, forKey: order.orderID)?.value
            if old?.status == .unknown { unknownOrders -= 1 }
            if order.status == .unknown { unknownOrders += 1 }
            if order.status.isTerminal {
                live[order.accountID]?.remove(order.orderID)
            } else if old?.status.isTerminal ?? true {
                live[order.accountID, default: []].insert(order.orderID)
            }
            guard old == nil, let clientOrderID = order.clientOrderID else { return }
            let key = ClientOrderKey(accountID: order.accountID, clientOrderID: clientOrderID)
            clientOrderIDs[key] = order.orderID
        }

        mutating func take(_ news: News, at now: Timestamp) {
            switch news {
            case .order(let order): put(order)
            case .balance(let balance): balances[balance.value.accountID] = balance
            case .position(let position):
                positions[position.value.accountID, default: [:]][position.value.symbol] = position
            case .account(let account): accounts[account.value.accountID] = account
            case .revocation(let revocation): revokedTokens.insert(revocation, at: now)
            case .repair(let repair): repairs[repair.value.id] = repair
            case .declared(let key, let row): declared[key] = row
            }
        }
    }

    private let content: Mutex<Content>

    init(_ state: TradingState) {
        var initial = Content()
        for tracked in state.orders.values { initial.put(tracked) }
        initial.balances = state.balances
        initial.positions = state.positions
        initial.accounts = state.accounts
        initial.revokedTokens = state.revocations
        initial.repairs = state.repairs
        initial.declared = state.declared.rows
        initial.head = state.lastSequence
        content = Mutex(initial)
    }

    public var head: SequenceNumber { content.withLock { $0.head } }
    public var unknownOrders: Int { content.withLock { $0.unknownOrders } }
    var isJournalFull: Bool { content.withLock { $0.isJournalFull } }

    func setJournalFull(_ isFull: Bool) {
        content.withLock { $0.isJournalFull = isFull }
    }

    /// An order that is live, or ended too recently to be in the checkpoint.
    public func order(_ orderID: String) -> Order? {
        content.withLock { $0.orders[orderID] }?.value
    }

    public func order(accountID: String, clientOrderID: String) -> Order? {
        content.withLock { content in
            content.clientOrderIDs[
                ClientOrderKey(accountID: accountID, clientOrderID: clientOrderID)
            ].flatMap { content.orders[$0] }
        }?.value
    }

    /// Every live order, oldest first.
    public func liveOrders() -> [Order] {
        content.withLock { content in
            content.live.values.joined().compactMap { content.orders[$0]?.value }
        }.sorted { $0.orderID < $1.orderID }
    }

    /// The live orders of an account, oldest first.
    public func liveOrders(of accountID: String) -> [Order] {
        content.withLock { content in
            content.live[accountID, default: []].compactMap { content.orders[$0]?.value }
        }.sorted { $0.orderID < $1.orderID }
    }

    public func balance(_ accountID: String) -> Balance? {
        content.withLock { $0.balances[accountID] }?.value
    }

    /// Positions of an account, ordered by symbol.
    public func positions(_ accountID: String) -> [Position] {
        let held = content.withLock { $0.positions[accountID] } ?? [:]
        return held.values.map(\.value).sorted { $0.symbol < $1.symbol }
    }

    /// What any account holds.
    public var heldSymbols: Set<String> {
        content.withLock { content in
            Set(
                content.positions.values.joined().compactMap { symbol, position in
                    position.value.quantity.isZero ? nil : symbol
                })
        }
    }

    public func account(_ accountID: String) -> AccountState? {
        content.withLock { $0.accounts[accountID] }?.value
    }

    public func isRevoked(tokenID: String) -> Bool {
        content.withLock { $0.revokedTokens.contains(tokenID) }
    }

    public func repair(_ id: String) -> RepairRecord? {
        content.withLock { $0.repairs[id] }?.value
    }

    /// Every repair that was ever planned, oldest first.
    public var repairs: [RepairRecord] {
        content.withLock { Array($0.repairs.values) }.map(\.value)
            .sorted { ($0.madeAt, $0.id) < ($1.madeAt, $1.id) }
    }

    /// A row of a dataset that the configuration declares.
    public func declaredRow(_ key: RowKey) -> StampedRow? {
        content.withLock { $0.declared[key] }?.stamped
    }

    /// Takes over what one batch changed.
    func publish(_ batch: CommittedBatch, head: SequenceNumber) {
        content.withLock { content in
            let now = batch.drafts.last?.time ?? Timestamp(microseconds: 0)
            for news in batch.news { content.take(news, at: now) }
            content.head = head
        }
    }

    func evict(_ state: TradingState, orderIDs: [String]) {
        content.withLock { content in
            for id in orderIDs where state.orders[id] == nil {
                guard let order = content.orders.removeValue(forKey: id)?.value,
                    let clientOrderID = order.clientOrderID
                else { continue }
                content.clientOrderIDs[
                    ClientOrderKey(accountID: order.accountID, clientOrderID: clientOrderID)] = nil
            }
        }
    }
}
