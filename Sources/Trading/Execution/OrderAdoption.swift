internal import Ledger
internal import Logging

/// Takes in orders that the broker has and nobody here has journaled: never ignored, and never
/// counted twice. What they had filled when the account was taken over is in its cash already.
struct OrderAdoption: Sendable {
    let accountID: String
    let engine: Engine
    let history: OrderHistory
    let broker: any Broker
    let logger: Logger

    init(_ follower: AccountFollower) {
        accountID = follower.accountID
        engine = follower.engine
        history = follower.history
        broker = follower.broker
        logger = follower.logger
    }

    func adopt(_ report: BrokerOrder) async throws {
        let counted = try await counted(report)
        if report.status.isTerminal, report.filledQuantity <= counted {
            return try await pass(report)
        }
        let accountID = accountID
        logger.warning(
            "an order at the broker is unknown here; it is adopted",
            metadata: ["account_id": "\(accountID)", "order_id": "\(report.clientOrderID)"])
        try await engine.perform { state, now throws(Refusal) in
            try state.adopt(report, accountID: accountID, filled: counted, at: now)
        }
    }

    /// An order that moves nothing any more; yet its id may be one that this journal would give out.
    private func pass(_ report: BrokerOrder) async throws {
        let id = report.clientOrderID
        guard let seen = OrderID.sequence(id), seen > engine.published.head else { return }
        logger.warning(
            "an order of a journal that is lost is at the broker; a new epoch begins",
            metadata: ["account_id": "\(accountID)", "order_id": "\(id)"])
        try await engine.perform { state, _ throws(Refusal) in state.raiseEpoch(aboveOrder: id) }
    }

    /// How much of an order was in the account's cash and positions when it was taken over.
    private func counted(_ report: BrokerOrder) async throws -> ExactDecimal {
        if report.filledQuantity.isZero { return .zero }
        guard let last = try await history.opening(of: accountID)?.lastFillAt else { return .zero }
        let start = AccountFollower.margin(report.submittedAt)
        if last < start { return .zero }
        let fills = try await broker.fills(of: accountID, from: .afterTime(start))
        return fills.filter { $0.brokerOrderID == report.brokerOrderID && $0.time <= last }
            .map(\.cumulativeQuantity).max() ?? .zero
    }
}
