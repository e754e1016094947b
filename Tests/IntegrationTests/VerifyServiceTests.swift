import CurlClient
import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

@testable import opsd

extension RealProcesses {
    /// The built-in service that compares the stores with the journal all the time.
    @Suite(
        .serialized, .enabled(if: StoreDesk.isWanted, "redis-server or PostgreSQL is not installed")
    )
    struct VerifyServiceTests {
        private static func everyFiveSeconds(_ dataset: String) -> String {
            "{name: \(dataset), dataset: \(dataset), every: 5s}"
        }

        /// What rests is read again within a cycle, whatever its place; the metrics show it, and show that
        /// it is mended.
        @Test(.timeLimit(.minutes(5)))
        func whatIsDamagedAtRestIsFoundWithinACycle() async throws {
            let redis = try await RedisServer()
            let names = ["positions", "balances", "deals", "orders"]
            try await StoreDesk.run(redis: redis, checks: names.map(Self.everyFiveSeconds)) {
                stores in
                let desk = stores.desk
                let load = try await OrderLoad(desk)
                try await load.run { try await load.wait(forMore: 60) }
                try await stores.settle()
                let settled = Date().timeIntervalSince1970
                try await eventually("all rows are proven", within: .seconds(40)) {
                    let page = try await MetricPage(desk)
                    return names.allSatisfy { page.proven($0) ?? 0 > settled }
                }
                #expect(try await MetricPage(desk).differences == [:])

                _ = try await Vandal(stores).damage()
                // An account that nobody knows.
                let account = desk.settings.accountIDs[0]
                let value = try await stores.redis("HVALS", "acc:positions:\(account)")
                _ = try await stores.redis(
                    "HSET", "acc:positions:GHOST", "X", String(value.split(separator: "\n")[0]))
                let damaged = ContinuousClock.now
                let wanted = [
                    "positions corrupt": 1, "positions missing": 1, "positions rogue": 2,
                    "balances corrupt": 4, "deals corrupt": 2, "deals missing": 1,
                    "deals rogue": 1, "orders corrupt": 1,
                ]
                var found: [String: Int] = [:]
                try await eventually("all of it is found", within: .seconds(20)) {
                    found = try await MetricPage(desk).differences
                    return found == wanted
                }
                let taken = ContinuousClock.now - damaged
                print("damage at rest was found after \(taken)")
                #expect(taken < .seconds(8), "a cycle is 5 s; found after \(taken): \(found)")
                let status = try await desk.command("status")
                #expect(status.code == 1, "\(status)")
                #expect(
                    status.output.contains("positions: 1 row is corrupt, 1 is missing, 2 are rogue")
                )

                for store in StoreDesk.names {
                    let outcome = try await desk.command(
                        "rebuild", store, "--operator", "lin", "--reason", "damaged")
                    #expect(outcome.code == 0, "\(outcome)")
                }
                let mended = Date().timeIntervalSince1970
                try await eventually("nothing is wrong", within: .seconds(20)) {
                    found = try await MetricPage(desk).differences
                    return found == [:]
                }
                try await eventually("all rows are proven again", within: .seconds(30)) {
                    let page = try await MetricPage(desk)
                    return names.allSatisfy { page.proven($0) ?? 0 > mended }
                }
            }
        }

