public import Ledger

/// How much time a bar covers. Days are those of UTC.
public enum Timeframe: String, Sendable, CaseIterable {
    case minute = "1Min"
    case fiveMinutes = "5Min"
    case quarterHour = "15Min"
    case hour = "1Hour"
    case day = "1Day"

    /// Reads the broker's words and the short ones of other programs: `5Min`, `5min`, `5m`. Capitals
    /// count, because `1M` is a month elsewhere.
    public init?(word: String) {
        guard let found = Self.allCases.first(where: { $0.words.contains(word) }) else {
            return nil
        }
        self = found
    }

    private var words: [String] {
        switch self {
        case .minute: ["1Min", "1min", "1m"]
        case .fiveMinutes: ["5Min", "5min", "5m"]
        case .quarterHour: ["15Min", "15min", "15m"]
        case .hour: ["1Hour", "1hour", "1h", "1H", "60Min", "60min", "60m"]
        case .day: ["1Day", "1day", "1d", "1D"]
        }
    }

    public var seconds: Int64 {
        switch self {
        case .minute: 60
        case .fiveMinutes: 300
        case .quarterHour: 900
        case .hour: 3_600
        case .day: 86_400
        }
    }

    /// When the bar begins that an instant is in.
    public func start(of time: Timestamp) -> Timestamp {
        let length = seconds * 1_000_000
        let rest = time.microseconds % length
        return Timestamp(microseconds: time.microseconds - (rest < 0 ? rest + length : rest))
    }
}

/// What the market did in one timeframe.
public struct Bar: Sendable, Hashable {
    /// When it begins.
    public var timestamp: Timestamp
    public var open: ExactDecimal
    public var high: ExactDecimal
    public var low: ExactDecimal
    public var close: ExactDecimal
    public var volume: Int

    public init(
        timestamp: Timestamp, open: ExactDecimal, high: ExactDecimal, low: ExactDecimal,
        close: ExactDecimal, volume: Int
    ) {
        self.timestamp = timestamp
        self.open = open
        self.high = high
        self.low = low
        self.close = close
        self.volume = volume
    }

    /// Whether a market could have made it.
    public var isPlausible: Bool {
        low.isPositive && low <= min(open, close) && max(open, close) <= high && volume >= 0
    }
}

/// The bars of a symbol that begin within a range of time.
public struct BarRequest: Sendable, Hashable {
    public var symbol: String
    public var timeframe: Timeframe
    public var from: Timestamp
    /// Not including it.
    public var before: Timestamp

    public init(symbol: String, timeframe: Timeframe, from: Timestamp, before: Timestamp) {
        self.symbol = symbol
        self.timeframe = timeframe
        self.from = from
        self.before = before
    }

    /// How many bars there can be.
    public var countMax: Int64 {
        let (length, isTooLong) = before.microseconds.subtractingReportingOverflow(
            from.microseconds)
        if isTooLong { return .max }
        return length <= 0 ? 0 : (length - 1) / (timeframe.seconds * 1_000_000) + 1
    }
}

/// Bars, oldest first, and where those after them are.
public struct BarPage: Sendable, Hashable {
    public var bars: [Bar]
    /// For the next call; nil when these were the last.
    public var next: String?

    public init(bars: [Bar], next: String? = nil) {
        self.bars = bars
        self.next = next
    }
}
