import CurlClient
import Foundation
import Ledger
import SQLiteStore
import Synchronization
import Trading
import TradingHTTP

/// The real daemon, built for release, with 1,000 accounts.
enum DeskBench {
    static let accountCount = 1_000
    private static let ops = 19_464
    private static let trading = 19_080
    private static let secret = "a bench secret of more than thirty-two bytes"

    /// Everything that `opsd run` needs, in a directory.
    private static func write(_ directory: String) throws {
        let accounts = (0..<accountCount).map { index in
            """
              - account_id: "ACC_\(index)"
                account_type: "trading"
                trading_config: {max_orders_per_minute: 1000000, max_concurrent_orders: 100000}
                alpaca_credentials: {api_key: "key-\(index)", secret_key: "secret-\(index)"}
            """
        }
        try ("accounts:\n" + accounts.joined(separator: "\n") + "\n").write(
            toFile: directory + "/accounts_config.yaml", atomically: true, encoding: .utf8)
        try """
        data_dir: ./data
        listen: {ops: "127.0.0.1:\(ops)", trading: "127.0.0.1:\(trading)"}
        secrets: {jwt: "\(secret)"}
        accounts: [accounts_config.yaml]
        limits: {requests_per_second: 1000000, account_requests_per_second: 100000}
        broker: {paper: "http://127.0.0.1:19090", requests_per_minute: 1000000}
        paper_broker: {cash: 100000000, requests_per_minute: 1000000}
        services:
          core: {builtin: core}
          broker: {builtin: paper-broker, before: [core]}
        """.write(toFile: directory + "/opsd.yaml", atomically: true, encoding: .utf8)
    }

    private static var opsd: String { "../.build/release/opsd" }

    private static func start(_ command: String, in directory: String) throws -> Process {
        let process = Process()
        process.executableURL = URL(filePath: opsd)
        process.arguments = [command, "-c", directory + "/opsd.yaml"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle(forWritingAtPath: "/dev/null")
        try process.run()
        return process
    }

    private static func stop(_ process: Process) async {
        process.terminate()
        while process.isRunning { try? await Task.sleep(for: .milliseconds(20)) }
    }

    private static func untilReady(_ curl: CurlClient, _ directory: String, socket: String)
        async throws
    {
        let deadline = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < deadline {
            let request = CurlRequest(
                .get, "http://localhost/readyz", timeout: .seconds(1),
                unixSocketPath: directory + "/data/run/\(socket).sock")
            if let answer = try? await curl.send(request), answer.status == 200 { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw BenchError(description: "\(socket) was not ready within two minutes")
    }

    private static func residentBytes(of process: Process) -> Double {
        let path = "/proc/\(process.processIdentifier)/status"
        let line = (try? String(contentsOfFile: path, encoding: .utf8))?
            .split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        let kilobytes = line?.split(whereSeparator: { " \t".contains($0) }).dropFirst().first
        return (kilobytes.flatMap { Double($0) } ?? 0) * 1_024
    }

    // MARK: - Start

    static func start() async throws -> Figure {
        try await withScratch("start") { directory in
            try write(directory)
            let curl = CurlClient()
            let broker = try start("paper-broker", in: directory)
            try await untilReady(curl, directory, socket: "paper-broker")
            let begin = ContinuousClock.now
            let core = try start("core", in: directory)
            try await untilReady(curl, directory, socket: "core")
            while try await openAccounts(curl, directory) < accountCount {
                try await Task.sleep(for: .milliseconds(5))
            }
            let seconds = (ContinuousClock.now - begin).seconds
            await stop(core)
            await stop(broker)
            return Figure(
                id: "core.start", what: "1,000 accounts: from start until all can trade",
                ours: seconds, peer: 5, unit: "s", goal: .atMost(5))
        }
    }

    private static func openAccounts(_ curl: CurlClient, _ directory: String) async throws -> Int {
        struct Envelope: Decodable {
            struct Status: Decodable { let accounts_not_open: [String] }
            let data: Status
        }
        let answer = try await curl.send(
            CurlRequest(
                .get, "http://localhost/control/status", timeout: .seconds(5),
                unixSocketPath: directory + "/data/run/core.sock"))
        let status = try JSONDecoder().decode(Envelope.self, from: Data(answer.body))
        return accountCount - status.data.accounts_not_open.count
    }

    // MARK: - A long past

    /// Orders of the past, made by the engine itself with a broker that fills at once.
    private static func makePast(_ directory: String, orders: Int) async throws -> Int64 {
        let data = directory + "/data"
        try FileManager.default.createDirectory(
            atPath: data, withIntermediateDirectories: true)
        let rules = (0..<accountCount).map {
            AccountRules(accountID: "ACC_\($0)", maxConcurrentOrders: .max)
        }
        let store = try SQLiteStore(
            path: data + "/state.sqlite", schemas: Datasets.catalogue)
        let core = try await TradingCore.start(
            rules: rules, journalDirectory: data + "/journal", store: store,
            broker: InstantBroker())
        let running = Task { await core.run() }
        while rules.contains(where: { core.engine.published.balance($0.accountID) == nil }) {
            try await Task.sleep(for: .milliseconds(20))
        }
        let tickets = Tickets()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    while true {
                        let index = tickets.next()
                        if index >= orders { return }
                        let request = AcceptBench.request("ACC_\(index % accountCount)")
                        let placed = try? await core.engine.performBounded {
                            state, now throws(Refusal) in
                            try state.place(request, at: now, by: "")
                        }
                        // A full queue: the broker's side catches up meanwhile.
                        if placed == nil { try? await Task.sleep(for: .milliseconds(5)) }
                    }
                }
            }
        }
        while !core.engine.published.liveOrders().isEmpty {
            try await Task.sleep(for: .milliseconds(50))
        }
        let head = core.engine.published.head.number
        running.cancel()
        _ = await running.value
        return head
    }

