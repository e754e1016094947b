/// Writes JSON, member by member, in the order of the calls.
public struct JSONText: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init() {
        bytes.reserveCapacity(1_024)
    }

    public static func object(_ fill: (inout JSONText) -> Void) -> JSONText {
        var text = JSONText()
        text.bytes.append(UInt8(ascii: "{"))
        fill(&text)
        text.bytes.append(UInt8(ascii: "}"))
        return text
    }

    public static func array(_ elements: some Sequence<JSONText>) -> JSONText {
        var text = JSONText()
        text.bytes.append(UInt8(ascii: "["))
        for element in elements {
            if text.bytes.count > 1 { text.bytes.append(UInt8(ascii: ",")) }
            text.bytes += element.bytes
        }
        text.bytes.append(UInt8(ascii: "]"))
        return text
    }

    /// A string member; nil is written as null.
    public mutating func string(_ key: StaticString, _ value: String?) {
        begin(key)
        guard let value else { return bytes += Array("null".utf8) }
        quote(value)
    }

    public mutating func number(_ key: StaticString, _ value: some LosslessStringConvertible) {
        begin(key)
        bytes += Array(String(value).utf8)
    }

    public mutating func bool(_ key: StaticString, _ value: Bool) {
        begin(key)
        bytes += Array((value ? "true" : "false").utf8)
    }

    public mutating func null(_ key: StaticString) {
        string(key, nil)
    }

    public mutating func value(_ key: StaticString, _ value: JSONText) {
        begin(key)
        bytes += value.bytes
    }

    /// A member whose name is data.
    public mutating func value(named key: String, _ value: JSONText) {
        separate()
        quote(key)
        bytes.append(UInt8(ascii: ":"))
        bytes += value.bytes
    }

    public mutating func string(named key: String, _ value: String) {
        separate()
        quote(key)
        bytes.append(UInt8(ascii: ":"))
        quote(value)
    }

    private mutating func begin(_ key: StaticString) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        key.withUTF8Buffer { bytes += $0 }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func separate() {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
    }

    private mutating func quote(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20:
                let digits = String(byte, radix: 16)
                bytes += Array("\\u00\(digits.utf8.count == 1 ? "0" : "")\(digits)".utf8)
            default:
                bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
