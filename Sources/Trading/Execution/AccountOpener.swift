internal import Ledger
internal import Logging

/// Takes over accounts from the broker: those that have never traded here.
struct AccountOpener: Sendable {
    let engine: Engine
    let broker: any Broker
    let timing: ExecutionTiming
    let logger = Logger(label: "accounts")

    private static let lookBackSeconds: Int64 = 30 * 86_400

    /// Tries until the broker has told everything.
    func open(_ accountID: String) async {
        var delay = timing.retryFirst
        while !Task.isCancelled {
            do {
                if let snapshot = try await snapshot(of: accountID) {
                    let seen = try await epochsSeen(at: accountID)
                    try await engine.perform { state, now throws(Refusal) in
                        state.raiseEpoch(above: seen)
                        try state.open(accountID, snapshot, at: now)
                    }
                    return
                }
            } catch {
                logger.warning(
                    "an account is not open yet",
                    metadata: ["account_id": "\(accountID)", "problem": "\(error)"])
            }
            try? await Task.sleep(for: delay)
            delay = min(delay * 2, timing.retryLast)
        }
    }

    /// Cash, positions and open orders of one moment; nil when something was filled meanwhile.
    private func snapshot(of accountID: String) async throws(BrokerError) -> AccountSnapshot? {
        let before = try await broker.orders(of: accountID, status: .open, submittedAfter: nil)
        let lastFill = try await broker.lastFill(of: accountID)
        let balance = try await broker.balance(of: accountID)
        let positions = try await broker.positions(of: accountID)
        let after = try await broker.orders(of: accountID, status: .open, submittedAfter: nil)
        let lastFillAfter = try await broker.lastFill(of: accountID)
        guard lastFillAfter?.id == lastFill?.id, Self.filled(before) == Self.filled(after) else {
            return nil
        }
        return AccountSnapshot(
            balance: balance, positions: positions, openOrders: after, fillCursor: lastFill?.id,
            lastFillAt: lastFill?.time)
    }

    private static func filled(_ orders: [BrokerOrder]) -> [String: ExactDecimal] {
        Dictionary(
            orders.map { ($0.brokerOrderID, $0.filledQuantity) },
            uniquingKeysWith: { first, _ in first })
    }

    /// The highest epoch in an order id that an earlier journal has left at the broker; the last
    /// epoch that there can be is nothing to rise above.
    private func epochsSeen(at accountID: String) async throws(BrokerError) -> Int64 {
        let published = engine.published
        let orders = try await broker.orders(
            of: accountID, status: .all,
            submittedAfter: Timestamp.now().advanced(bySeconds: -Self.lookBackSeconds))
        return orders.compactMap { order in
            published.order(order.clientOrderID) == nil
                ? OrderID.sequence(order.clientOrderID)?.epoch : nil
        }.filter { $0 < SequenceNumber.epochMax }.max() ?? 0
    }
}
