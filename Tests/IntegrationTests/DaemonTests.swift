import CurlClient
import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// The daemon's life, as the person who starts and stops it sees it.
    @Suite(.serialized) struct DaemonTests {
        /// The embedded default has fixed ports; where somebody has them, it cannot be tried.
        static var defaultPortsAreFree: Bool {
            [9464, 8080, 8090].allSatisfy(PortHolder.isFree)
        }

        @Test(
            .enabled("a port of the embedded default is in use") { Self.defaultPortsAreFree },
            .timeLimit(.minutes(2)))
        func anEmptyDirectoryBecomesADeskThatFillsAnOrder() async throws {
            let directory = try TemporaryDirectory()
            let curl = CurlClient()
            let process = try ChildProcess.start(
                Desk.program, ["run"], in: directory.path, output: directory.path("out"),
                errors: directory.path("err"))
            let outcome: Result<Void, any Error>
            do {
                try await tryFirstOrder(directory, curl)
                process.signal(SIGTERM)
                #expect(try await process.exit(within: .seconds(20)) == 0)
                #expect(ProcessesOf.directory(directory.path).isEmpty)
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            process.endGroup()
            ProcessesOf.end(directory.path)
            await curl.shutdown()
            try outcome.get()
        }

        private func tryFirstOrder(
            _ directory: TemporaryDirectory, _ curl: CurlClient
        ) async throws {
            var token = ""
            try await eventually("the daemon says that it is up", within: .seconds(20)) {
                let output = try String(contentsOfFile: directory.path("out"), encoding: .utf8)
                guard let line = output.firstMatch(of: /TOKEN=(\S+)/) else { return false }
                token = String(line.output.1)
                return true
            }
            let headers: CurlHeaders = ["Authorization": "Bearer \(token)"]
            let orders = "http://127.0.0.1:8080/api/v1/orders"
            let text = OrderText(account: "TRADE_001")
            let accepted = try await curl.send(
                CurlRequest(.post, orders, headers: headers, body: Array(text.body.utf8)))
            #expect(accepted.status == 202, "\(accepted.text)")
            let id = try #require(try JSONValue(parsing: accepted.body)["data"]?["order_id"]?.text)
            try await eventually("the first order is filled", within: .seconds(10)) {
                let answer = try await curl.send(
                    CurlRequest(.get, "\(orders)/\(id)", headers: headers))
                return try JSONValue(parsing: answer.body)["data"]?["status"]?.text == "filled"
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aStopLeavesNothingBehind() async throws {
            try await Desk.run { desk in
                #expect(ProcessesOf.directory(desk.directory.path).count == 3)
                #expect(try await desk.terminate() == 0)
                #expect(ProcessesOf.directory(desk.directory.path).isEmpty)
                let left = try FileManager.default.contentsOfDirectory(atPath: desk.data + "/run")
                #expect(left.filter { $0.hasSuffix(".sock") } == [])
                let status = try await desk.command("status")
                #expect(status.code == 3, "\(status)")
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aSecondDaemonOnTheSameDataIsRefused() async throws {
            try await Desk.run { desk in
                let second = try await desk.command("run")
                #expect(second.code == 4)
                #expect(second.errors.contains("another supervisor is running"))
                let core = try await desk.command("core")
                #expect(core.code == 4, "\(core)")
                #expect(try await desk.get("\(desk.opsURL)/readyz").status == 200)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aCoreThatDiedIsStartedAgainAndTakesOrders() async throws {
            try await Desk.run { desk in
                let token = try await desk.token("TRADE_001")
                let before = try #require(try await desk.pid(of: "core"))
                try await desk.kill9("core")
                try await desk.waitUntilReady()
                #expect(try await desk.pid(of: "core") != before)
                let answer = try await desk.api(
                    .post, "/orders", token, body: OrderText(account: "TRADE_001").body)
                #expect(answer.status == 202, "\(answer.text)")
                let id = try #require(answer.data?["order_id"]?.text)
                try await eventually("the order is filled") {
                    try await desk.api(.get, "/orders/\(id)", token).data?["status"]?.text
                        == "filled"
                }
                let services = try await desk.command("status", "--json").documents.last??[
                    "services"]
                let core = services?.elements?.first { $0["name"]?.text == "core" }
                #expect(core?["restarts"]?.integer == 1)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func anOccupiedPortIsNamedInTheMessage() async throws {
            try await Desk.run(starts: false) { desk in
                for (service, url) in [
                    ("paper-broker", desk.brokerURL), ("core", desk.tradingURL),
                    ("run", desk.opsURL),
                ] {
                    let port = try #require(URL(string: url)?.port)
                    let holder = try PortHolder(port)
                    let outcome = try await desk.command(service)
                    holder.close()
                    #expect(outcome.code == 4, "\(service): \(outcome)")
                    let message = outcome.errors.split(separator: "\n").last ?? ""
                    #expect(message.contains("127.0.0.1:\(port) is in use"), "\(outcome)")
                }
                #expect(ProcessesOf.directory(desk.directory.path).isEmpty)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aBrokerWhosePortIsTakenIsSaidToBeDownAndComesUpOnceThePortIsFree() async throws {
            try await Desk.run(starts: false) { desk in
                let port = try #require(URL(string: desk.brokerURL)?.port)
                let holder = try PortHolder(port)
                defer { holder.close() }
                try await desk.start()
                try await eventually("the log names the port") {
                    desk.text("data/log/broker.log").contains(
                        "broker.paper: 127.0.0.1:\(port) is in use")
                }
                try await eventually("the status names the broker") {
                    let status = try await desk.command("status")
                    return status.code == 1 && status.output.contains("broker is ")
                }
                holder.close()
                try await desk.waitUntilReady()
            }
        }
    }
}
