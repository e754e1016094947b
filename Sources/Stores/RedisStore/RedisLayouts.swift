public import Ledger

/// The layouts under which the documents' programs look for their data, and one for everything else.
public enum RedisLayouts {
    /// The documents' times to live, of datasets that are a cache.
    public static func timeToLive(of dataset: String) -> Duration? {
        switch dataset {
        case "quotes": .seconds(30)
        case "bars": .seconds(300)
        case "account_configs": .seconds(3_600)
        default: nil
        }
    }

    /// - Parameter cacheTimeToLive: of a cache, instead of the documents'.
    public static func standard(
        for schema: Schema, cacheTimeToLive: Duration? = nil
    ) throws(RedisLayoutError) -> RedisLayout {
        let timeToLive =
            schema.kind == .cache ? cacheTimeToLive ?? timeToLive(of: schema.dataset) : nil
        func has(_ names: String...) -> Bool { names.allSatisfy { schema.index(of: $0) != nil } }
        switch schema.dataset {
        case "positions" where has("account_id", "symbol"):
            return try RedisLayout(
                schema, key: "acc:positions:{account_id}", field: "{symbol}",
                fields: shown(
                    ["qty", "market_value", "unrealized_pl", "side", "updated_at"], of: schema))
        case "balances" where has("account_id"):
            return try RedisLayout(
                schema, key: "acc:balance:{account_id}", value: .hash,
                fields: shown(
                    ["cash", "buying_power", "portfolio_value", "updated_at"], of: schema))
        case "orders" where has("account_id", "order_id"):
            return try RedisLayout(
                schema, key: "acc:orders:{account_id}", field: "{order_id}")
        case "accounts" where has("account_id", "status"):
            return try RedisLayout(
                schema, key: "acc:status:{account_id}", value: .hash,
                fields: shown(["status", "reason", "updated_at"], of: schema))
        case "risk" where has("master_account"):
            return try RedisLayout(
                schema, key: "risk:state:{master_account}", value: .hash,
                fields: shown(["trading_day", "realized_pl", "updated_at"], of: schema))
        case "quotes" where has("symbol"):
            return try RedisLayout(
                schema, key: "market:quote:stock:{symbol}", value: .hash,
                fields: shown(
                    ["bid_price", "ask_price", "last_price", "volume", "timestamp"], of: schema),
                timeToLive: timeToLive)
        case "bars" where has("symbol", "timeframe", "bars"):
            return try RedisLayout(
                schema, key: "market:data:{symbol}:{timeframe}", value: .text("bars"),
                timeToLive: timeToLive)
        case "account_configs" where has("account_id"):
            return try RedisLayout(
                schema, key: "acc:config:{account_id}", value: .hash, timeToLive: timeToLive)
        default: return try plain(schema)
        }
    }

    /// A hash for each account, or for each value of the key's first field; a string where that is the
    /// whole key.
    private static func plain(_ schema: Schema) throws(RedisLayoutError) -> RedisLayout {
        let keys = schema.keyFields.map(\.name)
        let account = schema.accountField.map { schema.fields[$0].name }
        let first = keys.first { $0 == account } ?? keys.first ?? ""
        let rest = keys.filter { $0 != first }
        return try RedisLayout(
            schema, key: "opsd:\(schema.dataset):{\(first)}",
            field: rest.isEmpty ? nil : rest.map { "{\($0)}" }.joined(separator: ":"))
    }

    /// Those of the documents' fields that the dataset has outside its key; nil (all) when it has none.
    private static func shown(_ names: [String], of schema: Schema) -> [String: String]? {
        let present = names.filter { name in
            schema.index(of: name).map { $0 >= schema.keyCount } ?? false
        }
        return present.isEmpty ? nil : Dictionary(uniqueKeysWithValues: present.map { ($0, $0) })
    }
}
