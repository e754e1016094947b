public import Ledger

/// The words that brokers have for what is held.
public enum PositionSide: String, Sendable {
    case long
    case short
    case flat
}

public struct Position: Entity {
    public let accountID: String
    public let symbol: String
    public internal(set) var quantity: ExactDecimal
    /// What open sells have set aside.
    public internal(set) var heldQuantity: ExactDecimal
    /// What the quantity cost, by the average cost method.
    public internal(set) var cost: ExactDecimal
    public internal(set) var realizedProfit: ExactDecimal
    public internal(set) var updatedAt: Timestamp
    /// At the price of the last fill; at the broker's word, or at cost, as long as there was none.
    public internal(set) var marketValue: ExactDecimal
    /// What selling all of it for that would bring beyond its cost.
    public internal(set) var unrealizedProfit: ExactDecimal

    public var side: PositionSide {
        quantity.isZero ? .flat : quantity.isNegative ? .short : .long
    }

    /// Six digits after the point, half to even; nil when nothing is held.
    public var averageCost: ExactDecimal? {
        quantity.isZero ? nil : try? cost.divided(by: quantity, roundedToPlaces: 6)
    }

    public static var schema: Schema { Datasets.positions }

    public var row: Row {
        Row(
            dataset: "positions",
            values: [
                .text(accountID), .text(symbol), .decimal(quantity), .decimal(heldQuantity),
                .decimal(cost), .decimal(realizedProfit), .timestamp(updatedAt),
                .text(side.rawValue), .decimal(marketValue), .decimal(unrealizedProfit),
            ])
    }

    public init(row: Row) throws(RowError) {
        var fields = FieldReader(row, Self.schema)
        accountID = try fields.text()
        symbol = try fields.text()
        quantity = try fields.decimal()
        heldQuantity = try fields.decimal()
        cost = try fields.decimal()
        realizedProfit = try fields.decimal()
        updatedAt = try fields.timestamp()
        // The side is told by the quantity.
        _ = try fields.optionalText()
        marketValue = try fields.optionalDecimal() ?? cost
        unrealizedProfit = try fields.optionalDecimal() ?? .zero
    }

    init(accountID: String, symbol: String, updatedAt: Timestamp) {
        self.accountID = accountID
        self.symbol = symbol
        quantity = .zero
        heldQuantity = .zero
        cost = .zero
        realizedProfit = .zero
        marketValue = .zero
        unrealizedProfit = .zero
        self.updatedAt = updatedAt
    }

    /// Values what is held. Exact; where that has more than 18 digits after the point, it is rounded to
    /// nine, half to even: a fill that has happened is not refused for what it makes a position worth.
    mutating func value(at price: ExactDecimal) throws(DecimalError) {
        if let exact = try? quantity.multiplied(by: price) {
            try value(exact)
        } else {
            try value(
                quantity.multiplied(
                    by: price, dividedBy: ExactDecimal(1), roundedToPlaces: 9))
        }
    }

    /// Takes over what all of it is worth.
    mutating func value(_ worth: ExactDecimal) throws(DecimalError) {
        unrealizedProfit = try worth.subtracting(cost)
        marketValue = worth
    }
}
