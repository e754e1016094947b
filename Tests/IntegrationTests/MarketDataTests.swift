import CurlClient
import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing
import Trading

extension RealProcesses {
    /// Quotes and bars of a real desk: over HTTP, in a real Redis, and when either is away.
    @Suite(.serialized, .enabled(if: RedisServer.isWanted, "redis-server is not installed"))
    struct MarketDataTests {
        private static func settings(_ server: RedisServer, health: String = "") -> DeskSettings {
            var settings = DeskSettings(isBrokerOutside: true)
            settings.sections = """
                stores: {hot: {kind: redis, url: "unix://\(server.socketPath)", timeout: 2s, connections: {min: 1, max: 5}}}
                datasets: {quotes: {kind: cache, old: hot}, bars: {kind: cache, old: hot}}
                \(health)

                """
            return settings
        }

        /// With a paper broker of the test's own, which no watchdog looks after.
        private static func run(
            _ settings: DeskSettings, _ body: (Desk, _ broker: pid_t) async throws -> Void
        ) async throws {
            try await Desk.run(settings, starts: false) { desk in
                let process = try ChildProcess.start(
                    Desk.program, ["paper-broker", "-c", desk.configurationFile],
                    in: desk.directory.path, output: desk.directory.path("broker.out"),
                    errors: desk.directory.path("broker.err"))
                defer {
                    kill(process.pid, SIGCONT)
                    process.endGroup()
                }
                try await desk.start()
                try await desk.waitUntilReady()
                try await body(desk, process.pid)
            }
        }

        private static func cli(
            _ server: RedisServer, _ desk: Desk, _ words: String...
        ) async throws -> String {
            let outcome = try await Desk.command(
                ["redis-cli", "-s", server.socketPath, "--raw"] + words, in: desk.directory,
                program: "/usr/bin/env")
            guard outcome.code == 0 else { throw ChildProcess.Failure(description: "\(outcome)") }
            return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
        }

        private static let reader =
            DocumentedReaders.redis + """
                async def main():
                    client = redis.Redis(unix_socket_path=sys.argv[1], decode_responses=True)
                    quote = await RedisDataStructures(client).get_stock_quote("AAPL")
                    quote["ttl"] = await client.ttl("market:quote:stock:AAPL")
                    quote["config"] = await client.hgetall("acc:config:TRADE_001")
                    print(json.dumps(quote))
                    await client.connection_pool.disconnect()

                asyncio.run(main())
                """

        @Test(
            .enabled(
                if: EventTests.hasRedisModule || EventTests.isCI, "python3 has no module redis"),
            .timeLimit(.minutes(3)))
        func theCoreFillsTheCacheThatOtherProgramsRead() async throws {
            let server = try await RedisServer()
            try await Self.run(Self.settings(server)) { desk, _ in
                try await eventually("the preloaded quotes are there") {
                    try await Self.cli(server, desk, "KEYS", "market:quote:stock:*")
                        .split(separator: "\n").count == 8
                }
                let python = try await Desk.command(
                    ["python3", "-c", Self.reader, server.socketPath], in: desk.directory,
                    program: "/usr/bin/env")
                let quote = try #require(python.documents.last ?? nil, "\(python)")
                let bid = try #require(quote["bid_price"]?.decimal)
                let ask = try #require(quote["ask_price"]?.decimal)
                #expect(bid > ExactDecimal(150) && bid < ask)
                #expect((1...30).contains(quote["ttl"]?.integer ?? 0), "\(python)")
                #expect(quote["timestamp"]?.text.flatMap { Timestamp($0) } != nil)
                let config = try #require(quote["config"]?.members)
                #expect(
                    Set(config.keys) == ["account_type", "status", "max_connections", "priority"])
                // What another program has put there is shown, while it is fresh by its own time.
                let token = try await desk.token("TRADE_001")
                for (symbol, age) in [("ZZZ", 1), ("ZZY", 31)] as [(String, Int64)] {
                    _ = try await Self.cli(
                        server, desk, "HSET", "market:quote:stock:\(symbol)", "bid_price", "7",
                        "ask_price", "7.5", "last_price", "7.25", "volume", "3", "timestamp",
                        Timestamp.now().advanced(bySeconds: -age).description)
                }
                let fresh = try await desk.api(.get, "/quotes/ZZZ", token)
                #expect(fresh.data?["ask_price"]?.text == "7.5", "\(fresh.text)")
                #expect(try await desk.api(.get, "/quotes/ZZY", token).status == 404)
                #expect(try await desk.api(.get, "/quotes/AAPL", token).status == 200)
                let metrics = try await desk.get("\(desk.opsURL)/metrics").text
                for wanted in [
                    #"cache_hits_total{cache_type="redis",key_type="quote"} 1"#,
                    #"cache_misses_total{cache_type="redis",key_type="quote"} 1"#,
                    #"cache_hits_total{cache_type="memory",key_type="quote"} 1"#,
                    #"cache_misses_total{cache_type="memory",key_type="quote"} 2"#,
                    #"cache_latency_seconds_count{cache_type="redis",key_type="quote"} 2"#,
                ] {
                    #expect(metrics.contains(wanted), "\(wanted)")
                }
            }
        }

