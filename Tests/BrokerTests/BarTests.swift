import AlpacaBroker
import CurlClient
import ExactJSON
import Foundation
import Ledger
import PaperBroker
import Synchronization
import TestSupport
import Testing
import Trading

/// Bars of the paper broker, through the adapter that speaks to the real one.
@Suite struct BarTests {
    private static let start = Timestamp("2026-11-20T15:00:10Z") ?? Timestamp(microseconds: 0)

    /// A market that moves when the test says so, at the test's time. The lock is there because the
    /// server asks for the time from any thread.
    private final class Clock: Sendable {
        private let time = Mutex(BarTests.start)
        var now: Timestamp { time.withLock { $0 } }
        func advance(bySeconds seconds: Int64) {
            time.withLock { $0 = $0.advanced(bySeconds: seconds) }
        }
    }

    private func serve(
        _ clock: Clock = Clock(),
        configure: (inout PaperBrokerConfiguration) -> Void = { _ in },
        _ body: (Harness) async throws -> Void
    ) async throws {
        try await Harness.run(
            try TemporaryDirectory(), configure: configure, now: { clock.now }, body)
    }

    private func bars(
        _ harness: Harness, _ timeframe: Timeframe, hoursAgo first: Int64, until last: Int64,
        of symbol: String = "AAPL", limit: Int = 10_000
    ) async throws -> [Bar] {
        let hour = Timeframe.hour.start(of: Self.start)
        let request = BarRequest(
            symbol: symbol, timeframe: timeframe, from: hour.advanced(bySeconds: -first * 3_600),
            before: hour.advanced(bySeconds: -last * 3_600))
        var bars: [Bar] = []
        var page: String?
        repeat {
            let answer = try await harness.broker.bars(
                request, limit: limit, page: page, account: "main")
            #expect(answer.bars.count <= limit)
            bars += answer.bars
            page = answer.next
        } while page != nil
        return bars
    }

    /// What the bars of a longer timeframe must be.
    private func sums(_ bars: [Bar], _ timeframe: Timeframe) -> [Bar] {
        var sums: [Bar] = []
        for bar in bars {
            let start = timeframe.start(of: bar.timestamp)
            guard var sum = sums.last, sum.timestamp == start else {
                var first = bar
                first.timestamp = start
                sums.append(first)
                continue
            }
            sum.high = max(sum.high, bar.high)
            sum.low = min(sum.low, bar.low)
            sum.close = bar.close
            sum.volume += bar.volume
            sums[sums.count - 1] = sum
        }
        return sums
    }

