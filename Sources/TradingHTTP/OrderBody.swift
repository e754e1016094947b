import ExactJSON
import Hummingbird
import Ledger
import Trading

/// The body of `POST /api/v1/orders`. A key that it does not have is refused: a misspelt
/// `limit_price` must not become a market order. So is one that stands there twice: of two quantities
/// nobody knows which is meant.
struct OrderBody {
    let accountID: String
    let clientOrderID: String?
    let terms: OrderTerms

    private static let names = [
        "account_id", "symbol", "side", "type", "qty", "limit_price", "stop_price",
        "time_in_force", "extended_hours", "client_order_id",
    ]

    static func read(_ request: Request) async throws -> OrderBody {
        let bytes = try await request.bytes(upTo: 65_536)
        do {
            guard let members = try JSONValue(parsing: bytes).members else {
                throw APIError.badRequest("the body must be a JSON object")
            }
            return try OrderBody(members)
        } catch let error as JSONSyntaxError {
            throw APIError.badRequest("the body cannot be read: \(error)")
        }
    }

    private init(_ members: JSONMembers) throws(APIError) {
        for name in members.keys.sorted() where !Self.names.contains(name) {
            throw .badRequest(
                "'\(name.prefix(60))' is not a field of an order: "
                    + Self.names.joined(separator: ", "))
        }
        accountID = try Self.required("account_id", Self.text(members, "account_id"))
        clientOrderID = try Self.text(members, "client_order_id")
        terms = OrderTerms(
            symbol: try Self.required("symbol", Self.text(members, "symbol")),
            side: try Self.word(members, "side"), type: try Self.word(members, "type"),
            quantity: try Self.required("qty", Self.decimal(members, "qty")),
            limitPrice: try Self.decimal(members, "limit_price"),
            stopPrice: try Self.decimal(members, "stop_price"),
            timeInForce: try Self.word(members, "time_in_force"),
            extendedHours: try Self.flag(members, "extended_hours") ?? false)
    }

    private static func required<Value>(
        _ name: String, _ value: Value?
    ) throws(APIError) -> Value {
        guard let value else { throw .badRequest("\(name) is missing") }
        return value
    }

    /// A member that is null is not there.
    private static func member(_ members: JSONMembers, _ name: String) -> JSONValue? {
        members[name].flatMap { $0 == .null ? nil : $0 }
    }

    private static func text(
        _ members: JSONMembers, _ name: String
    ) throws(APIError) -> String? {
        guard let json = member(members, name) else { return nil }
        guard let text = json.text else { throw .badRequest("\(name) must be a text") }
        return text
    }

    private static func flag(_ members: JSONMembers, _ name: String) throws(APIError) -> Bool? {
        guard let json = member(members, name) else { return nil }
        guard let flag = json.bool else { throw .badRequest("\(name) must be true or false") }
        return flag
    }

    private static func word<Word: RawRepresentable & CaseIterable>(
        _ members: JSONMembers, _ name: String
    ) throws(APIError) -> Word where Word.RawValue == String {
        let text = try required(name, text(members, name))
        guard let word = Word(rawValue: text) else {
            let known = Word.allCases.map(\.rawValue).joined(separator: ", ")
            throw .badRequest("\(name) must be one of: \(known)")
        }
        return word
    }

    private static func decimal(
        _ members: JSONMembers, _ name: String
    ) throws(APIError) -> ExactDecimal? {
        guard let json = member(members, name) else { return nil }
        guard let text = json.text else {
            throw .badRequest("\(name) must be a decimal in a JSON string, such as \"1.5\"")
        }
        guard let number = ExactDecimal(text) else {
            throw .badRequest("\(name): '\(text.prefix(60))' is not a decimal")
        }
        return number
    }
}
