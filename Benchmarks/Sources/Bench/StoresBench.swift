import DualWrite
import FileStore
import Foundation
import Ledger
import PostgresStore
import RedisStore
import Synchronization
import Trading

/// A core with stores that follow its journal, at a fixed rate.
struct StoresBench {
    /// Written at a steady rate where rows alone are meant.
    private static let heldDays = Schema(
        dataset: "held_days", kind: .declared,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [Field("days", .integer), Field("max_price", .decimal)], accountField: "account_id")
    private static let accounts = 64

    let core: TradingCore
    let dualWrite: DualWrite

    /// A core with nothing but its journal and checkpoint, and the given stores beside it.
    private static func withCore<Result>(
        _ directory: String, datasets: [String], stores: [String: any ReplicaStore],
        _ body: (StoresBench) async throws -> Result
    ) async throws -> Result {
        let (core, running) = try await AcceptBench(directory: directory)
            .core(declared: [heldDays])
        let route = Route(old: nil, new: nil, also: stores.keys.sorted(), stage: .old)
        let dualWrite = DualWrite(
            routes: RouteTable(
                Dictionary(uniqueKeysWithValues: datasets.map { ($0, route) })),
            stores: stores, journal: core.journalIdentity, feed: core.feed,
            source: CheckpointRows(checkpoint: core.checkpoint))
        let following = Task { await dualWrite.run() }
        for follower in dualWrite.followers {
            while !(await follower.reach(core.feed.head, within: .seconds(10))) {}
        }
        let result = try await body(StoresBench(core: core, dualWrite: dualWrite))
        following.cancel()
        running.cancel()
        await following.value
        _ = await running.value
        return result
    }

    private struct CheckpointRows: CoreRows {
        let checkpoint: Checkpoint
        let catalogue = SchemaCatalogue(Datasets.catalogue.schemas + [heldDays])
        var store: any RowStore { checkpoint.store }

        func reach(_ sequence: SequenceNumber) async throws(StoreError) {
            try await checkpoint.reach(sequence)
        }
    }

    private static func withServers<Result>(
        _ name: String, _ body: (String, [String: any ReplicaStore]) async throws -> Result
    ) async throws -> Result {
        try await withScratch(name) { directory in
            // PostgreSQL has its folder for itself, because it belongs to another user.
            let folder = directory + "/postgres"
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
            let postgres = try BenchPostgres(folder)
            defer { postgres.stop() }
            let redis = try BenchRedis(directory)
            defer { redis.stop() }
            let schemas = SchemaCatalogue(Datasets.catalogue.schemas + [heldDays])
            let hot = try await redis.open(schemas.schemas)
            let record = try postgres.open(schemas)
            let result = try await body(directory, ["hot": hot, "record": record])
            await hot.close()
            await record.close()
            return result
        }
    }

    /// Does something at a fixed rate, however long each takes; nanoseconds from when it was due.
    private static func openLoop(
        perSecond: Int, seconds: Int,
        _ body: @escaping @Sendable (Int) async throws -> Int64?
    ) async throws -> [Int64] {
        try await withThrowingTaskGroup(of: Int64?.self) { group in
            let begin = ContinuousClock.now
            for index in 0..<perSecond * seconds {
                let due = begin + .microseconds(index * 1_000_000 / perSecond)
                if due > .now { try await Task.sleep(until: due, clock: .continuous) }
                group.addTask { try await body(index) }
            }
            var times: [Int64] = []
            for try await time in group { if let time { times.append(time) } }
            return times.sorted()
        }
    }

    private static func nanoseconds(since start: ContinuousClock.Instant) -> Int64 {
        Int64((ContinuousClock.now - start).seconds * 1e9)
    }

    // MARK: - Orders

    /// The core's accept with Redis and PostgreSQL beside it, against without.
    static func accept() async throws -> Figure {
        try await withServers("stores-accept") { directory, stores in
            var alone: [Double] = []
            var attached: [Double] = []
            for turn in 0..<5 {
                sync()
                alone.append(try await acceptP99(directory + "/alone-\(turn)", [:]))
                // Each core has a journal of its own, of which the stores are to be copies.
                for store in stores.values {
                    try await store.begin(
                        Set(Datasets.catalogue.schemas.map(\.dataset)), from: nil, as: .empty)
                }
                sync()
                attached.append(try await acceptP99(directory + "/attached-\(turn)", stores))
            }
            return Figure(
                id: "stores.accept",
                what: "p99 of accepts at 2,000 orders/s with Redis and PostgreSQL, against without",
                ours: median(attached) / 1e6, peer: median(alone) / 1e6, unit: "ms",
                goal: .ratioAtMost(1.2))
        }
    }

