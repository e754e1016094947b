public import Ledger

/// The datasets of the trading core.
public enum Datasets {
    public static let orders = Schema(
        dataset: "orders", kind: .fact,
        key: [Field("order_id", .text)],
        fields: [
            Field("account_id", .text),
            Field("client_order_id", .text, optional: true),
            Field("origin", .text),
            Field("symbol", .text),
            Field("side", .text),
            Field("type", .text),
            Field("qty", .decimal),
            Field("limit_price", .decimal, optional: true),
            Field("stop_price", .decimal, optional: true),
            Field("time_in_force", .text),
            Field("extended_hours", .boolean),
            Field("status", .text),
            Field("saga_step", .text),
            Field("compensation", .text, optional: true),
            Field("broker_order_id", .text, optional: true),
            Field("filled_qty", .decimal),
            Field("filled_amount", .decimal),
            Field("reserve_price", .decimal),
            Field("cancel_requested", .boolean),
            Field("reason", .text, optional: true),
            Field("created_at", .timestamp),
            Field("updated_at", .timestamp),
        ],
        accountField: "account_id",
        indexes: [
            Index("account_id"),
            Index("account_id", "client_order_id", present: "client_order_id"),
            // Exactly the live orders have something left to compensate.
            Index("compensation", present: "compensation"),
        ])

    public static let deals = Schema(
        dataset: "deals", kind: .fact,
        key: [Field("account_id", .text), Field("deal_id", .text)],
        fields: [
            Field("order_id", .text),
            Field("symbol", .text),
            Field("side", .text),
            Field("qty", .decimal),
            Field("price", .decimal),
            Field("amount", .decimal),
            Field("cumulative_qty", .decimal),
            Field("executed_at", .timestamp),
        ],
        accountField: "account_id", indexes: [Index("account_id", "executed_at")])

    public static let cashFlows = Schema(
        dataset: "cash_flows", kind: .fact,
        key: [Field("account_id", .text), Field("flow_id", .text)],
        fields: [
            Field("flow_type", .text),
            Field("amount", .decimal),
            Field("balance", .decimal),
            Field("order_id", .text, optional: true),
            Field("created_at", .timestamp),
        ],
        accountField: "account_id")

    public static let balances = Schema(
        dataset: "balances", kind: .derived,
        key: [Field("account_id", .text)],
        fields: [
            Field("cash", .decimal),
            Field("frozen", .decimal),
            Field("updated_at", .timestamp),
            // Null in rows of before these were declared.
            Field("buying_power", .decimal, optional: true),
            Field("portfolio_value", .decimal, optional: true),
        ],
        accountField: "account_id")

    public static let positions = Schema(
        dataset: "positions", kind: .derived,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [
            Field("qty", .decimal),
            Field("held_qty", .decimal),
            Field("cost", .decimal),
            Field("realized_pl", .decimal),
            Field("updated_at", .timestamp),
            // Null in rows of before these were declared.
            Field("side", .text, optional: true),
            Field("market_value", .decimal, optional: true),
            Field("unrealized_pl", .decimal, optional: true),
        ],
        accountField: "account_id")

    /// What the core knows of an account beyond its configuration.
    public static let accounts = Schema(
        dataset: "accounts", kind: .fact,
        key: [Field("account_id", .text)],
        fields: [
            Field("status", .text),
            Field("reason", .text, optional: true),
            Field("changed_by", .text, optional: true),
            Field("fill_cursor", .text, optional: true),
            Field("updated_at", .timestamp),
        ],
        accountField: "account_id")

    /// What was already in an account's cash and positions when it was taken over from the broker.
    public static let openings = Schema(
        dataset: "openings", kind: .fact,
        key: [Field("account_id", .text)],
        fields: [
            Field("last_fill_id", .text, optional: true),
            Field("last_fill_at", .timestamp, optional: true),
            Field("opened_at", .timestamp),
        ],
        accountField: "account_id")

    /// The realised profit or loss of a master's trading accounts in one trading day.
    public static let risk = Schema(
        dataset: "risk", kind: .derived,
        key: [Field("master_account", .text)],
        fields: [
            Field("trading_day", .integer),
            Field("realized_pl", .decimal),
            Field("updated_at", .timestamp),
        ],
        accountField: "master_account")

    public static let revocations = Schema(
        dataset: "revocations", kind: .fact,
        key: [Field("token_id", .text)],
        fields: [Field("account_id", .text), Field("expires_at", .timestamp)],
        accountField: "account_id")

    /// What became of each plan to put rows of a copy right.
    public static let repairs = Schema(
        dataset: "repairs", kind: .fact,
        key: [Field("repair_id", .text)],
        fields: [
            // What was verified: the name of a check, or a dataset.
            Field("check", .text),
            Field("dataset", .text),
            Field("store", .text),
            Field("state", .text),
            Field("rows", .integer),
            Field("repaired", .integer),
            Field("adopted", .integer),
            Field("overtaken", .integer),
            Field("failed", .integer),
            Field("undone", .integer),
            Field("newer", .integer),
            Field("plan_digest", .text),
            Field("reason", .text, optional: true),
            Field("changed_by", .text),
            Field("made_at", .timestamp),
            Field("updated_at", .timestamp),
        ])

    // MARK: Caches

    public static let quotes = Schema(
        dataset: "quotes", kind: .cache, key: [Field("symbol", .text)],
        fields: [
            Field("bid_price", .decimal),
            Field("ask_price", .decimal),
            Field("last_price", .decimal),
            Field("volume", .integer),
            Field("timestamp", .timestamp),
        ])

    /// The newest bars of a symbol in one row, as other programs read them.
    public static let bars = Schema(
        dataset: "bars", kind: .cache,
        key: [Field("symbol", .text), Field("timeframe", .text)],
        fields: [
            // JSON: a list of objects.
            Field("bars", .text),
            Field("from", .timestamp),
            Field("before", .timestamp),
            Field("fetched_at", .timestamp),
        ])

    /// What an account may do, for other programs; nothing secret.
    public static let accountConfigs = Schema(
        dataset: "account_configs", kind: .cache, key: [Field("account_id", .text)],
        fields: [
            Field("account_type", .text),
            Field("status", .text),
            Field("max_connections", .integer),
            Field("priority", .text),
        ],
        accountField: "account_id")

    /// Market data that may vanish: in no journal, and in no store unless the configuration names one.
    public static let caches = SchemaCatalogue([quotes, bars])

    /// What the journal's rows are made of.
    public static let catalogue = SchemaCatalogue([
        orders, deals, cashFlows, balances, positions, accounts, openings, risk, revocations,
        repairs,
    ])
}
