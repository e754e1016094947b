public import Ledger

public enum OrderSide: String, Sendable, Hashable, CaseIterable {
    case buy, sell
}

public enum OrderType: String, Sendable, Hashable, CaseIterable {
    case market, limit, stop
    case stopLimit = "stop_limit"

    public var hasLimit: Bool { self == .limit || self == .stopLimit }
    public var hasStop: Bool { self == .stop || self == .stopLimit }
}

public enum TimeInForce: String, Sendable, Hashable, CaseIterable {
    case day, gtc, opg, cls, ioc, fok
}

/// What an order asks for: the part of it that never changes.
public struct OrderTerms: Sendable, Hashable {
    public var symbol: String
    public var side: OrderSide
    public var type: OrderType
    public var quantity: ExactDecimal
    public var limitPrice: ExactDecimal?
    public var stopPrice: ExactDecimal?
    public var timeInForce: TimeInForce
    public var extendedHours: Bool

    public init(
        symbol: String, side: OrderSide, type: OrderType, quantity: ExactDecimal,
        limitPrice: ExactDecimal? = nil, stopPrice: ExactDecimal? = nil,
        timeInForce: TimeInForce = .day, extendedHours: Bool = false
    ) {
        self.symbol = symbol
        self.side = side
        self.type = type
        self.quantity = quantity
        self.limitPrice = limitPrice
        self.stopPrice = stopPrice
        self.timeInForce = timeInForce
        self.extendedHours = extendedHours
    }

    /// Whether only the present price says what the order may cost.
    public var needsQuote: Bool { side == .buy && limitPrice == nil && stopPrice == nil }
}
