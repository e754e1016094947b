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
}

extension TradingState {
    /// Takes the outcome of a submission or of a look-up by client order id.
    public mutating func submission(
        _ submission: Submission, of orderID: String, at now: Timestamp
    ) throws(Refusal) -> ReportOutcome {
        guard var order = orders[orderID]?.value, !order.status.isTerminal else { return .done }
        switch submission {
        case .confirmed(let brokerOrder): return try report(brokerOrder, at: now)
        case .refused(let reason):
            // A confirmed order cannot be refused any more: this is an old word.
            guard order.step == .submitting else { return .done }
            try end(&order, as: .rejected, reason: reason, at: now)
            seal("order.rejected", at: now)
        case .ambiguous(let reason):
            guard order.step == .submitting, order.status != .unknown else { return .done }
            order.status = .unknown
            order.reason = reason
            order.updatedAt = now
            put(order)
            seal("order.unknown", at: now)
            effect(.lookUp(orderID: orderID))
        }
        return .done
    }

    /// Takes an order's state as the broker tells it. The state is taken only as far as the fills
    /// that it speaks of have been applied, so reports and fills may come in any order.
    public mutating func report(
        _ brokerOrder: BrokerOrder, at now: Timestamp
    ) throws(Refusal) -> ReportOutcome {
        guard let order = orders[brokerOrder.clientOrderID]?.value, !order.status.isTerminal else {
            return .done
        }
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

    /// Applies fills by cumulative quantity: each share once, however often and in whatever order
    /// the fills arrive. A fill that leaves a gap to the one before it waits (`fillsMissing`).
    /// The place up to which all is settled is remembered, for the next fetch to begin there.
    /// - Parameter fills: as the broker lists them, oldest first.
    public mutating func apply(
        _ fills: [BrokerFill], of accountID: String, at now: Timestamp
    ) throws(Refusal) -> ReportOutcome {
        var outcome = ReportOutcome.done
        var changed = false
        for fill in fills.sorted(by: { $0.cumulativeQuantity < $1.cumulativeQuantity }) {
            guard let orderID = brokerOrderIDs[fill.brokerOrderID],
                let order = orders[orderID]?.value, order.accountID == accountID
            else { continue }
            do {
                switch try apply(fill, to: order, at: now) {
                case .applied: changed = true
                case .known: break
                case .gap: outcome = .fillsMissing
                }
            } catch {
                throw .invalid(field: "fill", problem: "\(fill.id) is out of range")
            }
        }
        if changed, outcome == .done, var account = accounts[accountID]?.value,
            let cursor = lastSettled(among: fills, at: now), account.fillCursor != cursor
        {
            account.fillCursor = cursor
            account.updatedAt = now
            put(account)
        }
        if changed { seal("order.fills", at: now) }
        return outcome
    }

    /// How far the cursor may go: not past a recent fill of an order that is not known by the
    /// broker's id yet, because its confirmation is still on the way.
    private func lastSettled(among fills: [BrokerFill], at now: Timestamp) -> String? {
        let recent = now.advanced(bySeconds: -60)
        return fills.prefix { brokerOrderIDs[$0.brokerOrderID] != nil || $0.time <= recent }
            .last?.id
    }

    private enum FillOutcome { case applied, known, gap }

    private mutating func apply(
        _ fill: BrokerFill, to order: Order, at now: Timestamp
    ) throws -> FillOutcome {
        guard fill.cumulativeQuantity > order.filledQuantity else { return .known }
        let before = try fill.cumulativeQuantity.subtracting(fill.quantity)
        guard before <= order.filledQuantity else { return .gap }
        let quantity = try fill.cumulativeQuantity.subtracting(order.filledQuantity)
        let amount = try quantity.multiplied(by: fill.price)
        var updated = order
        updated.filledQuantity = fill.cumulativeQuantity
        updated.filledAmount = try order.filledAmount.adding(amount)
        updated.step = .submitted
        updated.updatedAt = now
        try release(quantity, of: order, at: now)
        try settle(fill, quantity: quantity, amount: amount, of: order, at: now)
        if updated.remainingQuantity.isPositive {
            updated.status = .partiallyFilled
            put(updated)
        } else {
            try end(&updated, as: .filled, reason: nil, at: now)
        }
        return .applied
    }
}
