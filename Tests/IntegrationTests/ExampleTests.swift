import CurlClient
import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// The example with both servers, as its reader runs it.
    @Suite(
        .serialized, .enabled(if: StoreDesk.isWanted, "redis-server or PostgreSQL is not installed")
    )
    struct ExampleTests {
        private static let example = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "examples/redis-postgres").path

        /// A copy of the example at ports of its own.
        private struct Copy {
            let directory: TemporaryDirectory
            let curl = CurlClient()
            private let ports: [String: Int]

            init() throws {
                directory = try TemporaryDirectory("example")
                try FileManager.default.copyItem(atPath: example, toPath: directory.path("desk"))
                var ports: [String: Int] = [:]
                var text = try String(
                    contentsOfFile: directory.path("desk/opsd.yaml"), encoding: .utf8)
                for port in ["9464", "8080", "8090", "6380", "5433"] {
                    let free = try freePort()
                    ports[port] = free
                    try #require(text.contains(port))
                    text = text.replacing(port, with: "\(free)")
                }
                self.ports = ports
                try text.write(
                    toFile: directory.path("desk/opsd.yaml"), atomically: true, encoding: .utf8)
            }

            func port(_ written: String) -> Int { ports[written] ?? 0 }

            func start() throws -> ChildProcess {
                try ChildProcess.start(
                    "/usr/bin/env", ["OPSD=\(Desk.program)", directory.path("desk/start")],
                    in: directory.path, output: directory.path("run.out"),
                    errors: directory.path("run.err"))
            }

            func status() async throws -> JSONValue? {
                let url = "http://127.0.0.1:\(port("9464"))/api/ops/status"
                let answer = try await curl.send(CurlRequest(.get, url, timeout: .seconds(10)))
                return try JSONValue(parsing: answer.body)["data"]
            }

            /// Until nothing is wrong and every store has all there is.
            func waitUntilWell() async throws {
                try await eventually("the example is well", within: .seconds(120)) {
                    guard let status = try await status() else { return false }
                    return status["verdict"]?.text == "well"
                        && ["files", "hot", "record"].allSatisfy {
                            StoreDesk.hasAll($0, in: status)
                        }
                }
            }

            func run(_ words: String...) async throws -> Desk.Outcome {
                try await Desk.command(words, in: directory, program: "/usr/bin/env")
            }

            func opsd(_ words: String...) async throws -> Desk.Outcome {
                try await Desk.command(
                    words + ["-c", directory.path("desk/opsd.yaml")], in: directory)
            }

            func secret(_ name: String) throws -> String {
                try String(contentsOfFile: directory.path("desk/\(name)"), encoding: .utf8)
            }

            func redis(_ words: String...) async throws -> Desk.Outcome {
                try await Desk.command(
                    [
                        "REDISCLI_AUTH=\(try secret("redis.password"))", "redis-cli", "-p",
                        "\(port("6380"))",
                    ] + words, in: directory, program: "/usr/bin/env")
            }

            func psql(_ sql: String) async throws -> Desk.Outcome {
                try await Desk.command(
                    [
                        "PGPASSWORD=\(try secret("postgres.password"))",
                        (PostgresServer.programs ?? "/usr/bin") + "/psql", "-XqAt", "-h",
                        "127.0.0.1", "-p", "\(port("5433"))", "-U", "opsd", "-c", sql, "opsd",
                    ], in: directory, program: "/usr/bin/env")
            }
        }

        @Test(.timeLimit(.minutes(5)))
        func oneCommandRunsADeskWithRedisAndPostgreSQL() async throws {
            let copy = try Copy()
            var process = try copy.start()
            let outcome: Result<Void, any Error>
            do {
                try await use(copy)
                process.signal(SIGTERM)
                #expect(try await process.exit(within: .seconds(60)) == 0)
                #expect(ProcessesOf.directory(copy.directory.path).isEmpty)

                // Again, on what is there.
                process = try copy.start()
                try await copy.waitUntilWell()
                try await expectThePosition(copy)
                process.signal(SIGTERM)
                #expect(try await process.exit(within: .seconds(60)) == 0)
                #expect(ProcessesOf.directory(copy.directory.path).isEmpty)
                outcome = .success(())
            } catch {
                outcome = .failure(error)
                for name in ["run.err", "desk/data/log/postgres.log", "desk/data/log/redis.log"] {
                    let text = try? String(
                        contentsOfFile: copy.directory.path(name), encoding: .utf8)
                    Issue.record("\(name): \(text?.suffix(2_000) ?? "is not there")")
                }
            }
            process.endGroup()
            ProcessesOf.end(copy.directory.path)
            await copy.curl.shutdown()
            try outcome.get()
        }

        private func use(_ copy: Copy) async throws {
            try await copy.waitUntilWell()
            let check = try await copy.opsd("check")
            #expect(check.code == 0 && check.errors.isEmpty, "\(check)")
            let token = try await copy.opsd(
                "token", "--account", "TRADE_001", "--role", "trader", "--json")
            let bearer = try #require(token.documents.last??["token"]?.text)
            let answer = try await copy.curl.send(
                CurlRequest(
                    .post, "http://127.0.0.1:\(copy.port("8080"))/api/v1/orders",
                    headers: [
                        "Authorization": "Bearer \(bearer)", "Content-Type": "application/json",
                    ], body: Array(OrderText(account: "TRADE_001").body.utf8)))
            #expect(answer.status == 202)
            try await eventually("the order is filled, and everywhere") {
                let orders = try await copy.psql("SELECT status FROM orders")
                return orders.output == "filled\n"
            }
            try await copy.waitUntilWell()
            try await expectThePosition(copy)
            // Nobody gets in without the passwords.
            let stranger = try await copy.run(
                "redis-cli", "-p", "\(copy.port("6380"))", "DBSIZE")
            #expect(stranger.output.contains("NOAUTH"), "\(stranger)")
            for name in ["jwt.key", "redis.password", "postgres.password"] {
                let mode =
                    try FileManager.default.attributesOfItem(
                        atPath: copy.directory.path("desk/\(name)"))[.posixPermissions] as? Int
                #expect(mode == 0o600)
                #expect(try copy.secret(name).utf8.count == 64)
            }
        }

        private func expectThePosition(_ copy: Copy) async throws {
            let position = try await copy.redis("HGET", "acc:positions:TRADE_001", "AAPL")
            let json = try JSONValue(parsing: Array(position.output.utf8))
            #expect(json["qty"]?.text == "1", "\(position)")
            #expect(json["side"]?.text == "long")
            let price = try #require(json["market_value"]?.decimal)
            let row = try await copy.psql(
                "SELECT qty, market_value, last_price = \(price) FROM positions")
            #expect(row.output == "1|\(price)|t\n", "\(row)")
        }
    }
}
