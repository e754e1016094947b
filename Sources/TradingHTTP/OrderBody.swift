import Foundation
import Hummingbird
import Ledger
import Trading

/// The body of `POST /api/v1/orders`. A key that it does not have is refused: a misspelt
/// `limit_price` must not become a market order.
struct OrderBody: Decodable {
    let accountID: String
    let clientOrderID: String?
    let terms: OrderTerms

    private enum Key: String, CodingKey, CaseIterable {
        case account_id, symbol, side, type, qty, limit_price, stop_price, time_in_force
        case extended_hours, client_order_id
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        let all = try decoder.container(keyedBy: AnyKey.self)
        for key in all.allKeys where Key(rawValue: key.stringValue) == nil {
            let known = Key.allCases.map(\.rawValue).joined(separator: ", ")
            throw APIError.badRequest("'\(key.stringValue)' is not a field of an order: \(known)")
        }
        let fields = try decoder.container(keyedBy: Key.self)
        accountID = try fields.decode(String.self, forKey: .account_id)
        clientOrderID = try fields.decodeIfPresent(String.self, forKey: .client_order_id)
        terms = OrderTerms(
            symbol: try fields.decode(String.self, forKey: .symbol),
            side: try Self.word(fields, .side), type: try Self.word(fields, .type),
            quantity: try Self.decimal(fields, .qty).orThrow("qty is missing"),
            limitPrice: try Self.decimal(fields, .limit_price),
            stopPrice: try Self.decimal(fields, .stop_price),
            timeInForce: try Self.word(fields, .time_in_force),
            extendedHours: try fields.decodeIfPresent(Bool.self, forKey: .extended_hours) ?? false)
    }

    private static func word<Word: RawRepresentable & CaseIterable>(
        _ fields: KeyedDecodingContainer<Key>, _ key: Key
    ) throws -> Word where Word.RawValue == String {
        let text = try fields.decode(String.self, forKey: key)
        guard let word = Word(rawValue: text) else {
            let known = Word.allCases.map(\.rawValue).joined(separator: ", ")
            throw APIError.badRequest("\(key.rawValue) must be one of: \(known)")
        }
        return word
    }

    private static func decimal(
        _ fields: KeyedDecodingContainer<Key>, _ key: Key
    ) throws -> ExactDecimal? {
        let text: String?
        do {
            text = try fields.decodeIfPresent(String.self, forKey: key)
        } catch {
            throw APIError.badRequest(
                "\(key.rawValue) must be a decimal in a JSON string, such as \"1.5\"")
        }
        guard let text else { return nil }
        guard let number = ExactDecimal(text) else {
            throw APIError.badRequest("\(key.rawValue): '\(text.prefix(60))' is not a decimal")
        }
        return number
    }

    static func read(_ request: Request) async throws -> OrderBody {
        let body: Data
        do {
            let buffer = try await request.body.collect(upTo: 65_536)
            body = Data(buffer.readableBytesView)
        } catch {
            throw APIError(status: .contentTooLarge, message: "the body is over 64 KiB")
        }
        do {
            return try JSONDecoder().decode(OrderBody.self, from: body)
        } catch let error as APIError {
            throw error
        } catch let error as DecodingError {
            throw APIError.badRequest(error.sentence)
        }
    }
}

extension Optional {
    fileprivate func orThrow(_ message: String) throws -> Wrapped {
        guard let self else { throw APIError.badRequest(message) }
        return self
    }
}

extension DecodingError {
    /// What is wrong, without Swift's own words.
    var sentence: String {
        switch self {
        case .keyNotFound(let key, _): "\(key.stringValue) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "\(context.codingPath.last?.stringValue ?? "the body") has the wrong type"
        case .dataCorrupted: "the body is not JSON"
        @unknown default: "the body cannot be read"
        }
    }
}
