import CurlClient
import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

/// Heavy tests against real processes: one at a time.
@Suite(.serialized) struct RealProcesses {}

extension RealProcesses {
    /// Nothing that was accepted is lost or doubled, whichever process dies.
    @Suite(.serialized) struct CrashTests {
        private static let rounds =
            ProcessInfo.processInfo.environment["OPSD_CRASH_ROUNDS"].flatMap(Int.init) ?? 20

        private static var settings: DeskSettings {
            DeskSettings(accounts: 3, cash: 50_000_000)
        }

        @Test(.timeLimit(.minutes(60)))
        func killingTheCoreUnderLoadLosesAndDoublesNothing() async throws {
            try await Desk.run(Self.settings) { desk in
                let load = try await OrderLoad(desk)
                try await load.run {
                    for _ in 0..<Self.rounds {
                        try await load.wait(forMore: 50)
                        try await Task.sleep(for: .milliseconds(Int.random(in: 0...120)))
                        try await desk.kill9("core")
                        try await desk.waitUntilReady()
                    }
                    try await load.wait(forMore: 50)
                }
                try await Books(desk, load).check()
            }
        }

        @Test(.timeLimit(.minutes(5)))
        func killingTheBrokerUnderLoadLosesAndDoublesNothing() async throws {
            try await Desk.run(Self.settings) { desk in
                let load = try await OrderLoad(desk)
                try await load.run {
                    for _ in 0..<5 {
                        try await load.wait(forMore: 30)
                        try await desk.kill9("broker")
                        try await desk.waitUntilReady()
                    }
                    try await load.wait(forMore: 30)
                }
                try await Books(desk, load).check()
            }
        }

        @Test(.timeLimit(.minutes(5)))
        func killingEverythingAtOnceLosesAndDoublesNothing() async throws {
            try await Desk.run(Self.settings) { desk in
                let load = try await OrderLoad(desk)
                for _ in 0..<2 {
                    try await load.run {
                        try await load.wait(forMore: 60)
                        desk.killEverything()
                    }
                    try await desk.start()
                    try await desk.waitUntilReady()
                }
                try await load.run { try await load.wait(forMore: 30) }
                try await Books(desk, load).check()
            }
        }

        @Test(.timeLimit(.minutes(5)))
        func aSilentBrokerLeavesOrdersUnknownAndTheirFundsFrozenUntilItSpeaks() async throws {
            // The test's own broker: the daemon would find one of its own hung, and restart it.
            let settings = DeskSettings(accounts: 1, isBrokerOutside: true)
            try await Desk.run(settings, starts: false) { desk in
                let process = try ChildProcess.start(
                    Desk.program, ["paper-broker", "-c", desk.configurationFile],
                    in: desk.directory.path, output: desk.directory.path("broker.out"),
                    errors: desk.directory.path("broker.err"))
                defer { process.endGroup() }
                try await desk.start()
                try await desk.waitUntilReady()
                let load = try await OrderLoad(desk)
                let account = desk.settings.accountIDs[0]
                let token = try await desk.token(account)
                let broker = process.pid
                kill(broker, SIGSTOP)
                defer { kill(broker, SIGCONT) }
                var orderIDs: [String] = []
                for number in 0..<5 {
                    let text = OrderText(account: account, clientOrderID: "silent-\(number)")
                    let answer = try await desk.api(.post, "/orders", token, body: text.body)
                    #expect(answer.status == 202, "\(answer.text)")
                    orderIDs.append(try #require(answer.data?["order_id"]?.text))
                    load.note(text, orderID: orderIDs.last)
                }
                try await eventually("the orders are unknown", within: .seconds(30)) {
                    try await desk.all("/orders?status=unknown", token).count == 5
                }
                let frozen = try await desk.api(.get, "/accounts/\(account)", token).data?["frozen"]
                #expect(frozen?.decimal?.isPositive == true)
                let scrape = try await desk.get("\(desk.opsURL)/metrics").text
                #expect(scrape.contains("opsd_orders_unknown 5"))
                let status = try await desk.command("status")
                #expect(status.code == 1, "\(status)")
                kill(broker, SIGCONT)
                try await eventually("the orders are filled", within: .seconds(60)) {
                    try await desk.all("/orders?status=filled", token).count == 5
                }
                let account1 = try await desk.api(.get, "/accounts/\(account)", token)
                #expect(account1.data?["frozen"]?.decimal == .zero, "\(account1.text)")
                try await Books(desk, load).check()
            }
        }
    }
}
