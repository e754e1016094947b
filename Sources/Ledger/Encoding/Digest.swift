/// The digest of a set of rows: the sum modulo 2^128 of the keyed hashes of their canonical
/// encodings, and their count. A sum and not an XOR, because two equal faults cancel under XOR.
/// Digests of disjoint sets add up, so an account's digests make a cohort's.
public struct Digest: Sendable, Hashable {
    /// The two halves of the sum, kept apart as in `ExactDecimal`, for the sake of alignment.
    private var high: UInt64
    private var low: UInt64
    public private(set) var count: Int64

    public var sum: UInt128 { UInt128(high) << 64 | UInt128(low) }

    public static let empty = Digest(sum: 0, count: 0)

    public init(sum: UInt128, count: Int64) {
        high = UInt64(truncatingIfNeeded: sum >> 64)
        low = UInt64(truncatingIfNeeded: sum)
        self.count = count
    }

    public mutating func add(_ rowHash: UInt128) {
        self = Digest(sum: sum &+ rowHash, count: count + 1)
    }

    public mutating func remove(_ rowHash: UInt128) {
        self = Digest(sum: sum &- rowHash, count: count - 1)
    }

    public static func + (left: Digest, right: Digest) -> Digest {
        Digest(sum: left.sum &+ right.sum, count: left.count + right.count)
    }
}

extension Digest: CustomStringConvertible {
    /// Thirty-two hexadecimal digits, a colon, the count.
    public var description: String {
        let digits = String(sum, radix: 16)
        return String(repeating: "0", count: 32 - digits.utf8.count) + digits + ":\(count)"
    }
}

/// Which rows a digest is about.
public struct DigestScope: Sendable, Hashable, Comparable {
    public let dataset: String
    /// Empty for rows that belong to no account.
    public let account: String

    public init(dataset: String, account: String) {
        self.dataset = dataset
        self.account = account
    }

    public static func < (left: DigestScope, right: DigestScope) -> Bool {
        (left.dataset, left.account) < (right.dataset, right.account)
    }
}
