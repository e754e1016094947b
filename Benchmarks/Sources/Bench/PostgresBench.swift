import Foundation
import Ledger
import PostgresStore
import Trading

/// Rows through the store against psql's `\copy` of the same rows, on a server of its own.
enum PostgresBench {
    private static let batchSize = 10_000

    private static func rows(_ usual: Int) -> Int {
        ProcessInfo.processInfo.environment["OPSD_BENCH_ROWS"].flatMap { Int($0) } ?? usual
    }

    static func insert() async throws -> Figure {
        try await withServer { server in
            let store = try server.open()
            let count = rows(1_000_000)
            let ours = try await write(count, through: store, from: 1)
            let peer = try copy(count, on: server)
            return Figure(
                id: "postgres.insert",
                what: "\(count) new trades, \(batchSize) a batch, against psql \\copy",
                ours: ours, peer: peer, unit: "rows/s", goal: .ratioAtLeast(0.7))
        }
    }

    static func upsert() async throws -> Figure {
        try await withServer { server in
            let store = try server.open()
            let count = rows(1_000_000)
            _ = try await write(count, through: store, from: 1)
            let ours = try await write(count, through: store, from: 1_000_000)
            let peer = try copy(count, on: server)
            return Figure(
                id: "postgres.upsert",
                what: "\(count) trades replaced, \(batchSize) a batch, against psql \\copy",
                ours: ours, peer: peer, unit: "rows/s", goal: .ratioAtLeast(0.3))
        }
    }

    static func deals() async throws -> Figure {
        try await withServer { server in
            let store = try server.open()
            _ = try await store.position()
            let count = rows(10_000_000)
            try server.psql(
                """
                INSERT INTO trades SELECT 'ACCOUNT_' || lpad((i % 1000)::text, 4, '0'),
                    lpad(i::text, 12, '0'), 'o1-' || lpad(i::text, 12, '0'), 'AAPL', 'buy', 10,
                    201.25, 2012.5, 10, '2025-01-01'::timestamptz + make_interval(secs => i * 3), i
                FROM generate_series(1, \(count)) AS i
                """)
            try server.psql("VACUUM ANALYZE trades")
            var times: [Int64] = []
            for turn in 0..<500 {
                var query = RowQuery(dataset: "deals")
                query.matching = [("account_id", [.text(account(turn * 7))])]
                let span = Int64(count) * 3
                let from = (Timestamp("2025-01-01T00:00:00Z") ?? .now())
                    .advanced(bySeconds: span * Int64(turn % 10) / 20)
                query.range = .init(
                    field: "executed_at", from: .timestamp(from),
                    before: .timestamp(from.advanced(bySeconds: span / 2)))
                query.order = ("executed_at", descending: true)
                let start = ContinuousClock.now
                let found = try await store.rows(query)
                times.append(Int64((ContinuousClock.now - start).seconds * 1_000_000))
                guard found.count == min(100, count / 2_000) || count < 1_000_000 else {
                    throw BenchError(description: "\(found.count) deals were found")
                }
            }
            let sorted = times.sorted()
            return Figure(
                id: "postgres.deals",
                what: "deals of an account and a time, newest 100 of \(count) rows: p95",
                ours: percentile(sorted, 0.95) / 1_000, peer: 100, unit: "ms", goal: .atMost(100),
                note: "p50 \(Figure.number(percentile(sorted, 0.5) / 1_000)) ms")
        }
    }

    private static func account(_ number: Int) -> String {
        String(format: "ACCOUNT_%04d", number % 1_000)
    }

    /// Rows a second, the making of the rows not counted.
    private static func write(
        _ count: Int, through store: PostgresStore, from price: Int
    ) async throws -> Double {
        var spent = Duration.zero
        let applied = try await store.appliedSequence()
        for begin in stride(from: 0, to: count, by: batchSize) {
            let sequence = SequenceNumber(rawValue: applied.rawValue + Int64(begin) + 1)
            let changes = (begin..<min(begin + batchSize, count)).map { number in
                let row = deal(number, price: price)
                return StoreBatch.Change(
                    key: row.key(in: Datasets.deals), row: row, sequence: sequence)
            }
            let batch = StoreBatch(changes: changes, digests: [], through: sequence)
            let start = ContinuousClock.now
            try await store.apply(batch)
            spent += ContinuousClock.now - start
        }
        return Double(count) / spent.seconds
    }

