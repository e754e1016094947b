import CurlClient
import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// The whole daemon on a disk that fills up under it.
    @Suite(.serialized, .enabled(if: SmallDisk.canBeMade, "mounting a small disk takes root"))
    struct FullDiskTests {
        private func status(_ desk: Desk) async throws -> JSONValue? {
            try await desk.get("\(desk.opsURL)/api/ops/status").data
        }

        private func failures(_ desk: Desk) async throws -> Int {
            let page = try await desk.get("\(desk.opsURL)/metrics").text
            let match = page.firstMatch(of: /\nopsd_control_state_write_failures_total (\d+)/)
            return match.flatMap { Int($0.output.1) } ?? 0
        }

        private func post(_ desk: Desk, _ token: String) async throws -> Int {
            try await desk.api(
                .post, "/orders", token, body: OrderText(account: "TRADE_002").body
            ).status
        }

        private func halt(_ desk: Desk, _ account: String) async throws -> Desk.Outcome {
            try await desk.command(
                "account", "halt", account, "--operator", "lin", "--reason", "disk full", "--json")
        }

        /// So that the daemon has something to write down.
        private func endIdle(_ desk: Desk) async throws {
            let pid = try #require(try await desk.pid(of: "idle"))
            kill(pid, SIGKILL)
            try await eventually("idle is started again") {
                let next = try await desk.pid(of: "idle")
                return next != nil && next != pid
            }
        }

        @Test(.timeLimit(.minutes(5)))
        func aFullDiskStopsOrdersAndNothingElse() async throws {
            let settings = DeskSettings(
                cash: 50_000_000,
                services: [
                    "idle: {command: [sleep, \"4321\"], restart: {backoff: 20ms, limit: 20ms}}"
                ], diskMegabytes: 100)
            try await Desk.run(settings, starts: false) { desk in
                // Thousands of orders fill the journal: the broker is to be kept out of that.
                let file = desk.configurationFile
                try String(contentsOfFile: file, encoding: .utf8)
                    .replacing("requests_per_minute: 1000000\n", with: "requests_per_minute: 600\n")
                    .write(toFile: file, atomically: true, encoding: .utf8)
                try await desk.start()
                try await desk.waitUntilReady()
                let disk = try #require(desk.disk)
                let token = try await desk.token("TRADE_002")
                let daemon = desk.daemonPID
                let core = try await desk.pid(of: "core")
                #expect(try await post(desk, token) == 202)
                try disk.fill()
                // Some thousand still fit beside the reserve.
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<4 {
                        group.addTask { while try await post(desk, token) != 503 {} }
                    }
                    try await group.waitForAll()
                }
                try await eventually("control.sqlite is said not to be written") {
                    try await endIdle(desk)
                    return desk.text("run.err").contains("control.sqlite is not written")
                }
                try await endIdle(desk)
                #expect(try await failures(desk) > 1)
                #expect(desk.text("run.err").ranges(of: "control.sqlite is not written").count == 1)
                #expect(try await desk.get("\(desk.opsURL)/healthz").status == 200)
                try await eventually("the core is said not to be ready, and why") {
                    let ready = try await desk.get("\(desk.opsURL)/readyz")
                    return ready.status == 503 && ready.text.contains("the disk is full")
                }
                let status = try await desk.command("status")
                #expect(status.code == 1, "\(status)")
                #expect(status.output.contains("the disk is full"), "\(status)")
                #expect(status.output.contains("type: df -h, then make room"), "\(status)")

                let halted = try await halt(desk, "TRADE_001")
                #expect(halted.code == 0, "\(halted)")
                #expect(halted.documents.last??["trading"]?.text == "halted")
                #expect(try await self.status(desk)?["core"]?["journal_full"] == .bool(true))
                #expect(desk.daemonPID == daemon)
                #expect(try await desk.pid(of: "core") == core)

                // A core that dies now comes back, and operators can still do what they must.
                try await desk.kill9("core")
                try await eventually("the next core finds the disk full", within: .seconds(30)) {
                    try await self.status(desk)?["core"]?["journal_full"] == .bool(true)
                }
                let next = try await desk.pid(of: "core")
                let again = try await halt(desk, "TRADE_003")
                #expect(again.code == 0, "\(again)")

                try disk.makeRoom()
                try await eventually("orders are taken again") {
                    try await post(desk, token) == 202
                }
                try await endIdle(desk)
                try await eventually("control.sqlite is written again") {
                    desk.text("run.err").contains("control.sqlite is written again")
                }
                try await desk.waitUntilReady()
                #expect(try await desk.pid(of: "core") == next)
                try await eventually("the checkpoint is written again") {
                    let core = try await self.status(desk)?["core"]
                    return core != nil && core?["checkpoint_failure"]?.text == nil
                }
                let running = try await desk.command("service", "list", "--json")
                // What happened meanwhile was not lost.
                try await desk.killDaemon()
                let written = try await desk.command("service", "list", "--json")
                let restarts = { (outcome: Desk.Outcome) in
                    outcome.documents.first { $0?["service"]?.text == "idle" }??["restarts"]?
                        .integer
                }
                #expect(restarts(running) == restarts(written), "\(running) \(written)")
                for account in ["TRADE_001", "TRADE_003"] {
                    let shown = try await desk.command("account", "show", account, "--json")
                    #expect(shown.documents.last??["reason"]?.text == "disk full", "\(shown)")
                }
                #expect(try await desk.command("journal", "check").code == 0)
            }
        }
    }
}
