public import Ledger

/// A request for an order, as it came in.
public struct OrderRequest: Sendable, Hashable {
    public var accountID: String
    public var clientOrderID: String?
    public var terms: OrderTerms
    /// The present price of the symbol, for orders that do not name one; nil when none is known.
    public var referencePrice: ExactDecimal?
    /// The head of the journal when the client order id was last looked up among past orders.
    public var lookedUpAt: SequenceNumber

    public init(
        accountID: String, clientOrderID: String? = nil, terms: OrderTerms,
        referencePrice: ExactDecimal? = nil, lookedUpAt: SequenceNumber = .none
    ) {
        self.accountID = accountID
        self.clientOrderID = clientOrderID
        self.terms = terms
        self.referencePrice = referencePrice
        self.lookedUpAt = lookedUpAt
    }
}

public enum Placement: Sendable, Hashable {
    case accepted(Order)
    /// The same client order id and the same terms: the order from before.
    case existing(Order)
}

extension TradingState {
    /// Accepts an order: freezes its funds and registers its saga, in one entry.
    public mutating func place(
        _ request: OrderRequest, at now: Timestamp, by actor: String
    ) throws(Refusal) -> Placement {
        if let existing = try existingOrder(request) { return .existing(existing) }
        let rules = try tradableAccount(request.accountID)
        let check = PreTradeCheck(
            rules: rules, terms: request.terms, referencePrice: request.referencePrice)
        try check.wellFormed()
        try check.allowed()
        // A sell only ever reduces a position here, and a desk that has lost may always get out.
        if request.terms.side == .buy {
            try check.dailyLoss(rules.masterAccount.flatMap { risk[$0]?.value }, now: now)
        }
        guard liveOrderCounts[request.accountID, default: 0] < rules.maxConcurrentOrders else {
            throw .tooManyOrders(limit: rules.maxConcurrentOrders)
        }
        let reservePrice = try reserve(request, check, at: now)
        let order = Order(
            orderID: OrderID.make(nextSequence), accountID: request.accountID,
            clientOrderID: request.clientOrderID, origin: .client, terms: request.terms,
            status: .pending, step: .submitting, brokerOrderID: nil, filledQuantity: .zero,
            filledAmount: .zero, reservePrice: reservePrice, cancelRequested: false, reason: nil,
            createdAt: now, updatedAt: now)
        put(order)
        seal("order.accepted", at: now, by: actor)
        effect(.dispatch(orderID: order.orderID))
        return .accepted(order)
    }

    private func existingOrder(_ request: OrderRequest) throws(Refusal) -> Order? {
        guard let clientOrderID = request.clientOrderID else { return nil }
        guard (1...128).contains(clientOrderID.utf8.count), !clientOrderID.utf8.contains(0) else {
            throw .invalid(field: "client_order_id", problem: "must have 1 to 128 bytes")
        }
        let key = ClientOrderKey(accountID: request.accountID, clientOrderID: clientOrderID)
        guard let orderID = clientOrderIDs[key], let order = orders[orderID]?.value else {
            // An order that left memory since the look-up may be the one that was looked for.
            guard request.lookedUpAt >= evictedThrough else { throw .staleLookUp }
            return nil
        }
        guard order.terms == request.terms else { throw .clientOrderIDTaken(orderID: orderID) }
        return order
    }

    private func tradableAccount(_ accountID: String) throws(Refusal) -> AccountRules {
        guard let rules = rules[accountID] else { throw .unknownAccount(accountID) }
        if let reason = rules.closedReason {
            throw .accountClosed(account: accountID, reason: reason)
        }
        guard let account = accounts[accountID]?.value, balances[accountID] != nil else {
            throw .accountNotReady(account: accountID)
        }
        if account.status == .halted {
            throw .accountClosed(
                account: accountID, reason: "halted: \(account.reason ?? "no reason given")")
        }
        return rules
    }

    /// Sets funds (a buy) or shares (a sell) aside, and says what one unit froze.
    private mutating func reserve(
        _ request: OrderRequest, _ check: PreTradeCheck, at now: Timestamp
    ) throws(Refusal) -> ExactDecimal {
        let terms = request.terms
        let held = positions[request.accountID]?[terms.symbol]?.value
        switch terms.side {
        case .buy:
            guard var balance = balances[request.accountID]?.value else {
                throw .accountNotReady(account: request.accountID)
            }
            let price = try check.reservePrice()
            let key = PositionKey(accountID: request.accountID, symbol: terms.symbol)
            try check.positionSize(
                held: held?.quantity ?? .zero, openBuys: openBuys[key] ?? .zero, price: price)
            let needed = try exactly { () throws(DecimalError) in
                try price.multiplied(by: terms.quantity)
            }
            guard needed <= balance.buyingPower else {
                throw .insufficientFunds(
                    needed: "\(needed)", available: "\(balance.buyingPower)")
            }
            try exactly { () throws(DecimalError) in try balance.freeze(needed) }
            balance.updatedAt = now
            put(balance)
            return price
        case .sell:
            let available = (try? held?.quantity.subtracting(held?.heldQuantity ?? .zero)) ?? .zero
            guard var position = held, terms.quantity <= available else {
                throw .insufficientPosition(
                    needed: "\(terms.quantity)", available: "\(available)")
            }
            position.heldQuantity = try exactly { () throws(DecimalError) in
                try position.heldQuantity.adding(terms.quantity)
            }
            position.updatedAt = now
            put(position)
            return .zero
        }
    }
}