    private static func deal(_ number: Int, price: Int) -> Row {
        let amount = ExactDecimal(price + number % 1_000)
        return Row(
            dataset: "deals",
            values: [
                .text(account(number)), .text(String(format: "%012d", number)),
                .text(String(format: "o1-%012d", number)), .text("AAPL"), .text("buy"),
                .decimal(ExactDecimal(10)), .decimal(amount), .decimal(amount),
                .decimal(ExactDecimal(10)),
                .timestamp(Timestamp(microseconds: 1_700_000_000_000_000 + Int64(number) * 1_000)),
            ])
    }

    /// The same rows, out of the table into a file and from there by psql into one like it.
    private static func copy(_ count: Int, on server: BenchPostgres) throws -> Double {
        let file = server.folder + "/trades.csv"
        try server.psql("\\copy trades TO '\(file)'")
        try server.psql("CREATE TABLE peer (LIKE trades INCLUDING ALL)")
        let start = ContinuousClock.now
        try server.psql("\\copy peer FROM '\(file)'")
        return Double(count) / (ContinuousClock.now - start).seconds
    }

    private static func withServer(
        _ body: (BenchPostgres) async throws -> Figure
    ) async throws -> Figure {
        try await withScratch("postgres") { folder in
            let server = try BenchPostgres(folder)
            defer { server.stop() }
            return try await body(server)
        }
    }
}

/// A PostgreSQL with its own defaults, reached by a socket.
struct BenchPostgres {
    let folder: String
    private let server = Process()

    init(_ folder: String) throws {
        self.folder = folder
        let programs = try output(of: "pg_config", ["--bindir"]).trimmingCharacters(
            in: .whitespacesAndNewlines)
        if geteuid() == 0 { _ = try output(of: "chown", ["postgres", folder]) }
        let initialise = Self.unprivileged([
            programs + "/initdb", "-D", folder + "/data", "-U", "opsd", "--auth", "trust", "-E",
            "UTF8",
        ])
        _ = try output(of: initialise[0], Array(initialise.dropFirst()))
        server.executableURL = URL(filePath: "/usr/bin/env")
        server.arguments = Self.unprivileged([
            programs + "/postgres", "-D", folder + "/data", "-c", "listen_addresses=", "-c",
            "unix_socket_directories=\(folder)",
        ])
        server.standardError = FileHandle.nullDevice
        try server.run()
        let deadline = ContinuousClock.now + .seconds(30)
        while (try? output(of: "pg_isready", ["-q", "-h", folder])) == nil {
            if ContinuousClock.now > deadline {
                throw BenchError(description: "PostgreSQL does not start")
            }
        }
    }

    /// The server refuses to be run by root.
    private static func unprivileged(_ command: [String]) -> [String] {
        geteuid() == 0
            ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + command
            : command
    }

    func stop() {
        kill(server.processIdentifier, SIGQUIT)
        server.waitUntilExit()
    }

    func psql(_ command: String, in database: String = "postgres") throws {
        _ = try rows(command, in: database)
    }

    /// What psql prints, a line a row.
    func rows(_ command: String, in database: String) throws -> [String] {
        try output(
            of: "psql",
            [
                "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", folder, "-U", "opsd", "-c", command,
                database,
            ]
        ).split(separator: "\n").map(String.init)
    }

    func open(_ schemas: SchemaCatalogue = Datasets.catalogue) throws -> PostgresStore {
        let settings = try PostgresSettings(
            url: Secret("postgres://opsd@/postgres?host=\(folder)"), timeout: .seconds(60))
        return try PostgresStore(settings, schemas: schemas)
    }
}
