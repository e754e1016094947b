import Ledger
import TestSupport
import Testing
import Trading

@testable import PostgresStore

@Suite(.enabled(if: PostgresServer.isWanted, "PostgreSQL is not installed"))
struct WriteTests {
    private func notes(_ store: PostgresStore) async throws -> [String?] {
        var query = RowQuery(dataset: "samples")
        query.limit = 10_000
        return try await store.rows(query).map { $0.row.values[2].text }
    }

    @Test func manyRowsAreNewThenReplacedThenMixed() async throws {
        let database = try await TestDatabase()
        let store = try database.open()
        try await store.apply(
            Batch.put(try (0..<1_000).map { try Batch.row($0, note: "1") }, at: 1))
        #expect(try await notes(store) == Array(repeating: "1", count: 1_000))
        // Some are there already, so the attempt to copy them straight in is undone.
        for round: Int64 in 2...5 {
            let rows = try (500..<1_500).map { try Batch.row($0, note: "\(round)") }
            try await store.apply(Batch.put(rows, at: round))
            let wanted =
                Array(repeating: "1", count: 500) + Array(repeating: "\(round)", count: 1_000)
            #expect(try await notes(store) == wanted)
        }
        let new = try (2_000..<2_100).map { try Batch.row($0, note: nil) }
        let gone = (0..<1_500).map {
            RowKey(dataset: "samples", values: [.text("g"), .integer($0)])
        }
        try await store.apply(
            StoreBatch(
                changes: Batch.put(new, at: 6).changes
                    + gone.map { .init(key: $0, row: nil, sequence: Batch.at(6)) }, digests: [],
                through: Batch.at(6)))
        #expect(try await notes(store) == Array(repeating: nil, count: 100))
        #expect(try await store.appliedSequence() == Batch.at(6))
    }

    /// The size at which one way of writing gives way to the other makes no difference.
    @Test(arguments: [1, TableWrite.copyRowsMin - 1, TableWrite.copyRowsMin, 700])
    func aBatchThatIsRefusedChangesNothing(_ count: Int) async throws {
        let database = try await TestDatabase()
        let store = try database.open()
        try await store.apply(Batch.put([try Batch.row(1, note: "kept")], at: 1))
        var rows = try (1..<Int64(count)).map { try Batch.row($0, note: "lost") }
        // Too long for an index, in the last row, and of random letters, which do not compress.
        var generator = SystemRandomNumberGenerator()
        let long = String(
            (0..<20_000).map { _ in
                Character(Unicode.Scalar(UInt8.random(in: 97...122, using: &generator)))
            })
        rows.append(
            Row(
                dataset: "samples",
                values: [.text(long)] + (try Batch.row(7_777).values.dropFirst())))
        let bad = Batch.put(rows, at: 2)
        let error = await storeError { try await store.apply(bad) }
        #expect(error?.kind == "refused", "\(String(describing: error).prefix(300))")
        #expect(try await notes(store) == ["kept"])
        #expect(try await store.appliedSequence() == Batch.at(1))
        try await store.apply(Batch.put([try Batch.row(1, note: "next")], at: 2))
        #expect(try await notes(store) == ["next"])
    }

    @Test func ofTwoWritersOneFindsThatItMoved() async throws {
        let database = try await TestDatabase()
        for round: Int64 in 0..<10 {
            let base = round * 3
            let kinds = await withTaskGroup(of: String?.self) { group in
                for step: Int64 in 1...2 {
                    group.addTask {
                        await storeError {
                            let store = try database.open()
                            let row = try Batch.row(1, note: "\(step)")
                            let after = base == 0 ? 0 : base
                            try await store.apply(Batch.put([row], after: after, at: base + step))
                        }?.kind
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(kinds.compactMap { $0 } == ["moved"])
            let store = try database.open()
            let applied = try await store.appliedSequence()
            #expect(applied == Batch.at(base + 1) || applied == Batch.at(base + 2))
            let note = "\(applied.number - base)"
            #expect(try await notes(store) == [note])
            try await store.apply(Batch.put([], at: base + 3))
        }
    }

    @Test func theDealsOfAnAccountAreFoundByAnIndex() async throws {
        let database = try await TestDatabase()
        let store = try database.open(Datasets.catalogue, tradingTables: true)
        _ = try await store.position()
        try await database.psql(
            """
            INSERT INTO trades SELECT 'A' || i % 10, i::text, 'o', 'S', 'buy', 1, 1, 1, 1,
                '2026-01-01'::timestamptz + make_interval(secs => i), i
            FROM generate_series(1, 50000) AS i;
            ANALYZE trades;
            """)
        var query = RowQuery(dataset: "deals")
        query.matching = [("account_id", [.text("A3")])]
        let start = try #require(Timestamp("2026-01-01T01:00:00Z"))
        query.range = .init(
            field: "executed_at", from: .timestamp(start),
            before: .timestamp(start.advanced(bySeconds: 36_000)))
        query.order = ("executed_at", descending: true)
        let select = try await store.table("deals").select(query)
        let connection = try await PostgresConnection.open(try database.settings())
        let plan = try await connection.run { link in
            let result = try link.query("EXPLAIN \(select.sql)", select.parameters)
            return (0..<result.rowCount).compactMap { result.text($0, 0) }.joined(separator: "\n")
        }
        await connection.close()
        #expect(
            plan.contains("Index Scan Backward using trades_account_id_executed_at_idx"), "\(plan)")
        #expect(!plan.contains("Seq Scan"), "\(plan)")
        let rows = try await store.rows(query)
        #expect(rows.count == 100)
        #expect(rows.first?.sequence.rawValue == 39_593)
    }

    @Test func theSocketServesAsWellAsThePort() async throws {
        let database = try await TestDatabase()
        let url = database.server.url(database.name)
            .replacing("127.0.0.1:\(database.server.port)", with: "")
        let settings = try PostgresSettings(
            url: Secret("\(url)?host=\(database.server.folder)&port=\(database.server.port)"))
        let store = try PostgresStore(settings, schemas: RowStoreConformance.catalogue)
        #expect(try await store.appliedSequence() == .none)
        #expect(!settings.name.contains("pass"))
    }

    @Test(arguments: ["", "mysql://a:secret@b/c", "postgres://a:secret@b:x:y/c?=", "secret"])
    func anAddressThatIsNoneIsRefusedWithoutRepeatingIt(_ url: String) {
        let error = #expect(throws: PostgresAddressError.self) {
            try PostgresSettings(url: Secret(url))
        }
        #expect("\(String(describing: error))".contains("secret") == false)
    }
}
