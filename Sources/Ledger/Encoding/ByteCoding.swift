/// Appends numbers and texts to a run of bytes.
struct ByteWriter {
    var bytes: [UInt8] = []

    init(reserving capacity: Int = 0) {
        bytes.reserveCapacity(capacity)
    }

    @inline(__always)
    mutating func byte(_ byte: UInt8) {
        bytes.append(byte)
    }

    /// LEB128: seven bits a byte, the lowest first.
    @inline(__always)
    mutating func count(_ count: Int) {
        var rest = UInt64(count)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    @inline(__always)
    mutating func text(_ text: String) {
        var copy = text
        copy.withUTF8 { utf8 in
            count(utf8.count)
            bytes.append(contentsOf: utf8)
        }
    }

    mutating func run(_ run: [UInt8]) {
        count(run.count)
        bytes.append(contentsOf: run)
    }

    mutating func fixed<Number: FixedWidthInteger>(_ number: Number) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

/// Reads what `ByteWriter` wrote. Throws, and never reads past the end, whatever the bytes are.
struct ByteReader {
    private let bytes: [UInt8]
    private(set) var position: Int
    private let end: Int

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        position = 0
        end = bytes.count
    }

    var isAtEnd: Bool { position == end }

    mutating func byte() throws(CanonicalEncodingError) -> UInt8 {
        guard position < end else { throw CanonicalEncodingError(offset: position) }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func count() throws(CanonicalEncodingError) -> Int {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte()
            guard shift < 42 else { throw CanonicalEncodingError(offset: position) }
            value |= UInt64(next & 0x7F) << shift
            if next & 0x80 == 0 { return Int(value) }
            shift += 7
        }
    }

    mutating func run() throws(CanonicalEncodingError) -> ArraySlice<UInt8> {
        let length = try count()
        guard length <= end - position else { throw CanonicalEncodingError(offset: position) }
        defer { position += length }
        return bytes[position..<position + length]
    }

    mutating func text() throws(CanonicalEncodingError) -> String {
        let start = position
        guard let text = String(validating: try run(), as: UTF8.self) else {
            throw CanonicalEncodingError(offset: start)
        }
        return text
    }

    mutating func fixed<Number: FixedWidthInteger>() throws(CanonicalEncodingError) -> Number {
        let size = MemoryLayout<Number>.size
        guard size <= end - position else { throw CanonicalEncodingError(offset: position) }
        defer { position += size }
        return bytes.withUnsafeBytes {
            Number(littleEndian: $0.loadUnaligned(fromByteOffset: position, as: Number.self))
        }
    }
}

/// Bytes that are not what the canonical encoding writes.
public struct CanonicalEncodingError: Error, Equatable, CustomStringConvertible {
    /// Bytes from the start of what was read.
    public let offset: Int

    public var description: String { "the encoding is damaged at byte \(offset)" }
}
