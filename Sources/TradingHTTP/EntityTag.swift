import HTTPTypes
import Hummingbird
import Ledger
import Trading

/// A row's sequence number as HTTP has it: in quotes.
enum EntityTag {
    static func text(_ sequence: SequenceNumber) -> String { "\"\(sequence.rawValue)\"" }

    /// What a request's headers ask of the row that it writes.
    static func condition(_ request: Request) throws(APIError) -> RowCondition {
        let match = request.headers[.ifMatch]
        let noneMatch = request.headers[.ifNoneMatch]
        switch (match, noneMatch) {
        case (nil, nil): return .none
        case (nil, "*"?): return .absent
        case (nil, _?):
            throw .badRequest(
                "If-None-Match of a write must be *: the row is created, not replaced")
        case ("*"?, nil): return .present
        case (let match?, nil): return .sequence(anyOf: Set(try sequences(match, "If-Match")))
        case (_?, _?): throw .badRequest("If-Match and If-None-Match exclude each other")
        }
    }

    /// Whether the reader has the row as it stands.
    static func isKnown(
        _ sequence: SequenceNumber, to request: Request
    ) throws(APIError) -> Bool {
        guard let header = request.headers[.ifNoneMatch] else { return false }
        if header == "*" { return true }
        return try sequences(header, "If-None-Match").contains(sequence)
    }

    private static func sequences(
        _ header: String, _ name: String
    ) throws(APIError) -> [SequenceNumber] {
        var found: [SequenceNumber] = []
        for word in header.split(separator: ",") {
            let tag = word.trimmingPrefix(while: \.isWhitespace)
            let strong = tag.hasPrefix("W/") ? tag.dropFirst(2) : tag
            let digits = strong.trimmingSuffix(while: \.isWhitespace)
            // One spelling a tag: it is compared, and not reckoned with.
            guard digits.count > 2, digits.hasPrefix("\""), digits.hasSuffix("\""),
                let number = Int64(digits.dropFirst().dropLast()),
                text(SequenceNumber(rawValue: number)) == digits
            else {
                throw .badRequest(
                    "\(name) must be a row's sequence number in quotes, such as \"1099511627818\"")
            }
            found.append(SequenceNumber(rawValue: number))
        }
        return found
    }
}

extension Substring {
    fileprivate func trimmingSuffix(while isDropped: (Character) -> Bool) -> Substring {
        var rest = self
        while let last = rest.last, isDropped(last) { rest.removeLast() }
        return rest
    }
}
