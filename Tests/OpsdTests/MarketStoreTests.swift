import Foundation
import Ledger
import RedisStore
import TestSupport
import Testing
import Trading

@testable import opsd

/// Whether a cache is asked at all.
@Suite struct CacheBreakerTests {
    private let start = ContinuousClock.now

    private func at(_ milliseconds: Int) -> ContinuousClock.Instant {
        start + .milliseconds(milliseconds)
    }

    @Test func theFirstFailureOpensItAndOneInEachPauseGetsThrough() {
        var breaker = CacheBreaker()
        func mayAsk(_ now: ContinuousClock.Instant) -> Bool { breaker.mayAsk(at: now) }
        #expect(mayAsk(start) && !breaker.isOpen)
        breaker.failed(at: start)
        #expect(breaker.isOpen)
        for _ in 0..<50 { breaker.failed(at: at(40)) }
        #expect(!mayAsk(at(999)))
        #expect(mayAsk(at(1_000)))
        #expect(!mayAsk(at(1_001)), "one is enough to find out")
        breaker.succeeded()
        #expect(mayAsk(at(1_002)) && !breaker.isOpen)
    }

    @Test func thePauseGrowsToALimitAndBeginsAnewWhenAllIsWell() {
        var breaker = CacheBreaker()
        func mayAsk(_ now: ContinuousClock.Instant) -> Bool { breaker.mayAsk(at: now) }
        var now = start
        for seconds in [1, 2, 4, 8, 15, 15] {
            breaker.failed(at: now)
            breaker.failed(at: now)
            #expect(!mayAsk(now + .milliseconds(seconds * 1_000 - 1)))
            now += .seconds(seconds)
            #expect(mayAsk(now), "\(seconds)")
        }
        breaker.succeeded()
        breaker.failed(at: now)
        #expect(mayAsk(now + .seconds(1)))
    }

    @Test func whoAnswersFirstCounts() async {
        let late = await WaitLimit.within(.milliseconds(20)) {
            try? await Task.sleep(for: .seconds(30))
            return 1
        }
        #expect(late == nil)
        #expect(await WaitLimit.within(.seconds(30)) { 2 } == 2)
    }
}

/// Quotes and bars in a real Redis.
@Suite(
    .serialized, .timeLimit(.minutes(2)),
    .enabled(if: RedisServer.isWanted, "redis-server is not installed"))
struct MarketStoreTests {
    private struct TimedOut: Error {}

