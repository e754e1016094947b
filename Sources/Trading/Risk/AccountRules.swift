public import Ledger

/// What the configuration says about one trading account, as the engine needs it: the account's own
/// trading_config and its master's risk_profile.
public struct AccountRules: Sendable, Hashable {
    public var accountID: String
    public var masterAccount: String?
    /// Why the account takes no orders by configuration; nil when it does.
    public var closedReason: String?
    public var maxConcurrentOrders: Int
    public var allowedOrderTypes: Set<OrderType>
    public var allowsExtendedHours: Bool
    /// Realised loss of the master's accounts in one day at which new orders stop.
    public var maxDailyLoss: ExactDecimal?
    /// The most that one position, with its open buys, may be worth.
    public var maxPositionSize: ExactDecimal?
    public var allowedInstruments: AllowedInstruments
    /// Seconds east of UTC at which the desk's trading day begins.
    public var dayOffsetSeconds: Int64

    public init(
        accountID: String, masterAccount: String? = nil, closedReason: String? = nil,
        maxConcurrentOrders: Int = 10,
        allowedOrderTypes: Set<OrderType> = Set(OrderType.allCases),
        allowsExtendedHours: Bool = false, maxDailyLoss: ExactDecimal? = nil,
        maxPositionSize: ExactDecimal? = nil, allowedInstruments: AllowedInstruments = .all,
        dayOffsetSeconds: Int64 = 0
    ) {
        self.accountID = accountID
        self.masterAccount = masterAccount
        self.closedReason = closedReason
        self.maxConcurrentOrders = maxConcurrentOrders
        self.allowedOrderTypes = allowedOrderTypes
        self.allowsExtendedHours = allowsExtendedHours
        self.maxDailyLoss = maxDailyLoss
        self.maxPositionSize = maxPositionSize
        self.allowedInstruments = allowedInstruments
        self.dayOffsetSeconds = dayOffsetSeconds
    }

    func tradingDay(at time: Timestamp) -> Int64 {
        let seconds = time.seconds + dayOffsetSeconds
        return seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
    }
}

/// The documents' classes (`stocks`, `options`) and single symbols may stand side by side.
public enum AllowedInstruments: Sendable, Hashable {
    case all
    case only(stocks: Bool, options: Bool, symbols: Set<String>)

    public init(_ words: [String]) {
        self = .only(
            stocks: words.contains("stocks"), options: words.contains("options"),
            symbols: Set(words).subtracting(["stocks", "options"]))
    }

    public func allows(_ symbol: String) -> Bool {
        switch self {
        case .all: true
        case .only(let stocks, let options, let symbols):
            symbols.contains(symbol) || (Self.isOption(symbol) ? options : stocks)
        }
    }

    /// The OCC's form: root, six digits of date, C or P, eight digits of strike.
    static func isOption(_ symbol: String) -> Bool {
        let tail = symbol.utf8.suffix(15)
        guard symbol.utf8.count > 15, tail.count == 15 else { return false }
        return tail.enumerated().allSatisfy { index, byte in
            index == 6
                ? byte == UInt8(ascii: "C") || byte == UInt8(ascii: "P")
                : (48...57).contains(byte)
        }
    }
}
