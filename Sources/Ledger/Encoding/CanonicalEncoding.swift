/// The one canonical encoding of a row, which verification, backup and restore drills share.
///
///     row   = text(dataset) count(key fields) value… value…      key first, then schema order
///     value = tag(1 byte) count(length) bytes
///     text  = count(length) UTF-8;   count = LEB128
///
/// Integers and timestamps (microseconds) are eight bytes, little-endian. A decimal is its scale and
/// its coefficient in the fewest bytes of two's complement. Null has length 0. The row's sequence
/// number is not part of it.
///
/// A row ends with its last value that is not null, or with its key: an optional field that is added
/// behind the others changes no row's bytes, and so no digest, as long as it is null.
enum ValueTag: UInt8 {
    case null = 0
    case text = 1
    case integer = 2
    case decimal = 3
    case timestamp = 4
    case boolean = 5
    case json = 6
}

extension Row {
    /// The row's canonical bytes.
    public func encoded(keyCount: Int) -> [UInt8] {
        var writer = ByteWriter(reserving: 48 + values.count * 14)
        writer.text(dataset)
        writer.count(keyCount)
        var end = values.count
        while end > keyCount, values[end - 1] == .null { end -= 1 }
        for value in values.prefix(end) { writer.value(value) }
        return writer.bytes
    }

    /// The row. The values' count is whatever stands there, without nulls at the end:
    /// `Schema.completed` adds them.
    public init(encoded bytes: [UInt8]) throws(CanonicalEncodingError) {
        (self, _) = try Self.decoded(bytes)
    }

    static func decoded(
        _ bytes: [UInt8]
    ) throws(CanonicalEncodingError) -> (row: Row, keyCount: Int) {
        var reader = ByteReader(bytes)
        let dataset = try reader.text()
        let keyCount = try reader.count()
        var values: [Value] = []
        while !reader.isAtEnd { values.append(try reader.value()) }
        guard keyCount <= values.count, keyCount == values.count || values.last != .null else {
            throw CanonicalEncodingError(offset: reader.position)
        }
        return (Row(dataset: dataset, values: values), keyCount)
    }
}

extension ByteWriter {
    @inline(__always)
    mutating func value(_ value: Value) {
        switch value {
        case .null:
            byte(ValueTag.null.rawValue)
            byte(0)
        case .text(let text):
            byte(ValueTag.text.rawValue)
            self.text(text)
        case .integer(let number):
            byte(ValueTag.integer.rawValue)
            byte(8)
            fixed(number)
        case .decimal(let number):
            byte(ValueTag.decimal.rawValue)
            decimal(number)
        case .timestamp(let time):
            byte(ValueTag.timestamp.rawValue)
            byte(8)
            fixed(time.microseconds)
        case .boolean(let flag):
            byte(ValueTag.boolean.rawValue)
            byte(1)
            byte(flag ? 1 : 0)
        case .json(let json):
            byte(ValueTag.json.rawValue)
            text(json.text)
        }
    }

    private mutating func decimal(_ number: ExactDecimal) {
        let coefficient = number.coefficient
        // The sign needs a bit of its own: 127 bits of magnitude plus one.
        let significant =
            Int128.bitWidth
            - (coefficient < 0 ? ~coefficient : coefficient).leadingZeroBitCount + 1
        let length = (significant + 7) / 8
        byte(UInt8(length + 1))
        byte(number.scale)
        withUnsafeBytes(of: coefficient.littleEndian) {
            bytes.append(contentsOf: $0.prefix(length))
        }
    }
}

extension ByteReader {
    mutating func value() throws(CanonicalEncodingError) -> Value {
        let start = position
        guard let tag = ValueTag(rawValue: try byte()) else {
            throw CanonicalEncodingError(offset: start)
        }
        switch tag {
        case .null:
            try expectLength(0)
            return .null
        case .text: return .text(try text())
        case .json: return .json(CanonicalJSON(canonical: try text()))
        case .integer:
            try expectLength(8)
            return .integer(try fixed())
        case .timestamp:
            try expectLength(8)
            return .timestamp(Timestamp(microseconds: try fixed()))
        case .boolean:
            try expectLength(1)
            let flag = try byte()
            guard flag <= 1 else { throw CanonicalEncodingError(offset: start) }
            return .boolean(flag == 1)
        case .decimal: return .decimal(try decimal())
        }
    }

    private mutating func expectLength(_ length: Int) throws(CanonicalEncodingError) {
        guard try count() == length else { throw CanonicalEncodingError(offset: position) }
    }

    private mutating func decimal() throws(CanonicalEncodingError) -> ExactDecimal {
        let start = position
        let run = try run()
        guard let scale = run.first, (2...17).contains(run.count) else {
            throw CanonicalEncodingError(offset: start)
        }
        var coefficient: Int128 = (run.last ?? 0) & 0x80 == 0 ? 0 : -1
        for byte in run.dropFirst().reversed() { coefficient = coefficient << 8 | Int128(byte) }
        guard let number = try? ExactDecimal(coefficient: coefficient, scale: Int(scale)),
            number.coefficient == coefficient
        else { throw CanonicalEncodingError(offset: start) }
        return number
    }
}
