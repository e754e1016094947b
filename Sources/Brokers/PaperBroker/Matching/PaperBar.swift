import Ledger

/// How many minutes a bar covers, by the dialect's words.
enum PaperTimeframe: String, Sendable, CaseIterable {
    case minute = "1Min"
    case fiveMinutes = "5Min"
    case quarterHour = "15Min"
    case hour = "1Hour"
    case day = "1Day"

    var minutes: Int64 {
        switch self {
        case .minute: 1
        case .fiveMinutes: 5
        case .quarterHour: 15
        case .hour: 60
        case .day: 1_440
        }
    }
}

/// What the market did from one minute on, counted from 1970 in UTC.
struct PaperBar: Sendable, Equatable {
    var minute: Int64
    var open: ExactDecimal
    var high: ExactDecimal
    var low: ExactDecimal
    var close: ExactDecimal
    var volume: Int

    var start: Timestamp { Timestamp(microseconds: minute * 60_000_000) }

    /// Takes in what came after it.
    mutating func append(_ later: PaperBar) {
        high = max(high, later.high)
        low = min(low, later.low)
        close = later.close
        volume += later.volume
    }
}

/// The whole minutes of an instant; those before 1970 too.
extension Timestamp {
    var minute: Int64 {
        let length: Int64 = 60_000_000
        return (microseconds - (microseconds % length + length) % length) / length
    }
}
