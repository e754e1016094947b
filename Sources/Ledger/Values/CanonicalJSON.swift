/// A JSON value in one canonical spelling: keys sorted by their bytes, no white space, numbers exact
/// and without trailing zeros. Two texts that mean the same have the same canonical text.
public struct CanonicalJSON: Hashable, Sendable {
    public let text: String

    /// By bytes: Swift's strings are equal when they look alike.
    public static func == (left: CanonicalJSON, right: CanonicalJSON) -> Bool {
        left.text.hasSameBytes(as: right.text)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(bytesOf: text)
    }

    /// Throws when the text is not JSON, repeats a key, nests deeper than 64, holds a NUL, or has a
    /// number beyond the range of `ExactDecimal`.
    public init(parsing text: String) throws(JSONError) {
        var parser = CanonicalJSONParser(Array(text.utf8))
        self.text = try parser.parse()
    }

    /// Trusts that the text is canonical, because it was when it was stored.
    init(canonical text: String) {
        self.text = text
    }

    /// A JSON string literal.
    public static func quoted(_ text: String) -> String {
        var literal = "\""
        literal.reserveCapacity(text.utf8.count + 2)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": literal += "\\\""
            case "\\": literal += "\\\\"
            case "\n": literal += "\\n"
            case "\r": literal += "\\r"
            case "\t": literal += "\\t"
            case "\u{00}"..."\u{1F}":
                let hex = String(scalar.value, radix: 16)
                literal += "\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex
            default: literal.unicodeScalars.append(scalar)
            }
        }
        return literal + "\""
    }
}

/// Where and why a text is not acceptable JSON. Retrying the same text does not help.
public struct JSONError: Error, Equatable, CustomStringConvertible {
    /// Bytes from the start.
    public let offset: Int
    public let problem: String

    public var description: String { "JSON at byte \(offset): \(problem)" }
}

private struct CanonicalJSONParser {
    private static let depthMax = 64
    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func parse() throws(JSONError) -> String {
        let text = try value()
        skipWhiteSpace()
        guard position == bytes.count else { throw problem("text after the value") }
        return text
    }

    private func problem(_ text: String) -> JSONError {
        JSONError(offset: position, problem: text)
    }

    private mutating func skipWhiteSpace() {
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) {
            position += 1
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipWhiteSpace()
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else {
            return false
        }
        position += 1
        return true
    }

    private mutating func value() throws(JSONError) -> String {
        skipWhiteSpace()
        guard position < bytes.count else { throw problem("the text ends where a value should be") }
        switch bytes[position] {
        case UInt8(ascii: "{"): return try nested(object)
        case UInt8(ascii: "["): return try nested(array)
        case UInt8(ascii: "\""): return CanonicalJSON.quoted(try string())
        case UInt8(ascii: "t"): return try word("true")
        case UInt8(ascii: "f"): return try word("false")
        case UInt8(ascii: "n"): return try word("null")
        default: return try number()
        }
    }

    private mutating func nested(
        _ read: (inout CanonicalJSONParser) throws(JSONError) -> String
    ) throws(JSONError) -> String {
        depth += 1
        guard depth <= Self.depthMax else { throw problem("deeper than \(Self.depthMax) levels") }
        position += 1
        let text = try read(&self)
        depth -= 1
        return text
    }

    private func object(_ parser: inout CanonicalJSONParser) throws(JSONError) -> String {
        var members: [(key: String, value: String)] = []
        var seen: Set<[UInt8]> = []
        if parser.take("}") { return "{}" }
        repeat {
            parser.skipWhiteSpace()
            guard parser.position < parser.bytes.count,
                parser.bytes[parser.position] == UInt8(ascii: "\"")
            else { throw parser.problem("a key in quotes should be here") }
            let key = try parser.string()
            guard seen.insert(Array(key.utf8)).inserted else {
                throw parser.problem("the key is repeated")
            }
            guard parser.take(":") else { throw parser.problem("':' should be here") }
            members.append((key, try parser.value()))
        } while parser.take(",")
        guard parser.take("}") else { throw parser.problem("',' or '}' should be here") }
        members.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        return "{"
            + members.map { CanonicalJSON.quoted($0.key) + ":" + $0.value }.joined(separator: ",")
            + "}"
    }

