import CurlClient
import Foundation
import Ledger
import Trading
import TradingHTTP

/// `opsd verify` itself, built for release, over a million rows in Redis (a hash an account, JSON values) and
/// in PostgreSQL.
enum VerifyBench {
    private static let ops = 19_466
    private static let trading = 19_082
    private static let secret = "a bench secret of more than thirty-two bytes"
    private static let accountCount = 1_000
    private static let rowsEach = 1_000
    private static var opsd: String { "../.build/release/opsd" }

    /// Both stores against the journal, beside a script that compares one with the other.
    static func stores() async throws -> Figure {
        try await withDesk { directory, redis, postgres in
            let configuration = directory + "/opsd.yaml"
            var ours: [Double] = []
            var theirs: [Double] = []
            for _ in 0..<3 {
                ours.append(
                    try seconds {
                        _ = try output(
                            of: opsd, ["verify", "held_days", "-c", configuration, "--json"])
                    })
                theirs.append(
                    try seconds {
                        let found = try output(
                            of: "python3",
                            [
                                "Peers/compare.py", redis.socket, "acc:held:",
                                "host=\(postgres.folder) user=opsd dbname=postgres", "held_days",
                            ])
                        let rows = accountCount * rowsEach
                        guard found == "\(rows) 0\n" else {
                            throw BenchError(description: "the script found \(found)")
                        }
                    })
            }
            return Figure(
                id: "verify.stores",
                what: "1,000,000 rows in Redis and PostgreSQL, each against the journal; "
                    + "redis-py and psycopg2 against each other",
                ours: median(ours), peer: median(theirs), unit: "s",
                goal: .ratioAtMost(0.2))
        }
    }

    private static func seconds(_ body: () throws -> Void) rethrows -> Double {
        let start = ContinuousClock.now
        try body()
        return (ContinuousClock.now - start).seconds
    }

    // MARK: - The desk

    private static func withDesk(
        _ body: (String, BenchRedis, BenchPostgres) async throws -> Figure
    ) async throws -> Figure {
        try await withScratch("verify") { directory in
            let folder = directory + "/postgres"
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
            let postgres = try BenchPostgres(folder)
            defer { postgres.stop() }
            let redis = try BenchRedis(directory)
            defer { redis.stop() }
            try write(directory, redis, postgres)
            let daemon = Process()
            daemon.executableURL = URL(filePath: opsd)
            daemon.arguments = ["run", "-c", directory + "/opsd.yaml"]
            daemon.standardOutput = FileHandle.nullDevice
            daemon.standardError = FileHandle.nullDevice
            try daemon.run()
            let result: Result<Figure, any Error>
            do {
                try await fill(directory)
                result = .success(try await body(directory, redis, postgres))
            } catch {
                result = .failure(error)
            }
            daemon.terminate()
            while daemon.isRunning { try? await Task.sleep(for: .milliseconds(20)) }
            return try result.get()
        }
    }

    private static func write(
        _ directory: String, _ redis: BenchRedis, _ postgres: BenchPostgres
    ) throws {
        let accounts = (0..<accountCount).map { index in
            """
              - account_id: "ACC_\(index)"
                account_type: "trading"
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
        broker: {paper: "http://127.0.0.1:19091", requests_per_minute: 1000000}
        services: {core: {builtin: core}, broker: {builtin: paper-broker, before: [core]}}
        stores:
          hot: {kind: redis, url: "unix://\(redis.socket)"}
          record: {kind: postgres, url: "postgres://opsd@/postgres?host=\(postgres.folder)"}
        datasets:
          held_days:
            kind: declared
            key: [account_id, symbol]
            fields: {days: integer, max_price: decimal}
            old: hot
            new: record
            layout: {hot: {key: "acc:held:{account_id}", field: "{symbol}", value: json}}
        """.write(toFile: directory + "/opsd.yaml", atomically: true, encoding: .utf8)
    }

    /// Puts the rows by the data API, and waits until both stores have them.
    private static func fill(_ directory: String) async throws {
        let curl = CurlClient()
        let authority = await TokenAuthority(secret: Secret(secret))
        let url = "http://127.0.0.1:\(trading)/api/v1/data/held_days:batch"
        for index in 0..<accountCount {
            let account = "ACC_\(index)"
            let token = try await authority.issue(
                account: Account(
                    id: account, role: .trading,
                    credentials: AlpacaCredentials(apiKey: Secret(""), secretKey: Secret(""))),
                role: .trader, lifetimeSeconds: 3_600, at: .now())
            let rows = (0..<rowsEach).map { row in
                "{\"account_id\":\"\(account)\",\"symbol\":\"SYM\(row)\",\"days\":\(row % 90),"
                    + "\"max_price\":\"\(row % 500 + 1).\(10 + index % 90)\"}"
            }
            let body = "{\"put\":[" + rows.joined(separator: ",") + "]}"
            try await untilTaken(curl, url, token, body)
        }
        try await untilCopied(curl)
    }

    /// The core may not be up yet.
    private static func untilTaken(
        _ curl: CurlClient, _ url: String, _ token: String, _ body: String
    ) async throws {
        let deadline = ContinuousClock.now + .seconds(120)
        while true {
            let request = CurlRequest(
                .post, url, headers: ["Authorization": "Bearer \(token)"], body: Array(body.utf8))
            let answer = try? await curl.send(request)
            if let answer, answer.status == 200 || answer.status == 202 { return }
            guard ContinuousClock.now < deadline else {
                throw BenchError(description: answer?.text ?? "the core did not answer")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private static func untilCopied(_ curl: CurlClient) async throws {
        struct Envelope: Decodable {
            struct Report: Decodable {
                struct Core: Decodable {
                    struct Store: Decodable {
                        let state: String
                        let lag_entries: Int?
                    }
                    let stores: [Store]?
                }
                let core: Core?
            }
            let data: Report
        }
        let deadline = ContinuousClock.now + .seconds(300)
        while ContinuousClock.now < deadline {
            let request = CurlRequest(.get, "http://127.0.0.1:\(ops)/api/ops/status")
            if let answer = try? await curl.send(request),
                let report = try? JSONDecoder().decode(Envelope.self, from: Data(answer.body)),
                let stores = report.data.core?.stores, stores.count == 2,
                stores.allSatisfy({ $0.state == "following" && $0.lag_entries == 0 })
            {
                return
            }
            try await Task.sleep(for: .milliseconds(200))
        }
        throw BenchError(description: "the stores did not get the rows within five minutes")
    }
}
