import Ledger
import TestSupport
import Testing

@testable import RedisStore

/// What is gone that the store has written is a finding, and never no row.
@Suite(.serialized, .enabled(if: RedisServer.isWanted, "redis-server is not installed"))
struct VanishingTests {
    private static let whole = StorePosition(
        journal: "j", applied: Rows.at(1), datasets: ["positions", "orders"])

    private static let rows = [
        Rows.position("A", "AAPL", 5), Rows.position("A", "MSFT", 6), Rows.position("B", "AAPL", 7),
        Rows.order("o1", "A", "working"), Rows.order("o2", "B", "working"),
    ]

    private static func stamp(_ dataset: String, _ account: String, _ count: Int64) -> DigestStamp {
        DigestStamp(
            scope: DigestScope(dataset: dataset, account: account),
            digest: Digest(sum: 1, count: count))
    }

    /// - Parameter layouts: nil for those of the documents.
    private func filled(_ redis: Redis, _ layouts: [RedisLayout]? = nil) async throws -> RedisStore
    {
        let store = try redis.store(
            try layouts ?? [Rows.positions, Rows.orders].map { try RedisLayouts.standard(for: $0) })
        try await store.begin(["positions", "orders"])
        try await store.fill(Self.rows.map { StampedRow(row: $0, sequence: Rows.at(1)) })
        try await store.finish(
            Self.whole,
            digests: [
                Self.stamp("positions", "A", 2), Self.stamp("positions", "B", 1),
                Self.stamp("orders", "A", 1), Self.stamp("orders", "B", 1),
            ])
        return store
    }

    private func query(_ dataset: String, _ account: String? = nil) -> RowQuery {
        var query = RowQuery(dataset: dataset)
        if let account { query.matching = [("account_id", [.text(account)])] }
        return query
    }

    private func expectGone(
        _ name: String, sourceLocation: SourceLocation = #_sourceLocation,
        _ body: () async throws -> Void
    ) async {
        let error = await storeError(body)
        guard case .damaged(_, let problem)? = error, problem.contains(name),
            problem.contains("opsd rebuild")
        else {
            Issue.record("\(String(describing: error))", sourceLocation: sourceLocation)
            return
        }
    }

    private let apple = RowKey(dataset: "positions", values: [.text("A"), .text("AAPL")])

    @Test func aStampWithoutItsRowIsAFinding() async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        try await redis.run("HDEL", "acc:positions:A", "AAPL")
        await expectGone("AAPL") { _ = try await store.row(apple) }
        await expectGone("AAPL") { _ = try await store.rows(query("positions")) }
        await expectGone("acc:positions:A") { _ = try await store.count(query("positions", "A")) }
        #expect(try await store.count(query("positions", "B")) == 1, "the others are read")
        let other = RowKey(dataset: "positions", values: [.text("A"), .text("MSFT")])
        #expect(try await store.row(other) != nil)
        // Taken out by opsd, both go.
        try await store.apply(Rows.batch([], gone: [apple], at: 2))
        #expect(try await store.rows(query("positions", "A")).count == 1)
    }

    /// As a server does that evicts keys: the data's alone, or the stamps' too.
    @Test(arguments: [
        ["acc:positions:A"], ["acc:positions:A", "opsd:v:positions:acc:positions:A"],
    ]) func aKeyThatWasEvictedIsAFinding(_ keys: [String]) async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        for key in keys { try await redis.run("DEL", key) }
        await expectGone("acc:positions:A") { _ = try await store.row(apple) }
        await expectGone("acc:positions:A") { _ = try await store.rows(query("positions", "A")) }
        await expectGone("acc:positions:A") { _ = try await store.count(query("positions", "A")) }
        #expect(try await store.rows(query("positions", "C")).isEmpty, "it never had any")
        if keys.count == 1 {
            await expectGone("acc:positions:A") { _ = try await store.rows(query("positions")) }
            await expectGone("acc:positions:A") { _ = try await store.count(query("positions")) }
        }
        // Where it does not say that it is whole, nothing is missing.
        try await store.finish(StorePosition(Self.whole.place, datasets: ["orders"]), digests: [])
        #expect(try await store.row(apple) == nil)
        #expect(try await store.count(query("positions")) == 1)
    }

    @Test func anIndexThatWasEvictedIsAFinding() async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        let first = RowKey(dataset: "orders", values: [.text("o1")])
        #expect(try await store.row(RowKey(dataset: "orders", values: [.text("o9")])) == nil)
        try await redis.run("DEL", "opsd:k:orders")
        await expectGone("opsd:k:orders") { _ = try await store.row(first) }
        #expect(try await store.rows(query("orders", "A")).count == 1)
    }

    @Test func aRowOfItsOwnKeyThatIsGoneIsAFinding() async throws {
        let redis = try await Redis()
        let store = try await filled(
            redis,
            [
                try RedisLayout(Rows.positions, key: "p:{account_id}:{symbol}", value: .hash),
                try RedisLayout(Rows.orders, key: "x:{order_id}"),
            ])
        try await redis.run("DEL", "p:A:AAPL")
        try await redis.run("DEL", "x:o1")
        await expectGone("p:A:AAPL") { _ = try await store.row(apple) }
        await expectGone("p:A:AAPL") { _ = try await store.rows(query("positions")) }
        await expectGone("p:A:AAPL") { _ = try await store.count(query("positions")) }
        await expectGone("x:o1") {
            _ = try await store.row(RowKey(dataset: "orders", values: [.text("o1")]))
        }
    }

    /// A server with little memory and `allkeys-lru`: what it throws away is never read as nothing.
    @Test(.timeLimit(.minutes(1))) func aServerThatEvictsIsNotBelieved() async throws {
        let redis = try await Redis(["maxmemory-policy allkeys-lru", "maxmemory-samples 20"])
        let store = try await filled(redis)
        let used = try await redis.text("INFO", "memory") ?? ""
        let bytes = try #require(
            used.split(separator: "\r\n").first { $0.hasPrefix("used_memory:") }
                .flatMap { Int($0.dropFirst("used_memory:".count)) })
        // Kept in use, so that it is the rows that go.
        try await redis.run("CONFIG", "SET", "maxmemory", "\(bytes + 400_000)")
        for number in 0..<3_000 {
            try await redis.run("SET", "filler:\(number)", String(repeating: "x", count: 200))
            if number % 10 == 0 { _ = try? await store.position() }
            if number % 10 == 0 { _ = try? await redis.run("HGETALL", "opsd:digests") }
        }
        let keys = try await redis.keys()
        try #require(!keys.contains("acc:positions:A"), "nothing was evicted")
        guard try await store.position() == Self.whole, keys.contains("opsd:digests") else {
            // The record itself is gone: then the store is filled anew.
            return
        }
        await expectGone("acc:positions:A") { _ = try await store.rows(query("positions", "A")) }
    }

    /// A dataset that this desk does not have at present was whole once; it is not, when it comes back.
    @Test func whatWasWholeIsSaidAlsoWhereItIsNotKnown() async throws {
        let redis = try await Redis()
        _ = try await filled(redis)
        let narrow = try redis.store([try RedisLayouts.standard(for: Rows.positions)])
        #expect(try await narrow.position() == Self.whole)
        try await narrow.finish(
            StorePosition(Self.whole.place, datasets: ["positions"]), digests: [])
        let both = try redis.store(
            try [Rows.positions, Rows.orders].map { try RedisLayouts.standard(for: $0) })
        #expect(try await both.position().datasets == ["positions"])
    }
}
