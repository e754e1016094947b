public import Ledger

/// What became of the attempt to hand an order to the broker.
public enum Submission: Sendable, Hashable {
    case confirmed(BrokerOrder)
    /// The broker's own refusal.
    case refused(String)
    /// Whether the broker has the order is not known.
    case ambiguous(String)
}

/// What a report left to do.
public enum ReportOutcome: Sendable, Hashable {
    case done
    /// The broker has filled more than the fills that arrived explain: fetch fills and report again.
    case fillsMissing
    /// The order had ended here without the broker's word, and is live again: fetch fills and report
    /// again.
    case reopened
    /// What the broker has under this id is another order. Nothing of it was taken.
    case otherTerms
}

extension TradingState {
    /// Takes the outcome of a submission or of a look-up by client order id.
    public mutating func submission(
        _ submission: Submission, of orderID: String, at now: Timestamp
    ) throws(Refusal) -> ReportOutcome {
        guard var order = orders[orderID]?.value else { return .done }
        if case .confirmed(let brokerOrder) = submission {
            guard brokerOrder.clientOrderID == orderID else {
                return mistrust(brokerOrder, for: order, at: now)
            }
            return try report(brokerOrder, at: now)
        }
        // A confirmed order cannot be refused or lost any more: this is an old word.
        guard order.step == .submitting, !order.status.isTerminal else { return .done }
        switch submission {
        case .confirmed: break
        case .refused(let reason):
            try end(&order, as: .rejected, reason: reason, at: now)
            seal("order.rejected", at: now)
        case .ambiguous(let reason): doubt(order, because: reason, at: now)
        }
        return .done
    }

    /// An order whose fate only the broker can tell: its funds stay frozen, and it is looked up.
    private mutating func doubt(_ order: Order, because reason: String, at now: Timestamp) {
        if order.status == .unknown { return }
        var updated = order
        updated.status = .unknown
        updated.reason = reason
        updated.updatedAt = now
        put(updated)
        seal("order.unknown", at: now)
        effect(.lookUp(orderID: order.orderID))
    }

    /// The broker's word cannot be about this order. One that it has not confirmed yet is unknown:
    /// whether the broker has it as well, nobody has said.
    private mutating func mistrust(
        _ brokerOrder: BrokerOrder, for order: Order, at now: Timestamp
    ) -> ReportOutcome {
        let terms = brokerOrder.terms
        if order.step == .submitting, !order.status.isTerminal {
            let other = "\(terms.side.rawValue) \(terms.quantity) \(terms.symbol)"
            doubt(
                order, because: "the broker has another order under this id: \(other)", at: now)
        }
        return .otherTerms
    }

    /// Takes an order's state as the broker tells it. The state is taken only as far as the fills
    /// that it speaks of have been applied, so reports and fills may come in any order.
    public mutating func report(
        _ brokerOrder: BrokerOrder, at now: Timestamp
    ) throws(Refusal) -> ReportOutcome {
        guard let order = orders[brokerOrder.clientOrderID]?.value else { return .done }
        guard order.agrees(with: brokerOrder) else {
            return mistrust(brokerOrder, for: order, at: now)
        }
        if order.status.isTerminal { return try reportOfEnded(order, brokerOrder, at: now) }
        var updated = order
        updated.brokerOrderID = brokerOrder.brokerOrderID
        updated.step = .submitted
        let isExplained = brokerOrder.filledQuantity <= order.filledQuantity
        let status = Self.status(brokerOrder, filled: order.filledQuantity)
        if isExplained, status.isTerminal {
            try end(&updated, as: status, reason: Self.reason(brokerOrder), at: now)
        } else {
            let isNews = updated.brokerOrderID != order.brokerOrderID
            guard isNews || status != order.status, !status.isTerminal || isNews else {
                return isExplained ? .done : .fillsMissing
            }
            updated.status = status.isTerminal ? .working : status
            updated.reason = nil
            updated.updatedAt = now
            put(updated)
        }
        seal("order.\(updated.status.rawValue)", at: now)
        if !updated.status.isTerminal {
            effect(.follow(accountID: order.accountID))
            if order.cancelRequested, order.brokerOrderID == nil {
                effect(.cancelAtBroker(orderID: order.orderID))
            }
        }
        return isExplained ? .done : .fillsMissing
    }

    /// A final status counts only when the fills agree; `filled` is said by the fills themselves.
    private static func status(
        _ brokerOrder: BrokerOrder, filled: ExactDecimal
    ) -> OrderStatus {
        switch brokerOrder.status {
        case .accepted: filled.isPositive ? .partiallyFilled : .accepted
        case .working, .unrecognised: filled.isPositive ? .partiallyFilled : .working
        case .partiallyFilled: filled.isPositive ? .partiallyFilled : .working
        case .filled: filled.isPositive ? .filled : .working
        case .cancelled: .cancelled
        case .rejected: .rejected
        case .expired: .expired
        }
    }

    private static func reason(_ brokerOrder: BrokerOrder) -> String? {
        switch brokerOrder.status {
        case .rejected, .expired: "the broker says \(brokerOrder.rawStatus)"
        default: nil
        }
    }

    /// Ends an order: what its rest has set aside goes back. The caller seals the entry.
    mutating func end(
        _ order: inout Order, as status: OrderStatus, reason: String?, at now: Timestamp
    ) throws(Refusal) {
        do {
            try release(order.remainingQuantity, of: order, at: now)
        } catch {
            throw .invalid(field: "qty", problem: "the order's reserve is out of range")
        }
        let wasFilled = order.filledQuantity.isPositive
        order.step = status == .filled || wasFilled ? .completed : .compensated
        order.status = status
        order.reason = reason
        order.updatedAt = now
        put(order)
        effect(.sagaEnded(order.step))
        effect(.orderEnded(status))
    }
}