    /// Everything is read again from the journal, as if the checkpoint had been lost.
    static func recovery() async throws -> Figure {
        try await withScratch("recovery") { directory in
            try write(directory)
            let entries = try await makePast(directory, orders: 100_000)
            for suffix in ["", "-wal", "-shm"] {
                try? FileManager.default.removeItem(
                    atPath: directory + "/data/state.sqlite" + suffix)
            }
            let begin = ContinuousClock.now
            let store = try SQLiteStore(
                path: directory + "/data/state.sqlite", schemas: Datasets.catalogue)
            let reader = try JournalReader(directory: directory + "/data/journal")
            let outcome = try await Recovery.run(
                rules: (0..<accountCount).map { AccountRules(accountID: "ACC_\($0)") },
                journal: reader, store: store)
            let seconds = (ContinuousClock.now - begin).seconds
            precondition(outcome.replayedEntries == Int(entries))
            return Figure(
                id: "core.recovery", what: "100,000 entries after the checkpoint",
                ours: seconds / Double(entries) * 100_000, peer: 1, unit: "s",
                goal: .atMost(1), note: "measured over \(entries) entries")
        }
    }

    static func memory() async throws -> Figure {
        try await withScratch("memory") { directory in
            try write(directory)
            let orders = 1_000_000
            _ = try await makePast(directory, orders: orders)
            let curl = CurlClient()
            let broker = try start("paper-broker", in: directory)
            try await untilReady(curl, directory, socket: "paper-broker")
            let core = try start("core", in: directory)
            try await untilReady(curl, directory, socket: "core")
            try await load(perSecond: 500, seconds: 10, curl)
            let bytes = residentBytes(of: core)
            await stop(core)
            await stop(broker)
            return Figure(
                id: "core.memory",
                what:
                    "resident memory of the core, 1,000 accounts, 1,000,000 past orders, traded on",
                ours: bytes / 1_048_576, peer: 256, unit: "MiB", goal: .atMost(256))
        }
    }

    // MARK: - Latency

