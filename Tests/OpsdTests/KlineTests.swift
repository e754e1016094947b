import CurlClient
import ExactJSON
import Foundation
import Ledger
import Testing
import Trading

@testable import TradingHTTP

/// Bars over HTTP.
@Suite(.serialized) struct KlineTests {
    private func get(
        _ api: APIHarness, _ query: String, _ role: TokenRole = .trader
    ) async throws -> APIHarness.Answer {
        try await api.call(
            .get, "/api/v1/klines\(query)", token: try await api.token("TRADE_001", role))
    }

    @Test func daysAreWholeAndPagesAreThoseOfOtherLists() async throws {
        try await APIHarness.run { api in
            let answer = try await get(
                api, "?symbol=AAPL&timeframe=1h&start=20260105&end=2026-01-06&pageSize=5&page=3")
            #expect(answer.status == 200 && answer.isEnvelope, "\(answer.text)")
            #expect(answer.data?["total"]?.integer == 48)
            #expect(answer.data?["page"]?.integer == 3)
            #expect(answer.data?["pageSize"]?.integer == 5)
            let bars = answer.data?["data"]?.elements ?? []
            #expect(
                bars.map { $0["timestamp"]?.text }
                    == (10..<15).map { "2026-01-05T\($0):00:00Z" })
            #expect(
                bars.first
                    == (try JSONValue(
                        parsing: Array(
                            """
                            {"symbol":"AAPL","timeframe":"1Hour","timestamp":"2026-01-05T10:00:00Z",\
                            "open":"101.25","high":"101.25","low":"101.25","close":"101.25",\
                            "volume":100}
                            """.utf8))))
            _ = try await get(
                api, "?code=AAPL&timeframe=1Hour&start=2026-01-05T00:00:00Z&end=20260106")
            #expect(api.broker.barCalls == 1, "the same in other words")
        }
    }

    @Test func withoutStartAndEndItIsTheNewestFiveHundred() async throws {
        try await APIHarness.run { api in
            for (word, length) in [("1Min", 60), ("15m", 900), ("1d", 86_400)] as [(String, Int64)]
            {
                let answer = try await get(api, "?symbol=AAPL&timeframe=\(word)&pageSize=500")
                let times = (answer.data?["data"]?.elements ?? []).compactMap {
                    $0["timestamp"]?.text.flatMap { Timestamp($0) }
                }
                #expect(times.count == 500, "\(answer.text.prefix(200))")
                let last = try #require(times.last)
                #expect(last <= .now() && Timestamp.now() < last.advanced(bySeconds: 2 * length))
            }
            #expect(try await get(api, "?symbol=AAPL").text.contains(#""timeframe":"1Day""#))
        }
    }

    @Test func whatCannotBeUnderstoodOrIsTooMuchIsRefused() async throws {
        try await APIHarness.run { api in
            for (query, words) in [
                ("", "symbol"), ("?symbol=AAPL&timeframe=2Min", "timeframe"),
                ("?symbol=AAPL&timeframe=1M", "timeframe"), ("?symbol=AAPL&start=soon", "start"),
                ("?symbol=AAPL&end=20261341", "end"), ("?symbol=AAPL&pageSize=501", "pageSize"),
                ("?symbol=AAPL&timeframe=1Min&start=20200101", "10000"),
            ] {
                let answer = try await get(api, query)
                #expect(answer.status == 400 && answer.text.contains(words), "\(answer.text)")
            }
            #expect(api.broker.barCalls == 0)
            #expect(try await get(api, "?symbol=no%20pe").status == 404)
            let none = try await get(api, "?symbol=NOPE")
            #expect(none.status == 200 && none.data?["total"]?.integer == 0)
            let empty = try await get(api, "?symbol=AAPL&start=20260106&end=20260105")
            #expect(empty.status == 200 && empty.data?["total"]?.integer == 0)
            let viewer = try await get(api, "?symbol=AAPL", .viewer)
            #expect(viewer.status == 403)
        }
    }

    @Test func theLimitOfBarsIsToldAndABrokerThatIsDownIsNoEmptyList() async throws {
        try await APIHarness.run(barsPerMinute: 2) { api in
            api.broker.hasNoQuotes = true
            let down = try await get(api, "?symbol=AAPL")
            #expect(down.status == 503 && down.headers["Retry-After"] != nil, "\(down.text)")
            api.broker.hasNoQuotes = false
            #expect(try await get(api, "?symbol=AAPL").status == 200)
            let over = try await get(api, "?symbol=MSFT")
            #expect(over.status == 429 && over.text.contains("bars_per_minute"), "\(over.text)")
            let seconds = try #require(over.headers["Retry-After"].flatMap(Int.init))
            #expect((1...30).contains(seconds))
            #expect(try await get(api, "?symbol=AAPL").status == 200, "what is kept costs nothing")
        }
    }
}
