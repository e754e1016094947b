import Ledger

enum PaperSide: String, Sendable { case buy, sell }

enum PaperOrderType: String, Sendable {
    case market, limit, stop
    case stopLimit = "stop_limit"

    var hasLimit: Bool { self == .limit || self == .stopLimit }
    var hasStop: Bool { self == .stop || self == .stopLimit }
}

/// The market here never closes, so `opg` and `cls` are taken and treated as `day`, and `day` lasts.
enum PaperTimeInForce: String, Sendable { case day, gtc, opg, cls, ioc, fok }

enum PaperOrderStatus: String, Sendable {
    case new, filled, canceled, replaced
    case partiallyFilled = "partially_filled"

    var isOpen: Bool { self == .new || self == .partiallyFilled }
}

/// What an order asks for, as it was checked when it came in.
struct PaperTerms: Sendable, Equatable {
    var symbol: String
    var side: PaperSide
    var type: PaperOrderType
    var quantity: ExactDecimal
    var limitPrice: ExactDecimal?
    var stopPrice: ExactDecimal?
    var timeInForce: PaperTimeInForce
    var extendedHours: Bool
}

struct PaperOrder: Sendable, Equatable {
    var id: String
    var clientOrderID: String
    var account: String
    /// The order of arrival over all accounts; it sorts orders of the same microsecond.
    var sequence: Int64
    var terms: PaperTerms
    var status: PaperOrderStatus
    var filledQuantity = ExactDecimal.zero
    /// The exact sum of price times quantity over the fills.
    var filledCost = ExactDecimal.zero
    /// Cash held for each share still to be bought.
    var reservePrice = ExactDecimal.zero
    var isTriggered = false
    var submittedAt: Timestamp
    var updatedAt: Timestamp
    var filledAt: Timestamp?
    var canceledAt: Timestamp?
    var replacedAt: Timestamp?
    var replacedBy: String?
    var replaces: String?

    func remaining() throws(DecimalError) -> ExactDecimal {
        try terms.quantity.subtracting(filledQuantity)
    }

    func reservedCash() throws(DecimalError) -> ExactDecimal {
        guard terms.side == .buy, status.isOpen else { return .zero }
        return try remaining().multiplied(by: reservePrice)
    }
}

struct PaperFill: Sendable, Equatable {
    var sequence: Int64
    var id: String
    var account: String
    var orderID: String
    var symbol: String
    var side: PaperSide
    var quantity: ExactDecimal
    var price: ExactDecimal
    var cumulativeQuantity: ExactDecimal
    var leavesQuantity: ExactDecimal
    var orderStatus: PaperOrderStatus
    var time: Timestamp
}

struct PaperQuote: Sendable, Equatable {
    var symbol: String
    var bidPrice: ExactDecimal
    var askPrice: ExactDecimal
    var lastPrice: ExactDecimal
    var volume: Int
    var time: Timestamp
}

/// Why a request is refused, in the words and codes of the dialect.
struct PaperRefusal: Error, Sendable, Equatable {
    var status: Int
    var code: Int
    var message: String
    /// Further members of the answer.
    var fields: [String: String] = [:]

    static func parameter(_ message: String, code: Int = 42_210_000) -> PaperRefusal {
        PaperRefusal(status: 422, code: code, message: message)
    }

    static let outOfRange = parameter("a number is out of range")
    static let orderNotFound = PaperRefusal(
        status: 404, code: 40_410_000, message: "order not found")
    static let duplicateClientOrderID = parameter(
        "client_order_id must be unique", code: 40_010_001)
}