    @discardableResult
    private static func load(
        perSecond: Int, seconds: Int, _ curl: CurlClient
    ) async throws -> [Int64] {
        let authority = await TokenAuthority(secret: Secret(secret))
        var tokens: [String] = []
        for index in 0..<accountCount {
            tokens.append(
                try await authority.issue(
                    account: Account(
                        id: "ACC_\(index)", role: .trading,
                        credentials: AlpacaCredentials(
                            apiKey: Secret(""), secretKey: Secret(""))),
                    role: .trader, lifetimeSeconds: 3_600, at: .now()))
        }
        let keys = tokens
        return try await withThrowingTaskGroup(of: Int64.self) { group in
            let begin = ContinuousClock.now
            for index in 0..<perSecond * seconds {
                // Open loop: an order leaves when its time has come, however long others take.
                let due = begin + .microseconds(index * 1_000_000 / perSecond)
                try await Task.sleep(until: due, clock: .continuous)
                group.addTask {
                    let account = index % accountCount
                    let body =
                        "{\"account_id\":\"ACC_\(account)\",\"symbol\":\"AAPL\",\"side\":\"buy\","
                        + "\"type\":\"market\",\"qty\":\"1\",\"time_in_force\":\"day\"}"
                    let answer = try await curl.send(
                        CurlRequest(
                            .post, "http://127.0.0.1:\(trading)/api/v1/orders",
                            headers: ["Authorization": "Bearer \(keys[account])"],
                            body: Array(body.utf8)))
                    guard answer.status == 202 else {
                        throw BenchError(description: answer.text)
                    }
                    return Int64((ContinuousClock.now - due).seconds * 1e9)
                }
            }
            var latencies: [Int64] = []
            for try await latency in group { latencies.append(latency) }
            return latencies.sorted()
        }
    }

    static func latency() async throws -> Figure {
        try await withScratch("latency") { directory in
            try write(directory)
            let curl = CurlClient(
                configuration: CurlConfiguration(
                    connectionsPerHostMax: 200, idleConnectionsMax: 200))
            let daemon = try start("run", in: directory)
            try await untilReady(curl, directory, socket: "core")
            while try await openAccounts(curl, directory) < accountCount {
                try await Task.sleep(for: .milliseconds(20))
            }
            try await load(perSecond: 200, seconds: 2, curl)
            let latencies = try await load(perSecond: 1_000, seconds: 20, curl)
            try await Task.sleep(for: .seconds(1))
            let execution = try await executionP99(curl)
            await stop(daemon)
            let api = percentile(latencies, 0.99) / 1e6
            return Figure(
                id: "core.latency",
                what: "1,000 orders/s over 1,000 accounts: API p99",
                ours: api, peer: 50, unit: "ms", goal: .atMost(50),
                note: "to the broker's word: p99 \(Figure.number(execution * 1_000)) ms, goal 100")
        }
    }

    /// From the histogram, within its bucket by proportion, as `histogram_quantile` has it.
    private static func executionP99(_ curl: CurlClient) async throws -> Double {
        let text = try await curl.send(CurlRequest(.get, "http://127.0.0.1:\(ops)/metrics")).text
        let name = "opsd_order_execution_duration_seconds_bucket{le=\""
        var buckets: [(bound: Double, count: Double)] = []
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            let rest = line.dropFirst(name.count)
            let bound = Double(rest.prefix { $0 != "\"" }.replacing("+Inf", with: "inf")) ?? 0
            let count = line.split(separator: " ").last.flatMap { Double($0) } ?? 0
            buckets.append((bound, count))
        }
        let rank = (buckets.last?.count ?? 0) * 0.99
        guard let index = buckets.firstIndex(where: { $0.count >= rank }) else { return .infinity }
        let below = index == 0 ? (bound: 0, count: 0) : buckets[index - 1]
        let share = (rank - below.count) / max(1, buckets[index].count - below.count)
        return below.bound + (buckets[index].bound - below.bound) * share
    }
}

/// Numbers from 0 on, each given out once.
private final class Tickets: Sendable {
    private let given = Atomic(0)

    func next() -> Int { given.wrappingAdd(1, ordering: .relaxed).oldValue }
}
