import Foundation
import GRDB
import Ledger
import SQLiteStore
import Trading

/// Durable accepts inside the engine against a bare loop of SQLite commits of the same bytes.
struct AcceptBench {
    let directory: String

    func core(declared: [Schema] = []) async throws -> (TradingCore, Task<JournalError?, Never>) {
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        let rules = (0..<64).map {
            AccountRules(accountID: "ACC_\($0)", maxConcurrentOrders: .max)
        }
        let store = try SQLiteStore(
            path: directory + "/state.sqlite",
            schemas: SchemaCatalogue(Datasets.catalogue.schemas + declared))
        var options = TradingCore.Options()
        options.engine.queueCapacity = .max
        options.workers = 1
        options.callsPerWorker = 1
        options.declared = declared
        // As the daemon has it where stores follow.
        if !declared.isEmpty { options.feedRows = 50_000 }
        let core = try await TradingCore.start(
            rules: rules, journalDirectory: directory + "/journal", store: store,
            broker: HeldBroker(), options: options)
        let running = Task { await core.run() }
        while (0..<64).contains(where: { core.engine.published.balance("ACC_\($0)") == nil }) {
            try await Task.sleep(for: .milliseconds(5))
        }
        return (core, running)
    }

    static func request(_ account: String) -> OrderRequest {
        OrderRequest(
            accountID: account,
            terms: OrderTerms(
                symbol: "AAPL", side: .buy, type: .limit, quantity: ExactDecimal(1),
                limitPrice: ExactDecimal("189.30")))
    }

    /// Latencies of every accept, in nanoseconds, and the seconds that all took.
    func accepts(clients: Int, each count: Int) async throws -> (
        latencies: [Int64], seconds: Double
    ) {
        let (core, running) = try await core()
        let start = ContinuousClock.now
        let latencies = try await withThrowingTaskGroup(of: [Int64].self) { group in
            for client in 0..<clients {
                group.addTask {
                    var latencies: [Int64] = []
                    latencies.reserveCapacity(count)
                    let request = Self.request("ACC_\(client)")
                    for _ in 0..<count {
                        let before = DispatchTime.now().uptimeNanoseconds
                        _ = try await core.engine.performBounded { state, now throws(Refusal) in
                            try state.place(request, at: now, by: request.accountID)
                        }
                        latencies.append(Int64(DispatchTime.now().uptimeNanoseconds - before))
                    }
                    return latencies
                }
            }
            var all: [Int64] = []
            for try await part in group { all += part }
            return all
        }
        let seconds = (ContinuousClock.now - start).seconds
        running.cancel()
        _ = await running.value
        return (latencies.sorted(), seconds)
    }

    /// Flushes of the journal so far in this process, by the engine's own metric.
    static func flushes() -> Int {
        let text = String(decoding: benchMetrics.encode(.text), as: UTF8.self)
        let name = "opsd_journal_commit_duration_seconds_count "
        let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
        return line.flatMap { Int($0.dropFirst(name.count)) } ?? 0
    }

    /// What the engine wrote, written again by nothing but SQLite at a given batch size.
    func bareLoop(batch: Int, most: Int) throws -> (latencies: [Int64], seconds: Double) {
        let reader = try JournalReader(directory: directory + "/journal")
        var rows: [(Int64, Int64, Data, Data)] = []
        var position = SequenceNumber.none
        while rows.count < most {
            let page = try reader.entries(after: position, limit: min(10_000, most - rows.count))
            guard let last = page.last else { break }
            for entry in page {
                rows.append(
                    (
                        entry.sequence.rawValue, entry.time.microseconds,
                        Data(entry.draft.encodedBody()), Data(entry.checksum.bytes)
                    ))
            }
            position = last.sequence
        }
        let path = directory + "/bare.sqlite"
        for suffix in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(atPath: path + suffix)
        }
        let database = try DatabaseQueue(path: path)
        try database.writeWithoutTransaction { database in
            try database.execute(
                sql: """
                    PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 4000;
                    PRAGMA synchronous = FULL;
                    CREATE TABLE entries(
                        sequence INTEGER PRIMARY KEY, time INTEGER NOT NULL,
                        body BLOB NOT NULL, checksum BLOB NOT NULL);
                    """)
        }
        var latencies: [Int64] = []
        let start = ContinuousClock.now
        for first in stride(from: 0, to: rows.count, by: batch) {
            let before = DispatchTime.now().uptimeNanoseconds
            try database.writeWithoutTransaction { database in
                try database.inTransaction(.immediate) {
                    let statement = try database.cachedStatement(
                        sql: "INSERT INTO entries VALUES (?, ?, ?, ?)")
                    for row in rows[first..<min(first + batch, rows.count)] {
                        statement.setUncheckedArguments([row.0, row.1, row.2, row.3])
                        try statement.execute()
                    }
                    return .commit
                }
            }
            latencies.append(Int64(DispatchTime.now().uptimeNanoseconds - before))
        }
        return (latencies.sorted(), (ContinuousClock.now - start).seconds)
    }
}

extension AcceptBench {
    /// `core.accept-batch`: the engine's batches share flushes as they come, so the bare loop runs at
    /// the mean size that the engine reached.
    static func batch() async throws -> Figure {
        try await withScratch("accept-batch") { directory in
            let bench = AcceptBench(directory: directory)
            let before = flushes()
            let (latencies, seconds) = try await bench.accepts(clients: 64, each: 4_000)
            let batch = max(1, latencies.count / max(1, flushes() - before))
            let (_, bareSeconds) = try bench.bareLoop(batch: batch, most: latencies.count)
            let count = Double(latencies.count)
            return Figure(
                id: "core.accept-batch",
                what: "durable accepts, 64 clients, against SQLite commits of the same bytes",
                ours: count / seconds, peer: count / bareSeconds, unit: "/s",
                goal: .ratioAtLeast(0.7), note: "batches of \(batch)")
        }
    }

    /// `core.accept-one`: one client, against a one-row commit; the disk's own flush beside it.
    static func one() async throws -> Figure {
        try await withScratch("accept-one") { directory in
            let bench = AcceptBench(directory: directory)
            let (single, _) = try await bench.accepts(clients: 1, each: 5_000)
            let (bare, _) = try bench.bareLoop(batch: 1, most: 5_000)
            return Figure(
                id: "core.accept-one", what: "p50 of one client's accept against a one-row commit",
                ours: percentile(single, 0.5) / 1_000, peer: percentile(bare, 0.5) / 1_000,
                unit: "µs", goal: .ratioAtMost(1.3), note: "fdatasync \(try flushTime(directory))")
        }
    }

    private static func flushTime(_ directory: String) throws -> String {
        let text = try output(
            of: "fio",
            [
                "--name=flush", "--directory=\(directory)", "--rw=write", "--bs=4k", "--size=16m",
                "--fdatasync=1", "--output-format=json",
            ])
        struct Report: Decodable {
            struct Job: Decodable {
                struct Sync: Decodable {
                    struct Latency: Decodable { let percentile: [String: Int]? }
                    let lat_ns: Latency
                }
                let sync: Sync
            }
            let jobs: [Job]
        }
        let report = try JSONDecoder().decode(Report.self, from: Data(text.utf8))
        let nanoseconds = report.jobs.first?.sync.lat_ns.percentile?["50.000000"] ?? 0
        return "\(nanoseconds / 1_000) µs"
    }
}