    @Test func lastWeekHasBarsAndLongOnesAreTheSumsOfShortOnes() async throws {
        try await serve { harness in
            let minutes = try await bars(harness, .minute, hoursAgo: 170, until: 144)
            #expect(minutes.count == 26 * 60)
            #expect(minutes.allSatisfy { $0.isPlausible && $0.volume > 0 })
            #expect(
                zip(minutes, minutes.dropFirst()).allSatisfy {
                    $1.timestamp == $0.timestamp.advanced(bySeconds: 60) && $1.open == $0.close
                })
            for timeframe in [Timeframe.fiveMinutes, .quarterHour, .hour] {
                let long = try await bars(harness, timeframe, hoursAgo: 170, until: 144)
                #expect(long == sums(minutes, timeframe), "\(timeframe)")
            }
            let days = try await bars(harness, .day, hoursAgo: 24 * 7, until: 0)
            #expect(days.count == 7)
            #expect(days.allSatisfy { $0.timestamp == Timeframe.day.start(of: $0.timestamp) })
            let around = try decimal("190")
            let closes = days.map(\.close)
            #expect(Set(closes).count > 1, "it moves")
            #expect(closes.allSatisfy { abs($0, around) < 25 })
        }
    }

    private func abs(_ one: ExactDecimal, _ two: ExactDecimal) -> Double {
        Double((try? one.subtracting(two).magnitude.description) ?? "") ?? .infinity
    }

    @Test func theSameSeedGivesTheSamePastAfterEachStart() async throws {
        var seen: [[Bar]] = []
        for (seed, later) in [(1, 0), (1, 7_200), (2, 0)] as [(UInt64, Int64)] {
            let clock = Clock()
            clock.advance(bySeconds: later)
            try await serve(clock, configure: { $0.seed = seed }) { harness in
                seen.append(try await bars(harness, .minute, hoursAgo: 30, until: 29))
                let other = try await bars(harness, .minute, hoursAgo: 30, until: 29, of: "TSLA")
                #expect(other.map(\.volume) != seen.last?.map(\.volume))
            }
        }
        #expect(seen[0].count == 60 && seen[0] == seen[1] && seen[0] != seen[2])
    }

    @Test func theTickersOwnMinutesAreTheNewestBars() async throws {
        let clock = Clock()
        try await serve(clock) { harness in
            var closes: [ExactDecimal] = []
            for minute in 0..<3 {
                for step in 0..<5 {
                    if minute + step > 0 { try await harness.paper.advanceMarket() }
                    clock.advance(bySeconds: 10)
                }
                let quote = try await harness.broker.quotes(of: ["AAPL"], account: "main").first
                closes.append(try #require(quote).lastPrice)
                clock.advance(bySeconds: 10)
            }
            let live = try await bars(harness, .minute, hoursAgo: 0, until: -1)
            #expect(live.map(\.close) == closes)
            #expect(live.first?.open == (try decimal("190")), "the start price")
            #expect(live.map(\.timestamp.description).first == "2026-11-20T15:00:00Z")
            let joined = try await bars(harness, .hour, hoursAgo: 1, until: -1)
            #expect(joined.count == 2 && joined.last == sums(live, .hour).first)
        }
    }

    @Test func pagesJoinWithoutAGap() async throws {
        try await serve { harness in
            let whole = try await bars(harness, .fiveMinutes, hoursAgo: 5, until: -1)
            #expect(
                try await bars(harness, .fiveMinutes, hoursAgo: 5, until: -1, limit: 7) == whole)
            #expect(whole.count == 61)
            #expect(try await bars(harness, .minute, hoursAgo: 5, until: 0, of: "NOPE").isEmpty)
            #expect(
                try await bars(harness, .day, hoursAgo: 24 * 3_000, until: 24 * 2_000).isEmpty,
                "before its history")
        }
    }

    @Test func aRecordingHasTheBarsOfWhatIsPlayed() async throws {
        let directory = try TemporaryDirectory()
        let csv = """
            symbol,timestamp,bid_price,ask_price,last_price,volume
            X,2026-11-20T14:00:01Z,9.5,10.5,10.125,100
            X,2026-11-20T14:00:31Z,9.5,10.5,11,130
            X,2026-11-20T14:02:00Z,9.5,10.5,9.75,150
            """
        try csv.write(toFile: directory.path("q.csv"), atomically: true, encoding: .utf8)
        try await serve(configure: { $0.quotesFile = directory.path("q.csv") }) { harness in
            for _ in 0..<5 { try await harness.paper.advanceMarket() }
            let played = try await bars(harness, .minute, hoursAgo: 48, until: -1, of: "X")
            #expect(
                played == [
                    Bar(
                        timestamp: Timestamp("2026-11-20T14:00:00Z") ?? Self.start,
                        open: try decimal("10.125"), high: try decimal("11"),
                        low: try decimal("10.125"), close: try decimal("11"), volume: 30),
                    Bar(
                        timestamp: Timestamp("2026-11-20T14:02:00Z") ?? Self.start,
                        open: try decimal("9.75"), high: try decimal("9.75"),
                        low: try decimal("9.75"), close: try decimal("9.75"), volume: 20),
                ])
        }
    }

    @Test func theDialectsWordsAreKept() async throws {
        try await serve { harness in
            let answer = try await harness.call(
                .get,
                "/v2/stocks/AAPL/bars?timeframe=1Hour&start=2026-11-20T13:00:00Z&end=2026-11-20T14:00:00Z&limit=1"
            )
            let json = try JSONValue(parsing: answer.body)
            #expect(answer.status == 200)
            #expect(json["symbol"]?.text == "AAPL")
            #expect(json["next_page_token"]?.text == "2026-11-20T14:00:00Z")
            let bar = try #require(json["bars"]?.elements?.first)
            #expect(bar["t"]?.text == "2026-11-20T13:00:00Z")
            guard case .number = bar["o"], case .number = bar["v"] else {
                Issue.record("\(answer.text)")
                return
            }
            let days = try await harness.call(
                .get, "/v2/stocks/AAPL/bars?timeframe=1Day&start=2026-11-13&end=2026-11-14")
            #expect(try JSONValue(parsing: days.body)["bars"]?.elements?.count == 2)
            for wrong in [
                "", "?timeframe=2Min", "?timeframe=1Min&start=soon", "?timeframe=1Min&limit=0",
                "?timeframe=1Min&page_token=x",
            ] {
                let refused = try await harness.call(.get, "/v2/stocks/AAPL/bars\(wrong)")
                #expect(refused.status == 422, "\(wrong): \(refused.text)")
            }
        }
    }
}
