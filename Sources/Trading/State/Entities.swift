public import Ledger

public struct Deal: Entity {
    public let accountID: String
    /// The broker's id of the execution.
    public let dealID: String
    public let orderID: String
    public let symbol: String
    public let side: OrderSide
    public let quantity: ExactDecimal
    public let price: ExactDecimal
    public let amount: ExactDecimal
    public let cumulativeQuantity: ExactDecimal
    public let executedAt: Timestamp

    public static var schema: Schema { Datasets.deals }

    public var row: Row {
        Row(
            dataset: "deals",
            values: [
                .text(accountID), .text(dealID), .text(orderID), .text(symbol),
                .text(side.rawValue), .decimal(quantity), .decimal(price), .decimal(amount),
                .decimal(cumulativeQuantity), .timestamp(executedAt),
            ])
    }

    public init(row: Row) throws(RowError) {
        var fields = FieldReader(row, Self.schema)
        accountID = try fields.text()
        dealID = try fields.text()
        orderID = try fields.text()
        symbol = try fields.text()
        side = try fields.word()
        quantity = try fields.decimal()
        price = try fields.decimal()
        amount = try fields.decimal()
        cumulativeQuantity = try fields.decimal()
        executedAt = try fields.timestamp()
    }

    init(
        fill: BrokerFill, order: Order, quantity: ExactDecimal, amount: ExactDecimal
    ) {
        accountID = order.accountID
        dealID = fill.id
        orderID = order.orderID
        symbol = order.terms.symbol
        side = order.terms.side
        self.quantity = quantity
        price = fill.price
        self.amount = amount
        cumulativeQuantity = fill.cumulativeQuantity
        executedAt = fill.time
    }
}

public struct CashFlow: Entity {
    public enum FlowType: String, Sendable {
        /// What the broker said was there when the account was opened here.
        case opening
        case trade
    }

    public let accountID: String
    public let flowID: String
    public let type: FlowType
    /// Positive into the account.
    public let amount: ExactDecimal
    /// The cash after it.
    public let balance: ExactDecimal
    public let orderID: String?
    public let createdAt: Timestamp

    public static var schema: Schema { Datasets.cashFlows }

    public var row: Row {
        Row(
            dataset: "cash_flows",
            values: [
                .text(accountID), .text(flowID), .text(type.rawValue), .decimal(amount),
                .decimal(balance), .optional(orderID), .timestamp(createdAt),
            ])
    }

    public init(row: Row) throws(RowError) {
        var fields = FieldReader(row, Self.schema)
        accountID = try fields.text()
        flowID = try fields.text()
        type = try fields.word()
        amount = try fields.decimal()
        balance = try fields.decimal()
        orderID = try fields.optionalText()
        createdAt = try fields.timestamp()
    }

    init(
        accountID: String, flowID: String, type: FlowType, amount: ExactDecimal,
        balance: ExactDecimal, orderID: String?, createdAt: Timestamp
    ) {
        self.accountID = accountID
        self.flowID = flowID
        self.type = type
        self.amount = amount
        self.balance = balance
        self.orderID = orderID
        self.createdAt = createdAt
    }
}

public struct AccountState: Entity {
    public enum Status: String, Sendable {
        case open
        /// Takes no new orders; what is open goes on.
        case halted
    }

    public let accountID: String
    public var status: Status
    public var reason: String?
    public var changedBy: String?
    /// The last of the broker's fills that was applied.
    public var fillCursor: String?
    public var updatedAt: Timestamp

    public static var schema: Schema { Datasets.accounts }

    public var row: Row {
        Row(
            dataset: "accounts",
            values: [
                .text(accountID), .text(status.rawValue), .optional(reason),
                .optional(changedBy), .optional(fillCursor), .timestamp(updatedAt),
            ])
    }

    public init(row: Row) throws(RowError) {
        var fields = FieldReader(row, Self.schema)
        accountID = try fields.text()
        status = try fields.word()
        reason = try fields.optionalText()
        changedBy = try fields.optionalText()
        fillCursor = try fields.optionalText()
        updatedAt = try fields.timestamp()
    }

    init(accountID: String, updatedAt: Timestamp) {
        self.accountID = accountID
        status = .open
        self.updatedAt = updatedAt
    }
}

/// What a master's trading accounts have realised in one trading day.
public struct RiskDay: Entity {
    public let masterAccount: String
    /// Days since 1970-01-01 in the desk's time zone.
    public var tradingDay: Int64
    public var realizedProfit: ExactDecimal
    public var updatedAt: Timestamp

    public static var schema: Schema { Datasets.risk }

    public var row: Row {
        Row(
            dataset: "risk",
            values: [
                .text(masterAccount), .integer(tradingDay), .decimal(realizedProfit),
                .timestamp(updatedAt),
            ])
    }

    public init(row: Row) throws(RowError) {
        var fields = FieldReader(row, Self.schema)
        masterAccount = try fields.text()
        tradingDay = try fields.integer()
        realizedProfit = try fields.decimal()
        updatedAt = try fields.timestamp()
    }

    init(masterAccount: String, tradingDay: Int64, updatedAt: Timestamp) {
        self.masterAccount = masterAccount
        self.tradingDay = tradingDay
        realizedProfit = .zero
        self.updatedAt = updatedAt
    }
}

/// A token that is not valid any more although it has not expired.
public struct Revocation: Entity {
    public let tokenID: String
    public let accountID: String
    public let expiresAt: Timestamp

    public static var schema: Schema { Datasets.revocations }

    public var row: Row {
        Row(
            dataset: "revocations",
            values: [.text(tokenID), .text(accountID), .timestamp(expiresAt)])
    }

    public init(row: Row) throws(RowError) {
        var fields = FieldReader(row, Self.schema)
        tokenID = try fields.text()
        accountID = try fields.text()
        expiresAt = try fields.timestamp()
    }

    public init(tokenID: String, accountID: String, expiresAt: Timestamp) {
        self.tokenID = tokenID
        self.accountID = accountID
        self.expiresAt = expiresAt
    }
}
