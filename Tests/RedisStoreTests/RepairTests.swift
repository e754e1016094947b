import Ledger
import TestSupport
import Testing

@testable import RedisStore

/// Putting rows right in a server, and putting back what was there.
@Suite(
    .serialized, .enabled(if: RedisServer.isWanted, "redis-server is not installed"),
    .timeLimit(.minutes(5)))
struct RepairTests {
    /// What lies there, with the times at which keys expire.
    private static func raw(_ redis: Redis) async throws -> String {
        var text = ""
        for key in try await redis.keys() where key != "opsd:store" && key != "opsd:digests" {
            let type = try await redis.run("TYPE", key).text ?? ""
            let value: String
            switch type {
            case "hash":
                let pairs = try await redis.run("HGETALL", key).pairs
                value = pairs.map { "\($0.field)=\($0.value)" }.sorted().joined(separator: ";")
            case "string": value = "\(try await redis.run("GET", key).bytes ?? [])"
            default: value = "\(try await redis.run("DUMP", key).bytes ?? [])"
            }
            text += "\(key) \(type) \(try await redis.run("PEXPIRETIME", key)) \(value)\n"
        }
        return text
    }

    private func bench(_ redis: Redis, _ store: RedisStore) -> RepairConformance.Bench {
        .init(store) { try await Self.raw(redis) }
    }

    @Test(arguments: ConformanceTests.Layouts.allCases, RepairConformance.checks)
    func conforms(_ layouts: ConformanceTests.Layouts, _ check: RepairConformance) async throws {
        if check.isLarge, ![.standard, .strings, .indexed].contains(layouts) { return }
        let redis = try await Redis()
        try await check.run { bench(redis, try redis.store(try layouts.make(), rowsMax: 200)) }
    }

    private static let rows = [
        Rows.position("A", "AAPL", 5), Rows.position("A", "MSFT", 6), Rows.position("B", "AAPL", 7),
        Rows.order("o1", "A", "working"), Rows.order("o2", "B", "working"),
    ].map { StampedRow(row: $0, sequence: Rows.at(1)) }

    private static func key(_ row: StampedRow) -> RowKey {
        row.row.key(in: row.row.dataset == "orders" ? Rows.orders : Rows.positions)
    }

    /// One row a call, to see what a fault of a whole key means for the others.
    private func filled(_ redis: Redis, _ layouts: [RedisLayout]? = nil) async throws -> RedisStore
    {
        let store = try redis.store(
            try layouts
                ?? [Rows.positions, Rows.orders].map { try RedisLayouts.standard(for: $0) },
            rowsMax: 1)
        try await store.fill(Self.rows, at: nil)
        return store
    }

    private let positions = RepairTests.rows.prefix(2).map {
        RepairConformance.Truth(RepairTests.key($0), $0)
    }

