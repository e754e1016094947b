import Foundation
import GRDB
import Ledger
import SQLiteStore
import Trading

/// Durable accepts inside the engine against a bare loop of SQLite commits of the same bytes.
struct AcceptBench {
    let directory: String

    private func core() async throws -> (TradingCore, Task<JournalError?, Never>) {
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        let rules = (0..<64).map {
            AccountRules(accountID: "ACC_\($0)", maxConcurrentOrders: .max)
        }
        let store = try SQLiteStore(
            path: directory + "/state.sqlite", schemas: Datasets.catalogue)
        var options = TradingCore.Options()
        options.engine.queueCapacity = .max
        options.workers = 1
        options.callsPerWorker = 1
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
    func accepts(clients: Int, each count: Int) async throws -> (latencies: [Int64], seconds: Double)
    {
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

extension Duration {
    var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
