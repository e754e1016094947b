import Ledger
import TestSupport

@testable import Trading

/// A trading state with made-up accounts, and a model of all its rows beside it.
struct StateFixture {
    var state: TradingState
    var rows: [RowKey: Row] = [:]
    var entries: [Entry] = []
    var clock = Timestamp(microseconds: 1_795_253_400_000_000)
    static let key = SipHashKey(low: 1, high: 2)

    init(_ rules: [AccountRules] = [AccountRules(accountID: "A", masterAccount: "M")]) {
        state = TradingState(
            rules: rules, digestKey: Self.key, sequence: SequenceNumber(epoch: 1, number: 0))
    }

    static func opened(
        cash: String = "100000", positions: [BrokerPosition] = [],
        orders: [BrokerOrder] = [],
        rules: AccountRules = AccountRules(accountID: "A", masterAccount: "M")
    ) throws -> StateFixture {
        var fixture = StateFixture([rules])
        try fixture.state.open(
            "A",
            AccountSnapshot(
                balance: BrokerBalance(cash: decimal(cash)), positions: positions,
                openOrders: orders, fillCursor: nil), at: fixture.clock)
        fixture.commit()
        return fixture
    }

    /// Commits, and takes the changes into the model.
    @discardableResult
    mutating func commit() -> CommittedBatch {
        let batch = state.commit()
        for change in batch.changes { rows[change.key] = change.row }
        for draft in batch.drafts {
            entries.append(Entry(draft: draft, checksum: .origin))
        }
        return batch
    }

    /// From the rows alone, knowing nothing of the state's bookkeeping.
    var digestsOfRows: [DigestScope: Digest] {
        var digests: [DigestScope: Digest] = [:]
        for row in rows.values {
            guard let schema = Datasets.catalogue[row.dataset] else { continue }
            let scope = DigestScope(dataset: row.dataset, account: row.account(in: schema))
            digests[scope, default: .empty].add(
                Self.key.hash(row.encoded(keyCount: schema.keyCount)))
        }
        return digests
    }

    mutating func place(_ terms: OrderTerms, id: String? = nil) throws -> Order {
        let request = OrderRequest(accountID: "A", clientOrderID: id, terms: terms)
        switch try state.place(request, at: clock, by: "tester") {
        case .accepted(let order), .existing(let order): return order
        }
    }

    /// Placed and confirmed by the broker under `b-` and its id.
    mutating func placeAtBroker(_ terms: OrderTerms) throws -> Order {
        let order = try place(terms)
        let answer = Self.brokerOrder(order)
        _ = try state.submission(.confirmed(answer), of: order.orderID, at: clock)
        return order
    }

    static func brokerOrder(
        _ order: Order, _ status: BrokerOrderStatus = .working, filled: ExactDecimal = .zero
    ) -> BrokerOrder {
        BrokerOrder(
            brokerOrderID: "b-\(order.orderID)", clientOrderID: order.orderID, terms: order.terms,
            status: status, rawStatus: status.rawValue, filledQuantity: filled,
            submittedAt: order.createdAt)
    }

    static func fill(
        _ order: Order, _ id: String, quantity: String, price: String, cumulative: String
    ) -> BrokerFill {
        BrokerFill(
            id: id, brokerOrderID: "b-\(order.orderID)", symbol: order.terms.symbol,
            side: order.terms.side, quantity: decimal(quantity), price: decimal(price),
            cumulativeQuantity: decimal(cumulative), time: order.createdAt)
    }

    var cash: ExactDecimal { state.balances["A"]?.value.cash ?? .zero }
    var frozen: ExactDecimal { state.balances["A"]?.value.frozen ?? .zero }
    func position(_ symbol: String) -> Position? { state.positions["A"]?[symbol]?.value }
    func order(_ id: String) -> Order? { state.orders[id]?.value }

    /// Everything that a restart must bring back.
    var essence: StateEssence { StateEssence(state) }
}

struct StateEssence: Equatable {
    let orders: [String: Order]
    let balances: [String: Balance]
    let positions: [String: [String: Position]]
    let accounts: [String: AccountState]
    let risk: [String: RiskDay]
    let revocations: [String: Timestamp]
    let repairs: [String: RepairRecord]
    let digests: [DigestScope: Digest]
    let sequence: SequenceNumber
    let liveOrderCounts: [String: Int]
    let openBuys: [PositionKey: ExactDecimal]
    let brokerOrderIDs: [String: String]
    let clientOrderIDs: [ClientOrderKey: String]

    init(_ state: TradingState) {
        orders = state.orders.mapValues(\.value)
        balances = state.balances.mapValues(\.value)
        positions = state.positions.mapValues { $0.mapValues(\.value) }.filter { !$0.value.isEmpty }
        accounts = state.accounts.mapValues(\.value)
        risk = state.risk.mapValues(\.value)
        revocations = state.revocations.expiry
        repairs = state.repairs.mapValues(\.value)
        digests = state.digests
        sequence = state.lastSequence
        liveOrderCounts = state.liveOrderCounts.filter { $0.value != 0 }
        openBuys = state.openBuys
        brokerOrderIDs = state.brokerOrderIDs
        clientOrderIDs = state.clientOrderIDs
    }
}

func decimal(_ text: String) -> ExactDecimal { ExactDecimal(text) ?? .zero }

func limit(
    _ side: OrderSide, _ quantity: String, at price: String, _ symbol: String = "AAPL"
) -> OrderTerms {
    OrderTerms(
        symbol: symbol, side: side, type: .limit, quantity: decimal(quantity),
        limitPrice: decimal(price))
}
