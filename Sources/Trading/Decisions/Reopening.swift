internal import Ledger

/// What the broker says about an order that has ended here.
extension TradingState {
    /// Brings an order that ended, and has left memory since, back into it.
    mutating func recall(_ past: PastOrder) throws(Refusal) {
        if orders[past.order.orderID] != nil { return }
        // Whatever left memory since may have been a later version of this very order.
        guard past.lookedUpAt >= evictedThrough else { throw .staleLookUp }
        do {
            try restore(past.row)
        } catch {
            throw .invalid(field: "order", problem: "\(past.order.orderID): \(error)")
        }
    }

    /// An order ends here without the broker's word when it is withdrawn, or when an operator
    /// resolves it. If it arrived at the broker all the same, it lives on here too.
    mutating func reportOfEnded(
        _ order: Order, _ brokerOrder: BrokerOrder, at now: Timestamp
    ) throws(Refusal) -> ReportOutcome {
        let hasMore = brokerOrder.filledQuantity > order.filledQuantity
        guard order.brokerOrderID == nil, !brokerOrder.status.isTerminal || hasMore else {
            return hasMore ? .fillsMissing : .done
        }
        var reopened = order
        reopened.brokerOrderID = brokerOrder.brokerOrderID
        reopened.status = .working
        reopened.step = .submitted
        reopened.reason = "\(order.status.rawValue) here, yet the broker has it"
        reopened.updatedAt = now
        try setAside(for: reopened, at: now)
        put(reopened)
        seal("order.reopened", at: now)
        effect(.follow(accountID: order.accountID))
        if order.cancelRequested { effect(.cancelAtBroker(orderID: order.orderID)) }
        return .reopened
    }
}
