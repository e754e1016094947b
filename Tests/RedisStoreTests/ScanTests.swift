import Ledger
import TestSupport
import Testing

@testable import RedisStore

/// Reading everything as it lies: what is wrong is said of each row, and stops nothing.
@Suite(
    .serialized, .enabled(if: RedisServer.isWanted, "redis-server is not installed"),
    .timeLimit(.minutes(5)))
struct ScanTests {
    @Test(arguments: ConformanceTests.Layouts.allCases, ScanConformance.checks)
    func conforms(_ layouts: ConformanceTests.Layouts, _ check: ScanConformance) async throws {
        // Many keys, many fields of one key, and a key that is looked up: three layouts show all.
        if check.isLarge, ![.standard, .strings, .indexed].contains(layouts) { return }
        let redis = try await Redis()
        try await check.run { try redis.store(try layouts.make()) }
    }

    private static let rows = [
        Rows.position("A", "AAPL", 5), Rows.position("A", "MSFT", 6), Rows.position("B", "AAPL", 7),
        Rows.order("o1", "A", "working"), Rows.order("o2", "B", "working"),
    ].map { StampedRow(row: $0, sequence: Rows.at(1)) }

    private let apple = RowKey(dataset: "positions", values: [.text("A"), .text("AAPL")])
    private let microsoft = RowKey(dataset: "positions", values: [.text("A"), .text("MSFT")])

    private func filled(
        _ redis: Redis, _ layouts: [RedisLayout]? = nil
    ) async throws -> RedisStore {
        let store = try redis.store(
            try layouts ?? [Rows.positions, Rows.orders].map { try RedisLayouts.standard(for: $0) })
        try await store.fill(Self.rows, at: nil)
        return store
    }

    private func scan(
        _ store: RedisStore, _ dataset: String = "positions", account: String? = nil
    ) async throws -> (rows: Set<StampedRow>, damage: [DamagedRow]) {
        var rows: Set<StampedRow> = []
        var damage: [DamagedRow] = []
        for found in try await ScanConformance.scan(store, dataset, account: account) {
            switch found {
            case .row(let row): #expect(rows.insert(row).inserted)
            case .damaged(let found): damage.append(found)
            }
        }
        return (rows, damage)
    }

    private func isDamaged(_ found: FoundRow?, _ key: RowKey) -> Bool {
        guard case .damaged(let damage)? = found else { return false }
        return damage.key == key
    }

