public import Ledger

/// How to reach Alpaca, or a server of the same dialect.
public struct AlpacaConfiguration: Sendable {
    public struct Account: Sendable {
        public var keyID: Secret
        public var secret: Secret
        /// Live or paper, without the version: `https://paper-api.alpaca.markets`.
        public var baseURL: String

        public init(keyID: Secret, secret: Secret, baseURL: String) {
            self.keyID = keyID
            self.secret = secret
            self.baseURL = baseURL
        }
    }

    /// By the name under which the core knows the account.
    public var accounts: [String: Account]
    public var marketDataURL: String
    /// For each account; market data has a limit of the same size of its own.
    public var requestsPerMinute: Int
    /// For one whole request; a submission that takes longer is unknown.
    public var timeout: Duration
    public var connectTimeout: Duration
    /// A call that would have to wait longer than this for the rate limit is refused instead.
    public var rateLimitWaitMax: Duration

    public init(
        accounts: [String: Account], marketDataURL: String = "https://data.alpaca.markets",
        requestsPerMinute: Int = 200, timeout: Duration = .seconds(10),
        connectTimeout: Duration = .seconds(3), rateLimitWaitMax: Duration = .seconds(5)
    ) {
        self.accounts = accounts
        self.marketDataURL = marketDataURL
        self.requestsPerMinute = requestsPerMinute
        self.timeout = timeout
        self.connectTimeout = connectTimeout
        self.rateLimitWaitMax = rateLimitWaitMax
    }
}
