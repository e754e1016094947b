/// One field of a row. Equal means: the same canonical bytes. So texts are compared by their bytes
/// and not, as Swift's strings are, by how they look: two spellings of one accented letter are two
/// keys in every store.
public enum Value: Sendable {
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

extension Value: Hashable {
    public static func == (left: Value, right: Value) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.text(let left), .text(let right)): left.hasSameBytes(as: right)
        case (.integer(let left), .integer(let right)): left == right
        case (.decimal(let left), .decimal(let right)): left == right
        case (.timestamp(let left), .timestamp(let right)): left == right
        case (.boolean(let left), .boolean(let right)): left == right
        case (.json(let left), .json(let right)): left == right
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .text(let text): hasher.combine(bytesOf: text)
        case .integer(let number): hasher.combine(number)
        case .decimal(let number): hasher.combine(number)
        case .timestamp(let time): hasher.combine(time)
        case .boolean(let flag): hasher.combine(flag)
        case .json(let json): hasher.combine(json)
        }
    }
}

extension String {
    /// As `utf8.elementsEqual`, which looks at one byte after the other.
    func hasSameBytes(as other: String) -> Bool {
        guard utf8.count == other.utf8.count else { return false }
        var (left, right) = (self, other)
        return left.withUTF8 { left in
            right.withUTF8 { right in
                UnsafeRawBufferPointer(left).elementsEqual(UnsafeRawBufferPointer(right))
            }
        }
    }
}

extension Hasher {
    mutating func combine(bytesOf text: String) {
        var copy = text
        copy.withUTF8 { combine(bytes: UnsafeRawBufferPointer($0)) }
        combine(0xFF as UInt8)
    }
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