    @Test(arguments: [
        ["HSET", "acc:positions:A", "AAPL", "{\"qty\":"],
        ["HSET", "acc:positions:A", "AAPL", "[]"],
        ["HSET", "acc:positions:A", "AAPL", "{\"qty\":\"many\"}"],
        ["HSET", "opsd:v:positions:acc:positions:A", "AAPL", "soon"],
        ["HSET", "opsd:v:positions:acc:positions:A", "AAPL", "1 {"],
        ["HSET", "opsd:v:positions:acc:positions:A", "AAPL", "-1"],
    ]) func aDamagedRowIsNamedAndTheOthersCome(_ words: [String]) async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        try await redis.run(words)
        for account in [nil, "A"] {
            let found = try await scan(store, account: account)
            #expect(found.damage.map(\.key) == [apple])
            #expect(found.damage.first?.place.contains("'acc:positions:A'") == true)
            #expect(found.rows == Set(Self.rows[1...(account == nil ? 2 : 1)]))
        }
        let found = try await store.find([microsoft, apple])
        #expect(found[0] == .row(Self.rows[1]))
        #expect(isDamaged(found[1], apple))
    }

    @Test func aFieldThatNamesNoRowIsDamage() async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        try await redis.run("HSET", "acc:positions:A", "%zz", "{}")
        let found = try await scan(store)
        #expect(found.damage.map(\.key) == [nil])
        #expect(found.damage.first?.place == "the field '%zz' of the key 'acc:positions:A'")
        #expect(found.rows == Set(Self.rows[..<3]))
    }

    @Test(arguments: ["acc:positions:A", "opsd:v:positions:acc:positions:A"])
    func aKeyOfAnotherTypeIsDamage(_ key: String) async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        try await redis.run("DEL", key)
        try await redis.run("SET", key, "a text")
        let found = try await scan(store)
        #expect(found.rows == [Self.rows[2]])
        // Without its stamps each row is known, and none of them whole.
        let keys = key.hasPrefix("opsd") ? [apple, microsoft] : [nil]
        #expect(Set(found.damage.map(\.key)) == Set(keys))
        let both = try await store.find([apple, microsoft])
        #expect(isDamaged(both[0], apple) && isDamaged(both[1], microsoft))
    }

    @Test(arguments: ["acc:positions:A", "opsd:v:positions:acc:positions:A"])
    func whatIsKeptMustNotExpire(_ key: String) async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        try await redis.run("EXPIRE", key, "1000")
        let found = try await scan(store)
        #expect(found.rows == Set(Self.rows[..<3]), "each row comes")
        #expect(found.damage.map(\.key) == [nil])
        #expect(found.damage.first?.place == "the key '\(key)'")
        #expect(found.damage.first?.problem.contains("expire") == true)
        let other = RowKey(dataset: "positions", values: [.text("B"), .text("AAPL")])
        let rows = try await store.find([apple, other])
        #expect(isDamaged(rows[0], apple))
        #expect(rows[1] == .row(Self.rows[2]))
        try await redis.run("PERSIST", key)
        #expect(try await scan(store).damage.isEmpty)
    }

    @Test func aRowOfItsOwnKeyMustNotExpire() async throws {
        let redis = try await Redis()
        let layouts = [
            try RedisLayout(Rows.positions, key: "p:{account_id}:{symbol}", value: .hash),
            try RedisLayout(Rows.orders, key: "o:{order_id}"),
        ]
        let store = try await filled(redis, layouts)
        try await redis.run("EXPIRE", "p:A:AAPL", "1000")
        try await redis.run("DEL", "p:A:MSFT")
        try await redis.run("SET", "p:A:MSFT", "a text")
        let found = try await scan(store)
        #expect(found.rows == [Self.rows[0], Self.rows[2]])
        #expect(Set(found.damage.map(\.key)) == [apple, microsoft])
        let rows = try await store.find([apple, microsoft])
        #expect(isDamaged(rows[0], apple) && isDamaged(rows[1], microsoft))
    }

    @Test func aStampWithoutItsRowIsNoRowAndARowWithoutStampIsOfNoEntry() async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        let payload = try #require(try await redis.text("HGET", "acc:positions:A", "AAPL"))
        try await redis.run("HDEL", "acc:positions:A", "AAPL")
        try await redis.run("HSET", "acc:positions:B", "GOOG", payload)
        let found = try await scan(store)
        #expect(found.damage.isEmpty)
        #expect(found.rows.count == 3)
        let google = RowKey(dataset: "positions", values: [.text("B"), .text("GOOG")])
        #expect(
            found.rows.filter { $0.sequence == .none }.map { $0.row.key(in: Rows.positions) } == [
                google
            ])
        let rows = try await store.find([apple, google])
        #expect(rows[0] == nil)
        guard case .row(let row)? = rows[1] else {
            Issue.record("\(rows)")
            return
        }
        #expect(row.sequence == .none)
    }

    /// What somebody else puts where an index tells the place of rows is not in it.
    @Test func aStrangerIsFoundAlsoWhereAnIndexTellsThePlaces() async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        let payload = try #require(try await redis.text("HGET", "acc:orders:A", "o1"))
        try await redis.run("HSET", "acc:orders:C", "o3", payload)
        #expect(try await scan(store, "orders").rows.count == 3)
        let keys = ["o3", "o4", "o1"].map { RowKey(dataset: "orders", values: [.text($0)]) }
        let rows = try await store.find(keys)
        guard case .row(let row)? = rows[0] else {
            Issue.record("\(rows)")
            return
        }
        #expect(row.row == Rows.order("o3", "C", "working"))
        #expect(rows[1] == nil)
        #expect(rows[2] == .row(Self.rows[3]))
    }

    /// The same order in two accounts: the index tells which one is opsd's.
    @Test func aSecondRowOfOneKeyIsDamage() async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        let payload = try #require(try await redis.text("HGET", "acc:orders:A", "o1"))
        try await redis.run("HSET", "acc:orders:B", "o1", payload)
        let found = try await scan(store, "orders")
        #expect(found.rows == Set(Self.rows[3...]))
        #expect(found.damage.map(\.key) == [nil])
        #expect(found.damage.first?.place == "the field 'o1' of the key 'acc:orders:B'")
    }

    @Test func aServerThatGoesMeanwhileEndsTheScan() async throws {
        let redis = try await Redis()
        let store = try await filled(redis)
        let many = (0..<30_000).map {
            StampedRow(row: Rows.position("A", "S\($0)", $0), sequence: Rows.at(2))
        }
        try await store.fill(many, at: nil)
        let error = await #expect(throws: StoreError.self) {
            try await store.scan("positions", account: nil) { _ throws(StoreError) in
                redis.server.kill()
            }
        }
        guard case .unavailable = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }
}
