public import Ledger

/// What operators and clients ask for beside orders.
extension TradingState {
    public enum Cancellation: Sendable, Hashable {
        /// The order never went to the broker, and is cancelled.
        case cancelled
        /// The broker will be asked; its word decides.
        case requested
    }

    /// - Parameter isWithdrawn: true when the order certainly is not at the broker: it was taken out
    ///   of the queue before any worker had it, or the broker said so after the last attempt.
    public mutating func cancel(
        _ orderID: String, isWithdrawn: Bool, at now: Timestamp, by actor: String
    ) throws(Refusal) -> Cancellation {
        var order = try knownOrder(orderID)
        guard !order.status.isTerminal else {
            throw .notCancelable(orderID: orderID, status: order.status.rawValue)
        }
        if isWithdrawn, order.step == .submitting {
            try end(&order, as: .cancelled, reason: "cancelled before it was sent", at: now)
            seal("order.cancelled", at: now, by: actor)
            return .cancelled
        }
        if !order.cancelRequested {
            order.cancelRequested = true
            order.updatedAt = now
            put(order)
            seal("order.cancel_requested", at: now, by: actor)
        }
        if order.brokerOrderID != nil { effect(.cancelAtBroker(orderID: orderID)) }
        return .requested
    }

    func knownOrder(_ orderID: String) throws(Refusal) -> Order {
        guard let order = orders[orderID]?.value else { throw .unknownOrder(orderID) }
        return order
    }

    public enum Resolution: String, Sendable, CaseIterable {
        /// The operator has the broker's word that the order does not exist there.
        case rejected
        /// Ask the broker once more, now.
        case lookup
    }

    public mutating func resolve(
        _ orderID: String, as resolution: Resolution, reason: String, at now: Timestamp,
        by actor: String
    ) throws(Refusal) {
        var order = try knownOrder(orderID)
        guard order.status == .unknown else {
            throw .notResolvable(orderID: orderID, status: order.status.rawValue)
        }
        switch resolution {
        case .lookup: effect(.lookUp(orderID: orderID))
        case .rejected:
            try end(&order, as: .rejected, reason: "resolved by \(actor): \(reason)", at: now)
            seal("order.resolved", at: now, by: actor)
        }
    }

    public mutating func halt(
        _ accountID: String, reason: String, at now: Timestamp, by actor: String
    ) throws(Refusal) -> AccountState {
        try change(accountID, to: .halted, reason: reason, "account.halted", at: now, by: actor)
    }

    public mutating func resume(
        _ accountID: String, reason: String, at now: Timestamp, by actor: String
    ) throws(Refusal) -> AccountState {
        try change(accountID, to: .open, reason: reason, "account.resumed", at: now, by: actor)
    }

    private mutating func change(
        _ accountID: String, to status: AccountState.Status, reason: String, _ kind: String,
        at now: Timestamp, by actor: String
    ) throws(Refusal) -> AccountState {
        guard rules[accountID] != nil else { throw .unknownAccount(accountID) }
        var account =
            accounts[accountID]?.value ?? AccountState(accountID: accountID, updatedAt: now)
        if account.status == status { return account }
        account.status = status
        account.reason = reason
        account.changedBy = actor
        account.updatedAt = now
        put(account)
        seal(kind, at: now, by: actor)
        return account
    }

    public mutating func revoke(_ revocation: Revocation, at now: Timestamp, by actor: String) {
        if revocations.contains(revocation.tokenID) || revocation.expiresAt <= now { return }
        append(revocation, at: now)
        seal("token.revoked", at: now, by: actor)
    }
}