        @Test(.timeLimit(.minutes(3)))
        func barsOfAWeekAgoAreSumsAndLieInTheCache() async throws {
            let server = try await RedisServer()
            try await Self.run(Self.settings(server)) { desk, _ in
                let token = try await desk.token("TRADE_001")
                let day = Timeframe.day.start(of: Timestamp.now().advanced(bySeconds: -7 * 86_400))
                let range = "&start=\(day.description.prefix(10))&end=\(day.description.prefix(10))"
                let minutes = try await desk.all(
                    "/klines?symbol=AAPL&timeframe=1Min" + range, token)
                let fives = try await desk.all(
                    "/klines?symbol=AAPL&timeframe=5Min" + range, token)
                #expect(minutes.count == 1_440 && fives.count == 288)
                for (index, bar) in fives.enumerated() {
                    let parts = minutes.dropFirst(index * 5).prefix(5)
                    func values(_ name: String) -> [ExactDecimal] {
                        parts.compactMap { $0[name]?.decimal }
                    }
                    #expect(bar["timestamp"] == parts.first?["timestamp"])
                    #expect(bar["open"] == parts.first?["open"])
                    #expect(bar["close"] == parts.last?["close"])
                    #expect(bar["high"]?.decimal == values("high").max())
                    #expect(bar["low"]?.decimal == values("low").min())
                    let volume = parts.compactMap { $0["volume"]?.integer }.reduce(0, +)
                    #expect(bar["volume"]?.integer == volume)
                }
                #expect(
                    try await Self.cli(server, desk, "EXISTS", "market:data:AAPL:1Min") == "0",
                    "the past is no news")
                let newest = try await desk.api(.get, "/klines?symbol=AAPL&timeframe=1m", token)
                #expect(newest.data?["total"]?.integer == 500, "\(newest.text.prefix(300))")
                try await eventually("the newest bars are in the cache") {
                    let text = try await Self.cli(server, desk, "GET", "market:data:AAPL:1Min")
                    return try JSONValue(parsing: Array(text.utf8)).elements?.count == 500
                }
                let left = Int(try await Self.cli(server, desk, "TTL", "market:data:AAPL:1Min"))
                #expect((1...300).contains(left ?? 0))
                let metrics = try await desk.get("\(desk.opsURL)/metrics").text
                #expect(
                    metrics.contains(#"cache_hits_total{cache_type="memory",key_type="bars"} "#))
            }
        }

