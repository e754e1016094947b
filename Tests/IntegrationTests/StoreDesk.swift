import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing
import Trading

@testable import opsd

/// A desk whose rows are copied to files, SQLite, Redis and PostgreSQL.
struct StoreDesk {
    static let isWanted = RedisServer.isWanted && PostgresServer.isWanted

    let desk: Desk
    let postgres: PostgresServer
    let redisPort: Int

    /// - Parameters:
    ///   - redis: the test's own; without one the desk supervises a redis-server that flushes its log
    ///     every second.
    ///   - timeout: of the stores.
    ///   - checks: the entries of `verify`, a line each.
    static func run(
        redis: RedisServer? = nil, timeout: String = "5s", checks: [String] = [],
        _ body: (StoreDesk) async throws -> Void
    ) async throws {
        let postgres = try await PostgresServer()
        let url = postgres.url(try await postgres.makeDatabase())
        let port = try redis?.port ?? freePort()
        var settings = DeskSettings(accounts: 3, cash: 50_000_000)
        if redis == nil {
            let words = [
                "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "yes", "--appendfsync", "everysec",
            ]
            settings.services = [
                "redis: {command: [\(words.map { "\"\($0)\"" }.joined(separator: ", "))], "
                    + "working_directory: ./redis, before: [core], "
                    + "restart: {backoff: 100ms, factor: 1, limit: 100ms}}"
            ]
        }
        settings.sections = """
            stores:
              files: {kind: files, path: ./files}
              local: {kind: sqlite, path: ./record.sqlite}
              hot: {kind: redis, url: "redis://127.0.0.1:\(port)/0", timeout: \(timeout)}
              record: {kind: postgres, url: "\(url)", timeout: \(timeout)}
            datasets:
              positions: {old: files, new: hot, read: new, fallback: old, also: [record, local]}
              balances: {old: files, new: hot, also: [record, local]}
              orders: {old: local, new: record, also: [hot]}
              deals: {old: local, new: record, read: new, fallback: old, also: [hot]}
              cash_flows: {old: local, new: record, also: [hot]}

            """
        if !checks.isEmpty {
            settings.sections += "verify:\n" + checks.map { "  - \($0)\n" }.joined()
        }
        try await Desk.run(settings, starts: false) { desk in
            try FileManager.default.createDirectory(
                atPath: desk.data + "/redis", withIntermediateDirectories: false)
            try await desk.start()
            try await desk.waitUntilReady()
            try await body(StoreDesk(desk: desk, postgres: postgres, redisPort: port))
        }
    }

    // MARK: - What the desk says

    func status() async throws -> JSONValue {
        let answer = try await desk.get("\(desk.opsURL)/api/ops/status")
        return try #require(answer.json?["data"])
    }

    /// One store's part of a status.
    static func store(_ name: String, in status: JSONValue) -> JSONValue? {
        status["core"]?["stores"]?.elements?.first { $0["name"]?.text == name }
    }

    static func hasAll(_ name: String, in status: JSONValue) -> Bool {
        let store = store(name, in: status)
        return store?["state"]?.text == "following"
            && store?["applied_sequence"]?.text == status["core"]?["journal_sequence"]?.text
            && store?["degraded"]?.elements?.isEmpty == true
    }

    static let names = ["files", "local", "hot", "record"]

    /// Until every store has everything, and is read where it should be; the journal's head then.
    @discardableResult
    func settle(within limit: Duration = .seconds(60)) async throws -> String {
        var head: String?
        try await eventually("every store has the whole journal", within: limit) {
            let status = try await status()
            let now = status["core"]?["journal_sequence"]?.text
            defer { head = now }
            return now != nil && now == head
                && Self.names.allSatisfy { Self.hasAll($0, in: status) }
        }
        return try #require(head)
    }

    // MARK: - What the stores have

    /// Row by row, with its stamp, each store has what the journal's entries give, and nothing else.
    func expectTheJournalsRows() async throws {
        let head = try await settle()
        let journal = try JournalRows(directory: desk.data + "/journal")
        #expect(journal.head.description == head)
        let configuration = try Configuration.load(desk.configurationFile)
        let stores = OpenStores(
            configuration: configuration, catalogue: Datasets.catalogue
        ).all()
        #expect(Set(stores.keys) == Set(Self.names))
        for (name, store) in stores.sorted(by: { $0.key < $1.key }) {
            let datasets = Set(
                configuration.datasets.filter {
                    ([$0.old, $0.new].compactMap { $0 } + $0.also).contains(name)
                }.map(\.name))
            let digests = Dictionary(
                try await store.digests().map { ($0.scope, $0.digest) },
                uniquingKeysWith: { first, _ in first })
            for (scope, digest) in journal.digests where datasets.contains(scope.dataset) {
                let schema = try #require(Datasets.catalogue[scope.dataset])
                let found = try await Self.rows(of: scope, schema, in: store)
                let wanted = journal.rows(of: scope, in: schema)
                let strange = found.symmetricDifference(wanted).prefix(3)
                #expect(strange.isEmpty, "\(name), \(scope): \(strange)")
                #expect(journal.digest(found, in: schema) == digest, "\(name), \(scope)")
                #expect(digests[scope] == digest, "\(name), \(scope)")
            }
            #expect(Set(digests.keys.map(\.dataset)) == datasets, "\(name)")
            await store.pooled?.close()
        }
    }

    private static func rows(
        of scope: DigestScope, _ schema: Schema, in store: some RowStore
    ) async throws -> Set<StampedRow> {
        var query = RowQuery(dataset: scope.dataset)
        if let field = schema.accountField {
            query.matching = [(schema.fields[field].name, [.text(scope.account)])]
        }
        query.limit = 2_000
        var found: Set<StampedRow> = []
        while true {
            let page = try await store.rows(query)
            found.formUnion(page)
            guard let last = page.last else { return found }
            query.afterKey = last.row.key(in: schema).values
        }
    }

    // MARK: - Redis, past opsd

    func redis(_ words: String...) async throws -> String {
        let outcome = try await Desk.command(
            ["redis-cli", "-p", "\(redisPort)", "--raw"] + words, in: desk.directory,
            program: "/usr/bin/env")
        guard outcome.code == 0 else { throw ChildProcess.Failure(description: "\(outcome)") }
        return outcome.output
    }

    /// Every key with its type and all that it holds, in an order of their own.
    func redisContent() async throws -> String {
        try await redis(
            "EVAL",
            """
            local lines = {}
            local keys = redis.call('KEYS', '*')
            table.sort(keys)
            for _, key in ipairs(keys) do
                local kind = redis.call('TYPE', key).ok
                lines[#lines + 1] = kind .. ' ' .. key
                if kind == 'string' then
                    lines[#lines + 1] = redis.call('GET', key)
                else
                    local all = redis.call('HGETALL', key)
                    local fields = {}
                    for i = 1, #all, 2 do fields[#fields + 1] = all[i] .. '=' .. all[i + 1] end
                    table.sort(fields)
                    for _, field in ipairs(fields) do lines[#lines + 1] = field end
                end
            end
            return lines
            """, "0")
    }
}