        /// Of a check whose cycle is too long to find it: it is the change that is looked at, also when the
        /// service was killed between the change and the look.
        @Test(.timeLimit(.minutes(5)))
        func aChangeIsComparedAtOnceWhateverHappensToTheService() async throws {
            let redis = try await RedisServer()
            let check = "{name: positions, dataset: positions, every: 30d}"
            try await StoreDesk.run(redis: redis, timeout: "1s", checks: [check]) { stores in
                let desk = stores.desk
                let account = desk.settings.accountIDs[0]
                let token = try await desk.token(account)
                let key = "acc:positions:\(account)"
                func buy() async throws {
                    let before = try await stores.redis("HVALS", key)
                    let text = OrderText(account: account, clientOrderID: UUID().uuidString)
                    let answer = try await desk.api(.post, "/orders", token, body: text.body)
                    try #require(answer.status == 202, "\(answer.text)")
                    try await eventually("the position has changed") {
                        try await stores.redis("HVALS", key) != before
                    }
                    try await stores.settle()
                }
                /// Until the metrics show it.
                func expect(
                    _ wanted: [String: Int], _ what: String, within limit: Duration
                ) async throws {
                    let start = ContinuousClock.now
                    var found: [String: Int] = [:]
                    try await eventually(what, within: .seconds(30)) {
                        found = try await MetricPage(desk).differences
                        return found == wanted
                    }
                    let taken = ContinuousClock.now - start
                    print("\(what) after \(taken)")
                    #expect(taken < limit, "\(what) after \(taken)")
                }
                try await buy()
                let symbol = try await stores.redis("HKEYS", key).trimmed

                // Changed, and damaged before anybody could look at it.
                var pid = try #require(try await desk.pid(of: "verify"))
                kill(pid, SIGSTOP)
                let before = try await stores.redis("HVALS", key).trimmed
                try await buy()
                _ = try await stores.redis("HSET", key, symbol, before)
                kill(pid, SIGCONT)
                try await expect(
                    ["positions corrupt": 1], "the change is compared", within: .seconds(2))

                // The next one is right again.
                try await buy()
                try await expect([:], "what is mended is seen", within: .seconds(2))

                // Killed after the change: the next one looks at it.
                pid = try #require(try await desk.pid(of: "verify"))
                kill(pid, SIGSTOP)
                let again = try await stores.redis("HVALS", key).trimmed
                try await buy()
                _ = try await stores.redis("HSET", key, symbol, again)
                kill(pid, SIGKILL)
                try await expect(
                    ["positions corrupt": 1], "a change before the kill is compared",
                    within: .seconds(6))
                // What is open is not forgotten with the process.
                try await desk.kill9("verify")
                try await eventually("it runs again") {
                    try await desk.get("\(desk.opsURL)/readyz").status == 200
                }
                try await Task.sleep(for: .seconds(1))
                try await expect(
                    ["positions corrupt": 1], "what is open stays open", within: .seconds(2))

                // One store hangs: the others are compared as ever.
                try await buy()
                try await expect([:], "what is mended is seen again", within: .seconds(2))
                stores.postgres.freeze()
                let earlier = try await stores.redis("HVALS", key).trimmed
                pid = try #require(try await desk.pid(of: "verify"))
                kill(pid, SIGSTOP)
                let text = OrderText(account: account, clientOrderID: UUID().uuidString)
                #expect(try await desk.api(.post, "/orders", token, body: text.body).status == 202)
                try await eventually("the position has changed") {
                    try await stores.redis("HVALS", key).trimmed != earlier
                }
                _ = try await stores.redis("HSET", key, symbol, earlier)
                kill(pid, SIGCONT)
                let resumed = ContinuousClock.now
                try await eventually("it is compared beside a store that hangs") {
                    try await MetricPage(desk).differences["positions corrupt"] == 1
                }
                #expect(ContinuousClock.now - resumed < .seconds(2))
                stores.postgres.thaw()
                try await expect(
                    ["positions corrupt": 1], "and that one when it goes on", within: .seconds(20))

                // The store is away: unknown, and nothing else is lost.
                redis.kill()
                try await expect(
                    ["positions corrupt": 1, "positions unknown": 1], "unknown while it is away",
                    within: .seconds(5))
                // An empty one in its place: the core fills it, and all is well.
                try await redis.start()
                try await expect([:], "right after it was filled", within: .seconds(25))

                // The core away is no fault of the stores.
                try await desk.kill9("core")
                try await Task.sleep(for: .seconds(1))
                #expect(try await MetricPage(desk).differences == [:])
                try await desk.waitUntilReady()
                try await stores.settle()
                try await buy()
                #expect(try await MetricPage(desk).differences == [:])
                let log = desk.text("data/log/verify.log")
                #expect(log.contains("corrupt positions/\(account)/\(symbol)"), "\(log)")
            }
        }

