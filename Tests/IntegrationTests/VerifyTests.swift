import CurlClient
import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

@testable import opsd

extension RealProcesses {
    /// `opsd verify` beside a desk that trades, with stores that people and programs have damaged.
    @Suite(
        .serialized, .enabled(if: StoreDesk.isWanted, "redis-server or PostgreSQL is not installed")
    )
    struct VerifyTests {
        @Test(.timeLimit(.minutes(5)))
        func whatWasDamagedIsFoundAndNothingElse() async throws {
            let redis = try await RedisServer()
            try await StoreDesk.run(redis: redis) { stores in
                let desk = stores.desk
                let load = try await OrderLoad(desk)
                try await load.run {
                    try await load.wait(forMore: 200)
                    // While orders flow nothing is wrong.
                    let busy = try await desk.command("verify", "--json")
                    #expect(busy.code == 0, "\(busy)")
                    try await load.wait(forMore: 20)
                }
                try await stores.settle()
                let calm = try await desk.command("verify", "--json")
                #expect(calm.code == 0, "\(calm)")
                let result = try #require(calm.documents.last ?? nil)
                #expect(result["outcome"]?.text == "equal")
                #expect(calm.documents.allSatisfy { $0 != nil })
                let places = calm.documents.compactMap { $0?["store"]?.text }
                #expect(places.count == 17, "each dataset in each of its stores")

                let wanted = try await Vandal(stores).damage()
                // Two at once, which is nothing to either.
                async let first = desk.command("verify", "--json")
                async let second = desk.command("verify", "--json")
                for outcome in [try await first, try await second] {
                    #expect(outcome.code == 1, "\(outcome)")
                    #expect(Self.found(outcome) == wanted)
                    let verdicts = outcome.documents.compactMap { $0?["verdict"]?.text }
                    #expect(verdicts.count == wanted.count, "nothing twice")
                }
                let some = try await desk.command("verify", "deals", "--store", "record", "--json")
                #expect(some.code == 1)
                #expect(Self.found(some) == wanted.filter { $0.contains(" deals/") })
                let people = try await desk.command("verify", "positions", "--limit", "1")
                #expect(people.code == 1)
                #expect(people.output.contains("more: --limit shows them"), "\(people.output)")

                // The daemon is not needed.
                #expect(try await desk.terminate() == 0)
                let alone = try await desk.command("verify", "--json")
                #expect(Self.found(alone) == wanted, "\(alone)")
            }
        }

        /// Verdict, key and store of each difference.
        private static func found(_ outcome: Desk.Outcome) -> Set<String> {
            Set(
                outcome.documents.compactMap { document in
                    guard let verdict = document?["verdict"]?.text,
                        let store = document?["store"]?.text
                    else { return nil }
                    let key = document?["key"]?.text ?? "-"
                    return "\(verdict) \(key) in \(store)"
                })
        }

        /// Each change is looked at once the store has it; what is wrong is said, and that it is right again.
        @Test(.timeLimit(.minutes(3)))
        func whoFollowsSaysWhatIsWrongInWhatHasJustChanged() async throws {
            let redis = try await RedisServer()
            try await StoreDesk.run(redis: redis) { stores in
                let desk = stores.desk
                let account = desk.settings.accountIDs[0]
                let token = try await desk.token(account)
                func buy() async throws {
                    let text = OrderText(account: account, clientOrderID: UUID().uuidString)
                    let answer = try await desk.api(.post, "/orders", token, body: text.body)
                    try #require(answer.status == 202, "\(answer.text)")
                }
                try await buy()
                try await eventually("there is a position") {
                    try await stores.redis("HLEN", "acc:positions:\(account)").trimmed == "1"
                }
                try await stores.settle()
                let output = desk.directory.path("follow.out")
                let follower = try ChildProcess.start(
                    Desk.program,
                    ["verify", "positions", "--follow", "--json", "-c", desk.configurationFile],
                    in: desk.directory.path, output: output,
                    errors: desk.directory.path("follow.err"))
                defer { follower.endGroup() }
                // It has read where the journal ends before it is stopped.
                try await Task.sleep(for: .seconds(1))
                kill(follower.pid, SIGSTOP)
                let before = try await stores.redis("HVALS", "acc:positions:\(account)")
                try await buy()
                try await eventually("the position has changed") {
                    try await stores.redis("HVALS", "acc:positions:\(account)") != before
                }
                try await stores.settle()
                let symbol = try await stores.redis("HKEYS", "acc:positions:\(account)").trimmed
                _ = try await stores.redis(
                    "HSET", "acc:positions:\(account)", symbol, before.trimmed)
                kill(follower.pid, SIGCONT)
                let key = "positions/\(account)/\(symbol) in hot"
                try await eventually("it is said", within: .seconds(20)) {
                    Self.lines(output) == ["corrupt \(key)"]
                }
                try await buy()
                try await eventually("it is said that it is right again", within: .seconds(20)) {
                    Self.lines(output) == ["corrupt \(key)", "equal \(key)"]
                }
                #expect(desk.text("follow.err") == "")
            }
        }

