public import Ledger

/// A JSON document in which a number is still the digits that were written: it never passes through
/// binary floating point.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// The token as it stood.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object(JSONMembers)

    public subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self, let value = members[key], value != .null else {
            return nil
        }
        return value
    }

    public var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    public var bool: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    public var elements: [JSONValue]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    public var members: JSONMembers? {
        guard case .object(let members) = self else { return nil }
        return members
    }

    /// A number, or a string that holds one: brokers write both.
    public var decimal: ExactDecimal? {
        switch self {
        case .number(let text), .string(let text): ExactDecimal(text)
        default: nil
        }
    }

    /// A whole number; one like `100.0` counts.
    public var integer: Int? {
        guard let decimal, decimal.scale == 0 else { return nil }
        return Int(exactly: decimal.coefficient)
    }
}

/// Where a document stops being JSON, and why. Reading it again does not help.
public struct JSONSyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
    public var offset: Int
    public var problem: String

    public var description: String { "\(problem), at byte \(offset)" }
}