    private static func acceptP99(
        _ directory: String, _ stores: [String: any ReplicaStore]
    ) async throws -> Double {
        let datasets = ["orders", "deals", "cash_flows", "balances", "positions"]
        return try await withCore(directory, datasets: datasets, stores: stores) { bench in
            let engine = bench.core.engine
            let times = try await openLoop(perSecond: 2_000, seconds: 6) { index in
                let request = AcceptBench.request("ACC_\(index % accounts)")
                let start = ContinuousClock.now
                _ = try await engine.performBounded { state, now throws(Refusal) in
                    try state.place(request, at: now, by: request.accountID)
                }
                return nanoseconds(since: start)
            }
            for follower in bench.dualWrite.followers {
                guard await follower.reach(bench.core.feed.head, within: .seconds(10)) else {
                    throw BenchError(description: "\(follower.name) fell behind: \(follower.state)")
                }
            }
            return percentile(times, 0.99)
        }
    }

    // MARK: - Lag

    static func redisLag() async throws -> Figure {
        try await withServers("lag-redis") { directory, stores in
            try await lag("redis", of: "hot", directory, stores, goal: 100)
        }
    }

    static func postgresLag() async throws -> Figure {
        try await withServers("lag-postgres") { directory, stores in
            try await lag("postgres", of: "record", directory, stores, goal: 100)
        }
    }

    static func filesLag() async throws -> Figure {
        try await withScratch("lag-files") { directory in
            let files = try FileStore(
                path: directory + "/files", schemas: SchemaCatalogue([heldDays]))
            // No goal but that it is said: as long as no lag is without end.
            return try await lag("files", of: "files", directory, ["files": files], goal: 5_000)
        }
    }

    /// From when a change is durable until a store has it.
    private static func lag(
        _ kind: String, of name: String, _ directory: String, _ stores: [String: any ReplicaStore],
        goal milliseconds: Double
    ) async throws -> Figure {
        try await withCore(directory + "/core", datasets: ["held_days"], stores: stores) { bench in
            guard let follower = bench.dualWrite[name] else {
                throw BenchError(description: "no store \(name)")
            }
            let engine = bench.core.engine
            let watch = ArrivalWatch(follower)
            let watching = Task { await watch.run() }
            _ = try await openLoop(perSecond: 5_000, seconds: 20) { index in
                let row = Row(
                    dataset: "held_days",
                    values: [
                        .text("ACC_\(index % accounts)"), .text("SYM\(index / accounts % 20)"),
                        .integer(Int64(index)), .decimal(ExactDecimal(100 + index % 900)),
                    ])
                let receipt = try await engine.performBounded { state, now throws(Refusal) in
                    try state.putRow(row, at: now, by: "bench")
                }
                watch.expect(receipt.sequence)
                return nil
            }
            guard await follower.reach(bench.core.feed.head, within: .seconds(10)) else {
                throw BenchError(description: "\(name) fell behind: \(follower.state)")
            }
            while !watch.isIdle { try await Task.sleep(for: .milliseconds(1)) }
            watching.cancel()
            await watching.value
            let times = watch.nanoseconds.sorted()
            return Figure(
                id: "stores.lag-\(kind)",
                what: "5,000 changes/s of 1,280 rows, from durable to in the store: p99",
                ours: percentile(times, 0.99) / 1e6, peer: milliseconds, unit: "ms",
                goal: .atMost(milliseconds),
                note: "p50 \(Figure.number(percentile(times, 0.5) / 1e6)) ms")
        }
    }
}

/// Looks each half millisecond how far a store has come. Nobody waits in `reach`, because a store for which
/// somebody waits is written sooner.
///
/// The lock is between those who change rows and the one who looks; it is held to put a time down.
private final class ArrivalWatch: Sendable {
    private struct Content {
        var expected: [(sequence: SequenceNumber, since: ContinuousClock.Instant)] = []
        var nanoseconds: [Int64] = []
    }

    private let follower: StoreFollower
    private let content = Mutex(Content())

    init(_ follower: StoreFollower) {
        self.follower = follower
    }

    var nanoseconds: [Int64] { content.withLock { $0.nanoseconds } }
    var isIdle: Bool { content.withLock { $0.expected.isEmpty } }

    func expect(_ sequence: SequenceNumber) {
        content.withLock { $0.expected.append((sequence, .now)) }
    }

    func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .microseconds(500))
            guard let applied = follower.state.applied else { continue }
            let now = ContinuousClock.now
            content.withLock { content in
                content.expected.removeAll { sequence, since in
                    guard sequence <= applied else { return false }
                    content.nanoseconds.append(Int64(since.duration(to: now).seconds * 1e9))
                    return true
                }
            }
        }
    }
}