        private static func lines(_ path: String) -> [String] {
            let text = String(
                decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
            return text.split(separator: "\n").compactMap { line in
                guard let document = try? JSONValue(parsing: Array(line.utf8)),
                    let verdict = document["verdict"]?.text, let key = document["key"]?.text,
                    let store = document["store"]?.text
                else { return "no JSON: \(line)" }
                return "\(verdict) \(key) in \(store)"
            }
        }

        @Test(.timeLimit(.minutes(3)))
        func whatCannotBeReadIsUnknownAndABadNameIsSaid() async throws {
            let redis = try await RedisServer()
            try await StoreDesk.run(redis: redis, timeout: "1s") { stores in
                let desk = stores.desk
                let load = try await OrderLoad(desk)
                try await load.run { try await load.wait(forMore: 30) }
                try await stores.settle()
                redis.kill()
                let away = try await desk.command(
                    "verify", "positions", "--json", "--deadline", "1")
                #expect(away.code == 3, "\(away)")
                #expect(away.documents.last??["outcome"]?.text == "unknown")
                #expect(Self.found(away).isEmpty, "what was not read is not missing: \(away)")
                let others = try await desk.command("verify", "deals", "--store", "record")
                #expect(others.code == 0, "\(others)")

                for (words, message) in [
                    (["positons"], "did you mean 'positions'?"),
                    (["positions", "--store", "hto"], "did you mean 'hot'?"),
                    (["--full", "--follow"], "exclude each other"),
                    (["--since", "yesterday"], "is no sequence number"),
                    (["--limit", "-1"], "--limit"),
                ] {
                    let outcome = try await Desk.command(
                        ["verify", "-c", desk.configurationFile] + words, in: desk.directory)
                    #expect(outcome.code == 2, "\(words): \(outcome)")
                    #expect(outcome.errors.contains(message), "\(words): \(outcome.errors)")
                }
            }
        }
    }
}

/// Does to stores what people, programs and disks do to them.
struct Vandal {
    private let stores: StoreDesk
    private let accounts: [String]

    init(_ stores: StoreDesk) {
        self.stores = stores
        accounts = stores.desk.settings.accountIDs
    }

    /// - Returns: what is to be found.
    func damage() async throws -> Set<String> {
        try await redis().union(try await postgres()).union(try files()).union(try await sqlite())
    }

    private func redis() async throws -> Set<String> {
        let (one, two, three) = (accounts[0], accounts[1], accounts[2])
        // A digit changed, at the same length.
        let key = "acc:positions:\(one)"
        let symbol = try #require(try await lines("HKEYS", key).sorted().first)
        let value = try await stores.redis("HGET", key, symbol).trimmed
        let place = try #require(value.range(of: "\"qty\":\""))
        let digit = value[place.upperBound]
        let other = digit == "9" ? "8" : "9"
        let changed = value.replacingCharacters(
            in: place.upperBound..<value.index(after: place.upperBound), with: other)
        _ = try await stores.redis("HSET", key, symbol, changed)
        // One that nobody journaled.
        _ = try await stores.redis("HSET", "acc:positions:\(two)", "ROGUE", value)
        // One that is gone.
        let lost = try #require(try await lines("HKEYS", "acc:positions:\(three)").sorted().first)
        _ = try await stores.redis("HDEL", "acc:positions:\(three)", lost)
        // One that will vanish.
        _ = try await stores.redis("EXPIRE", "acc:balance:\(one)", "3600")
        // One of another type.
        _ = try await stores.redis("DEL", "acc:balance:\(two)")
        _ = try await stores.redis("SET", "acc:balance:\(two)", "1")
        return [
            "corrupt positions/\(one)/\(symbol) in hot", "rogue positions/\(two)/ROGUE in hot",
            "missing positions/\(three)/\(lost) in hot", "corrupt balances/\(one) in hot",
            "corrupt balances/\(two) in hot",
        ]
    }

