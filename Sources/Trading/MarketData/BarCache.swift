internal import Ledger

/// The bars that are in memory: a plain value, the time comes in. It holds a bounded number of them.
struct BarCache {
    private struct Key: Hashable {
        let symbol: String
        let timeframe: Timeframe

        init(_ request: BarRequest) {
            symbol = request.symbol
            timeframe = request.timeframe
        }
    }

    /// Ranges of one symbol and timeframe that are kept.
    private static let windowsMax = 4

    private let timeToLiveSeconds: Int64
    private let barsMax: Int
    /// The newest first.
    private var windows: [Key: [BarWindow]] = [:]
    private(set) var count = 0

    init(timeToLiveSeconds: Int64, barsMax: Int) {
        self.timeToLiveSeconds = timeToLiveSeconds
        self.barsMax = barsMax
    }

    func bars(_ request: BarRequest, at now: Timestamp) -> [Bar]? {
        for window in windows[Key(request)] ?? [] {
            let found = window.answer(request, timeToLiveSeconds: timeToLiveSeconds, at: now)
            if let found { return found }
        }
        return nil
    }

    /// - Parameter request: what the window was fetched for.
    mutating func take(_ window: BarWindow, for request: BarRequest) {
        let key = Key(request)
        var kept = windows[key] ?? []
        // What lies within the new one is of no more use.
        kept.removeAll { $0.from >= window.from && $0.before <= window.before }
        windows[key] = Array(([window] + kept).prefix(Self.windowsMax))
        count = windows.values.reduce(0) { $0 + $1.reduce(0) { $0 + max(1, $1.bars.count) } }
        while count > barsMax, windows.count > 1, let oldest = oldestKey {
            count -= windows[oldest]?.reduce(0) { $0 + max(1, $1.bars.count) } ?? 0
            windows[oldest] = nil
        }
    }

    private var oldestKey: Key? {
        windows.min { one, two in
            (one.value.first?.fetchedAt ?? Timestamp(microseconds: 0))
                < (two.value.first?.fetchedAt ?? Timestamp(microseconds: 0))
        }?.key
    }
}