    private func with(
        _ server: RedisServer, layout: String = "", _ body: (MarketStore) async throws -> Void
    ) async throws {
        let folder = try ConfigurationFolder()
        let configuration = try folder.load(
            """
            stores: {hot: {kind: redis, url: "unix://\(server.socketPath)"}}
            datasets:
              quotes: {kind: cache, old: hot\(layout)}
              bars: {old: hot}
            """)
        let store = try #require(try MarketStore(configuration))
        let running = Task { await store.run() }
        let outcome: Result<Void, any Error>
        do {
            try await body(store)
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        running.cancel()
        await running.value
        try outcome.get()
    }

    private func eventually(_ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while try await !condition() {
            guard ContinuousClock.now < deadline else { throw TimedOut() }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Until it is there: on a busy machine a cache may be left alone for a moment.
    private func put(_ quotes: [BrokerQuote], _ market: MarketStore) async throws {
        for quote in quotes {
            try await eventually {
                market.put(quotes, changed: [])
                return await market.quote(quote.symbol) == quote
            }
        }
    }

    private func put(
        _ window: BarWindow, _ symbol: String, _ market: MarketStore
    ) async throws {
        try await eventually {
            market.put(window, symbol, .minute)
            return await market.bars(symbol, .minute) == window
        }
    }

    /// What redis-cli prints.
    private func cli(_ server: RedisServer, _ words: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["redis-cli", "-s", server.socketPath, "--raw"] + words
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func quote(_ symbol: String, bid: Int = 100) -> BrokerQuote {
        BrokerQuote(
            symbol: symbol, bidPrice: ExactDecimal(bid), askPrice: ExactDecimal(bid + 1),
            lastPrice: ExactDecimal(bid), volume: 7,
            timestamp: Timestamp(microseconds: Timestamp.now().microseconds))
    }

    private func window(_ count: Int) -> BarWindow {
        let now = Timestamp.now()
        let last = Timeframe.minute.start(of: now)
        let from = last.advanced(bySeconds: -60 * Int64(count - 1))
        return BarWindow(
            from: from, before: last.advanced(bySeconds: 60), fetchedAt: now,
            bars: (0..<count).map { index in
                Bar(
                    timestamp: from.advanced(bySeconds: 60 * Int64(index)),
                    open: ExactDecimal("189.30") ?? .zero, high: ExactDecimal(190),
                    low: ExactDecimal("188.005") ?? .zero, close: ExactDecimal(189),
                    volume: index)
            })
    }

    @Test func whatIsPutIsThereWithTheDocumentsKeysAndTimesToLive() async throws {
        let server = try await RedisServer()
        try await with(server) { market in
            let (quote, window) = (quote("AAPL"), window(3))
            try await put([quote], market)
            try await put(window, "AAPL", market)
            #expect(await market.quote("MSFT") == nil)
            #expect(await market.bars("AAPL", .day) == nil)
            let fields = try cli(server, "HKEYS", "market:quote:stock:AAPL").split(separator: "\n")
            #expect(
                fields.sorted() == ["ask_price", "bid_price", "last_price", "timestamp", "volume"])
            for (key, most) in [
                ("market:quote:stock:AAPL", 30), ("market:data:AAPL:1Min", 300),
                ("opsd:v:quotes:market:quote:stock:AAPL", 30),
            ] {
                let left = try #require(Int(try cli(server, "TTL", key)))
                #expect((1...most).contains(left), "\(key): \(left)")
            }
            #expect(
                try cli(server, "GET", "market:data:AAPL:1Min").hasPrefix(
                    "[{\"timestamp\":\"\(window.from)\",\"open\":189.3,\"high\":190,\"low\":188.005,"
                        + "\"close\":189,\"volume\":0},"))
        }
    }

    @Test func aLayoutMayGiveAnotherKeyAndTimeToLive() async throws {
        let server = try await RedisServer()
        let layout = ", layout: {hot: {key: \"q:{symbol}\", value: hash, ttl: 500ms}}"
        try await with(server, layout: layout) { market in
            try await put([quote("AAPL")], market)
            try await eventually { await market.quote("AAPL") == nil && market.failures.isEmpty }
            #expect(try cli(server, "KEYS", "*q:AAPL") == "")
        }
    }

    @Test func accountsAreThereWithoutAnythingSecret() async throws {
        let server = try await RedisServer()
        try await with(server) { _ in
            try await eventually { try cli(server, "EXISTS", "acc:config:DATA_001") == "1" }
            let keys = try cli(server, "KEYS", "acc:config:*").split(separator: "\n")
            #expect(keys.count > 4)
            let lines = try cli(server, "HGETALL", "acc:config:DATA_001").split(separator: "\n")
            #expect(lines.count == 8, "\(lines)")
            #expect(lines.contains("account_type") && lines.contains("max_connections"))
            let left = try #require(Int(try cli(server, "TTL", "acc:config:DATA_001")))
            #expect((3_000...3_600).contains(left))
        }
    }

    /// What others put there: it counts as nothing, and is written over.
    @Test func whatDoesNotReadIsNothingAndIsWrittenOver() async throws {
        let server = try await RedisServer()
        try await with(server) { market in
            let now = Timestamp.now().description
            _ = try cli(
                server, "HSET", "market:quote:stock:A", "bid_price", "1", "ask_price", "no",
                "last_price", "1", "volume", "1", "timestamp", now)
            _ = try cli(server, "HSET", "market:quote:stock:B", "bid_price", "1")
            _ = try cli(server, "SET", "market:quote:stock:C", "junk")
            _ = try cli(
                server, "HSET", "market:quote:stock:D", "bid_price", "None", "ask_price", "None",
                "last_price", "1", "volume", "1", "timestamp", now)
            _ = try cli(server, "SET", "market:data:A:1Min", "[{}]")
            _ = try cli(server, "LPUSH", "market:data:B:1Min", "x")
            for symbol in ["A", "B", "C", "D"] {
                #expect(await market.quote(symbol) == nil, "\(symbol)")
            }
            for symbol in ["A", "B"] { #expect(await market.bars(symbol, .minute) == nil) }
            try await eventually {
                _ = await market.quote("A")
                return market.failures.isEmpty
            }
            try await put(["A", "B", "C", "D"].map { quote($0) }, market)
            for symbol in ["A", "B"] { try await put(window(2), symbol, market) }
        }
    }

    /// The documents' own program writes a quote, in local words.
    @Test func aQuoteOfAnotherProgramIsRead() async throws {
        let server = try await RedisServer()
        try await with(server) { market in
            _ = try cli(
                server, "HSET", "market:quote:stock:AAPL", "bid_price", "185.25", "ask_price",
                "185.30", "last_price", "185.27", "volume", "1000000", "timestamp",
                "2026-11-20T15:00:00.123456")
            let quote = try #require(await market.quote("AAPL"))
            #expect(quote.askPrice == ExactDecimal("185.3"))
            #expect(quote.timestamp == Timestamp("2026-11-20T15:00:00.123456Z"))
        }
    }

    /// Frozen, gone, back: nobody waits for it for longer than the limit, and once it is known to be away
    /// nobody waits at all.
    @Test func aServerThatIsAwayCostsNothing() async throws {
        let server = try await RedisServer()
        try await with(server) { market in
            let first = quote("AAPL")
            try await put([first], market)
            server.freeze()
            let clock = ContinuousClock()
            let frozen = await clock.measure { #expect(await market.quote("AAPL") == nil) }
            #expect(frozen < .seconds(2), "50 ms, on a machine that is busy")
            #expect(market.failures.map(\.store) == ["hot"])
            let many = await clock.measure {
                for _ in 0..<1_000 { _ = await market.quote("AAPL") }
            }
            #expect(many < .seconds(2), "1,000 questions, of which a few may have been asked")
            server.thaw()
            let second = quote("AAPL", bid: 200)
            try await eventually {
                market.put([second], changed: ["AAPL"])
                return await market.quote("AAPL") == second
            }
            #expect(market.failures.isEmpty)
            server.kill()
            try await eventually {
                _ = await market.quote("AAPL")
                return !market.failures.isEmpty
            }
            try await server.start()
            try await eventually {
                market.put([second], changed: [])
                return await market.quote("AAPL") == second
            }
        }
    }

    @Test func whoListensHearsOfEachNewQuote() async throws {
        let server = try await RedisServer()
        try await with(server) { market in
            let folder = try TemporaryDirectory()
            _ = FileManager.default.createFile(atPath: folder.path("heard"), contents: nil)
            let listener = Process()
            listener.executableURL = URL(filePath: "/usr/bin/env")
            listener.arguments = ["redis-cli", "-s", server.socketPath, "SUBSCRIBE", "market:AAPL"]
            listener.standardOutput = FileHandle(forWritingAtPath: folder.path("heard"))
            try listener.run()
            defer { listener.terminate() }
            func heard() throws -> String {
                try String(contentsOfFile: folder.path("heard"), encoding: .utf8)
            }
            try await eventually { try heard().contains("subscribe") }
            try await put([quote("AAPL", bid: 5)], market)
            try await eventually {
                market.put([quote("AAPL", bid: 6), quote("MSFT")], changed: ["AAPL", "MSFT"])
                return try heard().contains(#""bid_price":"6""#)
            }
            #expect(try !heard().contains(#""bid_price":"5""#), "it was not new")
            #expect(try heard().contains(#"{"symbol":"AAPL","bid_price":"6","ask_price":"7""#))
        }
    }
}
