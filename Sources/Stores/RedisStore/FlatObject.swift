internal import Ledger

/// A JSON object of plain members, as nearly every row's data is: read in one pass, without a tree of it.
///
/// What has anything else in it (an escape, something nested, an odd number) is left to the parser, which
/// also knows what is wrong with it.
enum FlatObject {
    enum Token {
        case string(UnsafeBufferPointer<UInt8>)
        /// Digits, perhaps behind a minus.
        case integer(UnsafeBufferPointer<UInt8>)
        case boolean(Bool)
        case null
    }

    /// - Parameter take: is given each member; false where it can make nothing of it.
    /// - Returns: false where the object is not so plain, or a member was not taken.
    static func read(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ take: (_ name: UnsafeBufferPointer<UInt8>, _ value: Token) -> Bool
    ) -> Bool {
        var scan = Scan(bytes: bytes)
        guard scan.take(UInt8(ascii: "{")) else { return false }
        if scan.take(UInt8(ascii: "}")) { return scan.isAtEnd }
        repeat {
            guard scan.take(UInt8(ascii: "\"")), let name = scan.string(),
                scan.take(UInt8(ascii: ":")), let value = scan.token(), take(name, value)
            else { return false }
        } while scan.take(UInt8(ascii: ","))
        return scan.take(UInt8(ascii: "}")) && scan.isAtEnd
    }

    /// Nil for what the parser has to look at.
    static func value(_ token: Token, of field: Field) -> Value? {
        switch (token, field.type) {
        case (.null, _): field.isOptional ? .null : nil
        case (.string, .json): nil
        case (.string(let bytes), let type):
            String(validating: bytes, as: UTF8.self).flatMap { Value(written: $0, as: type) }
        case (.integer(let digits), .integer): integer(digits).map(Value.integer)
        case (.boolean(let flag), .boolean): .boolean(flag)
        default: nil
        }
    }

    static func integer(_ digits: UnsafeBufferPointer<UInt8>) -> Int64? {
        Int64(String(decoding: digits, as: UTF8.self))
    }

    private struct Scan {
        let bytes: UnsafeBufferPointer<UInt8>
        var index = 0

        var next: UInt8 { index < bytes.count ? bytes[index] : 0 }

        var isAtEnd: Bool {
            mutating get {
                skipSpaces()
                return index == bytes.count
            }
        }

        mutating func skipSpaces() {
            while next == UInt8(ascii: " ") || next == UInt8(ascii: "\n") { index += 1 }
        }

        mutating func take(_ byte: UInt8) -> Bool {
            skipSpaces()
            guard next == byte else { return false }
            index += 1
            return true
        }

        /// Behind the opening quote.
        mutating func string() -> UnsafeBufferPointer<UInt8>? {
            let start = index
            while index < bytes.count {
                let byte = bytes[index]
                if byte == UInt8(ascii: "\"") {
                    defer { index += 1 }
                    return part(start)
                }
                guard byte >= 0x20, byte != UInt8(ascii: "\\") else { return nil }
                index += 1
            }
            return nil
        }

        mutating func token() -> Token? {
            skipSpaces()
            switch next {
            case UInt8(ascii: "\""):
                index += 1
                return string().map(Token.string)
            case UInt8(ascii: "t"): return word("true") ? .boolean(true) : nil
            case UInt8(ascii: "f"): return word("false") ? .boolean(false) : nil
            case UInt8(ascii: "n"): return word("null") ? .null : nil
            default: return integer()
            }
        }

        private mutating func word(_ word: StaticString) -> Bool {
            let length = word.utf8CodeUnitCount
            guard index + length <= bytes.count else { return false }
            defer { index += length }
            return word.withUTF8Buffer { part(index, length).elementsEqual($0) }
        }

        private mutating func integer() -> Token? {
            let start = index
            if next == UInt8(ascii: "-") { index += 1 }
            let first = index
            while (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next) { index += 1 }
            // JSON has no leading zeros, and a zero no sign here.
            let count = index - first
            guard count > 0, bytes[first] != UInt8(ascii: "0") || count == 1 && first == start
            else { return nil }
            return .integer(part(start))
        }

        private func part(_ start: Int) -> UnsafeBufferPointer<UInt8> { part(start, index - start) }

        private func part(_ start: Int, _ count: Int) -> UnsafeBufferPointer<UInt8> {
            UnsafeBufferPointer(rebasing: bytes[start..<start + count])
        }
    }
}

extension RowCoding {
    /// Puts the shown fields of a plain object into the row. False where that needs the parser.
    func takePlain(
        _ payload: [UInt8], into values: inout [Value], besides stamp: RowStamp
    ) -> Bool {
        guard shown.count <= 64 else { return false }
        var expected = 0
        var taken: UInt64 = 0
        let isPlain = payload.withUnsafeBufferPointer { bytes in
            FlatObject.read(bytes) { name, token in
                var place = expected
                if place >= shown.count || !shown[place].nameBytes.elementsEqual(name) {
                    guard let found = shown.firstIndex(where: { $0.nameBytes.elementsEqual(name) })
                    else { return false }
                    place = found
                }
                let field = shown[place]
                let bit: UInt64 = 1 << UInt64(place)
                // What the stamp has too is told apart by the parser.
                guard taken & bit == 0, stamp.values[field.index] == nil,
                    let value = FlatObject.value(token, of: field.field)
                else { return false }
                values[field.index] = value
                taken |= bit
                expected = place + 1
                return true
            }
        }
        return isPlain && taken.nonzeroBitCount == shown.count
    }

    /// The fields of a stamp that is a plain object; nil where that needs the parser.
    func plainStampValues(_ json: ArraySlice<UInt8>) -> [Int: Value]? {
        var values: [Int: Value] = [:]
        let isPlain = json.withUnsafeBufferPointer { bytes in
            FlatObject.read(bytes) { name, token in
                guard
                    let place = hidden.firstIndex(where: { index in
                        schema.fields[index].name.utf8.elementsEqual(name)
                    })
                else { return false }
                let index = hidden[place]
                let value: Value?
                if case (.integer(let digits), .timestamp) = (token, schema.fields[index].type) {
                    value = FlatObject.integer(digits).map {
                        .timestamp(Timestamp(microseconds: $0))
                    }
                } else {
                    value = FlatObject.value(token, of: schema.fields[index])
                }
                guard let value, value != .null else { return false }
                return values.updateValue(value, forKey: index) == nil
            }
        }
        return isPlain ? values : nil
    }
}
