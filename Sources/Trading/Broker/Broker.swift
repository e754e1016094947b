public import Ledger

/// What the trading core needs of a broker. One instance serves every account: each call names its
/// account, and the adapter finds that account's credentials, connections and rate limit.
///
/// Every call throws `BrokerError`, and the difference between its cases is the heart of the matter:
/// only the broker's own word says that an order was refused.
public protocol Broker: Sendable {
    /// Cash as the broker has it.
    func balance(of account: String) async throws(BrokerError) -> BrokerBalance
    /// Every position held, long ones positive and short ones negative.
    func positions(of account: String) async throws(BrokerError) -> [BrokerPosition]

    /// Sends an order under `clientOrderID`. When the broker says that it already has an order under
    /// this id, the answer is that order: sending twice is harmless.
    func submit(
        _ terms: OrderTerms, clientOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder

    /// The order under this id, or nil when the broker says that there is none.
    func order(clientOrderID: String, account: String) async throws(BrokerError) -> BrokerOrder?

    /// The order with the broker's own id, or nil when the broker says that there is none.
    func order(brokerOrderID: String, account: String) async throws(BrokerError) -> BrokerOrder?

    /// Orders submitted after an instant (all when nil), oldest first, all pages. One that does not
    /// read is left out and logged.
    func orders(
        of account: String, status: BrokerOrderFilter, submittedAfter: Timestamp?
    ) async throws(BrokerError) -> [BrokerOrder]

    /// Asks for a cancellation. Returning means that the broker took the request, not that the order
    /// is cancelled. `BrokerError.rejected` means that it cannot be cancelled any more.
    func cancel(brokerOrderID: String, account: String) async throws(BrokerError)

    /// Fills from a starting point on, oldest first, all pages. One that does not read is left out
    /// and logged. `BrokerError.rejected` when the broker does not take the starting point.
    func fills(of account: String, from start: FillStart) async throws(BrokerError) -> [BrokerFill]

    /// The newest fill, in one request; nil when there was none yet.
    func lastFill(of account: String) async throws(BrokerError) -> BrokerFill?

    /// The latest quotes of some symbols; one that the broker does not know is left out.
    func quotes(
        of symbols: [String], account: String
    ) async throws(BrokerError) -> [BrokerQuote]

    /// A page of a symbol's bars, oldest first; none of a symbol that the broker does not know.
    /// - Parameters:
    ///   - limit: of the page, which may have fewer.
    ///   - page: where the page before says that this one is; nil for the first.
    func bars(
        _ request: BarRequest, limit: Int, page: String?, account: String
    ) async throws(BrokerError) -> BarPage
}

/// Why a broker's call failed, by what it says about the order.
public enum BrokerError: Error, Sendable, Equatable {
    /// The broker refused: it is its own word, and final.
    case rejected(code: Int, message: String)
    /// The request may or may not have reached the broker (a time-out, a connection lost after
    /// sending, a 5xx). Only a look-up by client order id can tell.
    case unknown(String)
    /// The request certainly did not reach the broker (no connection). Trying again is safe.
    case unavailable(String)
    /// The broker's rate limit. Trying again is safe, after this many seconds.
    case rateLimited(retryAfterSeconds: Int)
    /// The credentials are refused. Trying again does not help.
    case unauthorized(String)
    /// The broker answered in a way that this adapter does not understand.
    case malformed(String)
}

/// Where a list of fills begins.
public enum FillStart: Sendable, Hashable {
    case beginning
    /// Right after the fill with this id.
    case afterFill(String)
    case afterTime(Timestamp)
}

public enum BrokerOrderFilter: String, Sendable {
    case open, closed, all
}

/// An order's state in the broker's own words, reduced to what the core distinguishes.
public enum BrokerOrderStatus: String, Sendable, Hashable {
    /// Received, not yet at work in the market.
    case accepted
    case working
    case partiallyFilled
    case filled
    case cancelled
    case rejected
    case expired
    /// A word that this adapter does not know; `BrokerOrder.rawStatus` has it.
    case unrecognised

    public var isTerminal: Bool {
        switch self {
        case .filled, .cancelled, .rejected, .expired: true
        case .accepted, .working, .partiallyFilled, .unrecognised: false
        }
    }
}

public struct BrokerOrder: Sendable, Hashable {
    public var brokerOrderID: String
    public var clientOrderID: String
    public var terms: OrderTerms
    public var status: BrokerOrderStatus
    public var rawStatus: String
    public var filledQuantity: ExactDecimal
    public var submittedAt: Timestamp

    public init(
        brokerOrderID: String, clientOrderID: String, terms: OrderTerms,
        status: BrokerOrderStatus, rawStatus: String, filledQuantity: ExactDecimal,
        submittedAt: Timestamp
    ) {
        self.brokerOrderID = brokerOrderID
        self.clientOrderID = clientOrderID
        self.terms = terms
        self.status = status
        self.rawStatus = rawStatus
        self.filledQuantity = filledQuantity
        self.submittedAt = submittedAt
    }
}

/// One execution. `cumulativeQuantity` is the order's filled quantity after it, so that fills can be
/// applied in any order of arrival and any number of times.
public struct BrokerFill: Sendable, Hashable {
    /// The broker's id of the execution; also the cursor for `Broker.fills(of:from:)`.
    public var id: String
    public var brokerOrderID: String
    public var symbol: String
    public var side: OrderSide
    public var quantity: ExactDecimal
    public var price: ExactDecimal
    public var cumulativeQuantity: ExactDecimal
    public var time: Timestamp

    public init(
        id: String, brokerOrderID: String, symbol: String, side: OrderSide,
        quantity: ExactDecimal, price: ExactDecimal, cumulativeQuantity: ExactDecimal,
        time: Timestamp
    ) {
        self.id = id
        self.brokerOrderID = brokerOrderID
        self.symbol = symbol
        self.side = side
        self.quantity = quantity
        self.price = price
        self.cumulativeQuantity = cumulativeQuantity
        self.time = time
    }
}

public struct BrokerBalance: Sendable, Hashable {
    public var cash: ExactDecimal

    public init(cash: ExactDecimal) {
        self.cash = cash
    }
}

public struct BrokerPosition: Sendable, Hashable {
    public var symbol: String
    public var quantity: ExactDecimal
    public var averageEntryPrice: ExactDecimal
    /// What the broker says that all of it is worth, negative for what is short; nil when it does not.
    public var marketValue: ExactDecimal?

    public init(
        symbol: String, quantity: ExactDecimal, averageEntryPrice: ExactDecimal,
        marketValue: ExactDecimal? = nil
    ) {
        self.symbol = symbol
        self.quantity = quantity
        self.averageEntryPrice = averageEntryPrice
        self.marketValue = marketValue
    }
}

public struct BrokerQuote: Sendable, Hashable {
    public var symbol: String
    public var bidPrice: ExactDecimal
    public var askPrice: ExactDecimal
    public var lastPrice: ExactDecimal
    public var volume: Int
    /// When the market made this quote, by the market's clock.
    public var timestamp: Timestamp

    public init(
        symbol: String, bidPrice: ExactDecimal, askPrice: ExactDecimal, lastPrice: ExactDecimal,
        volume: Int, timestamp: Timestamp
    ) {
        self.symbol = symbol
        self.bidPrice = bidPrice
        self.askPrice = askPrice
        self.lastPrice = lastPrice
        self.volume = volume
        self.timestamp = timestamp
    }
}
