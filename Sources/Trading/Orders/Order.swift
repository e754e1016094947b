public import Ledger

/// xTrading's order states, and `unknown`: the broker's word is missing.
public enum OrderStatus: String, Sendable, Hashable, CaseIterable {
    /// Accepted here and durable; the broker has not confirmed it yet.
    case pending
    /// The broker has it.
    case accepted
    /// At work in the market.
    case working
    case partiallyFilled = "partially_filled"
    case filled
    case cancelled
    case rejected
    case expired
    /// The broker may or may not have it. Funds stay frozen until the broker's own word comes.
    case unknown

    public var isTerminal: Bool {
        switch self {
        case .filled, .cancelled, .rejected, .expired: true
        case .pending, .accepted, .working, .partiallyFilled, .unknown: false
        }
    }

    public static let live: [OrderStatus] = allCases.filter { !$0.isTerminal }
}

/// Where the order's saga stands: freeze funds → submit → update the status.
///
/// Funds are frozen in the very entry that accepts the order, and that entry also registers what
/// would undo the steps, before the ambiguous one (the submission) is tried.
public enum SagaStep: String, Sendable, Hashable {
    /// Funds are frozen. A submission may be on its way, so the broker is asked before anything else.
    case submitting
    /// The broker confirmed the order.
    case submitted
    /// The order has come to its end at the broker, and the money with it.
    case completed
    /// The compensations have run: nothing is frozen any more.
    case compensated

    /// What would undo the saga from here, in the order in which it would run.
    public var compensation: String? {
        switch self {
        case .submitting, .submitted: "cancel_at_broker,release_funds"
        case .completed, .compensated: nil
        }
    }
}

public enum OrderOrigin: String, Sendable, Hashable {
    case client
    /// Found at the broker and unknown here.
    case recovered
}

public struct Order: Sendable, Hashable {
    public let orderID: String
    public let accountID: String
    /// The client's own id, if it gave one. The broker's `client_order_id` is `orderID`.
    public let clientOrderID: String?
    public let origin: OrderOrigin
    public let terms: OrderTerms
    public var status: OrderStatus
    public var step: SagaStep
    public var brokerOrderID: String?
    public var filledQuantity: ExactDecimal
    /// The sum of price times quantity over all fills.
    public var filledAmount: ExactDecimal
    /// What one unit of an open buy freezes; zero for a sell.
    public let reservePrice: ExactDecimal
    public var cancelRequested: Bool
    public var reason: String?
    public let createdAt: Timestamp
    public var updatedAt: Timestamp

    public var remainingQuantity: ExactDecimal {
        (try? terms.quantity.subtracting(filledQuantity)) ?? .zero
    }

    /// Whether what the broker has can be this order. An order that was found there may not have had
    /// its final quantity yet.
    func agrees(with brokerOrder: BrokerOrder) -> Bool {
        let terms = brokerOrder.terms
        guard brokerOrderID == nil || brokerOrderID == brokerOrder.brokerOrderID,
            terms.symbol == self.terms.symbol, terms.side == self.terms.side
        else { return false }
        return origin == .recovered || terms.quantity == self.terms.quantity
    }

    /// Six digits after the point, half to even; nil before the first fill.
    public var averageFillPrice: ExactDecimal? {
        filledQuantity.isZero
            ? nil : try? filledAmount.divided(by: filledQuantity, roundedToPlaces: 6)
    }
}

extension Order: Entity {
    public static var schema: Schema { Datasets.orders }

    public var row: Row {
        Row(
            dataset: "orders",
            values: [
                .text(orderID), .text(accountID), .optional(clientOrderID),
                .text(origin.rawValue), .text(terms.symbol), .text(terms.side.rawValue),
                .text(terms.type.rawValue), .decimal(terms.quantity),
                .optional(terms.limitPrice), .optional(terms.stopPrice),
                .text(terms.timeInForce.rawValue), .boolean(terms.extendedHours),
                .text(status.rawValue), .text(step.rawValue), .optional(step.compensation),
                .optional(brokerOrderID), .decimal(filledQuantity), .decimal(filledAmount),
                .decimal(reservePrice), .boolean(cancelRequested), .optional(reason),
                .timestamp(createdAt), .timestamp(updatedAt),
            ])
    }

    public init(row: Row) throws(RowError) {
        var fields = FieldReader(row, Self.schema)
        orderID = try fields.text()
        accountID = try fields.text()
        clientOrderID = try fields.optionalText()
        origin = try fields.word()
        terms = try OrderTerms(&fields)
        status = try fields.word()
        step = try fields.word()
        _ = try fields.optionalText()
        brokerOrderID = try fields.optionalText()
        filledQuantity = try fields.decimal()
        filledAmount = try fields.decimal()
        reservePrice = try fields.decimal()
        cancelRequested = try fields.boolean()
        reason = try fields.optionalText()
        createdAt = try fields.timestamp()
        updatedAt = try fields.timestamp()
    }
}

extension OrderTerms {
    fileprivate init(_ fields: inout FieldReader) throws(RowError) {
        symbol = try fields.text()
        side = try fields.word()
        type = try fields.word()
        quantity = try fields.decimal()
        limitPrice = try fields.optionalDecimal()
        stopPrice = try fields.optionalDecimal()
        timeInForce = try fields.word()
        extendedHours = try fields.boolean()
    }
}

/// An order id is the sequence number of the entry that accepted it, so it tells epoch and number.
/// The broker knows the order by the same id. It has fifteen characters, so that Swift keeps it
/// without an allocation, and sorts by age.
public enum OrderID {
    public static let prefix = "o"

    public static func make(_ sequence: SequenceNumber) -> String {
        let digits = String(sequence.number)
        let padding = String(repeating: "0", count: max(0, 12 - digits.utf8.count))
        return "\(prefix)\(sequence.epoch)-\(padding)\(digits)"
    }

    /// Nil for an id that opsd did not make: only the very spelling of `make` counts, because an id
    /// at the broker may be anybody's.
    public static func sequence(_ id: String) -> SequenceNumber? {
        guard id.hasPrefix(prefix), id.contains("-"),
            let sequence = SequenceNumber(String(id.dropFirst(prefix.count))),
            sequence.number > 0, make(sequence) == id
        else { return nil }
        return sequence
    }
}
