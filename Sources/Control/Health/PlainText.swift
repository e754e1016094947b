// Durations and sizes as people write them, for the messages of checks.

/// A duration in its largest fitting unit: `850 ms`, `12.5 s`, `4 min`, `3 h`, `2 d`.
public enum DurationText {
    public static func short(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let milliseconds = attoseconds / 1_000_000_000_000_000
        switch seconds {
        case ..<0: return "0 ms"
        case 0: return "\(milliseconds) ms"
        case 1..<60:
            let tenths = milliseconds / 100
            return tenths == 0 ? "\(seconds) s" : "\(seconds).\(tenths) s"
        case 60..<3_600: return "\(seconds / 60) min"
        case 3_600..<86_400: return "\(seconds / 3_600) h"
        default: return "\(seconds / 86_400) d"
        }
    }
}

/// Bytes with a decimal unit and shares in percent, with one digit after the point at most.
public enum ByteText {
    public static func size(_ bytes: Double) -> String {
        var value = bytes
        for unit in ["B", "kB", "MB", "GB", "TB"] {
            if value.magnitude < 1_000 { return "\(oneDigit(value)) \(unit)" }
            value /= 1_000
        }
        return "\(oneDigit(value)) PB"
    }

    public static func percent(_ share: Double) -> String { "\(oneDigit(share * 100))%" }

    /// Cut, not rounded: 9.96 % must not read as the 10 % that it falls short of.
    private static func oneDigit(_ value: Double) -> String {
        let tenths = (value * 10).rounded(.down) / 10
        return tenths == tenths.rounded() ? "\(Int64(tenths))" : "\(tenths)"
    }
}
