import ExactJSON
import Foundation
import Ledger

/// Reads what callers send, and refuses it in the dialect's words.
enum PaperRequests {
    struct Submission: Sendable {
        var terms: PaperTerms
        var clientOrderID: String?
    }

    static func submission(_ body: [UInt8]) throws(PaperRefusal) -> Submission {
        let json = try document(body)
        for key in ["notional", "trail_price", "trail_percent", "take_profit", "stop_loss"]
        where json[key] != nil {
            throw .parameter("\(key) is not supported by the paper broker")
        }
        if let orderClass = json["order_class"]?.text, !["", "simple"].contains(orderClass) {
            throw .parameter("order_class \(orderClass) is not supported by the paper broker")
        }
        guard let symbol = json["symbol"]?.text, !symbol.isEmpty else {
            throw .parameter("symbol is required")
        }
        guard let quantity = try decimal(json, "qty") else { throw .parameter("qty is required") }
        let terms = PaperTerms(
            symbol: symbol, side: try word(json, "side"), type: try word(json, "type"),
            quantity: quantity, limitPrice: try decimal(json, "limit_price"),
            stopPrice: try decimal(json, "stop_price"),
            timeInForce: try word(json, "time_in_force"),
            extendedHours: json["extended_hours"]?.bool ?? false)
        return Submission(terms: terms, clientOrderID: try clientOrderID(json))
    }

    struct Replacement: Sendable {
        var quantity: ExactDecimal?
        var limitPrice: ExactDecimal?
        var stopPrice: ExactDecimal?
        var timeInForce: PaperTimeInForce?
        var clientOrderID: String?

        func apply(to terms: inout PaperTerms) {
            if let quantity { terms.quantity = quantity }
            if let limitPrice { terms.limitPrice = limitPrice }
            if let stopPrice { terms.stopPrice = stopPrice }
            if let timeInForce { terms.timeInForce = timeInForce }
        }
    }

    static func replacement(_ body: [UInt8]) throws(PaperRefusal) -> Replacement {
        let json = try document(body)
        guard json["trail"] == nil else {
            throw .parameter("trail is not supported by the paper broker")
        }
        return Replacement(
            quantity: try decimal(json, "qty"), limitPrice: try decimal(json, "limit_price"),
            stopPrice: try decimal(json, "stop_price"),
            timeInForce: json["time_in_force"] == nil ? nil : try word(json, "time_in_force"),
            clientOrderID: try clientOrderID(json))
    }

    private static func document(_ body: [UInt8]) throws(PaperRefusal) -> JSONValue {
        guard let json = try? JSONValue(parsing: body), json.members != nil else {
            throw PaperRefusal(
                status: 400, code: 40_010_000, message: "request body format is invalid")
        }
        return json
    }

    private static func clientOrderID(_ json: JSONValue) throws(PaperRefusal) -> String? {
        guard let id = json["client_order_id"]?.text, !id.isEmpty else { return nil }
        guard id.count <= 128 else {
            throw .parameter("client_order_id must be no more than 128 characters")
        }
        return id
    }

    private static func decimal(
        _ json: JSONValue, _ key: String
    ) throws(PaperRefusal) -> ExactDecimal? {
        guard let value = json[key] else { return nil }
        guard let decimal = value.decimal else { throw .parameter("\(key) is not a number") }
        return decimal
    }

    private static func word<Word: RawRepresentable>(
        _ json: JSONValue, _ key: String
    ) throws(PaperRefusal) -> Word where Word.RawValue == String {
        guard let word = json[key]?.text.flatMap(Word.init(rawValue:)) else {
            throw .parameter("invalid \(key)")
        }
        return word
    }

    // MARK: Query strings

    static func orderQuery(_ parameters: [String: String]) throws(PaperRefusal) -> OrderQuery {
        var query = OrderQuery()
        if let status = parameters["status"] {
            guard let known = OrderQuery.Status(rawValue: status) else {
                throw .parameter("invalid status")
            }
            query.status = known
        }
        if let side = parameters["side"] {
            guard let known = PaperSide(rawValue: side) else { throw .parameter("invalid side") }
            query.side = known
        }
        query.limit = try limit(parameters["limit"], "limit", default: 50, max: 500)
        query.after = try time(parameters["after"], "after")
        query.until = try time(parameters["until"], "until")
        query.isAscending = parameters["direction"] == "asc"
        query.symbols = (parameters["symbols"] ?? "").split(separator: ",").map(String.init)
        return query
    }

    static func fillQuery(_ parameters: [String: String]) throws(PaperRefusal) -> FillQuery {
        FillQuery(
            after: try time(parameters["after"], "after"),
            until: try time(parameters["until"], "until"),
            isAscending: parameters["direction"] == "asc",
            pageSize: try limit(parameters["page_size"], "page_size", default: 100, max: 100),
            pageToken: parameters["page_token"])
    }

    static func barQuery(
        _ parameters: [String: String], symbol: String, now: Timestamp
    ) throws(PaperRefusal) -> BarBook.Query {
        guard let timeframe = parameters["timeframe"].flatMap(PaperTimeframe.init(rawValue:)) else {
            throw .parameter("invalid timeframe")
        }
        let today = Timestamp(microseconds: now.microseconds / 86_400_000_000 * 86_400_000_000)
        let token = try time(parameters["page_token"], "page_token")
        let start = try day(parameters["start"], "start")
        return BarBook.Query(
            symbol: symbol, timeframe: timeframe,
            from: token ?? start ?? today,
            through: try day(parameters["end"], "end") ?? now,
            limit: try limit(parameters["limit"], "limit", default: 1_000, max: 10_000))
    }

    /// A time, or a day, which is its beginning.
    private static func day(_ text: String?, _ name: String) throws(PaperRefusal) -> Timestamp? {
        guard let text, text.utf8.count == 10 else { return try time(text, name) }
        return try time(text + "T00:00:00Z", name)
    }

    private static func limit(
        _ text: String?, _ name: String, default fallback: Int, max: Int
    ) throws(PaperRefusal) -> Int {
        guard let text else { return fallback }
        guard let value = Int(text), (1...max).contains(value) else {
            throw .parameter("\(name) must be from 1 to \(max)")
        }
        return value
    }

    private static func time(_ text: String?, _ name: String) throws(PaperRefusal) -> Timestamp? {
        guard let text else { return nil }
        guard let time = Timestamp(text) else { throw .parameter("invalid \(name)") }
        return time
    }
}
