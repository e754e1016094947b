import ExactJSON
import Ledger
import Trading

/// Alpaca's documents as the core's values. Fields that are not known are passed over; one that is
/// needed and does not read makes the whole answer `malformed`.
enum AlpacaDocuments {
    static func order(_ json: JSONValue) throws(BrokerError) -> BrokerOrder {
        let raw = try text(json, "status")
        let filled = json["filled_qty"] == nil ? nil : try decimal(json, "filled_qty")
        // A notional order has no quantity until it is filled.
        guard let quantity = json["qty"]?.decimal ?? filled else { throw missing("qty") }
        let terms = OrderTerms(
            symbol: try text(json, "symbol"), side: try word(json, "side"),
            type: try type(json), quantity: quantity, limitPrice: json["limit_price"]?.decimal,
            stopPrice: json["stop_price"]?.decimal,
            timeInForce: try word(json, "time_in_force"),
            extendedHours: json["extended_hours"]?.bool ?? false)
        return BrokerOrder(
            brokerOrderID: try text(json, "id"),
            clientOrderID: try text(json, "client_order_id"), terms: terms, status: status(raw),
            rawStatus: raw, filledQuantity: filled ?? .zero,
            submittedAt: try time(json, json["submitted_at"] == nil ? "created_at" : "submitted_at")
        )
    }

    /// A trailing stop is, at any moment, a stop at the price that it has reached.
    private static func type(_ json: JSONValue) throws(BrokerError) -> OrderType {
        let key = json["type"] == nil ? "order_type" : "type"
        return json[key]?.text == "trailing_stop" ? .stop : try word(json, key)
    }

    static func status(_ raw: String) -> BrokerOrderStatus {
        switch raw {
        case "accepted", "pending_new", "accepted_for_bidding", "pending_review", "held":
            .accepted
        // At work, or still at work until the broker says what came of the request.
        case "new", "pending_cancel", "pending_replace", "stopped", "done_for_day", "suspended",
            "calculated":
            .working
        case "partially_filled": .partiallyFilled
        case "filled": .filled
        // The successor is an order of its own.
        case "canceled", "replaced": .cancelled
        case "rejected": .rejected
        case "expired": .expired
        default: .unrecognised
        }
    }

    static func fill(_ json: JSONValue) throws(BrokerError) -> BrokerFill {
        let side = try text(json, "side")
        // A short sale is marked so in activities alone.
        guard let known = OrderSide(rawValue: side == "sell_short" ? "sell" : side) else {
            throw .malformed("the broker's answer has side \"\(side)\"")
        }
        return BrokerFill(
            id: try text(json, "id"), brokerOrderID: try text(json, "order_id"),
            symbol: try text(json, "symbol"), side: known, quantity: try decimal(json, "qty"),
            price: try decimal(json, "price"),
            cumulativeQuantity: try decimal(json, "cum_qty"),
            time: try time(json, "transaction_time"))
    }

    static func position(_ json: JSONValue) throws(BrokerError) -> BrokerPosition {
        let quantity = try decimal(json, "qty")
        let isShort = json["side"]?.text == "short"
        // Null while the market has no price of it.
        let value = json["market_value"]?.decimal
        return BrokerPosition(
            symbol: try text(json, "symbol"),
            quantity: isShort ? quantity.magnitude.negated : quantity,
            averageEntryPrice: try decimal(json, "avg_entry_price"),
            marketValue: isShort ? value?.magnitude.negated : value)
    }

    static func balance(_ json: JSONValue) throws(BrokerError) -> BrokerBalance {
        BrokerBalance(cash: try decimal(json, "cash"))
    }

    /// Nil where the broker has a symbol but no quote and trade of it.
    static func quote(_ symbol: String, _ json: JSONValue) throws(BrokerError) -> BrokerQuote? {
        guard let quote = json["latestQuote"], let trade = json["latestTrade"] else { return nil }
        return BrokerQuote(
            symbol: symbol, bidPrice: try decimal(quote, "bp"), askPrice: try decimal(quote, "ap"),
            lastPrice: try decimal(trade, "p"), volume: json["dailyBar"]?["v"]?.integer ?? 0,
            timestamp: try time(quote, "t"))
    }

