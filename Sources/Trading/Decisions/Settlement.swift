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
            balance.frozen = try balance.frozen.subtracting(
                order.reservePrice.multiplied(by: quantity))
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
        if var balance = balances[order.accountID]?.value {
            balance.cash = try balance.cash.adding(flow)
            balance.updatedAt = now
            put(balance)
            append(
                CashFlow(
                    accountID: order.accountID, flowID: fill.id, type: .trade, amount: flow,
                    balance: balance.cash, orderID: order.orderID, createdAt: now))
        }
        var position =
            positions[order.accountID]?[order.terms.symbol]?.value
            ?? Position(accountID: order.accountID, symbol: order.terms.symbol, updatedAt: now)
        if sign {
            position.quantity = try position.quantity.adding(quantity)
            position.cost = try position.cost.adding(amount)
        } else {
            let profit = try sell(quantity, for: amount, from: &position)
            try realise(profit, of: order.accountID, at: now)
        }
        position.updatedAt = now
        put(position)
        append(Deal(fill: fill, order: order, quantity: quantity, amount: amount))
    }

    /// Takes the average cost of what is sold out of the position. The quotient is rounded to nine
    /// digits, but nothing is lost: what is taken out here is what the profit is reckoned against,
    /// and the last share takes all the rest.
    private func sell(
        _ quantity: ExactDecimal, for amount: ExactDecimal, from position: inout Position
    ) throws(DecimalError) -> ExactDecimal {
        let left = try position.quantity.subtracting(quantity)
        let cost =
            left.isZero
            ? position.cost
            : try position.cost.multiplied(by: quantity)
                .divided(by: position.quantity, roundedToPlaces: 9)
        let profit = try amount.subtracting(cost)
        position.quantity = left
        position.cost = try position.cost.subtracting(cost)
        position.realizedProfit = try position.realizedProfit.adding(profit)
        return profit
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