        /// What the service finds is put right by the core where the check says so, and nothing else is.
        @Test(.timeLimit(.minutes(3)))
        func whatIsFoundIsRepairedWhereTheCheckSaysSo() async throws {
            let redis = try await RedisServer()
            let checks = [
                "{name: positions, dataset: positions, every: 5s, repair: auto, budget: {rows: 5, ratio: 1}}",
                "{name: balances, dataset: balances, every: 5s, repair: auto, budget: {rows: 0}}",
            ]
            try await StoreDesk.run(redis: redis, checks: checks) { stores in
                let desk = stores.desk
                let load = try await OrderLoad(desk)
                try await load.run { try await load.wait(forMore: 30) }
                try await stores.settle()
                let key = "acc:positions:\(desk.settings.accountIDs[0])"
                let symbol = try await stores.redis("HKEYS", key).split(separator: "\n")[0]
                _ = try await stores.redis("HDEL", key, String(symbol))
                let balance = "acc:balance:\(desk.settings.accountIDs[1])"
                _ = try await stores.redis("DEL", balance)
                // Fills may still come: what it is by then is for the journal to say.
                try await eventually("the position is there again", within: .seconds(40)) {
                    try await stores.redis("HEXISTS", key, String(symbol)).trimmed == "1"
                }
                let outcome = try await desk.command("verify", "positions", "--store", "hot")
                #expect(outcome.code == 0, "\(outcome)")
                try await eventually("the other waits for somebody", within: .seconds(40)) {
                    let page = try await MetricPage(desk)
                    return page.differences == ["balances missing": 1] && page.openReviews == 1
                }
                #expect(try await stores.redis("EXISTS", balance).trimmed == "0")
                let status = try await desk.command("status")
                #expect(status.output.contains("balances: 1 repair waits for somebody to decide"))
            }
        }

        /// A dataset that SIGHUP brings is shown without a restart of the daemon.
        @Test(.timeLimit(.minutes(3)))
        func aCheckThatIsAddedIsShownAtOnce() async throws {
            let redis = try await RedisServer()
            let checks = [Self.everyFiveSeconds("positions")]
            try await StoreDesk.run(redis: redis, checks: checks) { stores in
                let desk = stores.desk
                try await eventually("positions are proven", within: .seconds(40)) {
                    try await MetricPage(desk).proven("positions") != nil
                }
                let text = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
                try text.replacing(
                    "verify:\n",
                    with: "verify:\n  - {name: cash, dataset: cash_flows, every: 5s}\n"
                ).write(toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                kill(try #require(desk.daemonPID), SIGHUP)
                try await eventually("cash flows are proven", within: .seconds(40)) {
                    try await MetricPage(desk).proven("cash") != nil
                }
                let status = try await desk.get("\(desk.opsURL)/api/ops/status").json?["data"]
                let shown = try #require(status?["verification"]?.elements)
                #expect(shown.compactMap { $0["check"]?.text }.sorted() == ["cash", "positions"])
                #expect(shown.allSatisfy { $0["outcome"]?.text == "equal" }, "\(shown)")
            }
        }
    }
}

/// What a scrape says of the verifications.
private struct MetricPage {
    private let lines: [Substring]

    init(_ desk: Desk) async throws {
        lines = try await desk.get("\(desk.opsURL)/metrics").text.split(separator: "\n")
    }

    /// Those that there are, by check and verdict.
    var differences: [String: Int] {
        var found: [String: Int] = [:]
        for line in lines where line.hasPrefix("opsd_verify_differences{") {
            let parts = line.split(separator: "\"")
            guard parts.count == 5, let count = Int(parts[4].dropFirst(2)), count > 0 else {
                continue
            }
            found["\(parts[1]) \(parts[3])"] = count
        }
        return found
    }

    var openReviews: Int? {
        lines.first { $0.hasPrefix("opsd_review_open ") }.flatMap { Int($0.dropFirst(17)) }
    }

    /// In seconds since 1970.
    func proven(_ check: String) -> Double? {
        let name = "opsd_verify_last_independent_timestamp_seconds{check=\"\(check)\"} "
        return lines.first { $0.hasPrefix(name) }.flatMap { Double($0.dropFirst(name.count)) }
    }
}
