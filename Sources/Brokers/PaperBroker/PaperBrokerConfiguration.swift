public import Ledger

/// What a paper broker needs to know.
public struct PaperBrokerConfiguration: Sendable {
    public struct Account: Sendable {
        public let keyID: String
        public let secret: String
        /// What the account is called where its key must not be read.
        let id: String
        /// Taken when the account is first seen; later the file's own cash counts.
        public var initialCash: ExactDecimal

        public init(keyID: String, secret: String, initialCash: ExactDecimal) {
            self.keyID = keyID
            id = PaperAccountID.of(keyID: keyID)
            self.secret = secret
            self.initialCash = initialCash
        }
    }

    public var host: String
    /// 0 lets the system choose; see `PaperBroker.boundPort`.
    public var port: Int
    /// The SQLite file that holds orders, fills, cash and positions.
    public var dataFile: String
    public var accounts: [Account]
    /// Where each symbol's price begins. Ignored when `quotesFile` is given.
    public var startPrices: [String: ExactDecimal]
    /// The same seed gives the same quotes and the same partial fills.
    public var seed: UInt64
    /// A CSV with the header `symbol,timestamp,bid_price,ask_price,last_price,volume`, replayed one
    /// timestamp a tick; after the last one the market stands still.
    public var quotesFile: String?
    /// How often the market moves; nil: only when `PaperBroker.advanceMarket()` is called.
    public var tickInterval: Duration?
    /// For trading and for market data each, by account.
    public var requestsPerMinute: Int
    /// One order in so many is filled in two parts; 0 for never.
    public var partialFillOneIn: Int
    /// Added before each answer, to try what a slow broker does to its callers.
    public var artificialLatency: Duration?

    public static let defaultStartPrices: [String: ExactDecimal] = [
        "AAPL": ExactDecimal(190), "AMZN": ExactDecimal(180), "GOOGL": ExactDecimal(170),
        "META": ExactDecimal(500), "MSFT": ExactDecimal(420), "NFLX": ExactDecimal(620),
        "NVDA": ExactDecimal(120), "TSLA": ExactDecimal(250),
    ]

    public init(
        host: String = "127.0.0.1", port: Int = 0, dataFile: String, accounts: [Account],
        startPrices: [String: ExactDecimal] = Self.defaultStartPrices, seed: UInt64 = 1,
        quotesFile: String? = nil, tickInterval: Duration? = .milliseconds(250),
        requestsPerMinute: Int = 200, partialFillOneIn: Int = 10,
        artificialLatency: Duration? = nil
    ) {
        self.host = host
        self.port = port
        self.dataFile = dataFile
        self.accounts = accounts
        self.startPrices = startPrices
        self.seed = seed
        self.quotesFile = quotesFile
        self.tickInterval = tickInterval
        self.requestsPerMinute = requestsPerMinute
        self.partialFillOneIn = partialFillOneIn
        self.artificialLatency = artificialLatency
    }
}

/// Why a paper broker cannot start. Trying again without a change does not help.
public struct PaperBrokerError: Error, Sendable, CustomStringConvertible {
    public var description: String
}
