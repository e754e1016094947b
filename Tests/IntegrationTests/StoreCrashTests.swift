import CurlClient
import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

extension RealProcesses {
    /// The copies in files, SQLite, Redis and PostgreSQL, whatever happens to the processes.
    @Suite(
        .serialized, .enabled(if: StoreDesk.isWanted, "redis-server or PostgreSQL is not installed")
    )
    struct StoreCrashTests {
        private static let rounds =
            ProcessInfo.processInfo.environment["OPSD_STORE_CRASH_ROUNDS"].flatMap(Int.init) ?? 20

        @Test(.timeLimit(.minutes(60)))
        func killingCoreAndStoresUnderLoadLeavesEveryStoreTheJournalsRows() async throws {
            try await StoreDesk.run { stores in
                let desk = stores.desk
                let load = try await OrderLoad(desk)
                try await load.run {
                    for round in 0..<Self.rounds {
                        try await load.wait(forMore: 20)
                        try await Task.sleep(for: .milliseconds(Int.random(in: 0...200)))
                        switch round % 3 {
                        case 0: try await desk.kill9("redis")
                        case 1: try await desk.kill9("core")
                        default:
                            await stores.postgres.killAll()
                            try await load.wait(forMore: 20)
                            try await stores.postgres.start()
                        }
                        try await desk.waitUntilReady()
                    }
                    try await load.wait(forMore: 50)
                }
                try await Books(desk, load).check()
                try await stores.expectTheJournalsRows()
            }
        }

        /// It answers nothing for seconds, with its connections open.
        @Test(.timeLimit(.minutes(5)))
        func aFrozenRedisHoldsUpNeitherOrdersNorPostgreSQL() async throws {
            let redis = try await RedisServer()
            try await StoreDesk.run(redis: redis, timeout: "2s") { stores in
                let desk = stores.desk
                let account = desk.settings.accountIDs[0]
                let token = try await desk.token(account)
                try await stores.settle()
                let before = try await accepting(100, desk, account, token)

                redis.freeze()
                defer { redis.thaw() }
                let clock = ContinuousClock.now
                var during: [Duration] = []
                while ContinuousClock.now < clock + .seconds(6) {
                    during += try await accepting(20, desk, account, token)
                }
                // A core that waited for Redis would wait for two seconds, its time-out.
                let bound = middle(before) * 3 + .milliseconds(100)
                #expect(middle(during) < bound, "\(middle(before)) before")
                #expect(during.sorted()[during.count * 95 / 100] < .seconds(1))
                try await eventually("PostgreSQL has everything") {
                    StoreDesk.hasAll("record", in: try await stores.status())
                }
                let read = try await desk.api(.get, "/positions", token)
                #expect(read.status == 200, "\(read.text)")

                // It is told what is wrong, and what to do.
                var status = try await stores.status()
                #expect(StoreDesk.store("hot", in: status)?["state"]?.text == "failing")
                #expect(status["verdict"]?.text == "wrong")
                let findings = status["findings"]?.elements ?? []
                let words = findings.compactMap { $0["what"]?.text }
                #expect(words.contains { $0.hasPrefix("store hot is not written") })
                #expect(words.contains("positions should be read from hot and is not"))
                #expect(findings.allSatisfy { $0["since"]?.text != nil }, "\(findings)")
                let screen = try await desk.command("status")
                #expect(screen.code == 1, "\(screen)")
                #expect(screen.output.contains("store hot is not written"), "\(screen.output)")
                let scrape = try await desk.get("\(desk.opsURL)/metrics").text
                #expect(scrape.contains("opsd_store_degraded{dataset=\"positions\"} 1"))
                #expect(scrape.contains(/opsd_store_lag_seconds{store="hot"} [1-9]/))
                #expect(scrape.contains(/opsd_store_lag_entries{store="hot"} [1-9]/))

                redis.thaw()
                try await eventually("nothing is wrong any more", within: .seconds(60)) {
                    status = try await stores.status()
                    return status["verdict"]?.text == "well"
                }
                try await stores.expectTheJournalsRows()
                let later = try await desk.get("\(desk.opsURL)/metrics").text
                #expect(later.contains("opsd_store_degraded{dataset=\"positions\"} 0"))
                #expect(later.contains("opsd_store_lag_entries{store=\"hot\"} 0"))
                #expect(later.contains("opsd_store_lag_seconds{store=\"hot\"} 0"))
            }
        }

        @Test(.timeLimit(.minutes(5)))
        func afterFLUSHALLARebuildBringsBackTheVerySameBytes() async throws {
            let redis = try await RedisServer()
            try await StoreDesk.run(redis: redis) { stores in
                let load = try await OrderLoad(stores.desk)
                try await load.run { try await load.wait(forMore: 150) }
                try await Books(stores.desk, load).check()
                let head = try await stores.settle()
                let before = try await stores.redisContent()
                #expect(before.contains("hash acc:positions:"))
                #expect(before.contains("hash acc:balance:"))
                #expect(before.contains("hash opsd:digests"))

                _ = try await stores.redis("FLUSHALL")
                let rebuilt = try await stores.desk.command(
                    "rebuild", "hot", "--operator", "lin", "--reason", "FLUSHALL")
                #expect(rebuilt.code == 0, "\(rebuilt)")
                #expect(try await stores.settle() == head, "nothing was journaled meanwhile")
                #expect(try await stores.redisContent() == before)
                try await stores.expectTheJournalsRows()
            }
        }

        /// So many orders one after the other: how long each took to be accepted.
        private func accepting(
            _ count: Int, _ desk: Desk, _ account: String, _ token: String
        ) async throws -> [Duration] {
            var durations: [Duration] = []
            for _ in 0..<count {
                let text = OrderText(account: account, clientOrderID: UUID().uuidString)
                let start = ContinuousClock.now
                let answer = try await desk.api(.post, "/orders", token, body: text.body)
                durations.append(ContinuousClock.now - start)
                try #require(answer.status == 202, "\(answer.text)")
            }
            return durations
        }

        private func middle(_ durations: [Duration]) -> Duration {
            durations.sorted()[durations.count / 2]
        }
    }
}
