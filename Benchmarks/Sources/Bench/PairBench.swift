import Foundation

/// `opsd verify` of two tables that nobody journals, beside reladiff: two databases of one server, a million
/// rows in each, every column compared.
enum PairBench {
    private static let rowCount = 1_000_000
    private static var opsd: String { "../.build/release/opsd" }
    private static let threads = [1, 2, 4]

    static func equal() async throws -> Figure {
        try await withDesk { desk in
            let figure = try measure(desk, right: "same", wanted: [])
            return Figure(
                id: "verify.pushdown-equal",
                what: "\(rowCount) rows in two databases of one PostgreSQL, no difference; "
                    + "reladiff with \(figure.threads) threads, its best",
                ours: figure.ours, peer: figure.peer, unit: "s", goal: .ratioAtMost(0.33))
        }
    }

    static func differences() async throws -> Figure {
        try await withDesk { desk in
            let wanted = try desk.postgres.rows(
                "SELECT account_id || '/' || symbol FROM positions WHERE \(differing)", in: "other")
            let figure = try measure(desk, right: "other", wanted: Set(wanted))
            return Figure(
                id: "verify.pushdown-differences",
                what:
                    "\(rowCount) rows in two databases of one PostgreSQL, \(wanted.count) differ, "
                    + "scattered, all of them found and no other; each looked at twice; reladiff with "
                    + "\(figure.threads) threads, its best",
                ours: figure.ours, peer: figure.peer, unit: "s", goal: .ratioAtMost(0.67))
        }
    }

    private static func measure(
        _ desk: PairBenchDesk, right: String, wanted: Set<String>
    ) throws -> (ours: Double, peer: Double, threads: Int) {
        func peer(_ threads: Int) throws -> Double {
            let columns = ["quantity", "average_price", "market_value", "updated_at", "note"]
            return try seconds {
                let lines = try output(
                    of: ".build/peers/bin/reladiff",
                    [
                        desk.peerURL("one"), "positions", desk.peerURL(right), "positions",
                        "-k", "account_id", "-k", "symbol", "--threads", "\(threads)", "--json",
                    ] + columns.flatMap { ["-c", $0] })
                let count = lines.split(separator: "\n").count { $0.hasPrefix("[\"") }
                // Each row as it is on the one side and on the other.
                guard count == wanted.count * 2 else {
                    throw BenchError(description: "reladiff found \(count) rows")
                }
            }
        }
        func own() throws -> Double {
            try seconds {
                let lines = try output(
                    of: "sh",
                    [
                        "-c",
                        "\"$0\" verify \"$1\" -c \"$2\" --json --limit 10000 --deadline 0 "
                            + "|| test $? = 1", opsd, right, desk.folder + "/opsd.yaml",
                    ])
                let found = lines.split(separator: "\n").compactMap { line -> String? in
                    line.firstMatch(of: /"key":"[a-z]+\/([^"]*)"/).map { String($0.output.1) }
                }
                guard Set(found) == wanted, found.count == wanted.count,
                    lines.contains("\"rows_compared\":\(rowCount)")
                else {
                    throw BenchError(
                        description: "opsd found \(found.count) rows: \(lines.suffix(300))")
                }
            }
        }
        var best = (threads: 1, seconds: Double.infinity)
        for threads in threads {
            let time = try peer(threads)
            if time < best.seconds { best = (threads, time) }
        }
        var (ours, theirs): ([Double], [Double]) = ([], [best.seconds])
        for turn in 0..<3 {
            ours.append(try own())
            if turn < 2 { theirs.append(try peer(best.threads)) }
        }
        return (median(ours), median(theirs), best.threads)
    }

    private static func seconds(_ body: () throws -> Void) rethrows -> Double {
        let start = ContinuousClock.now
        try body()
        return (ContinuousClock.now - start).seconds
    }

    // MARK: - The desk

    /// Of a hundred rows one, all over the table.
    private static let differing = "(right(account_id, 4) || right(symbol, 4))::int % 100 = 37"

    private static func withDesk(
        _ body: (PairBenchDesk) async throws -> Figure
    ) async throws -> Figure {
        try await withScratch("pair") { folder in
            let place = folder + "/postgres"
            try FileManager.default.createDirectory(
                atPath: place, withIntermediateDirectories: true)
            let postgres = try BenchPostgres(place)
            defer { postgres.stop() }
            let desk = PairBenchDesk(folder: folder, postgres: postgres)
            try desk.write()
            for name in ["one", "same", "other"] {
                try postgres.psql("CREATE DATABASE \(name)")
                try postgres.psql(
                    """
                    CREATE TABLE positions (account_id text, symbol text,
                        quantity numeric NOT NULL, average_price numeric NOT NULL,
                        market_value numeric NOT NULL, updated_at timestamptz NOT NULL, note text,
                        PRIMARY KEY (account_id, symbol));
                    INSERT INTO positions SELECT 'ACC_' || lpad((i / 1000)::text, 4, '0'),
                        'SYM' || lpad((i % 1000)::text, 4, '0'), i % 500 + 0.25, i % 1000 + 0.10,
                        (i % 500 + 0.25) * (i % 1000 + 0.10),
                        '2025-01-01'::timestamptz + make_interval(secs => i * 0.001),
                        CASE WHEN i % 3 > 0 THEN 'n' || i END
                    FROM generate_series(0, \(rowCount - 1)) AS i
                    """, in: name)
                if name == "other" {
                    try postgres.psql(
                        "UPDATE positions SET quantity = quantity + 1 WHERE \(differing)", in: name)
                }
                try postgres.psql("VACUUM ANALYZE positions", in: name)
            }
            try postgres.psql("CHECKPOINT")
            return try await body(desk)
        }
    }
}

struct PairBenchDesk {
    let folder: String
    let postgres: BenchPostgres

    func write() throws {
        try write(
            "accounts.yaml",
            """
            accounts:
              - {account_id: A, account_type: trading, alpaca_credentials: {api_key: a, secret_key: b}}
            """)
        func url(_ database: String) -> String {
            "postgres://opsd@/\(database)?host=\(postgres.folder)"
        }
        try write(
            "opsd.yaml",
            """
            accounts: [accounts.yaml]
            secrets: {jwt: "a bench secret of more than thirty-two bytes"}
            stores:
              one: {kind: postgres, url: "\(url("one"))"}
              same: {kind: postgres, url: "\(url("same"))"}
              other: {kind: postgres, url: "\(url("other"))"}
            verify:
              - name: same
                left: {store: one, table: positions}
                right: {store: same, table: positions}
              - name: other
                left: {store: one, table: positions}
                right: {store: other, table: positions}
            """)
    }

    func peerURL(_ database: String) -> String {
        let place = postgres.folder.replacingOccurrences(of: "/", with: "%2F")
        return "postgresql://opsd@\(place)/\(database)"
    }

    private func write(_ name: String, _ text: String) throws {
        try text.write(toFile: folder + "/" + name, atomically: true, encoding: .utf8)
    }
}
