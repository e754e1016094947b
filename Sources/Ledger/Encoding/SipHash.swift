/// SipHash-2-4 with 128 bits of output, a keyed hash: who does not know the key cannot make rows
/// whose hashes add up to a wanted sum. Reference: Aumasson and Bernstein, "SipHash: a fast
/// short-input PRF", and the vectors published with it, which the tests hold this to.
public struct SipHashKey: Sendable, Hashable {
    let low: UInt64
    let high: UInt64

    public init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        var words: (UInt64, UInt64) = (0, 0)
        for (index, byte) in bytes.enumerated() {
            if index < 8 {
                words.0 |= UInt64(byte) << (8 * UInt64(index))
            } else {
                words.1 |= UInt64(byte) << (8 * UInt64(index - 8))
            }
        }
        self.init(low: words.0, high: words.1)
    }

    public static func random() -> SipHashKey {
        SipHashKey(low: .random(in: .min ... .max), high: .random(in: .min ... .max))
    }

    public var bytes: [UInt8] {
        withUnsafeBytes(of: low.littleEndian, Array.init)
            + withUnsafeBytes(of: high.littleEndian, Array.init)
    }

    /// A name for the journal whose key this is; it tells nothing of the key.
    public var journalIdentity: String {
        let digits = String(hash(Array("opsd journal".utf8)), radix: 16)
        return String(repeating: "0", count: 32 - digits.utf8.count) + digits
    }

    public func hash(_ bytes: [UInt8]) -> UInt128 {
        bytes.withUnsafeBytes { hash($0) }
    }

    public func hash(_ bytes: UnsafeRawBufferPointer) -> UInt128 {
        var state = SipState(key: self)
        let whole = bytes.count & ~7
        var offset = 0
        while offset < whole {
            state.compress(
                UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset += 8
        }
        var last = UInt64(truncatingIfNeeded: bytes.count) << 56
        while offset < bytes.count {
            last |= UInt64(bytes[offset]) << (8 * UInt64(offset - whole))
            offset += 1
        }
        state.compress(last)
        return state.finish()
    }
}

private struct SipState {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64

    init(key: SipHashKey) {
        v0 = 0x736f_6d65_7073_6575 ^ key.low
        v1 = 0x646f_7261_6e64_6f6d ^ key.high ^ 0xee
        v2 = 0x6c79_6765_6e65_7261 ^ key.low
        v3 = 0x7465_6462_7974_6573 ^ key.high
    }

    @inline(__always)
    mutating func compress(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    mutating func finish() -> UInt128 {
        v2 ^= 0xee
        for _ in 0..<4 { round() }
        let low = v0 ^ v1 ^ v2 ^ v3
        v1 ^= 0xdd
        for _ in 0..<4 { round() }
        let high = v0 ^ v1 ^ v2 ^ v3
        return UInt128(high) << 64 | UInt128(low)
    }

    @inline(__always)
    private mutating func round() {
        v0 = v0 &+ v1
        v1 = Self.rotate(v1, 13) ^ v0
        v0 = Self.rotate(v0, 32)
        v2 = v2 &+ v3
        v3 = Self.rotate(v3, 16) ^ v2
        v0 = v0 &+ v3
        v3 = Self.rotate(v3, 21) ^ v0
        v2 = v2 &+ v1
        v1 = Self.rotate(v1, 17) ^ v2
        v2 = Self.rotate(v2, 32)
    }

    @inline(__always)
    private static func rotate(_ word: UInt64, _ bits: UInt64) -> UInt64 {
        word << bits | word >> (64 - bits)
    }
}
