import Ledger
import StrictYAML

/// An account with the places that the checks between accounts speak of.
struct AccountRecord {
    var account: Account
    let place: Place
    /// False when the role could not be read, which is reported already.
    var isRoleKnown = true
    var masterPlace: Place?
    var linksPlace: Place?
    var links: [PlacedName] = []
    var covers: [PlacedName] = []
}

struct PlacedName {
    let name: String
    let place: Place
}

/// The words of `account_type`; the documents call the data role `market_data`.
enum AccountTypeWord: String, CaseIterable {
    case master, trading
    case marketData = "market_data"
    case data, backup

    var role: AccountRole {
        switch self {
        case .master: .master
        case .trading: .trading
        case .marketData, .data: .data
        case .backup: .backup
        }
    }
}

/// Reads one item of an account list.
enum AccountReader {
    /// `listRole` is the role that the list's name says, nil for `accounts`.
    static func read(
        _ value: YAMLValue, listName: String, listRole: AccountRole?, connectionsMax: Int
    ) -> AccountRecord? {
        value.mapping { item -> AccountRecord? in
            let id = readID(item.required("account_id"))
            let role = readRole(&item, listName: listName, listRole: listRole)
            let credentials = item.required("alpaca_credentials").flatMap(readCredentials)
            var record = AccountRecord(
                account: Account(
                    id: id?.name ?? "", role: role ?? .trading,
                    credentials: credentials
                        ?? AlpacaCredentials(apiKey: Secret(""), secretKey: Secret(""))),
                place: id?.place ?? item.place)
            record.isRoleKnown = role != nil
            readCommon(&item, &record, connectionsMax: connectionsMax)
            readParts(of: role, &item, &record)
            return id == nil ? nil : record
        }
    }

    static func readID(_ value: YAMLValue?) -> PlacedName? {
        guard let value, let text = value.nonEmptyText() else { return nil }
        guard Account.isValidID(text) else {
            value.refuse(
                "\(value.name): '\(value.shown)' is not an account id",
                "write 1 to 64 letters, digits, '_', '.' or '-'")
            return nil
        }
        return PlacedName(name: text, place: value.place)
    }

    private static func readRole(
        _ item: inout YAMLMapping, listName: String, listRole: AccountRole?
    ) -> AccountRole? {
        guard let listRole else {
            return item.required("account_type")?.choice(AccountTypeWord.self)?.role
        }
        guard let value = item.optional("account_type"),
            let word = value.choice(AccountTypeWord.self)
        else { return listRole }
        if word.role != listRole {
            value.refuse(
                "account_type \(word.rawValue) does not belong into \(listName)",
                "move the account, or write \(listRole == .data ? "market_data" : listRole.rawValue)"
            )
        }
        return listRole
    }

    private static func readCredentials(_ value: YAMLValue) -> AlpacaCredentials? {
        value.mapping { item in
            let apiKey = item.required("api_key")?.secret()
            let secretKey = item.required("secret_key")?.secret()
            let paperTrading = item.optional("paper_trading")?.boolean() ?? true
            guard let apiKey, let secretKey else { return nil }
            return AlpacaCredentials(
                apiKey: apiKey, secretKey: secretKey, paperTrading: paperTrading)
        }
    }

    private static func readCommon(
        _ item: inout YAMLMapping, _ record: inout AccountRecord, connectionsMax: Int
    ) {
        if let status = item.optional("status")?.choice(AccountStatus.self) {
            record.account.status = status
        }
        let outer = item.optional("priority").flatMap { value in
            value.choice(AccountPriority.self).map { ($0, value) }
        }
        let pool = item.optional("connection_pool").flatMap {
            readPool($0, connectionsMax: connectionsMax)
        }
        if let pool { record.account.connectionPool = pool.pool }
        if let (priority, value) = outer, let inner = pool?.priority, inner != priority {
            value.refuse(
                "priority is \(priority.rawValue) here and \(inner.rawValue) in connection_pool",
                "write it once")
        }
        record.account.priority = outer?.0 ?? pool?.priority ?? .normal
        record.account.createdAt = item.optional("created_at")?.timestamp()
    }

    private static func readPool(
        _ value: YAMLValue, connectionsMax: Int
    ) -> (pool: AccountConnectionPool, priority: AccountPriority?)? {
        value.mapping { item in
            var pool = AccountConnectionPool()
            pool.maxConnections = connectionsMax
            if let value = item.optional("max_connections"),
                let wanted = value.integer(in: 1...1_000_000)
            {
                if wanted > connectionsMax {
                    value.warn(
                        "max_connections: \(wanted) is more than the limit of an account",
                        "\(connectionsMax) is used; write at most \(connectionsMax)")
                }
                pool.maxConnections = min(wanted, connectionsMax)
            }
            let seconds = 1...86_400
            if let idle = item.optional("idle_timeout")?.integer(in: seconds) {
                pool.idleTimeoutSeconds = idle
            }
            if let interval = item.optional("health_check_interval")?.integer(in: seconds) {
                pool.healthCheckIntervalSeconds = interval
            }
            return (pool, item.optional("priority")?.choice(AccountPriority.self))
        }
    }
}
