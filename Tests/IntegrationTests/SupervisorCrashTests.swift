import CurlClient
import ExactJSON
import Foundation
import Synchronization
import TestSupport
import Testing

extension RealProcesses {
    /// Trading goes on whatever happens to the daemon, and the next daemon takes over what runs.
    @Suite(.serialized) struct SupervisorCrashTests {
        private static let rounds =
            ProcessInfo.processInfo.environment["OPSD_CRASH_ROUNDS"].flatMap(Int.init) ?? 20

        @Test(.timeLimit(.minutes(30)))
        func killingTheDaemonUnderLoadNeverPausesTrading() async throws {
            let settings = DeskSettings(accounts: 2, cash: 50_000_000)
            try await Desk.run(settings) { desk in
                let core = try #require(try await desk.pid(of: "core"))
                let broker = try #require(try await desk.pid(of: "broker"))
                let load = try await OrderLoad(desk)
                let pace = Pace(load, try await desk.token("TRADE_001"))
                let client = Task { await pace.run() }
                var descriptors: [Int] = []
                try await load.run(clientsPerAccount: 1, pause: .milliseconds(25)) {
                    for round in 0..<Self.rounds {
                        try await desk.killDaemon()
                        try await Task.sleep(for: .milliseconds(Int.random(in: 0...50)))
                        try await desk.start()
                        try await desk.waitUntilReady()
                        #expect(try await desk.pid(of: "core") == core, "round \(round)")
                        #expect(try await desk.pid(of: "broker") == broker, "round \(round)")
                        #expect(Self.processes(of: desk, "core") == [core])
                        #expect(Self.processes(of: desk, "paper-broker") == [broker])
                        descriptors.append(Self.descriptors(desk.daemonPID ?? 0))
                    }
                }
                client.cancel()
                await client.value
                let report = pace.report
                print(
                    "daemon killed \(Self.rounds) times: longest gap \(report.gap), the machine's "
                        + "own \(report.stall), \(report.orders) orders")
                #expect(report.orders > Self.rounds)
                // What this very process was not given the processor for is not the core's doing.
                #expect(report.gap - report.stall < .milliseconds(100), "\(report)")
                let spread = (descriptors.max() ?? 0) - (descriptors.min() ?? 0)
                #expect(spread <= 8, "\(descriptors)")
                let list = try await desk.command("service", "list", "--json")
                let line = list.documents.first { $0?["service"]?.text == "core" }
                #expect(line??["adopted"] != nil && line??["restarts"]?.integer == 0, "\(list)")
                try await Books(desk, load).check()
                #expect(try await desk.terminate() == 0)
                #expect(ProcessesOf.directory(desk.directory.path).isEmpty)
            }
        }

        @Test(.timeLimit(.minutes(3)))
        func whatDiedOrWasRemovedWhileNoDaemonRanIsSettledByTheNext() async throws {
            let settings = DeskSettings(services: ["idle: {command: [sleep, \"4321\"]}"])
            try await Desk.run(settings) { desk in
                let idle = try #require(try await desk.pid(of: "idle"))
                let core = try #require(try await desk.pid(of: "core"))
                try await desk.killDaemon()
                let down = try await desk.command("service", "list", "--json")
                #expect(down.code == 0, "\(down)")
                let line = down.documents.first { $0?["service"]?.text == "core" }
                #expect(line??["pid"]?.integer == Int(core), "\(down)")
                let refused = try await desk.command(
                    "service", "restart", "core", "--operator", "lin", "--reason", "a test")
                #expect(refused.code == 3 && refused.errors.contains("opsd run"), "\(refused)")
                kill(core, SIGKILL)
                let file = desk.configurationFile
                let text = try String(contentsOfFile: file, encoding: .utf8)
                try text.split(separator: "\n", omittingEmptySubsequences: false)
                    .filter { !$0.contains("4321") }.joined(separator: "\n")
                    .write(toFile: file, atomically: true, encoding: .utf8)
                try await desk.start()
                try await desk.waitUntilReady()
                let next = try #require(try await desk.pid(of: "core"))
                #expect(next != core)
                #expect(Self.processes(of: desk, "core") == [next])
                try await eventually("what is no longer configured is gone") {
                    kill(idle, 0) != 0 || Self.isZombie(idle)
                }
                #expect(try await desk.terminate() == 0)
                #expect(ProcessesOf.directory(desk.directory.path).isEmpty)
            }
        }

        /// The living processes that run `opsd WORD` on this desk.
        static func processes(of desk: Desk, _ word: String) -> [pid_t] {
            ProcessesOf.directory(desk.directory.path).filter { pid in
                let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
                let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
                return words.count > 1 && words[1] == word && !isZombie(pid)
            }
        }

        static func isZombie(_ pid: pid_t) -> Bool {
            let stat = FileManager.default.contents(atPath: "/proc/\(pid)/stat") ?? Data()
            return String(decoding: stat, as: UTF8.self).split(separator: ")").last?
                .hasPrefix(" Z") == true
        }

        static func descriptors(_ pid: pid_t) -> Int {
            (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd"))?.count ?? 0
        }
    }
}

/// One client that posts order after order and remembers its longest wait for a success.
///
/// Under a lock: it is read by the test while the client goes on; it is held for an assignment.
final class Pace: Sendable {
    struct Report: Sendable {
        var orders = 0
        /// The longest time between two orders that were accepted.
        var gap = Duration.zero
        /// The longest time by which this process woke up late: what the machine did to all.
        var stall = Duration.zero
    }

    private let load: OrderLoad
    private let token: String
    private let state = Mutex(Report())

    init(_ load: OrderLoad, _ token: String) {
        self.load = load
        self.token = token
    }

    var report: Report { state.withLock { $0 } }

    /// Until it is cancelled.
    func run() async {
        async let stalls: Void = watchStalls()
        var last = ContinuousClock.now
        while !Task.isCancelled {
            let isAccepted = await load.postOne(account: "TRADE_001", token)
            let now = ContinuousClock.now
            if isAccepted {
                let gap = last.duration(to: now)
                last = now
                state.withLock { report in
                    report.orders += 1
                    report.gap = max(report.gap, gap)
                }
            }
            try? await Task.sleep(for: .milliseconds(2))
        }
        await stalls
    }

    private func watchStalls() async {
        while !Task.isCancelled {
            let start = ContinuousClock.now
            try? await Task.sleep(for: .milliseconds(2))
            let late = start.duration(to: .now) - .milliseconds(2)
            if Task.isCancelled { return }
            state.withLock { $0.stall = max($0.stall, late) }
        }
    }
}
