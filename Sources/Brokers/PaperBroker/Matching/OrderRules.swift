import Ledger

/// The rules that an order is checked against, each a function of values.
enum OrderRules {
    static let quantityMax = ExactDecimal(100_000_000)
    static let priceMax = ExactDecimal(10_000_000)

    static func check(_ terms: PaperTerms) throws(PaperRefusal) {
        guard terms.quantity.isPositive else { throw .parameter("qty must be > 0") }
        guard terms.quantity <= quantityMax, terms.quantity.scale <= 9 else {
            throw .parameter("qty is out of range")
        }
        try check(price: terms.limitPrice, "limit_price", isWanted: terms.type.hasLimit)
        try check(price: terms.stopPrice, "stop_price", isWanted: terms.type.hasStop)
        if terms.extendedHours, terms.type != .limit || terms.timeInForce != .day {
            throw .parameter("extended hours order must be DAY limit orders")
        }
    }

    private static func check(
        price: ExactDecimal?, _ name: String, isWanted: Bool
    ) throws(PaperRefusal) {
        guard let price else {
            guard !isWanted else { throw .parameter("\(name) is required for this order type") }
            return
        }
        guard isWanted else { throw .parameter("\(name) does not go with this order type") }
        guard price.isPositive, price <= priceMax else {
            throw .parameter("\(name) is out of range")
        }
        // Two digits after the point from one dollar up, four below.
        guard price.scale <= (price < ExactDecimal(1) ? 4 : 2) else {
            throw .parameter(
                "invalid \(name) \(price). sub-penny increment does not fulfill minimum pricing criteria"
            )
        }
    }

    /// What a buy holds back for each share: the most that it can cost by its own terms, or else the
    /// price of the moment.
    static func reservePrice(_ terms: PaperTerms, _ quote: PaperQuote) -> ExactDecimal {
        guard terms.side == .buy else { return .zero }
        return terms.limitPrice ?? terms.stopPrice.map { max($0, quote.askPrice) }
            ?? quote.askPrice
    }

    static func triggers(_ terms: PaperTerms, _ quote: PaperQuote) -> Bool {
        guard let stop = terms.stopPrice else { return true }
        return terms.side == .buy ? quote.askPrice >= stop : quote.bidPrice <= stop
    }

    /// Buys at the ask, sells at the bid, and never worse than the limit; nil when it has to wait.
    static func executionPrice(_ terms: PaperTerms, _ quote: PaperQuote) -> ExactDecimal? {
        switch terms.side {
        case .buy:
            if let limit = terms.limitPrice, quote.askPrice > limit { return nil }
            return quote.askPrice
        case .sell:
            if let limit = terms.limitPrice, quote.bidPrice < limit { return nil }
            return quote.bidPrice
        }
    }

    /// The refusal for want of cash or shares.
    static func affordable(
        _ order: PaperOrder, _ account: PaperAccount
    ) throws(DecimalError) -> PaperRefusal? {
        switch order.terms.side {
        case .buy:
            let cost = try order.reservedCash()
            let power = try account.buyingPower()
            guard cost > power else { return nil }
            return PaperRefusal(
                status: 403, code: 40_310_000, message: "insufficient buying power",
                fields: ["buying_power": power.description, "cost_basis": cost.description])
        case .sell:
            let symbol = order.terms.symbol
            let available = try account.availableShares(symbol)
            guard order.terms.quantity > available else { return nil }
            return PaperRefusal(
                status: 403, code: 40_310_000,
                message: "insufficient qty available for order (requested: "
                    + "\(order.terms.quantity), available: \(available))",
                fields: [
                    "available": available.description,
                    "existing_qty": (account.positions[symbol]?.quantity ?? .zero).description,
                    "held_for_orders": (account.reservedShares[symbol] ?? .zero).description,
                    "symbol": symbol,
                ])
        }
    }
}
