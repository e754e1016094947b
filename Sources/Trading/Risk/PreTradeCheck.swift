internal import Ledger

/// The checks before an order is taken, on exact decimals. Each says which rule was broken and by
/// how much.
struct PreTradeCheck {
    let rules: AccountRules
    let terms: OrderTerms
    /// The present price, for what the order's own prices do not say.
    let referencePrice: ExactDecimal?

    /// A market order may fill above the price seen when it was accepted: five per cent more are
    /// frozen for it.
    private static let marketMargin = ExactDecimal("1.05") ?? ExactDecimal(1)

    func wellFormed() throws(Refusal) {
        guard AllowedInstruments.isSymbol(terms.symbol) else {
            throw .invalid(field: "symbol", problem: "is not a symbol")
        }
        guard terms.quantity.isPositive, terms.quantity.scale <= 9,
            terms.quantity < Self.quantityLimit
        else {
            throw .invalid(
                field: "qty",
                problem: "must be above 0, below 10^12, with at most 9 digits after the point")
        }
        try wellFormed(terms.limitPrice, "limit_price", wanted: terms.type.hasLimit)
        try wellFormed(terms.stopPrice, "stop_price", wanted: terms.type.hasStop)
        if terms.extendedHours, terms.type != .limit || terms.timeInForce != .day {
            throw .invalid(
                field: "extended_hours", problem: "needs type limit and time_in_force day")
        }
    }

    private static let quantityLimit = ExactDecimal(1_000_000_000_000)
    private static let priceLimit = ExactDecimal(1_000_000_000)

    private func wellFormed(
        _ price: ExactDecimal?, _ field: String, wanted: Bool
    ) throws(Refusal) {
        guard let price else {
            if wanted {
                throw .invalid(field: field, problem: "is needed for \(terms.type.rawValue)")
            }
            return
        }
        guard wanted else {
            throw .invalid(field: field, problem: "has no meaning for \(terms.type.rawValue)")
        }
        guard price.isPositive, price < Self.priceLimit else {
            throw .invalid(field: field, problem: "must be above 0 and below 10^9")
        }
        let places = price < ExactDecimal(1) ? 4 : 2
        guard price.scale <= places else {
            throw .invalid(
                field: field, problem: "may have \(places) digits after the point at this price")
        }
    }

    func allowed() throws(Refusal) {
        guard rules.allowedInstruments.allows(symbol: terms.symbol) else {
            throw .risk(rule: "allowed_instruments", problem: "\(terms.symbol) is not among them")
        }
        guard rules.allowedOrderTypes.contains(terms.type) else {
            throw .risk(
                rule: "allowed_order_types", problem: "\(terms.type.rawValue) is not among them")
        }
        if terms.extendedHours, !rules.allowsExtendedHours {
            throw .risk(
                rule: "extended_hours_trading", problem: "the account does not trade then")
        }
    }

    func dailyLoss(_ day: RiskDay?, now: Timestamp) throws(Refusal) {
        guard let limit = rules.maxDailyLoss, let day,
            day.tradingDay == rules.tradingDay(at: now), day.realizedProfit.isNegative,
            day.realizedProfit.magnitude >= limit
        else { return }
        throw .risk(
            rule: "max_daily_loss",
            problem: "\(day.realizedProfit.magnitude) lost today, the limit is \(limit)")
    }

    /// What one unit of a buy sets aside.
    func reservePrice() throws(Refusal) -> ExactDecimal {
        if let limit = terms.limitPrice { return limit }
        guard let basis = terms.stopPrice ?? referencePrice, basis.isPositive else {
            throw .noPrice(symbol: terms.symbol)
        }
        return try exactly { () throws(DecimalError) in
            try basis.multiplied(by: Self.marketMargin)
        }
    }

    /// The position with this buy and those already open must stay within the limit.
    func positionSize(
        held: ExactDecimal, openBuys: ExactDecimal, price: ExactDecimal
    ) throws(Refusal) {
        guard let limit = rules.maxPositionSize else { return }
        let size = try exactly { () throws(DecimalError) in
            try held.adding(openBuys).adding(terms.quantity).multiplied(by: price)
        }
        guard size <= limit else {
            throw .risk(
                rule: "max_position_size",
                problem: "the position would be worth \(size), the limit is \(limit)")
        }
    }
}

/// Runs arithmetic on what a client sent: a result beyond the range of decimals is its fault.
func exactly<Result>(
    _ body: () throws(DecimalError) -> Result
) throws(Refusal) -> Result {
    do {
        return try body()
    } catch {
        throw .invalid(field: "qty", problem: "the order's value is out of range")
    }
}
