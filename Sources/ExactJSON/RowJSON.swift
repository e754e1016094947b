public import Ledger

/// Rows as JSON objects, a member a field: decimals and times are strings, integers and booleans are
/// themselves, null is null.
public enum RowJSON {
    /// Appends one object.
    public static func append(
        _ members: some Sequence<(field: Field, value: Value)>, to bytes: inout [UInt8]
    ) {
        bytes.append(UInt8(ascii: "{"))
        var isFirst = true
        for (field, value) in members {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            isFirst = false
            appendQuoted(field.name, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            append(value, to: &bytes)
        }
        bytes.append(UInt8(ascii: "}"))
    }

    public static func append(_ value: Value, to bytes: inout [UInt8]) {
        switch value {
        case .null: bytes += "null".utf8
        case .text(let text): appendQuoted(text, to: &bytes)
        case .integer(let number): bytes.appendDigits(number)
        case .boolean(let flag): bytes += (flag ? "true" : "false").utf8
        case .json(let json): bytes += json.text.utf8
        // Neither has a character that JSON would escape.
        case .decimal(let number):
            bytes.append(UInt8(ascii: "\""))
            number.append(to: &bytes)
            bytes.append(UInt8(ascii: "\""))
        case .timestamp(let time):
            bytes.append(UInt8(ascii: "\""))
            time.append(to: &bytes)
            bytes.append(UInt8(ascii: "\""))
        }
    }

    public static func appendQuoted(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            // Nearly no text has anything to escape.
            if utf8.allSatisfy({ !isEscaped($0) }) { return bytes.append(contentsOf: utf8) }
            for byte in utf8 { appendEscaped(byte, to: &bytes) }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func isEscaped(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private static func appendEscaped(_ byte: UInt8, to bytes: inout [UInt8]) {
        guard isEscaped(byte) else { return bytes.append(byte) }
        bytes.append(UInt8(ascii: "\\"))
        if byte >= 0x20 { return bytes.append(byte) }
        let digits = String(byte, radix: 16)
        bytes += "u00\(digits.utf8.count == 1 ? "0" : "")\(digits)".utf8
    }

    /// A member's value as a field's. Numbers may be strings and strings numbers, since programs write
    /// both; nil when it is no value of the field's type, or null where the field is not optional.
    public static func value(_ json: JSONValue?, of field: Field) -> Value? {
        switch (json ?? .null, field.type) {
        case (.null, .json): field.isOptional ? .null : Value(plainText: "null", as: .json)
        case (.null, _): field.isOptional ? .null : nil
        case (let json, .json): (try? CanonicalJSON(json)).map(Value.json)
        case (.string(let text), let type): Value(plainText: text, as: type)
        case (.number(let text), .text): .text(text)
        case (.number, .integer):
            json?.decimal.flatMap { $0.scale == 0 ? Int64(exactly: $0.coefficient) : nil }
                .map(Value.integer)
        case (.number(let text), .decimal): Value(plainText: text, as: .decimal)
        case (.bool(let flag), .boolean): .boolean(flag)
        case (.number(let text), .boolean): Value(plainText: text, as: .boolean)
        default: nil
        }
    }

    /// The same of a member that lies in a store: whatever `append` writes.
    public static func written(_ json: JSONValue?, of field: Field) -> Value? {
        guard case .string(let text)? = json, field.type == .timestamp else {
            return value(json, of: field)
        }
        return Value(written: text, as: .timestamp)
    }
}

extension CanonicalJSON {
    /// Throws where a number is beyond the range of `ExactDecimal`.
    public init(_ json: JSONValue) throws(JSONError) {
        var bytes: [UInt8] = []
        json.append(to: &bytes)
        try self.init(parsing: String(decoding: bytes, as: UTF8.self))
    }
}

extension JSONValue {
    fileprivate func append(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let flag): bytes += (flag ? "true" : "false").utf8
        case .number(let digits): bytes += digits.utf8
        case .string(let text): RowJSON.appendQuoted(text, to: &bytes)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                element.append(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                RowJSON.appendQuoted(member.key, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.append(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }
}
