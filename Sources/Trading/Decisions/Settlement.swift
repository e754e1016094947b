internal import Ledger

/// What fills and endings do to money and shares.
extension TradingState {
    /// Gives back what the rest of an order has set aside.
    mutating func release(
        _ quantity: ExactDecimal, of order: Order, at now: Timestamp
    ) throws(DecimalError) {
        if quantity.isZero { return }
        switch order.terms.side {
        case .buy:
            guard var balance = balances[order.accountID]?.value else { return }
            try balance.freeze(order.reservePrice.multiplied(by: quantity).negated)
            balance.updatedAt = now
            put(balance)
        case .sell:
            guard var position = positions[order.accountID]?[order.terms.symbol]?.value else {
                return
            }
            position.heldQuantity = try position.heldQuantity.subtracting(quantity)
            position.updatedAt = now
            put(position)
        }
    }

    /// Moves money and shares for one fill; the order's own reserve has been released for it.
    mutating func settle(
        _ fill: BrokerFill, quantity: ExactDecimal, amount: ExactDecimal, of order: Order,
        at now: Timestamp
    ) throws(DecimalError) {
        let sign = order.terms.side == .buy
        let flow = sign ? amount.negated : amount
        var position =
            positions[order.accountID]?[order.terms.symbol]?.value
            ?? Position(accountID: order.accountID, symbol: order.terms.symbol, updatedAt: now)
        let worth = position.marketValue
        let profit = try position.take(sign ? quantity : quantity.negated, at: fill.price)
        try position.value(at: fill.price)
        if var balance = balances[order.accountID]?.value {
            try balance.book(cash: flow, worth: position.marketValue.subtracting(worth))
            balance.updatedAt = now
            put(balance)
            append(
                CashFlow(
                    accountID: order.accountID, flowID: fill.id, type: .trade, amount: flow,
                    balance: balance.cash, orderID: order.orderID, createdAt: now))
        }
        if let profit { try realise(profit, of: order.accountID, at: now) }
        position.updatedAt = now
        put(position)
        append(Deal(fill: fill, order: order, quantity: quantity, amount: amount))
    }

    private mutating func realise(
        _ profit: ExactDecimal, of accountID: String, at now: Timestamp
    ) throws(DecimalError) {
        guard let rules = rules[accountID], let master = rules.masterAccount else { return }
        let today = rules.tradingDay(at: now)
        var day =
            risk[master]?.value
            ?? RiskDay(masterAccount: master, tradingDay: today, updatedAt: now)
        if day.tradingDay != today {
            day.tradingDay = today
            day.realizedProfit = .zero
        }
        day.realizedProfit = try day.realizedProfit.adding(profit)
        day.updatedAt = now
        put(day)
    }
}

extension Position {
    /// Adds shares (or takes them away, when negative) at a price, by the average cost method. What
    /// closes a part of the position realises a profit or a loss, which is returned; the rest opens.
    ///
    /// The average is rounded to nine digits, but nothing is lost: what is taken out of the cost is
    /// what the profit is reckoned against, and the last share takes all the rest. A position that
    /// is short has a negative cost: what its sale brought.
    mutating func take(
        _ change: ExactDecimal, at price: ExactDecimal
    ) throws(DecimalError) -> ExactDecimal? {
        let closes = !quantity.isZero && quantity.isNegative != change.isNegative
        guard closes else {
            cost = try cost.adding(change.multiplied(by: price))
            quantity = try quantity.adding(change)
            return nil
        }
        let closing =
            change.magnitude < quantity.magnitude ? change : quantity.negated
        let part =
            closing.magnitude == quantity.magnitude
            ? cost
            : try cost.multiplied(
                by: closing.magnitude, dividedBy: quantity.magnitude, roundedToPlaces: 9)
        let profit = try closing.multiplied(by: price).negated.subtracting(part)
        let opening = try change.subtracting(closing)
        quantity = try quantity.adding(change)
        cost = try cost.subtracting(part).adding(opening.multiplied(by: price))
        realizedProfit = try realizedProfit.adding(profit)
        return profit
    }
}