    private func array(_ parser: inout CanonicalJSONParser) throws(JSONError) -> String {
        var elements: [String] = []
        if parser.take("]") { return "[]" }
        repeat { elements.append(try parser.value()) } while parser.take(",")
        guard parser.take("]") else { throw parser.problem("',' or ']' should be here") }
        return "[" + elements.joined(separator: ",") + "]"
    }

    private mutating func word(_ word: String) throws(JSONError) -> String {
        let end = position + word.utf8.count
        guard end <= bytes.count, bytes[position..<end].elementsEqual(word.utf8) else {
            throw problem("a value should be here")
        }
        position = end
        return word
    }

    private mutating func number() throws(JSONError) -> String {
        let start = position
        while position < bytes.count, Self.isNumberByte(bytes[position]) { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard Self.isNumberLiteral(bytes[start..<position]), let number = ExactDecimal(text) else {
            position = start
            throw problem("a value should be here, and a number at most 38 digits long")
        }
        return number.description
    }

    private static func isNumberByte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || [0x2B, 0x2D, 0x2E, 0x45, 0x65].contains(byte)
    }

    /// JSON's own grammar: no leading `+` or zero, digits on both sides of the point.
    private static func isNumberLiteral(_ bytes: ArraySlice<UInt8>) -> Bool {
        var rest = bytes
        if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
        let whole = rest.prefix { (48...57).contains($0) }
        guard !whole.isEmpty, whole.count == 1 || whole.first != UInt8(ascii: "0") else {
            return false
        }
        rest = rest.dropFirst(whole.count)
        guard rest.first == UInt8(ascii: ".") else { return true }
        return rest.dropFirst().first.map { (48...57).contains($0) } ?? false
    }

    private mutating func string() throws(JSONError) -> String {
        position += 1
        var content: [UInt8] = []
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else {
                    throw problem("the string is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): try escape(into: &content)
            case 0..<0x20: throw problem("a control character stands in a string")
            default: content.append(byte)
            }
        }
        throw problem("the string does not end")
    }

    private mutating func escape(into content: inout [UInt8]) throws(JSONError) {
        guard position < bytes.count else { throw problem("the string does not end") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
        case UInt8(ascii: "b"): content.append(8)
        case UInt8(ascii: "f"): content.append(12)
        case UInt8(ascii: "n"): content.append(10)
        case UInt8(ascii: "r"): content.append(13)
        case UInt8(ascii: "t"): content.append(9)
        case UInt8(ascii: "u"): content.append(contentsOf: String(try scalar()).utf8)
        default: throw problem("'\\' stands before a character that it does not escape")
        }
    }

    private mutating func scalar() throws(JSONError) -> Unicode.Scalar {
        var code = try hexadecimal()
        if (0xD800..<0xDC00).contains(code) {
            guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
                bytes[position + 1] == UInt8(ascii: "u")
            else { throw problem("half of a surrogate pair") }
            position += 2
            let low = try hexadecimal()
            guard (0xDC00..<0xE000).contains(low) else { throw problem("half of a surrogate pair") }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard code != 0, let scalar = Unicode.Scalar(code) else {
            throw problem("a NUL or half of a surrogate pair")
        }
        return scalar
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt32 {
        guard position + 4 <= bytes.count,
            // Swift's own reader of numbers would take a sign.
            bytes[position] != UInt8(ascii: "+"), bytes[position] != UInt8(ascii: "-"),
            let code = UInt32(
                String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
        else { throw problem("four hexadecimal digits should be here") }
        position += 4
        return code
    }
}
