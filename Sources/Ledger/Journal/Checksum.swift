internal import Crypto

/// SHA-256 of an entry and of the checksum before it, so that no entry can be altered, dropped or
/// moved without every later checksum disagreeing.
public struct Checksum: Sendable, Hashable {
    public let bytes: [UInt8]

    /// Before the first entry of a journal.
    public static let origin = Checksum(bytes: Array(repeating: 0, count: 32))

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    public init?(stored bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        self.bytes = bytes
    }

    /// The checksum that follows this one.
    func next(sequence: SequenceNumber, time: Timestamp, body: [UInt8]) -> Checksum {
        var hash = SHA256()
        hash.update(data: bytes)
        withUnsafeBytes(of: sequence.rawValue.littleEndian) { hash.update(bufferPointer: $0) }
        withUnsafeBytes(of: time.microseconds.littleEndian) { hash.update(bufferPointer: $0) }
        body.withUnsafeBytes { hash.update(bufferPointer: $0) }
        return Checksum(bytes: hash.finalize().withUnsafeBytes(Array.init))
    }

    /// The checksum that follows this one, over a text.
    func next(text: String) -> Checksum {
        var hash = SHA256()
        hash.update(data: bytes)
        hash.update(data: Array(text.utf8))
        return Checksum(bytes: hash.finalize().withUnsafeBytes(Array.init))
    }
}

extension Checksum: CustomStringConvertible {
    public var description: String {
        bytes.map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0" + digits : digits
        }.joined()
    }
}
