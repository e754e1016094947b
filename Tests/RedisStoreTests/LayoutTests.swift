import Ledger
import TestSupport
import Testing
import Trading

@testable import RedisStore

/// Where rows lie, and what becomes of what others put there.
@Suite(.serialized, .enabled(if: RedisServer.isWanted, "redis-server is not installed"))
struct LayoutTests {
    private func layouts() throws -> [RedisLayout] {
        try [Rows.positions, Rows.orders, Rows.quotes].map { try RedisLayouts.standard(for: $0) }
    }

    private func damage(_ body: () async throws -> Void) async -> String? {
        let error = await storeError(body)
        if case .damaged(_, let problem)? = error { return problem }
        Issue.record("\(String(describing: error))")
        return nil
    }

    private let apple = RowKey(dataset: "positions", values: [.text("A"), .text("AAPL")])

    @Test func stampsLieBesideTheDataAndNeverInIt() async throws {
        let redis = try await Redis()
        let store = try redis.store(
            try layouts() + [
                try RedisLayout(
                    Rows.positions.renamed("shown"), key: "acc:shown:{account_id}",
                    field: "{symbol}", fields: ["qty": "quantity"])
            ])
        try await store.apply(
            Rows.batch([Rows.position("A", "AAPL", 5), Rows.order("o1", "A", "working")], at: 3))
        try await store.fill([
            StampedRow(
                row: Row(dataset: "shown", values: Rows.position("A", "AAPL", 5).values),
                sequence: Rows.at(2))
        ])
        #expect(
            try await redis.keys() == [
                "acc:orders:A", "acc:positions:A", "acc:shown:A", "opsd:k:orders", "opsd:store",
                "opsd:v:orders:acc:orders:A", "opsd:v:positions:acc:positions:A",
                "opsd:v:shown:acc:shown:A",
            ])
        #expect(
            try await redis.text("HGET", "acc:shown:A", "AAPL") == #"{"quantity":"5"}"#)
        #expect(
            try await redis.text("HGET", "opsd:v:shown:acc:shown:A", "AAPL")
                == "\(Rows.at(2)) "
                + #"{"held_qty":"0","cost":"50","updated_at":1700000000000000}"#)
        #expect(
            try await redis.text("HGET", "opsd:v:orders:acc:orders:A", "o1") == "\(Rows.at(3))")
        let row = try await store.row(RowKey(dataset: "shown", values: apple.values))
        #expect(row?.row.values == Rows.position("A", "AAPL", 5).values)
    }

    /// What is not theirs lies with the stamps, and comes back.
    @Test func statesOfAccountsAndRiskLieUnderTheDocumentsKeys() async throws {
        let redis = try await Redis()
        let store = try redis.store(
            try [Datasets.accounts, Datasets.risk].map { try RedisLayouts.standard(for: $0) })
        let now = Value.timestamp(Timestamp(microseconds: 1_700_000_000_000_000))
        let account = try Datasets.accounts.row([
            .text("A"), .text("halted"), .text("loss"), .text("lin"), .null, now,
        ])
        let risk = try Datasets.risk.row([
            .text("M"), .integer(20_000), .decimal(ExactDecimal(-5)), now,
        ])
        try await store.fill([account, risk].map { StampedRow(row: $0, sequence: Rows.at(1)) })
        #expect(
            try await redis.keys() == [
                "acc:status:A", "opsd:v:accounts:acc:status:A", "opsd:v:risk:risk:state:M",
                "risk:state:M",
            ])
        #expect(try await redis.text("HGET", "acc:status:A", "status") == "halted")
        #expect(try await redis.text("HGET", "acc:status:A", "changed_by") == nil)
        #expect(try await redis.text("HGET", "risk:state:M", "realized_pl") == "-5")
        #expect(try await store.row(account.key(in: Datasets.accounts))?.row == account)
        #expect(try await store.row(risk.key(in: Datasets.risk))?.row == risk)
    }

    @Test func aRowWithoutAStampIsAStrangersAndAStampWithoutARowIsNone() async throws {
        let redis = try await Redis()
        let store = try redis.store(try layouts())
        let key = "acc:positions:A"
        try await redis.run(
            "HSET", key, "AAPL", #"{"qty": 5, "updated_at": "2026-11-21T10:00:00"}"#)
        let found = try #require(try await store.row(apple))
        #expect(found.sequence == SequenceNumber.none)
        #expect(found.row.values[2] == .decimal(ExactDecimal(5)))
        #expect(found.row.values[4] == .null)
        try await redis.run("HSET", "opsd:v:positions:\(key)", "MSFT", "5")
        #expect(try await store.rows(RowQuery(dataset: "positions")).count == 1)
        #expect(
            try await store.row(
                RowKey(dataset: "positions", values: [.text("A"), .text("MSFT")])) == nil)
    }

    @Test(arguments: [
        ("HSET acc:positions:A AAPL {", "AAPL"), ("HSET acc:positions:A AAPL []", "AAPL"),
        (#"HSET acc:positions:A AAPL {"qty":"many","updated_at":"2026-11-21T10:00:00Z"}"#, "qty"),
        (#"HSET acc:positions:A AAPL {"updated_at":"2026-11-21T10:00:00Z"}"#, "qty"),
        ("HSET acc:positions:A a%zz {}", "a%zz"),
        ("HSET opsd:v:positions:acc:positions:A AAPL later", "opsd:v:positions"),
        ("HSET opsd:v:positions:acc:positions:A AAPL 5", "lacks"),
        ("DEL acc:positions:A;SET acc:positions:A x", "acc:positions:A"),
        ("DEL opsd:v:positions:acc:positions:A;SET opsd:v:positions:acc:positions:A x", "opsd:v"),
    ]) func whatCannotBeReadIsNamed(_ commands: String, _ name: String) async throws {
        let redis = try await Redis()
        let store = try redis.store(try layouts())
        try await store.apply(Rows.batch([Rows.position("A", "AAPL", 5)], at: 1))
        for command in commands.split(separator: ";") {
            var words = RedisCommands()
            words.append(command.split(separator: " ").map(String.init))
            _ = try await redis.admin.send(words)
        }
        let problem = await damage { _ = try await store.rows(RowQuery(dataset: "positions")) }
        #expect(problem?.contains(name) == true, "\(problem ?? "")")
        #expect(problem?.contains("acc:positions:A") == true)
    }

    @Test func anotherTypeInTheWayStopsTheBatchAndTheAppliedSequence() async throws {
        let redis = try await Redis()
        let string = Rows.orders.renamed("strings")
        let store = try redis.store(
            try layouts() + [try RedisLayout(string, key: "s:{order_id}")])
        try await redis.run("SET", "acc:positions:A", "mine")
        try await redis.run("SADD", "s:o1", "mine")
        let row = Row(dataset: "strings", values: Rows.order("o1", "A", "working").values)
        let strings = StoreBatch(
            changes: [.init(key: row.key(in: string), row: row, sequence: Rows.at(1))],
            digests: [], through: Rows.at(1))
        let positions = Rows.batch([Rows.position("A", "AAPL", 5)], at: 1)
        for (batch, key) in [(positions, "acc:positions:A"), (strings, "s:o1")] {
            let problem = await damage { try await store.apply(batch) }
            #expect(problem?.contains(key) == true)
            #expect(try await store.appliedSequence() == SequenceNumber.none)
        }
        #expect(try await redis.text("GET", "acc:positions:A") == "mine")
        #expect(try await redis.run("SISMEMBER", "s:o1", "mine") == .integer(1))
        try await redis.run("DEL", "acc:positions:A", "s:o1")
        try await store.apply(positions)
        #expect(try await store.row(apple) != nil)
        try await redis.run("DEL", "opsd:store")
        try await redis.run("SET", "opsd:store", "x")
        #expect(await damage { _ = try await store.position() }?.contains("opsd:store") == true)
    }

    @Test func aRowThatIsFoundByItsIndexMovesAndGoes() async throws {
        let redis = try await Redis()
        let store = try redis.store(try layouts())
        let key = RowKey(dataset: "orders", values: [.text("o1")])
        try await store.apply(Rows.batch([Rows.order("o1", "A", "working")], at: 1))
        try await store.apply(Rows.batch([Rows.order("o1", "B", "working")], at: 2))
        #expect(try await store.row(key)?.row == Rows.order("o1", "B", "working"))
        #expect(try await store.count(RowQuery(dataset: "orders")) == 1)
        try await store.apply(Rows.batch([], gone: [key], at: 3))
        #expect(try await store.row(key) == nil)
        #expect(try await redis.keys() == ["opsd:store"])
    }

    @Test func aCacheHasATimeToLiveAndNullIsNone() async throws {
        let redis = try await Redis()
        let store = try redis.store([
            try RedisLayouts.standard(for: Rows.quotes, cacheTimeToLive: .milliseconds(1_500))
        ])
        let quote = Row(
            dataset: "quotes",
            values: [
                .text("BRK.B"), .optional(ExactDecimal("1.5")), .null, .null, .integer(7),
                .timestamp(Timestamp(microseconds: 0)),
            ])
        try await store.apply(Rows.batch([quote], at: 1))
        let fields = try await redis.run("HGETALL", "market:quote:stock:BRK.B").pairs
        #expect(
            fields.map { String(decoding: $0.field + [0x3D] + $0.value, as: UTF8.self) } == [
                "bid_price=1.5", "ask_price=None", "last_price=None", "volume=7",
                "timestamp=1970-01-01T00:00:00Z",
            ])
        let key = RowKey(dataset: "quotes", values: [.text("BRK.B")])
        #expect(try await store.row(key)?.row == quote)
        for name in ["market:quote:stock:BRK.B", "opsd:v:quotes:market:quote:stock:BRK.B"] {
            let left = try await redis.run("PTTL", name).integer ?? 0
            #expect((1...1_500).contains(left))
        }
        try await redis.run("HDEL", "market:quote:stock:BRK.B", "ask_price")
        #expect(try await store.row(key)?.row == quote)
        try await eventually { try await store.row(key) == nil }
        #expect(try await store.count(RowQuery(dataset: "quotes")) == 0)
        let standard = try RedisLayouts.standard(for: Rows.quotes)
        #expect(standard.timeToLive == .seconds(30))
        #expect(try RedisLayouts.standard(for: Rows.positions).timeToLive == nil)
    }

    @Test(arguments: [RedisLayout.Value.json, .text("status"), .hash])
    func theTextThatStandsForNullIsNotNull(_ value: RedisLayout.Value) async throws {
        let redis = try await Redis()
        let notes = Schema(
            dataset: "notes", kind: .declared, key: [Field("id", .text)],
            fields: [Field("status", .text, optional: true)])
        let store = try redis.store([try RedisLayout(notes, key: "n:{id}", value: value)])
        let rows = [
            ("1", Value.text("None")), ("2", .null), ("3", .text("")), ("4", .text("null")),
        ]
        .map { Row(dataset: "notes", values: [.text($0.0), $0.1]) }
        try await store.fill(rows.map { StampedRow(row: $0, sequence: Rows.at(1)) })
        #expect(try await store.rows(RowQuery(dataset: "notes")).map(\.row) == rows)
        // Another program changes it: what it writes counts.
        switch value {
        case .json: try await redis.run("SET", "n:1", #"{"status":"open"}"#)
        case .hash: try await redis.run("HSET", "n:1", "status", "open")
        case .text: try await redis.run("SET", "n:1", "open")
        }
        let key = RowKey(dataset: "notes", values: [.text("1")])
        #expect(try await store.row(key)?.row.values[1] == .text("open"))
    }

    @Test func aPartOfAKeyDoesNotFixIt() async throws {
        let redis = try await Redis()
        let bars = Schema(
            dataset: "bars", kind: .fact,
            key: [Field("symbol", .text), Field("frame", .text), Field("time", .integer)],
            fields: [Field("close", .decimal)])
        let store = try redis.store([
            try RedisLayout(bars, key: "bars:{symbol}:{frame}", field: "{time}")
        ])
        var rows: [StampedRow] = []
        for symbol in ["A", "B"] {
            for frame in ["1m", "1d"] {
                for time in Int64(0)..<3 {
                    let values: [Value] = [
                        .text(symbol), .text(frame), .integer(time), .decimal(ExactDecimal(1)),
                    ]
                    rows.append(
                        StampedRow(row: Row(dataset: "bars", values: values), sequence: Rows.at(1)))
                }
            }
        }
        try await store.fill(rows)
        func count(_ matching: [(field: String, anyOf: [Value])]) async throws -> Int {
            var query = RowQuery(dataset: "bars")
            query.matching = matching
            let count = try await store.count(query)
            #expect(try await store.rows(query).count == count)
            return count
        }
        #expect(try await count([]) == 12)
        #expect(try await count([("symbol", [.text("A")])]) == 6)
        #expect(try await count([("symbol", [.text("A")]), ("frame", [.text("1d")])]) == 3)
        #expect(try await count([("symbol", [.text("A")]), ("frame", [.null])]) == 0)
        #expect(try await count([("frame", [.text("1m"), .integer(1)])]) == 6)
        #expect(try await count([("time", [.integer(0)]), ("symbol", [.text("C")])]) == 0)
    }

    @Test func aHugeKeyIsReadInParts() async throws {
        let redis = try await Redis()
        let store = try redis.store(try layouts())
        let count = RedisConnection.cellsMax + 2_000
        let rows = (0..<count).map { Rows.position("A", "S\($0)", $0) }
        try await store.apply(Rows.batch(rows + [Rows.position("B", "S1", 1)], at: 1))
        var query = RowQuery(dataset: "positions")
        #expect(try await store.count(query) == count + 1)
        query.matching = [("account_id", [.text("A")])]
        #expect(try await store.count(query) == count)
        query.order = ("qty", descending: true)
        query.limit = 3
        query.offset = 1
        #expect(
            try await store.rows(query).map { $0.row.values[2].decimal }
                == [count - 2, count - 3, count - 4].map { ExactDecimal($0) })
        query.matching = [("symbol", [.text("S5"), .text("S6")]), ("account_id", [.text("A")])]
        #expect(try await store.count(query) == 2)
        try await store.begin(["positions"])
        #expect(try await redis.keys() == ["opsd:store"])
    }

    /// Until keys were spelled as they are now, the first letter of a key was written as `%` and two digits
    /// wherever an account had it.
    @Test func whatLiesUnderAnEarlierSpellingIsFilledAnew() async throws {
        let redis = try await Redis()
        let store = try redis.store(try layouts())
        let row = StampedRow(row: Rows.position("alpha", "AAPL", 5), sequence: Rows.at(1))
        let position = StorePosition(journal: "j", applied: Rows.at(1), datasets: ["positions"])
        try await store.fill([row])
        try await store.finish(position, digests: [])
        #expect(try await redis.text("HGET", "acc:positions:alpha", "AAPL") != nil)
        let identity = try #require(try await redis.text("HGET", "opsd:store", "dataset:positions"))
        // As it lay before.
        for key in ["acc:positions:alpha", "opsd:v:positions:acc:positions:alpha"] {
            let old = key.replacing("alpha", with: "%61lph%61")
            try await redis.run("RENAME", key, old)
        }
        try await redis.run(
            "HSET", "opsd:store", "dataset:positions", identity.replacing(" spelling 2", with: ""))
        #expect(try await store.position().datasets == [])
        try await store.begin(["positions"])
        #expect(try await redis.keys() == ["opsd:store"])
        try await store.fill([row])
        try await store.finish(position, digests: [])
        #expect(try await store.position() == position)
        #expect(try await store.row(row.row.key(in: Rows.positions)) == row)
    }

    @Test func anotherLayoutIsNotWholeAndLeavesNothingBehind() async throws {
        let redis = try await Redis()
        let old = try redis.store([try RedisLayout(Rows.orders, key: "old:{order_id}")])
        try await old.apply(Rows.batch([Rows.order("o1", "A", "working")], at: 1))
        try await old.finish(
            StorePosition(journal: "j", applied: Rows.at(1), datasets: ["orders"]), digests: [])
        #expect(try await old.position().datasets == ["orders"])
        let new = try redis.store([try RedisLayouts.standard(for: Rows.orders)])
        #expect(
            try await new.position()
                == StorePosition(journal: "j", applied: Rows.at(1), datasets: []))
        // A stranger's row goes too, and a stranger's key stays.
        try await redis.run("HSET", "acc:orders:B", "o9", "x")
        try await redis.run("SET", "acc:orders:B:more", "x")
        try await new.begin(["orders"])
        #expect(try await redis.keys() == ["acc:orders:B:more", "opsd:store"])
    }
}

extension Schema {
    func renamed(_ name: String) -> Schema {
        Schema(
            dataset: name, kind: kind, key: Array(keyFields), fields: Array(fields[keyCount...]),
            accountField: accountField.map { fields[$0].name })
    }
}
