internal import Ledger

/// The values of one statement, as libpq wants them: binary, with their types.
struct PostgresParameters {
    private(set) var types: [UInt32] = []
    private var bytes: [UInt8] = []
    /// Length of each; nil for NULL.
    private var sizes: [Int?] = []

    var count: Int { types.count }

    mutating func append(_ value: Value, as type: FieldType) {
        append(type.postgresType) { bytes in BinaryValue.append(value, to: &bytes) }
    }

    mutating func append(_ text: String?) {
        append(PostgresType.text) { bytes in
            guard let text else { return false }
            bytes.append(contentsOf: text.utf8)
            return true
        }
    }

    mutating func append(_ number: Int64) {
        append(.integer(number), as: .integer)
    }

    mutating func append(octets: [UInt8]) {
        append(PostgresType.bytea) { bytes in
            bytes += octets
            return true
        }
    }

    /// - Parameter write: false when the value is NULL.
    private mutating func append(_ type: UInt32, _ write: (inout [UInt8]) -> Bool) {
        let start = bytes.count
        types.append(type)
        sizes.append(write(&bytes) ? bytes.count - start : nil)
    }

    /// Types, values, lengths, formats.
    func withPointers<Result>(
        _ body: (
            UnsafePointer<UInt32>?, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?,
            UnsafePointer<Int32>?
        ) -> Result
    ) -> Result {
        let formats = [Int32](repeating: 1, count: count)
        let lengths = sizes.map { Int32($0 ?? 0) }
        // One byte more, so that an empty value has an address too: none means NULL.
        return (bytes + [0]).withUnsafeBytes { buffer in
            let base = buffer.bindMemory(to: CChar.self).baseAddress
            var offset = 0
            let pointers = sizes.map { size -> UnsafePointer<CChar>? in
                defer { offset += size ?? 0 }
                return size == nil ? nil : base.map { $0 + offset }
            }
            return body(types, pointers, lengths, formats)
        }
    }
}

/// The numbers that PostgreSQL has given its own types for good.
enum PostgresType {
    static let boolean: UInt32 = 16
    static let bytea: UInt32 = 17
    static let bigint: UInt32 = 20
    static let text: UInt32 = 25
    static let timestamptz: UInt32 = 1184
    static let numeric: UInt32 = 1700
    static let jsonb: UInt32 = 3802
}

extension FieldType {
    var postgresType: UInt32 {
        switch self {
        case .text: PostgresType.text
        case .integer: PostgresType.bigint
        case .decimal: PostgresType.numeric
        case .timestamp: PostgresType.timestamptz
        case .boolean: PostgresType.boolean
        case .json: PostgresType.jsonb
        }
    }

    /// As SQL writes it, and as the catalogue prints it.
    var postgresName: String {
        switch self {
        case .text: "text"
        case .integer: "bigint"
        case .decimal: "numeric"
        case .timestamp: "timestamp with time zone"
        case .boolean: "boolean"
        case .json: "jsonb"
        }
    }
}
