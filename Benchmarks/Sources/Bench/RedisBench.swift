import Foundation
import Ledger
import RedisStore

/// Rows into a Redis and out of it, over a Unix socket.
enum RedisBench {
    private static let schema = Schema(
        dataset: "positions", kind: .derived,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [Field("qty", .decimal), Field("updated_at", .timestamp)],
        accountField: "account_id")
    private static let accountsInBatch = 20
    private static let symbols = 100

    private static func batch(_ index: Int, through number: Int64) -> StoreBatch {
        let sequence = SequenceNumber(epoch: 1, number: number)
        var changes: [StoreBatch.Change] = []
        for account in 0..<accountsInBatch {
            for symbol in 0..<symbols {
                let row = Row(
                    dataset: "positions",
                    values: [
                        .text(accountName(index * accountsInBatch + account)),
                        .text("SYM\(100 + symbol)"),
                        .decimal(ExactDecimal(1_000 + symbol)),
                        .timestamp(Timestamp(microseconds: 1_700_000_000_123_456)),
                    ])
                changes.append(.init(key: row.key(in: schema), row: row, sequence: sequence))
            }
        }
        return StoreBatch(changes: changes, digests: [], through: sequence)
    }

    private static func accountName(_ index: Int) -> String {
        // As long as what redis-benchmark puts in the place of a random number.
        let digits = String(index)
        return String(repeating: "0", count: 12 - digits.count) + digits
    }

    private static func withServer<Result>(
        _ name: String, _ body: (String, RedisStore) async throws -> Result
    ) async throws -> Result {
        try await withScratch(name) { directory in
            let server = try BenchRedis(directory)
            defer { server.stop() }
            let store = try await server.open([schema])
            let result = try await body(server.socket, store)
            await store.close()
            return result
        }
    }

    // MARK: - Writing

    static func rows() async throws -> Figure {
        try await withServer("redis-rows") { socket, store in
            let batches = (0..<5).map { batch($0, through: 1).changes }
            let rowsInBatch = accountsInBatch * symbols
            var number: Int64 = 0
            var ours: [Double] = []
            var peer: [Double] = []
            for _ in 0..<5 {
                let count = 100
                let start = ContinuousClock.now
                for index in 0..<count {
                    number += 1
                    try await store.apply(
                        StoreBatch(
                            changes: batches[index % batches.count], digests: [],
                            through: SequenceNumber(epoch: 1, number: number)))
                }
                let seconds = (ContinuousClock.now - start).seconds
                ours.append(Double(count * rowsInBatch) / seconds)
                peer.append(try peerRows(socket, count * accountsInBatch))
            }
            return Figure(
                id: "redis.rows",
                what: "rows with stamps, 2,000 a batch, against redis-benchmark's same commands",
                ours: median(ours), peer: median(peer), unit: "rows/s", goal: .ratioAtLeast(0.6),
                note: "also at least 200,000 rows/s")
        }
    }

    /// The same two HSET for each account, of the same bytes, in pipelines of one batch.
    private static func peerRows(_ socket: String, _ commands: Int) throws -> Double {
        let data = (0..<symbols).flatMap { symbol in
            [
                "SYM\(100 + symbol)",
                #"{"qty":"\#(1_000 + symbol)","updated_at":"2023-11-14T22:13:20.123456Z"}"#,
            ]
        }
        let sequence = SequenceNumber(epoch: 1, number: 1).description
        let stamps = (0..<symbols).flatMap { ["SYM\(100 + $0)", sequence] }
        var seconds = 0.0
        for (key, words) in [("acc:positions", data), ("opsd:v:positions:acc:positions", stamps)] {
            let text = try output(
                of: "redis-benchmark",
                [
                    "-s", socket, "-c", "1", "-P", String(accountsInBatch), "-n", String(commands),
                    "-r", String(5 * accountsInBatch), "--csv", "HSET", key + ":__rand_int__",
                ] + words)
            // The test's name, which is the whole command, then rps and six latencies.
            let cells = text.split(separator: "\n").last?.components(separatedBy: "\",\"") ?? []
            guard cells.count >= 8, let rate = Double(cells[cells.count - 7]), rate > 0 else {
                throw BenchError(description: String(text.suffix(300)))
            }
            seconds += Double(commands) / rate
        }
        return Double(commands * symbols) / seconds
    }

    // MARK: - Reading

    static func read() async throws -> Figure {
        try await withServer("redis-read") { _, store in
            for index in 0..<50 {
                try await store.apply(batch(index, through: Int64(index + 1)))
            }
            var times: [Int64] = []
            for index in 0..<5_000 {
                var query = RowQuery(dataset: "positions")
                query.matching = [("account_id", [.text(accountName(index % 1_000))])]
                let start = ContinuousClock.now
                let rows = try await store.rows(query)
                times.append(Int64((ContinuousClock.now - start).seconds * 1e9))
                precondition(rows.count == symbols)
            }
            return Figure(
                id: "redis.read", what: "p95 of reading an account's 100 positions",
                ours: percentile(times.sorted(), 0.95) / 1e6, peer: 1, unit: "ms",
                goal: .atMost(1))
        }
    }
}

/// A redis-server with its own defaults but for the dumps, reached by a socket.
struct BenchRedis {
    let socket: String
    private let server = Process()

    init(_ directory: String) throws {
        socket = directory + "/redis.sock"
        server.executableURL = URL(filePath: "/usr/bin/env")
        server.arguments = [
            "redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory,
        ]
        server.standardOutput = FileHandle.nullDevice
        try server.run()
    }

    func stop() {
        // Not SIGTERM: a thread of the pool may have handed its blocked signals down.
        kill(server.processIdentifier, SIGKILL)
        server.waitUntilExit()
    }

    func open(_ schemas: [Schema]) async throws -> RedisStore {
        let store = try RedisStore(
            name: "redis", url: try RedisURL("unix://" + socket),
            layouts: try schemas.map { try RedisLayouts.standard(for: $0) })
        let deadline = ContinuousClock.now + .seconds(10)
        while (try? await store.position()) == nil {
            guard ContinuousClock.now < deadline else {
                throw BenchError(description: "redis-server did not come up")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        return store
    }
}
