internal import Foundation

/// A text with places for key fields, as `acc:positions:{account_id}`: how a store without columns
/// names the thing that holds a row.
///
/// What a value is written as can always be read back: `%`, control characters and the characters
/// that the template reserves are written as `%` and two hexadecimal digits, the empty text as `%`.
/// So are the letters beyond ASCII of a text that is not in Unicode's normal form C, so that no two keys
/// look alike to a program that compares texts as people do.
public struct KeyTemplate: Sendable, Hashable, CustomStringConvertible {
    private enum Part: Sendable, Hashable {
        case literal(String)
        case field(String)
    }

    /// Another number for each way in which values were ever written: what was written in an earlier one
    /// lies elsewhere. In 1, the first letter of what stands before the first field was reserved too.
    public static let spelling = 2

    private let parts: [Part]
    private let reserved: Set<UInt8>
    private let reservedFirst: Set<UInt8>
    public let description: String

    /// - Parameters:
    ///   - reserved: characters that separate the parts of a key in this kind of store.
    ///   - reservedFirst: characters that a value must not begin with.
    public init(
        _ text: String, reserved: String, reservedFirst: String = ""
    ) throws(KeyTemplateError) {
        var parts: [Part] = []
        var rest = Substring(text)
        while let open = rest.firstIndex(of: "{") {
            let inner = rest[rest.index(after: open)...]
            guard let close = inner.firstIndex(of: "}"), !inner[..<close].contains("{") else {
                throw KeyTemplateError(template: text, problem: "a { without its }")
            }
            if open > rest.startIndex { parts.append(.literal(String(rest[..<open]))) }
            if case .field? = parts.last {
                throw KeyTemplateError(
                    template: text,
                    problem: "two fields without anything between them cannot be told apart")
            }
            guard close > inner.startIndex else {
                throw KeyTemplateError(template: text, problem: "a {} without a field's name")
            }
            parts.append(.field(String(inner[..<close])))
            rest = inner[inner.index(after: close)...]
        }
        if !rest.isEmpty { parts.append(.literal(String(rest))) }
        self.parts = parts
        var characters = Set(reserved.utf8)
        // What follows a field ends it, so it must not be in it.
        for case .literal(let literal) in parts.dropFirst() {
            if let first = literal.utf8.first { characters.insert(first) }
        }
        self.reserved = characters.union(Array("%".utf8))
        self.reservedFirst = Set(reservedFirst.utf8)
        description = text
    }

    public var fields: [String] {
        parts.compactMap { part in
            if case .field(let name) = part { name } else { nil }
        }
    }

    /// What stands before the first field.
    public var prefix: String {
        if case .literal(let text)? = parts.first { text } else { "" }
    }

    /// - Parameter value: the text of a field's value.
    public func rendered(_ value: (String) -> String) -> String {
        parts.reduce(into: "") { text, part in
            switch part {
            case .literal(let literal): text += literal
            case .field(let name): text += escaped(value(name))
            }
        }
    }

    /// The fields' texts; nil for a text that this template does not write.
    public func parsed(_ text: String) -> [String: String]? {
        var found: [String: String] = [:]
        var rest = Substring(text).utf8
        for (index, part) in parts.enumerated() {
            switch part {
            case .literal(let literal):
                guard rest.starts(with: literal.utf8) else { return nil }
                rest = rest.dropFirst(literal.utf8.count)
            case .field(let name):
                let end =
                    index + 1 < parts.count
                    ? rest.firstIndex { reserved.contains($0) && $0 != UInt8(ascii: "%") }
                    : rest.endIndex
                guard let end, let value = unescaped(rest[..<end]) else { return nil }
                found[name] = value
                rest = rest[end...]
            }
        }
        return rest.isEmpty ? found : nil
    }

    private func escaped(_ text: String) -> String {
        if text.isEmpty { return "%" }
        let isFirstReserved = text.utf8.first.map(reservedFirst.contains) ?? false
        let isNormal =
            text.utf8.allSatisfy { $0 < 0x80 }
            || text.precomposedStringWithCanonicalMapping.utf8.elementsEqual(text.utf8)
        if isNormal, !isFirstReserved, !text.utf8.contains(where: mustEscape) { return text }
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if mustEscape(byte) || byte >= 0x80 && !isNormal || bytes.isEmpty && isFirstReserved {
                bytes.append(UInt8(ascii: "%"))
                bytes += Array(Self.hex(byte).utf8)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func mustEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == 0x7F || reserved.contains(byte)
    }

    private static func hex(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return digits.utf8.count == 1 ? "0" + digits : digits
    }

    /// Nil for what `escaped` does not write: a key has one spelling.
    private func unescaped(_ bytes: Substring.UTF8View.SubSequence) -> String? {
        if bytes.elementsEqual("%".utf8) { return "" }
        var decoded: [UInt8] = []
        var rest = bytes[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                decoded.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else { return nil }
            decoded.append(value)
            rest = rest.dropFirst(2)
        }
        guard let text = String(validating: decoded, as: UTF8.self), !text.isEmpty,
            escaped(text).utf8.elementsEqual(bytes)
        else { return nil }
        return text
    }
}

/// A template that cannot name rows.
public struct KeyTemplateError: Error, Equatable, CustomStringConvertible {
    public let template: String
    public let problem: String

    public var description: String { "'\(template)': \(problem)" }
}