    /// The list is null where there are none.
    static func bars(_ json: JSONValue) throws(BrokerError) -> BarPage {
        guard json.members != nil else {
            throw .malformed("the broker's answer is not an object")
        }
        let bars = try json["bars"].map { json throws(BrokerError) in try list(json, bar) }
        return BarPage(bars: bars ?? [], next: json["next_page_token"]?.text)
    }

    private static func bar(_ json: JSONValue) throws(BrokerError) -> Bar {
        guard let volume = json["v"]?.integer else { throw missing("v") }
        return Bar(
            timestamp: try time(json, "t"), open: try decimal(json, "o"),
            high: try decimal(json, "h"), low: try decimal(json, "l"),
            close: try decimal(json, "c"), volume: volume)
    }

    /// Every item must read: for a list of which a part would be a wrong answer.
    static func list<Value>(
        _ json: JSONValue, _ read: (JSONValue) throws(BrokerError) -> Value
    ) throws(BrokerError) -> [Value] {
        var values: [Value] = []
        for element in try elements(json) { values.append(try read(element)) }
        return values
    }

    /// One page of a list whose items stand each for itself: one that does not read must not hide
    /// the others.
    struct Page<Value: Sendable>: Sendable {
        var values: [Value] = []
        /// Items on the page, those that do not read included.
        var count = 0
        var lastID: String?
        var unreadable: [(id: String, problem: BrokerError)] = []
    }

    static func page<Value>(
        _ json: JSONValue, _ read: (JSONValue) throws(BrokerError) -> Value
    ) throws(BrokerError) -> Page<Value> {
        let elements = try elements(json)
        var page = Page<Value>(count: elements.count, lastID: elements.last?["id"]?.text)
        for element in elements {
            do throws(BrokerError) {
                page.values.append(try read(element))
            } catch {
                page.unreadable.append((element["id"]?.text ?? "without an id", error))
            }
        }
        return page
    }

    private static func elements(_ json: JSONValue) throws(BrokerError) -> [JSONValue] {
        guard let elements = json.elements else {
            throw .malformed("the broker's answer is not a list")
        }
        return elements
    }

    // MARK: Fields

    private static func missing(_ key: String) -> BrokerError {
        .malformed("the broker's answer lacks \(key), or it does not read")
    }

    private static func text(_ json: JSONValue, _ key: String) throws(BrokerError) -> String {
        // Text goes into rows, and no row may hold a NUL.
        guard let text = json[key]?.text, !text.utf8.contains(0) else { throw missing(key) }
        return text
    }

    private static func decimal(
        _ json: JSONValue, _ key: String
    ) throws(BrokerError) -> ExactDecimal {
        guard let value = json[key]?.decimal else { throw missing(key) }
        return value
    }

    private static func time(_ json: JSONValue, _ key: String) throws(BrokerError) -> Timestamp {
        guard let time = json[key]?.text.flatMap({ Timestamp($0) }) else { throw missing(key) }
        return time
    }

    private static func word<Word: RawRepresentable>(
        _ json: JSONValue, _ key: String
    ) throws(BrokerError) -> Word where Word.RawValue == String {
        guard let word = json[key]?.text.flatMap(Word.init(rawValue:)) else { throw missing(key) }
        return word
    }

    static func submission(_ terms: OrderTerms, clientOrderID: String) -> JSONText {
        .object { json in
            json.string("symbol", terms.symbol)
            json.string("qty", terms.quantity.description)
            json.string("side", terms.side.rawValue)
            json.string("type", terms.type.rawValue)
            json.string("time_in_force", terms.timeInForce.rawValue)
            if let price = terms.limitPrice { json.string("limit_price", price.description) }
            if let price = terms.stopPrice { json.string("stop_price", price.description) }
            if terms.extendedHours { json.bool("extended_hours", true) }
            json.string("client_order_id", clientOrderID)
        }
    }
}