        /// First the broker stops quoting, then the cache is away.
        @Test(.timeLimit(.minutes(4)))
        func freshnessKnowsWhenNobodyQuotesAndNobodyWaitsForACacheThatIsAway() async throws {
            let server = try await RedisServer()
            let health = """
                health: [{name: freshness, store: hot, dataset: quotes, stale_after: 6s, stale_from: 3, period: 300ms, timeout: 2s}]
                """
            try await Self.run(Self.settings(server, health: health)) { desk, broker in
                func isCheck(_ status: String) async throws -> Bool {
                    try await desk.get("\(desk.opsURL)/metrics").text.contains(
                        "opsd_health_status{check=\"freshness\",status=\"\(status)\"} 1")
                }
                try await eventually("quotes are fresh", within: .seconds(60)) {
                    try await isCheck("healthy")
                }
                kill(broker, SIGSTOP)
                try await eventually("quotes are stale", within: .seconds(60)) {
                    try await isCheck("degraded")
                }
                kill(broker, SIGCONT)
                try await eventually("quotes are fresh again", within: .seconds(60)) {
                    try await isCheck("healthy")
                }
                let token = try await desk.token("TRADE_001")
                server.freeze()
                let start = ContinuousClock.now
                for _ in 0..<20 {
                    #expect(try await desk.api(.get, "/quotes/AAPL", token).status == 200)
                    #expect(try await desk.api(.get, "/quotes/NOPE", token).status == 404)
                    let bars = try await desk.api(.get, "/klines?symbol=MSFT&timeframe=1h", token)
                    #expect(bars.status == 200)
                }
                #expect(ContinuousClock.now - start < .seconds(10), "of 60 requests")
                try await eventually("the status says so", within: .seconds(60)) {
                    try await desk.command("status").output.contains("hot/cache")
                }
                server.thaw()
                try await eventually("all is well again", within: .seconds(60)) {
                    try await desk.command("status").code == 0
                }
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aLiveServerIsComparedWithWhatIsRecommended() async throws {
            let server = try await RedisServer()
            let settings = Self.settings(server)
            try await Desk.run(settings, starts: false) { desk in
                let plain = try await desk.command("check")
                #expect(plain.code == 1, "\(plain)")
                #expect(plain.output.contains("store hot (redis):"))
                #expect(plain.output.contains("write: maxmemory 512mb"))
                #expect(plain.output.contains("write: maxmemory-policy allkeys-lru"))
                #expect(!plain.output.contains("appendonly"), "a cache needs no disk")
                _ = try await Self.cli(server, desk, "CONFIG", "SET", "maxmemory", "100mb")
                _ = try await Self.cli(
                    server, desk, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
                _ = try await Self.cli(
                    server, desk, "ACL", "SETUSER", "desk", "on", ">pass", "~*", "&*", "+@all")
                _ = try await Self.cli(server, desk, "CONFIG", "SET", "requirepass", "never-told")
                let url = "unix://\(server.socketPath)"
                try desk.replaceInConfiguration(
                    url, "unix://desk:pass@\(server.socketPath)")
                let good = try await desk.command("check", "--json")
                #expect(good.code == 0, "\(good)")
                let json = try #require(good.documents.last ?? nil)
                let settings = try #require(json["stores"]?.elements?.first?["settings"]?.elements)
                #expect(settings.allSatisfy { $0["verdict"]?.text == "ok" }, "\(good.output)")
                #expect(!good.output.contains("never-told") && !good.output.contains(":pass"))
                _ = try await Self.cli(
                    server, desk, "--no-auth-warning", "-a", "never-told", "ACL", "SETUSER",
                    "desk", "-config", "-acl")
                let shy = try await desk.command("check")
                #expect(shy.code == 3, "\(shy)")
                server.freeze()
                let silent = try await desk.command("check")
                #expect(silent.code == 3 && silent.output.contains("could not tell"), "\(silent)")
                #expect(try await desk.command("check", "--offline").code == 0)
                server.thaw()
            }
        }
    }
}

extension Desk {
    func replaceInConfiguration(_ old: String, _ new: String) throws {
        let text = try String(contentsOfFile: configurationFile, encoding: .utf8)
        try text.replacing(old, with: new).write(
            toFile: configurationFile, atomically: true, encoding: .utf8)
    }
}
