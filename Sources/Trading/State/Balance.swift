public import Ledger

public struct Balance: Entity {
    public let accountID: String
    public internal(set) var cash: ExactDecimal
    /// What open buys have set aside.
    public internal(set) var frozen: ExactDecimal
    public internal(set) var updatedAt: Timestamp
    /// Cash that nothing is set aside for.
    public internal(set) var buyingPower: ExactDecimal
    /// Cash and what the account's positions are worth. Nil where a row of before this field was read,
    /// and its sum is out of range.
    public internal(set) var portfolioValue: ExactDecimal?

    public static var schema: Schema { Datasets.balances }

    public var row: Row {
        Row(
            dataset: "balances",
            values: [
                .text(accountID), .decimal(cash), .decimal(frozen), .timestamp(updatedAt),
                .decimal(buyingPower), .optional(portfolioValue),
            ])
    }

    public init(row: Row) throws(RowError) {
        var fields = FieldReader(row, Self.schema)
        accountID = try fields.text()
        cash = try fields.decimal()
        frozen = try fields.decimal()
        updatedAt = try fields.timestamp()
        buyingPower = try fields.optionalDecimal() ?? (try? cash.subtracting(frozen)) ?? .zero
        portfolioValue = try fields.optionalDecimal()
    }

    init(
        accountID: String, cash: ExactDecimal, portfolioValue: ExactDecimal, updatedAt: Timestamp
    ) {
        self.accountID = accountID
        self.cash = cash
        frozen = .zero
        buyingPower = cash
        self.portfolioValue = portfolioValue
        self.updatedAt = updatedAt
    }

    /// Sets funds aside, or gives them back when negative.
    mutating func freeze(_ amount: ExactDecimal) throws(DecimalError) {
        frozen = try frozen.adding(amount)
        buyingPower = try cash.subtracting(frozen)
    }

    /// Takes in what a fill moves: money, and what a position is worth.
    mutating func book(
        cash flow: ExactDecimal, worth gain: ExactDecimal
    ) throws(DecimalError) {
        cash = try cash.adding(flow)
        buyingPower = try cash.subtracting(frozen)
        portfolioValue = try portfolioValue?.adding(flow).adding(gain)
    }
}
