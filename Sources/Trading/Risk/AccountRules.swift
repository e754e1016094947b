public import Foundation
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
    /// Where the desk's day begins at midnight.
    public var timeZone: TimeZone

    public init(
        accountID: String, masterAccount: String? = nil, closedReason: String? = nil,
        maxConcurrentOrders: Int = 10,
        allowedOrderTypes: Set<OrderType> = Set(OrderType.allCases),
        allowsExtendedHours: Bool = false, maxDailyLoss: ExactDecimal? = nil,
        maxPositionSize: ExactDecimal? = nil, allowedInstruments: AllowedInstruments = .all,
        timeZone: TimeZone = .gmt
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
        self.timeZone = timeZone
    }

    /// Days since 1970-01-01 by the desk's clock.
    func tradingDay(at time: Timestamp) -> Int64 {
        let date = Date(timeIntervalSince1970: TimeInterval(time.seconds))
        let seconds = time.seconds + Int64(timeZone.secondsFromGMT(for: date))
        return seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
    }
}

extension AccountRules {
    /// The rules of every trading account, from the documents' files.
    public static func all(of directory: AccountDirectory, timeZone: TimeZone) -> [AccountRules] {
        directory.tradingAccounts.map { account in
            let profile = directory.master(of: account.id)?.riskProfile ?? RiskProfile()
            let config = account.tradingConfig
            return AccountRules(
                accountID: account.id, masterAccount: account.masterAccount,
                closedReason: account.status.acceptsOrders
                    ? nil : "its status is \(account.status.rawValue)",
                maxConcurrentOrders: config.maxConcurrentOrders,
                allowedOrderTypes: config.allowedOrderTypes,
                allowsExtendedHours: config.extendedHoursTrading,
                maxDailyLoss: profile.maxDailyLoss, maxPositionSize: profile.maxPositionSize,
                allowedInstruments: profile.allowedInstruments, timeZone: timeZone)
        }
    }
}
