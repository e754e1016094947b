internal import Ledger

extension TradingState {
    /// A cancellation with somebody's reason, which the order's row then has: the entry that journals
    /// the cancellation tells why.
    mutating func cancel(
        _ orderID: String, isWithdrawn: Bool, reason: String, at now: Timestamp, by actor: String
    ) throws(Refusal) -> Cancellation {
        var order = try knownOrder(orderID)
        guard !order.status.isTerminal, !order.cancelRequested else {
            return try cancel(orderID, isWithdrawn: isWithdrawn, at: now, by: actor)
        }
        if isWithdrawn, order.step == .submitting {
            try end(
                &order, as: .cancelled,
                reason: "cancelled by \(actor) before it was sent: \(reason)", at: now)
            seal("order.cancelled", at: now, by: actor)
            return .cancelled
        }
        order.reason = "cancellation asked for by \(actor): \(reason)"
        put(order)
        return try cancel(orderID, isWithdrawn: isWithdrawn, at: now, by: actor)
    }
}