    @Test(arguments: [
        [["HSET", "acc:positions:A", "AAPL", "{ \"qty\" : 1.50 }"]],
        [["HDEL", "acc:positions:A", "AAPL"]],
        [["HDEL", "opsd:v:positions:acc:positions:A", "AAPL"]],
        [["HSET", "opsd:v:positions:acc:positions:A", "AAPL", "soon"]],
        [["DEL", "acc:positions:A"]],
        [["DEL", "acc:positions:A", "opsd:v:positions:acc:positions:A"]],
        [["DEL", "acc:positions:A"], ["SET", "acc:positions:A", "a text"]],
        [["DEL", "acc:positions:A"], ["RPUSH", "acc:positions:A", "1", "2"]],
        [["DEL", "acc:positions:A"], ["SET", "acc:positions:A", "a", "PX", "7777777"]],
        [
            ["DEL", "opsd:v:positions:acc:positions:A"],
            ["SADD", "opsd:v:positions:acc:positions:A", "x"],
        ],
        [["PEXPIRE", "acc:positions:A", "1234567"]],
        [["PEXPIRE", "opsd:v:positions:acc:positions:A", "1234567"]],
        [["HDEL", "acc:positions:A", "AAPL"], ["PEXPIRE", "acc:positions:A", "1234567"]],
    ]) func aFaultIsPutRightAndComesBack(_ faults: [[String]]) async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        for fault in faults { try await redis.run(fault) }
        try await RepairConformance.repairAndUndo(positions, in: bench(redis, store))
    }

    @Test(arguments: [
        [["HSET", "p:A:AAPL", "qty", "many", "foreign", "stays"]],
        [["HDEL", "p:A:AAPL", "qty"]], [["DEL", "p:A:AAPL"]],
        [["DEL", "p:A:AAPL"], ["SET", "p:A:AAPL", "a text"]],
        [["DEL", "o:A:o1"], ["HSET", "o:A:o1", "b", "2", "a", "1"]],
        [["SET", "o:A:o1", "{", "PX", "7777777"]], [["PEXPIRE", "p:A:AAPL", "1234567"]],
        [["PEXPIRE", "opsd:v:positions:p:A:AAPL", "1234567"]],
        [["DEL", "opsd:v:orders:o:A:o1"], ["ZADD", "opsd:v:orders:o:A:o1", "1", "x"]],
    ]) func aFaultOfARowsOwnKeyIsPutRightAndComesBack(_ faults: [[String]]) async throws {
        let redis = try await Redis()
        let store = try await filled(
            redis,
            [
                try RedisLayout(Rows.positions, key: "p:{account_id}:{symbol}", value: .hash),
                try RedisLayout(Rows.orders, key: "o:{account_id}:{order_id}"),
            ])
        for fault in faults { try await redis.run(fault) }
        try await RepairConformance.repairAndUndo(positions, in: bench(redis, store))
        let orders = Self.rows.suffix(2).map { RepairConformance.Truth(Self.key($0), $0) }
        try await RepairConformance.repairAndUndo(orders, in: bench(redis, store))
        let none = (positions + orders).map { RepairConformance.Truth($0.key, nil) }
        try await RepairConformance.repairAndUndo(Array(none.prefix(2)), in: bench(redis, store))
        try await RepairConformance.repairAndUndo(Array(none.suffix(2)), in: bench(redis, store))
    }

    /// A row that the index has in the wrong key, or does not have at all.
    @Test func aRowGoesBackToWhereItLay() async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        let truth = RepairConformance.Truth(Self.key(Self.rows[3]), Self.rows[3])
        try await store.fill(
            [StampedRow(row: Rows.order("o1", "Z", "filled"), sequence: Rows.at(9))], at: nil)
        try await RepairConformance.repairAndUndo([truth], in: bench(redis, store))
        try await redis.run("HDEL", "opsd:k:orders", "o1")
        try await RepairConformance.repairAndUndo([truth], in: bench(redis, store))
        try await RepairConformance.repairAndUndo([(truth.key, nil)], in: bench(redis, store))
    }

    /// Where a row is to go lies somebody's, which no image has.
    @Test func whatLiesWhereARowIsToGoStays() async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        let key = Self.key(Self.rows[3])
        let moved = StampedRow(row: Rows.order("o1", "Z", "filled"), sequence: Rows.at(9))
        try await redis.run("HSET", "acc:orders:Z", "o1", "theirs")
        let image = try await store.images([key])[0]
        let replaced = try await store.replace([
            RowReplacement(key: key, expected: image, content: .row(moved))
        ])
        #expect(replaced == [nil])
        #expect(try await redis.text("HGET", "acc:orders:Z", "o1") == "theirs")
    }

    /// What was wrong with the key as such does not come back over a row that came since.
    @Test(arguments: [
        [["PEXPIRE", "acc:positions:A", "1234567"]],
        [["DEL", "acc:positions:A"], ["SET", "acc:positions:A", "a text"]],
    ]) func aKeyWithNewerRowsStays(_ faults: [[String]]) async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        for fault in faults { try await redis.run(fault) }
        let keys = positions.map(\.key)
        let before = try await store.images(keys)
        let after = try await store.replace(
            zip(Self.rows, before).map {
                RowReplacement(key: Self.key($0), expected: $1, content: .row($0))
            })
        #expect(!after.contains(nil))
        try await store.apply(Rows.batch([Rows.position("A", "NEW", 1)], at: 5))
        let raw = try await Self.raw(redis)
        let undone = try await store.replace(
            zip(keys, zip(before, after)).map {
                RowReplacement(key: $0, expected: $1.1 ?? $1.0, content: .image($1.0))
            })
        #expect(undone == [nil, nil])
        #expect(try await Self.raw(redis) == raw)
    }

    /// Of a cache a row that is put back expires as it would have.
    @Test func aCachesRowExpires() async throws {
        let redis = try await Redis()
        let layout = try RedisLayouts.standard(for: Rows.quotes)
        let store = try redis.store([layout])
        let quote = StampedRow(
            row: Row(
                dataset: "quotes",
                values: [
                    .text("AAPL"), .null, .null, .null, .integer(1),
                    .timestamp(Timestamp(microseconds: 1)),
                ]), sequence: Rows.at(1))
        let key = quote.row.key(in: Rows.quotes)
        let nothing = try await store.images([key])[0]
        let replaced = try await store.replace([
            RowReplacement(key: key, expected: nothing, content: .row(quote))
        ])
        let time = try await redis.run("PTTL", "market:quote:stock:AAPL").integer ?? 0
        #expect((1...30_000).contains(time))
        #expect(replaced == [try await store.images([key])[0]])
    }
}
