public import Ledger

/// What an account is for.
public enum AccountRole: String, Sendable, Hashable, CaseIterable {
    /// Funds, risk limits and settlement of the trading accounts linked to it.
    case master
    /// Orders and positions.
    case trading
    /// Quotes, bars and trades of the market.
    case data
    /// Takes over for the accounts that it covers.
    case backup
}

public enum AccountStatus: String, Sendable, Hashable, CaseIterable {
    case active
    /// Not in use: no connections, no orders.
    case inactive
    /// Set aside for a while by its owner: queries and cancellations only.
    case suspended
    /// Stopped because something is wrong: queries and cancellations only, until an operator
    /// resumes it.
    case halted

    /// True when new orders may be sent.
    public var acceptsOrders: Bool { self == .active }
    /// True when the account has connections at all.
    public var isConnected: Bool { self != .inactive }
}

/// Who goes first when there are not enough connections for all.
public enum AccountPriority: String, Sendable, Hashable, CaseIterable, Comparable {
    case low, normal, high

    private var rank: Int {
        switch self {
        case .low: 0
        case .normal: 1
        case .high: 2
        }
    }

    public static func < (left: AccountPriority, right: AccountPriority) -> Bool {
        left.rank < right.rank
    }
}

/// One account as the account files declare it. Parts that belong to another role have their
/// defaults and mean nothing.
public struct Account: Sendable, Hashable {
    public var id: String
    public var role: AccountRole
    public var status: AccountStatus = .active
    public var credentials: AlpacaCredentials
    public var connectionPool = AccountConnectionPool()
    public var priority: AccountPriority = .normal
    public var createdAt: Timestamp?

    // Master.
    public var riskProfile = RiskProfile()
    public var linkedTradingAccounts: [String] = []
    public var lastSettlement: Timestamp?

    // Trading.
    public var masterAccount: String?
    public var tradingConfig = TradingConfig()

    // Data.
    public var dataSources: [String] = []
    public var rateLimits = DataRateLimits()
    public var cacheConfig = DataCacheConfig()

    // Backup.
    public var covers: [String] = []

    public init(id: String, role: AccountRole, credentials: AlpacaCredentials) {
        self.id = id
        self.role = role
        self.credentials = credentials
    }

    /// 1 to 64 of the letters A–Z and a–z, digits, `_`, `.` and `-`; not `.` or `..`, because an
    /// id is also the name of a folder.
    public static func isValidID(_ text: String) -> Bool {
        guard (1...64).contains(text.utf8.count), text != ".", text != ".." else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: "-"):
                true
            default: false
            }
        }
    }
}

public struct AlpacaCredentials: Sendable, Hashable {
    public var apiKey: Secret
    public var secretKey: Secret
    /// True: the broker's paper address is used. The default, because it is the harmless one.
    public var paperTrading: Bool

    public init(apiKey: Secret, secretKey: Secret, paperTrading: Bool = true) {
        self.apiKey = apiKey
        self.secretKey = secretKey
        self.paperTrading = paperTrading
    }
}

public struct AccountConnectionPool: Sendable, Hashable {
    /// The most that any account gets, whatever its file says, unless the limits say otherwise.
    public static let connectionsMax = 5

    /// From 1 up to the limit of an account.
    public var maxConnections = AccountConnectionPool.connectionsMax
    public var idleTimeoutSeconds = 300
    public var healthCheckIntervalSeconds = 60

    public init() {}
}

public struct TradingConfig: Sendable, Hashable {
    public var maxOrdersPerMinute = 60
    public var maxConcurrentOrders = 10
    public var allowedOrderTypes: Set<OrderType> = Set(OrderType.allCases)
    public var extendedHoursTrading = false

    public init() {}
}

public struct DataRateLimits: Sendable, Hashable {
    public var quotesPerSecond = 100
    public var barsPerMinute = 1_000

    public init() {}
}

public struct DataCacheConfig: Sendable, Hashable {
    public var ttlSeconds = 30
    public var maxSymbols = 1_000

    public init() {}
}
