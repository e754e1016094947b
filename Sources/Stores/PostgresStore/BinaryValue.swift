internal import Ledger

/// Values in PostgreSQL's binary form: numbers with the highest byte first, times as microseconds since
/// 2000, decimals in base 10,000.
enum BinaryValue {
    /// From 1970 to 2000.
    static let epochOffset: Int64 = 946_684_800_000_000
    /// 4714-11-24 BC, the first instant that the type has. The last one is beyond all of ours.
    static let timestampMin: Int64 = -211_813_488_000_000_000 + epochOffset

    /// False, and nothing appended, for null.
    static func append(_ value: Value, to bytes: inout [UInt8]) -> Bool {
        switch value {
        case .null: return false
        case .text(let text): bytes.append(contentsOf: text.utf8)
        case .integer(let number): append(number, to: &bytes)
        case .decimal(let number): NumericCoding.append(number, to: &bytes)
        case .timestamp(let time): append(time.microseconds - epochOffset, to: &bytes)
        case .boolean(let flag): bytes.append(flag ? 1 : 0)
        case .json(let json):
            // The version of jsonb's binary form.
            bytes.append(1)
            bytes.append(contentsOf: json.text.utf8)
        }
        return true
    }

    static func append(_ number: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    /// Why the database cannot hold the value; nil when it can.
    static func problem(_ value: Value) -> String? {
        guard case .timestamp(let time) = value, time.microseconds < timestampMin else {
            return nil
        }
        return "is a time before 4714-11-24 BC, which PostgreSQL does not have"
    }

    /// Nil for what is no value of the type.
    static func decode(_ bytes: UnsafeRawBufferPointer, as type: FieldType) -> Value? {
        switch type {
        case .text: return text(bytes).map(Value.text)
        case .integer: return integer(bytes).map(Value.integer)
        case .decimal: return NumericCoding.decode(bytes).map(Value.decimal)
        case .timestamp:
            // The ends stand for infinity.
            guard let since2000 = integer(bytes), since2000 != .min, since2000 != .max else {
                return nil
            }
            let (time, overflow) = since2000.addingReportingOverflow(epochOffset)
            return overflow ? nil : .timestamp(Timestamp(microseconds: time))
        case .boolean:
            guard bytes.count == 1 else { return nil }
            return .boolean(bytes[0] == 1)
        case .json:
            guard bytes.first == 1, let text = text(.init(rebasing: bytes.dropFirst())),
                let json = try? CanonicalJSON(parsing: text)
            else { return nil }
            return .json(json)
        }
    }

    private static func integer(_ bytes: UnsafeRawBufferPointer) -> Int64? {
        guard bytes.count == 8 else { return nil }
        return Int64(bigEndian: bytes.loadUnaligned(as: Int64.self))
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) -> String? {
        String(validating: bytes, as: UTF8.self)
    }
}

/// Rows in the form of COPY (FORMAT binary), in pieces that libpq takes at once.
struct BinaryRows {
    private(set) var chunks: [[UInt8]] = []
    private var current: [UInt8] = []
    private static let chunkSize = 256 << 10

    init() {
        current.reserveCapacity(Self.chunkSize + 4_096)
        current += Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0] + [UInt8](repeating: 0, count: 8)
    }

    mutating func append(_ values: [Value], _ sequence: SequenceNumber) {
        BinaryValue.append(Int16(values.count + 1), to: &current)
        for value in values {
            let start = current.count
            BinaryValue.append(Int32(-1), to: &current)
            guard BinaryValue.append(value, to: &current) else { continue }
            let size = UInt32(current.count - start - 4)
            for place in 0..<4 {
                current[start + place] = UInt8(truncatingIfNeeded: size >> (24 - 8 * place))
            }
        }
        BinaryValue.append(Int32(8), to: &current)
        BinaryValue.append(sequence.rawValue, to: &current)
        if current.count >= Self.chunkSize {
            chunks.append(current)
            current.removeAll(keepingCapacity: true)
        }
    }

    mutating func end() {
        BinaryValue.append(Int16(-1), to: &current)
        chunks.append(current)
        current = []
    }
}
