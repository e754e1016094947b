public import Ledger

// Values with a unit: times and sizes.

/// The least that must be left of something.
public enum Margin: Sendable, Hashable, CustomStringConvertible {
    /// Of the whole, above 0 and below 100.
    case percent(ExactDecimal)
    case bytes(Int)

    public var description: String {
        switch self {
        case .percent(let percent): "\(percent)%"
        case .bytes(let count): YAMLValue.words(forBytes: count)
        }
    }
}

/// How far two values may be apart and be taken for the same.
public enum Tolerance: Sendable, Hashable, CustomStringConvertible {
    case number(ExactDecimal)
    case time(Duration)

    public var description: String {
        switch self {
        case .number(let number): number.description
        case .time(let duration): YAMLValue.words(for: duration)
        }
    }
}

extension YAMLValue {
    /// `0.01` of numbers, `5s` of times.
    public func tolerance() -> Tolerance? {
        if shape != nil {
            _ = duration(from: .zero)
            return decimal(from: .zero).map { .number($0) }
        }
        if case .scalar(let written, _) = node.content, written.last?.isLetter == true {
            return duration(from: .zero).map { .time($0) }
        }
        return decimal(from: .zero).map { .number($0) }
    }

    /// `500ms`, `30s`, `5m`, `24h`, `30d`: a whole number and one unit.
    public func duration(from least: Duration = .milliseconds(1)) -> Duration? {
        guard !isRecording(.duration), let scalar = scalar("a duration, as in 30s") else {
            return nil
        }
        let shown = Quoted.short(scalar.written)
        guard let (number, unit) = Self.numberAndUnit(scalar.text),
            let milliseconds = Self.milliseconds[unit]
        else {
            refuse(
                "\(name): '\(shown)' is not a duration", Self.durationRemedy(scalar.written))
            return nil
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: milliseconds)
        guard !overflow, product <= Self.millisecondsMax else {
            refuse("\(name): \(shown) is too long", "write at most 36500d")
            return nil
        }
        let duration = Duration.milliseconds(product)
        guard duration >= least else {
            refuse("\(name): \(shown) is too short", "write at least \(Self.words(for: least))")
            return nil
        }
        return duration
    }

    private static let milliseconds: [String: Int] = [
        "ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000,
    ]
    private static let millisecondsMax = 36_500 * 86_400_000

    /// A duration as one would write it: the largest unit that leaves no rest.
    public static func words(for duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let rest = attoseconds / 1_000_000_000_000_000
        if rest != 0 || seconds == 0 { return "\(seconds * 1_000 + rest)ms" }
        if seconds % 86_400 == 0 { return "\(seconds / 86_400)d" }
        if seconds % 3_600 == 0 { return "\(seconds / 3_600)h" }
        return seconds % 60 == 0 ? "\(seconds / 60)m" : "\(seconds)s"
    }

    /// Some readers of YAML take `1:30` for the number 90, so it is worth saying what to write.
    private static func durationRemedy(_ written: String) -> String {
        let parts = written.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
        if parts.count == 2, let minutes = parts[0], let seconds = parts[1],
            (0...100_000).contains(minutes), (0..<60).contains(seconds)
        {
            return "write \(minutes * 60 + seconds)s"
        }
        if let number = Int(written), number >= 0 { return "add the unit, as in \(number)s" }
        return "write a number and one of ms, s, m, h, d, as in 30s"
    }

    /// `256MB` is 256 million bytes, `256MiB` is 256 · 2^20.
    public func byteSize(from least: Int = 1) -> Int? {
        guard !isRecording(.byteSize), let scalar = scalar("a size, as in 256MB") else {
            return nil
        }
        let shown = Quoted.short(scalar.written)
        guard let (number, unit) = Self.numberAndUnit(scalar.text), let bytes = Self.bytes[unit]
        else {
            let remedy =
                Int(scalar.written) == nil
                ? "write a number and one of B, KB, MB, GB, TB, KiB, MiB, GiB, TiB, as in 256MB"
                : "add the unit, as in \(shown)B"
            refuse("\(name): '\(shown)' is not a size", remedy)
            return nil
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: bytes)
        guard !overflow else {
            refuse("\(name): \(shown) is too large", "write at most 8000000TB")
            return nil
        }
        guard product >= least else {
            refuse(
                "\(name): \(shown) is too small", "write at least \(Self.words(forBytes: least))")
            return nil
        }
        return product
    }

    /// A size as one would write it: the largest decimal unit that leaves no rest.
    public static func words(forBytes count: Int) -> String {
        let units = [
            (1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "KB"),
        ]
        guard let unit = units.first(where: { count > 0 && count % $0.0 == 0 }) else {
            return "\(count)B"
        }
        return "\(count / unit.0)\(unit.1)"
    }

    private static let bytes: [String: Int] = [
        "B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000,
        "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
    ]

    /// `10%` of the whole, above 0 and below 100, or a size.
    public func margin() -> Margin? {
        guard !isRecording(.margin),
            let scalar = scalar("a share or a size, as in 10% or 5GB")
        else { return nil }
        if scalar.text.hasSuffix("%") {
            if let percent = ExactDecimal(scalar.text.dropLast()), percent.isPositive,
                percent < ExactDecimal(100)
            {
                return .percent(percent)
            }
        } else if let (number, unit) = Self.numberAndUnit(scalar.text),
            let factor = Self.bytes[unit], number > 0
        {
            let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
            if !overflow { return .bytes(bytes) }
        }
        refuse(
            "\(name): '\(Quoted.short(scalar.written))' is neither a share nor a size",
            "write a share above 0% and below 100%, as in 10%, or a size, as in 5GB")
        return nil
    }

    private static func numberAndUnit(_ text: String) -> (Int, String)? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard !digits.isEmpty, let number = Int(digits) else { return nil }
        return (number, String(text.dropFirst(digits.count)))
    }

    /// An instant in RFC 3339.
    public func timestamp() -> Timestamp? {
        guard !isRecording(.timestamp), let scalar = scalar("a time, as in 2026-01-31T09:30:00Z")
        else { return nil }
        if let timestamp = Timestamp(scalar.text) { return timestamp }
        refuse(
            "\(name): '\(Quoted.short(scalar.written))' is not a time",
            "write RFC 3339, as in 2026-01-31T09:30:00Z")
        return nil
    }
}
