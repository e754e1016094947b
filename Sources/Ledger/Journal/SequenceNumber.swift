/// The place of an entry in the journal: `epoch · 2^40 + number`, below 2^53 so that JSON and Lua
/// keep it exact. An epoch begins when a journal is created or restored, above every epoch seen
/// before; within an epoch numbers count up by one from 1.
public struct SequenceNumber: Hashable, Comparable, Sendable, Codable {
    public let rawValue: Int64

    /// Before every entry.
    public static let none = SequenceNumber(rawValue: 0)
    public static let epochMax: Int64 = (1 << 13) - 1

    public init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    public init(epoch: Int64, number: Int64) {
        rawValue = epoch << 40 | number
    }

    public var epoch: Int64 { rawValue >> 40 }
    public var number: Int64 { rawValue & ((1 << 40) - 1) }
    public var next: SequenceNumber { SequenceNumber(rawValue: rawValue + 1) }

    public static func < (left: SequenceNumber, right: SequenceNumber) -> Bool {
        left.rawValue < right.rawValue
    }

    public init(from decoder: any Decoder) throws {
        rawValue = try decoder.singleValueContainer().decode(Int64.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

extension SequenceNumber: LosslessStringConvertible, CustomStringConvertible {
    /// The raw number, or `epoch-number` as order ids carry it.
    public init?(_ text: String) {
        if let raw = Int64(text), raw >= 0, raw < 1 << 53 {
            self.init(rawValue: raw)
            return
        }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let epoch = Int64(parts[0]), let number = Int64(parts[1]),
            (0...Self.epochMax).contains(epoch), number >= 0, number < 1 << 40
        else { return nil }
        self.init(epoch: epoch, number: number)
    }

    public var description: String { String(rawValue) }

    /// `epoch-number`: `1-42`.
    public var epochAndNumber: String { "\(epoch)-\(number)" }
}
