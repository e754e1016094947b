import Ledger
import Synchronization

/// The market's bars: minutes of what was quoted since the start, and before that a history made of the
/// seed. Longer bars are sums of minutes, so they always agree with them.
///
/// A lock and not the exchange's queue: reading bars waits for no transaction. It is held to copy.
final class BarBook: Sendable {
    struct Page: Sendable, Equatable {
        var bars: [PaperBar]
        /// Where the bar after these begins; nil when there is none.
        var next: Timestamp?
    }

    struct Query: Sendable {
        var symbol: String
        var timeframe: PaperTimeframe
        var from: Timestamp
        /// Including it.
        var through: Timestamp
        var limit: Int
    }

    private struct Content {
        var minutes: [String: [PaperBar]] = [:]
        /// Of the day so far, as the last quote had it.
        var volumes: [String: Int] = [:]

        mutating func note(_ quote: PaperQuote) {
            let before = volumes.updateValue(quote.volume, forKey: quote.symbol) ?? quote.volume
            let price = quote.lastPrice
            let bar = PaperBar(
                minute: quote.time.minute, open: price, high: price, low: price, close: price,
                volume: max(0, quote.volume - before))
            var bars = minutes.removeValue(forKey: quote.symbol) ?? []
            if let last = bars.last, last.minute >= bar.minute {
                // A clock that was set back adds to the minute that it was in.
                bars[bars.endIndex - 1].append(bar)
            } else {
                bars.append(bar)
                if bars.count > BarBook.minutesMax { bars.removeFirst(BarBook.minutesMax / 10) }
            }
            minutes[quote.symbol] = bars
        }
    }

    /// A week, of each symbol.
    private static let minutesMax = 10_080

    private let histories: [String: PriceHistory]
    private let start: Int64
    private let content = Mutex(Content())

    /// - Parameter histories: by symbol; none of a market that is played from a file.
    init(histories: [String: PriceHistory], now: Timestamp) {
        self.histories = histories
        start = now.minute
    }

    func note(_ quotes: [PaperQuote]) {
        content.withLock { content in
            for quote in quotes { content.note(quote) }
        }
    }

    func page(_ query: Query) -> Page {
        let live = content.withLock { $0.minutes[query.symbol] } ?? []
        var history = histories[query.symbol]
        let length = query.timeframe.minutes
        // A bar belongs to the range when it begins there.
        let first = (query.from.ceilingMinute + length - 1).floor(toMultipleOf: length)
        let last = query.through.minute.floor(toMultipleOf: length) + length
        let historyEnd = live.first?.minute ?? start
        let historyStart = history == nil ? historyEnd : oldest(length)
        var index = live.firstIndex { $0.minute >= first } ?? live.endIndex
        var bars: [PaperBar] = []
        var begin = max(first, min(historyStart, historyEnd.floor(toMultipleOf: length)))
        while begin < last, bars.count <= query.limit {
            let end = begin + length
            var bar = history?.bar(from: max(begin, historyStart), before: min(end, historyEnd))
            while index < live.endIndex, live[index].minute < end {
                if bar == nil { bar = live[index] } else { bar?.append(live[index]) }
                index += 1
            }
            if var bar {
                bar.minute = begin
                bars.append(bar)
            }
            begin = end
            if begin >= historyEnd {
                // Nothing was quoted in between.
                guard index < live.endIndex else { break }
                begin = live[index].minute.floor(toMultipleOf: length)
            }
        }
        guard bars.count > query.limit, let next = bars.popLast() else { return Page(bars: bars) }
        return Page(bars: bars, next: next.start)
    }

    /// Whole bars only.
    private func oldest(_ length: Int64) -> Int64 {
        (start - PriceHistory.days * 1_440).floor(toMultipleOf: max(length, 1_440))
    }
}

extension PriceHistory {
    /// The sum of some minutes; nil where there are none.
    fileprivate mutating func bar(from first: Int64, before end: Int64) -> PaperBar? {
        guard first < end else { return nil }
        var sum = bar(first)
        var minute = first + 1
        while minute < end {
            sum.append(bar(minute))
            minute += 1
        }
        guard let open = Self.price(sum.open), let high = Self.price(sum.high),
            let low = Self.price(sum.low), let close = Self.price(sum.close)
        else { return nil }
        return PaperBar(
            minute: first, open: open, high: high, low: low, close: close, volume: sum.volume)
    }

    private static func price(_ cents: Int64) -> ExactDecimal? {
        try? ExactDecimal(coefficient: Int128(cents), scale: 2)
    }
}

extension Timestamp {
    fileprivate var ceilingMinute: Int64 {
        let minute = minute
        return microseconds == minute * 60_000_000 ? minute : minute + 1
    }
}

extension Int64 {
    fileprivate func floor(toMultipleOf length: Int64) -> Int64 {
        let rest = self % length
        return self - (rest < 0 ? rest + length : rest)
    }
}
