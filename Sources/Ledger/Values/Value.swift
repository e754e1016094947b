/// One field of a row.
public enum Value: Hashable, Sendable {
    case null
    case text(String)
    case integer(Int64)
    case decimal(ExactDecimal)
    case timestamp(Timestamp)
    case boolean(Bool)
    case json(CanonicalJSON)
}

public enum FieldType: String, Sendable, Hashable, CaseIterable {
    case text, integer, decimal, timestamp, boolean, json
}

extension Value {
    /// Nil for `null`, which every optional field may hold.
    public var type: FieldType? {
        switch self {
        case .null: nil
        case .text: .text
        case .integer: .integer
        case .decimal: .decimal
        case .timestamp: .timestamp
        case .boolean: .boolean
        case .json: .json
        }
    }

    public static func optional(_ text: String?) -> Value { text.map(Value.text) ?? .null }
    public static func optional(_ number: ExactDecimal?) -> Value {
        number.map(Value.decimal) ?? .null
    }
    public static func optional(_ time: Timestamp?) -> Value { time.map(Value.timestamp) ?? .null }

    public var text: String? {
        if case .text(let text) = self { text } else { nil }
    }
    public var integer: Int64? {
        if case .integer(let number) = self { number } else { nil }
    }
    public var decimal: ExactDecimal? {
        if case .decimal(let number) = self { number } else { nil }
    }
    public var timestamp: Timestamp? {
        if case .timestamp(let time) = self { time } else { nil }
    }
    public var boolean: Bool? {
        if case .boolean(let flag) = self { flag } else { nil }
    }
}

extension Value: CustomStringConvertible {
    /// As a person reads it in a listing; `-` for null.
    public var description: String {
        switch self {
        case .null: "-"
        case .text(let text): text
        case .integer(let number): String(number)
        case .decimal(let number): number.description
        case .timestamp(let time): time.description
        case .boolean(let flag): flag ? "true" : "false"
        case .json(let json): json.text
        }
    }
}
