import Ledger
import StrictYAML

// The parts of an account that belong to one role.

extension AccountReader {
    /// Reads the role's own keys and refuses those of the others by name. An account whose role
    /// could not be read has all of them taken as they come, so as not to report what follows
    /// from that.
    static func readParts(
        of role: AccountRole?, _ item: inout YAMLMapping, _ record: inout AccountRecord
    ) {
        if role == nil || role == .master { readMaster(&item, &record) }
        if role == nil || role == .trading { readTrading(&item, &record) }
        if role == nil || role == .data { readData(&item, &record) }
        if role == nil || role == .backup { readBackup(&item, &record, isRequired: role != nil) }
        guard let role else { return }
        for (key, owner) in keyOwners where owner != role {
            item.refuse(
                key: key, "\(key) does not belong to a \(role.rawValue) account",
                "move it to the \(owner.rawValue) account, or remove it")
        }
    }

    private static let keyOwners: [(String, AccountRole)] = [
        ("risk_profile", .master), ("linked_trading_accounts", .master),
        ("last_settlement", .master), ("master_account", .trading), ("trading_config", .trading),
        ("data_sources", .data), ("rate_limits", .data), ("cache_config", .data),
        ("covers", .backup),
    ]

    private static func readMaster(_ item: inout YAMLMapping, _ record: inout AccountRecord) {
        if let profile = item.optional("risk_profile").flatMap(readRiskProfile) {
            record.account.riskProfile = profile
        }
        if let value = item.optional("linked_trading_accounts") {
            record.linksPlace = value.place
            record.links = readIDs(value)
            record.account.linkedTradingAccounts = record.links.map(\.name)
        }
        record.account.lastSettlement = item.optional("last_settlement")?.timestamp()
    }

    /// A list of account ids, each of them once.
    private static func readIDs(_ value: YAMLValue) -> [PlacedName] {
        var seen: Set<String> = []
        let ids = value.sequence { item -> PlacedName? in
            guard let id = readID(item) else { return nil }
            guard seen.insert(id.name).inserted else {
                item.refuse("\(id.name) is listed twice in \(value.name)", "remove one of the two")
                return nil
            }
            return id
        }
        return ids ?? []
    }

    private static func readRiskProfile(_ value: YAMLValue) -> RiskProfile? {
        value.mapping { item in
            var profile = RiskProfile()
            profile.maxDailyLoss = item.optional("max_daily_loss")?.decimal(from: .zero)
            profile.maxPositionSize = item.optional("max_position_size")?.decimal(from: .zero)
            if let list = item.optional("allowed_instruments") {
                profile.allowedInstruments = readInstruments(list)
            }
            return profile
        }
    }

    private static func readInstruments(_ value: YAMLValue) -> AllowedInstruments {
        var classes: Set<InstrumentClass> = []
        var symbols: Set<String> = []
        let items = value.sequence { item -> String? in
            guard let text = item.nonEmptyText() else { return nil }
            if let known = InstrumentClass(rawValue: text) {
                classes.insert(known)
            } else if AllowedInstruments.isSymbol(text) {
                symbols.insert(text)
            } else {
                let near = NearestName.nearest(
                    to: text, in: InstrumentClass.allCases.map(\.rawValue))
                item.refuse(
                    "\(item.name): '\(item.shown)' is no instrument",
                    near.map { "write \($0)" }
                        ?? "write stocks, options, or a symbol in capitals")
            }
            return text
        }
        if let items, items.isEmpty {
            value.warn("allowed_instruments is empty", "no order at all passes; name instruments")
        }
        return .only(classes: classes, symbols: symbols)
    }

    private static func readTrading(_ item: inout YAMLMapping, _ record: inout AccountRecord) {
        if let master = readID(item.optional("master_account")) {
            record.account.masterAccount = master.name
            record.masterPlace = master.place
        }
        if let config = item.optional("trading_config").flatMap(readTradingConfig) {
            record.account.tradingConfig = config
        }
    }

    private static func readTradingConfig(_ value: YAMLValue) -> TradingConfig? {
        value.mapping { item in
            var config = TradingConfig()
            if let number = item.optional("max_orders_per_minute")?.integer(in: 1...1_000_000) {
                config.maxOrdersPerMinute = number
            }
            if let number = item.optional("max_concurrent_orders")?.integer(in: 1...1_000_000) {
                config.maxConcurrentOrders = number
            }
            if let list = item.optional("allowed_order_types"),
                let types = list.sequence({ $0.choice(OrderType.self) })
            {
                config.allowedOrderTypes = Set(types)
            }
            if let extended = item.optional("extended_hours_trading")?.boolean() {
                config.extendedHoursTrading = extended
            }
            return config
        }
    }

    private static func readData(_ item: inout YAMLMapping, _ record: inout AccountRecord) {
        if let list = item.optional("data_sources") {
            record.account.dataSources = list.sequence { $0.nonEmptyText() } ?? []
        }
        if let limits = item.optional("rate_limits").flatMap(readRateLimits) {
            record.account.rateLimits = limits
        }
        if let config = item.optional("cache_config").flatMap(readCacheConfig) {
            record.account.cacheConfig = config
        }
    }

    private static func readRateLimits(_ value: YAMLValue) -> DataRateLimits? {
        value.mapping { item in
            var limits = DataRateLimits()
            if let number = item.optional("quotes_per_second")?.integer(in: 1...1_000_000) {
                limits.quotesPerSecond = number
            }
            if let number = item.optional("bars_per_minute")?.integer(in: 1...1_000_000) {
                limits.barsPerMinute = number
            }
            return limits
        }
    }

    private static func readCacheConfig(_ value: YAMLValue) -> DataCacheConfig? {
        value.mapping { item in
            var config = DataCacheConfig()
            if let number = item.optional("ttl_seconds")?.integer(in: 1...86_400) {
                config.ttlSeconds = number
            }
            if let number = item.optional("max_symbols")?.integer(in: 1...1_000_000) {
                config.maxSymbols = number
            }
            return config
        }
    }

    private static func readBackup(
        _ item: inout YAMLMapping, _ record: inout AccountRecord, isRequired: Bool
    ) {
        let list = isRequired ? item.required("covers") : item.optional("covers")
        guard let list else { return }
        record.covers = readIDs(list)
        record.account.covers = record.covers.map(\.name)
    }
}
