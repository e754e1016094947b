import CurlClient
import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

@testable import opsd

/// A desk whose declared rows lie in Redis and PostgreSQL, where anybody can spoil them.
struct RepairScene {
    let stores: StoreDesk
    let database: String
    let token: String

    var desk: Desk { stores.desk }

    static let account = "TRADE_001"

    /// - Parameters:
    ///   - further: stores that the rows are copied to besides.
    ///   - check: members of the check in the configuration.
    static func run(
        further: [String] = [], check: String = "repair: auto", redis: RedisServer,
        _ body: (RepairScene) async throws -> Void
    ) async throws {
        let postgres = try await PostgresServer()
        let database = try await postgres.makeDatabase()
        var settings = DeskSettings(accounts: 2)
        settings.sections = """
            stores:
              files: {kind: files, path: ./files}
              local: {kind: sqlite, path: ./record.sqlite}
              hot: {kind: redis, url: "redis://127.0.0.1:\(redis.port)/0", timeout: 5s}
              record: {kind: postgres, url: "\(postgres.url(database))", timeout: 5s}
            datasets:
              held:
                kind: declared
                key: [account_id, symbol]
                fields: {days: integer, note: text?}
                old: hot
                new: record
                also: [\(further.joined(separator: ", "))]
            verify:
              - {name: holdings, dataset: held, follow: false, \(check)}

            """
        try await Desk.run(settings) { desk in
            let stores = StoreDesk(desk: desk, postgres: postgres, redisPort: redis.port)
            try await body(
                RepairScene(
                    stores: stores, database: database, token: try await desk.token(account)))
        }
    }

    // MARK: Rows

    static func symbol(_ number: Int) -> String { "S\(String(100_000 + number).dropFirst())" }

    /// Writes rows as a program does.
    func put(_ numbers: Range<Int>, days: Int) async throws {
        for start in stride(from: numbers.lowerBound, to: numbers.upperBound, by: 1_000) {
            let rows = (start..<min(start + 1_000, numbers.upperBound)).map {
                "{\"account_id\":\"\(Self.account)\",\"symbol\":\"\(Self.symbol($0))\","
                    + "\"days\":\(days)}"
            }
            let answer = try await desk.api(
                .post, "/data/held:batch", token, body: "{\"put\":[\(rows.joined(separator: ","))]}"
            )
            try #require(answer.status == 200 || answer.status == 202, "\(answer.text)")
        }
    }

    func put(_ number: Int, days: Int) async throws -> Int {
        try await desk.api(
            .put, "/data/held/\(Self.account)/\(Self.symbol(number))", token,
            body: "{\"days\":\(days)}"
        ).status
    }

    /// Until each store has everything.
    func settle(_ names: [String] = ["hot", "record"]) async throws {
        try await eventually("the stores have everything", within: .seconds(60)) {
            let status = try await stores.status()
            return names.allSatisfy { StoreDesk.hasAll($0, in: status) }
        }
    }

    // MARK: What others do to the stores

    /// Writes into rows of Redis past opsd; what it does to them is Lua of `key` and `field`.
    func redis(_ numbers: Range<Int>, _ action: String) async throws {
        _ = try await stores.redis(
            "EVAL",
            """
            local key = 'opsd:held:\(Self.account)'
            for number = \(numbers.lowerBound), \(numbers.upperBound - 1) do
                local field = 'S' .. string.sub(tostring(100000 + number), 2)
                \(action)
            end
            return redis.call('HLEN', key)
            """, "0")
    }

    func spoilRedis(_ numbers: Range<Int>, days: Int = -1) async throws {
        try await redis(numbers, "redis.call('HSET', key, field, '{\"days\":\(days)}')")
    }

    func psql(_ sql: String) async throws -> String {
        try await stores.postgres.psql(database, sql)
    }

    func spoilPostgres(_ numbers: Range<Int>, days: Int = -1) async throws {
        _ = try await psql(
            "UPDATE held SET days = \(days) WHERE symbol >= '\(Self.symbol(numbers.lowerBound))' "
                + "AND symbol < '\(Self.symbol(numbers.upperBound))'")
    }

    // MARK: What lies there

    /// All bytes of a store that are rows or stamps.
    func bytes(of store: String) async throws -> String {
        switch store {
        case "hot":
            // What changes by itself is where the store stands.
            return try await stores.redisContent().split(separator: "\n")
                .filter { !$0.hasPrefix("applied=") && !$0.hasPrefix("checksum=") }
                .joined(separator: "\n")
        case "record":
            return try await psql("SELECT * FROM held ORDER BY account_id, symbol")
        case "files":
            let root = desk.data + "/files"
            return try FileManager.default.subpathsOfDirectory(atPath: root).sorted()
                .filter { $0.hasSuffix(".json") && $0.contains("held") }
                .map { path in
                    let bytes = FileManager.default.contents(atPath: root + "/" + path) ?? Data()
                    return "\(path): \(String(decoding: bytes, as: UTF8.self))"
                }.joined(separator: "\n")
        default:
            let script = """
                import sqlite3, sys
                db = sqlite3.connect(sys.argv[1], timeout=5)
                for row in db.execute("SELECT * FROM held ORDER BY account_id, symbol"): print(row)
                """
            return try await Desk.command(
                ["python3", "-c", script, desk.data + "/record.sqlite"], in: desk.directory,
                program: "/usr/bin/env"
            ).output
        }
    }

    // MARK: Commands

    /// As an operator, to its end, which may take a while.
    func opsd(_ words: String..., reason: Bool = true) async throws -> Desk.Outcome {
        let who = reason ? ["--operator", "lin", "--reason", "a test"] : []
        return try await Desk.command(
            words + who + ["--json", "-c", desk.configurationFile], in: desk.directory,
            within: .seconds(120))
    }

    func verify(_ words: String...) async throws -> Desk.Outcome {
        try await Desk.command(
            ["verify", "holdings"] + words
                + ["--deadline", "2", "--limit", "0", "--json", "-c", desk.configurationFile],
            in: desk.directory, within: .seconds(120))
    }

    /// The ids of repairs that a command has printed, by store.
    static func repairs(_ outcome: Desk.Outcome) -> [String: JSONValue] {
        var found: [String: JSONValue] = [:]
        for document in outcome.documents {
            guard let document, document["repair"] != nil, let store = document["store"]?.text
            else { continue }
            found[store] = document
        }
        return found
    }

    func metric(_ line: String) async throws -> String? {
        try await desk.get("\(desk.opsURL)/metrics").text.split(separator: "\n")
            .first { $0.hasPrefix(line + " ") }.map { String($0.dropFirst(line.utf8.count + 1)) }
    }

    func open() async throws -> String? { try await metric("opsd_review_open") }
}
