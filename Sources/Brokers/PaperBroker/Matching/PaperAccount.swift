import Ledger

struct PaperPosition: Sendable, Equatable {
    var quantity: ExactDecimal
    /// What the held shares cost. A sale takes out its share at the average entry price.
    var costBasis: ExactDecimal

    /// Rounded half to even at nine digits after the point: the one rounding in an account.
    func averageEntryPrice() throws(DecimalError) -> ExactDecimal {
        try costBasis.divided(by: quantity, roundedToPlaces: 9)
    }
}

/// A cash account: no margin, no short sales.
struct PaperAccount: Sendable, Equatable {
    var id: String
    var cash: ExactDecimal
    var positions: [String: PaperPosition] = [:]
    /// Held for open buys.
    var reservedCash = ExactDecimal.zero
    /// Held for open sells, by symbol.
    var reservedShares: [String: ExactDecimal] = [:]

    func buyingPower() throws(DecimalError) -> ExactDecimal {
        try cash.subtracting(reservedCash)
    }

    func availableShares(_ symbol: String) throws(DecimalError) -> ExactDecimal {
        try (positions[symbol]?.quantity ?? .zero).subtracting(reservedShares[symbol] ?? .zero)
    }

    mutating func hold(_ order: PaperOrder) throws(DecimalError) {
        try adjust(order, by: order.reservedCash(), shares: openShares(order))
    }

    mutating func release(_ order: PaperOrder) throws(DecimalError) {
        try adjust(order, by: order.reservedCash().negated, shares: openShares(order).negated)
    }

    private func openShares(_ order: PaperOrder) throws(DecimalError) -> ExactDecimal {
        order.terms.side == .sell && order.status.isOpen ? try order.remaining() : .zero
    }

    private mutating func adjust(
        _ order: PaperOrder, by cash: ExactDecimal, shares: ExactDecimal
    ) throws(DecimalError) {
        reservedCash = try reservedCash.adding(cash)
        guard order.terms.side == .sell else { return }
        let held = try (reservedShares[order.terms.symbol] ?? .zero).adding(shares)
        reservedShares[order.terms.symbol] = held.isZero ? nil : held
    }

    mutating func bought(
        _ symbol: String, _ quantity: ExactDecimal, cost: ExactDecimal
    ) throws(DecimalError) {
        var position =
            positions[symbol] ?? PaperPosition(quantity: .zero, costBasis: .zero)
        position.quantity = try position.quantity.adding(quantity)
        position.costBasis = try position.costBasis.adding(cost)
        cash = try cash.subtracting(cost)
        positions[symbol] = position
    }

    mutating func sold(
        _ symbol: String, _ quantity: ExactDecimal, proceeds: ExactDecimal
    ) throws(DecimalError) {
        cash = try cash.adding(proceeds)
        guard var position = positions[symbol] else { return }
        let taken = try position.averageEntryPrice().multiplied(by: quantity)
        position.quantity = try position.quantity.subtracting(quantity)
        position.costBasis = try position.costBasis.subtracting(taken)
        // A closed position leaves no crumb of rounding behind.
        positions[symbol] = position.quantity.isZero ? nil : position
    }
}