    private func lines(_ words: String...) async throws -> [String] {
        let outcome = try await Desk.command(
            ["redis-cli", "-p", "\(stores.redisPort)", "--raw"] + words, in: stores.desk.directory,
            program: "/usr/bin/env")
        return outcome.output.split(separator: "\n").map(String.init)
    }

    private func postgres() async throws -> Set<String> {
        let database = try #require(try await database())
        let account = accounts[0]
        let ids = try await stores.postgres.psql(
            database,
            "SELECT deal_id FROM trades WHERE account_id = '\(account)' ORDER BY deal_id LIMIT 4"
        ).split(separator: "\n").map(String.init)
        try #require(ids.count == 4)
        // Two rows swapped, one deleted, one added.
        _ = try await stores.postgres.psql(
            database,
            """
            UPDATE trades SET qty = qty + (CASE deal_id WHEN '\(ids[0])' THEN 1 ELSE -1 END)
            WHERE deal_id IN ('\(ids[0])', '\(ids[1])')
            """)
        _ = try await stores.postgres.psql(
            database, "DELETE FROM trades WHERE deal_id = '\(ids[2])'")
        _ = try await stores.postgres.psql(
            database,
            """
            CREATE TEMP TABLE copy AS SELECT * FROM trades WHERE deal_id = '\(ids[3])';
            UPDATE copy SET deal_id = 'rogue', opsd_sequence = 0; INSERT INTO trades SELECT * FROM copy
            """)
        return [
            "corrupt deals/\(account)/\(ids[0]) in record",
            "corrupt deals/\(account)/\(ids[1]) in record",
            "missing deals/\(account)/\(ids[2]) in record",
            "rogue deals/\(account)/rogue in record",
        ]
    }

    private func database() async throws -> String? {
        let configuration = try Configuration.load(stores.desk.configurationFile)
        let url = configuration.stores.first { $0.name == "record" }?.url?.reveal() ?? ""
        return URLComponents(string: url)?.path.split(separator: "/").last.map(String.init)
    }

    private func files() throws -> Set<String> {
        let root = stores.desk.data + "/files"
        let configuration = try Configuration.load(stores.desk.configurationFile)
        let path = configuration.stores.first { $0.name == "files" }?.path ?? root
        let account = accounts[0]
        // Cut in the middle.
        let balances = "\(path)/\(account)/balances.json"
        let bytes = try #require(FileManager.default.contents(atPath: balances))
        try bytes.prefix(bytes.count / 2).write(to: URL(filePath: balances))
        return ["corrupt balances/\(account) in files", "corrupt - in files"]
    }

    private func sqlite() async throws -> Set<String> {
        let configuration = try Configuration.load(stores.desk.configurationFile)
        let path = try #require(configuration.stores.first { $0.name == "local" }?.path)
        let script = """
            import sqlite3, sys
            db = sqlite3.connect(sys.argv[1], timeout=5)
            id, = db.execute("SELECT order_id FROM orders ORDER BY order_id LIMIT 1").fetchone()
            db.execute("UPDATE orders SET opsd_sequence = opsd_sequence - 1, qty = qty || '0' "
                       "WHERE order_id = ?", (id,))
            db.commit()
            print(id)
            """
        let outcome = try await Desk.command(
            ["python3", "-c", script, path], in: stores.desk.directory, program: "/usr/bin/env")
        try #require(outcome.code == 0, "\(outcome)")
        return ["corrupt orders/\(outcome.output.trimmed) in local"]
    }
}

extension String {
    var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}
