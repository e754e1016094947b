public import Ledger

/// An account as the broker has it at one moment: what the core starts from.
public struct AccountSnapshot: Sendable, Hashable {
    public var balance: BrokerBalance
    public var positions: [BrokerPosition]
    /// Open orders; what they have filled is already in the cash and the positions.
    public var openOrders: [BrokerOrder]
    /// The broker's last fill so far, and its time.
    public var fillCursor: String?
    public var lastFillAt: Timestamp?

    public init(
        balance: BrokerBalance, positions: [BrokerPosition], openOrders: [BrokerOrder],
        fillCursor: String?, lastFillAt: Timestamp? = nil
    ) {
        self.balance = balance
        self.positions = positions
        self.openOrders = openOrders
        self.fillCursor = fillCursor
        self.lastFillAt = lastFillAt
    }
}

extension TradingState {
    /// Whether the account's cash and positions are known here.
    public func isOpened(_ accountID: String) -> Bool { balances[accountID] != nil }

    /// Takes over an account that has never traded here. Its open orders are adopted.
    public mutating func open(
        _ accountID: String, _ snapshot: AccountSnapshot, at now: Timestamp
    ) throws(Refusal) {
        guard rules[accountID] != nil else { throw .unknownAccount(accountID) }
        if isOpened(accountID) { return }
        let cash = snapshot.balance.cash
        var worth = cash
        for held in snapshot.positions {
            var position = Position(accountID: accountID, symbol: held.symbol, updatedAt: now)
            position.quantity = held.quantity
            // The broker's average may be long; what it rounded, nine digits of a cost do not blur.
            position.cost = try exactly { () throws(DecimalError) in
                try held.quantity.multiplied(
                    by: held.averageEntryPrice, dividedBy: ExactDecimal(1), roundedToPlaces: 9)
            }
            worth = try exactly { () throws(DecimalError) in
                try position.value(held.marketValue ?? position.cost)
                return try worth.adding(position.marketValue)
            }
            put(position)
        }
        put(Balance(accountID: accountID, cash: cash, portfolioValue: worth, updatedAt: now))
        append(
            CashFlow(
                accountID: accountID, flowID: "opening", type: .opening, amount: cash,
                balance: cash, orderID: nil, createdAt: now))
        var account =
            accounts[accountID]?.value ?? AccountState(accountID: accountID, updatedAt: now)
        account.fillCursor = snapshot.fillCursor
        account.updatedAt = now
        put(account)
        append(
            Opening(
                accountID: accountID, lastFillID: snapshot.fillCursor,
                lastFillAt: snapshot.lastFillAt, openedAt: now))
        seal("account.opened", at: now)
        for brokerOrder in snapshot.openOrders {
            try adopt(
                brokerOrder, accountID: accountID, filled: brokerOrder.filledQuantity, at: now)
        }
    }

    /// Takes in an order that the broker has and this journal does not: never ignored.
    /// - Parameter filled: how much of it is already in the account's cash and positions.
    public mutating func adopt(
        _ brokerOrder: BrokerOrder, accountID: String, filled: ExactDecimal = .zero,
        at now: Timestamp
    ) throws(Refusal) {
        let known =
            orders[brokerOrder.clientOrderID] != nil
            || brokerOrderIDs[brokerOrder.brokerOrderID] != nil
        if known { return }
        raiseEpoch(aboveOrder: brokerOrder.clientOrderID)
        let terms = brokerOrder.terms
        let price = terms.limitPrice ?? terms.stopPrice ?? .zero
        var order = Order(
            orderID: brokerOrder.clientOrderID, accountID: accountID, clientOrderID: nil,
            origin: .recovered, terms: terms, status: .working, step: .submitted,
            brokerOrderID: brokerOrder.brokerOrderID, filledQuantity: filled,
            filledAmount: .zero, reservePrice: terms.side == .buy ? price : .zero,
            cancelRequested: false, reason: "found at the broker",
            createdAt: brokerOrder.submittedAt, updatedAt: now)
        order.status = filled.isPositive ? .partiallyFilled : .working
        try setAside(for: order, at: now)
        put(order)
        seal("order.recovered", at: now)
        effect(.follow(accountID: accountID))
    }

    /// The broker already holds the funds of such an order, so they are set aside here as well,
    /// whatever the account's own limits say.
    mutating func setAside(for order: Order, at now: Timestamp) throws(Refusal) {
        let rest = order.remainingQuantity.negated
        do {
            if order.terms.side == .sell,
                positions[order.accountID]?[order.terms.symbol] == nil
            {
                put(
                    Position(
                        accountID: order.accountID, symbol: order.terms.symbol, updatedAt: now))
            }
            try release(rest, of: order, at: now)
        } catch {
            throw .invalid(field: "qty", problem: "\(order.orderID) at the broker is out of range")
        }
    }

    /// Moves to an epoch above one that was seen elsewhere, when the present one is not.
    /// There is none above the highest that a sequence number can tell.
    public mutating func raiseEpoch(above seen: Int64) {
        if seen >= nextSequence.epoch, seen < SequenceNumber.epochMax { beginEpoch(seen + 1) }
    }

    /// Moves above an order of opsd's that this journal cannot have accepted: its tail was lost, and
    /// the ids of what was lost must not be given out again.
    public mutating func raiseEpoch(aboveOrder orderID: String) {
        if let seen = OrderID.sequence(orderID), seen > lastSequence {
            raiseEpoch(above: seen.epoch)
        }
    }
}
