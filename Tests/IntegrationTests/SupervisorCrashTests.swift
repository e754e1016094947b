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

        /// A desk for every twenty rounds, so that what is measured is the daemon's death and not
        /// what a long journal costs the core.
        @Test(.timeLimit(.minutes(60)))
        func killingTheDaemonUnderLoadNeverPausesTrading() async throws {
            var left = Self.rounds
            while left > 0 {
                let rounds = min(left, 20)
                left -= rounds
                try await Desk.run(DeskSettings(accounts: 2, cash: 50_000_000)) { desk in
                    try await killTheDaemon(rounds, desk)
                }
            }
        }

        private func killTheDaemon(_ rounds: Int, _ desk: Desk) async throws {
            let core = try #require(try await desk.pid(of: "core"))
            let broker = try #require(try await desk.pid(of: "broker"))
            let orders = try await OrderLoad(desk)
            let token = try await desk.token("TRADE_001")
            let (calm, killed) = (
                Pace(orders, token, folder: desk.data), Pace(orders, token, folder: desk.data)
            )
            var descriptors: [Int] = []
            var waitShare = 0.0
            try await orders.run(clientsPerAccount: 1, pause: .milliseconds(25)) {
                try await calm.measure { try await Task.sleep(for: .seconds(5)) }
                let (waited, start) = (Self.processorWait(core), ContinuousClock.now)
                try await killed.measure {
                    for round in 0..<rounds {
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
                waitShare = (Self.processorWait(core) - waited) / start.duration(to: .now)
            }
            let load = Self.loadAverage()
            print(
                "daemon killed \(rounds) times: \(killed.report); before that: \(calm.report); the "
                    + "core waited for a processor \(Int(waitShare * 100)) % of the time")
            #expect(killed.report.orders > rounds)
            // Each of the two measurements may end in the middle of a request of its own.
            #expect(orders.record.lost.count <= 2, "an answer was lost")
            // Where others keep the processors or the disk busy, a pause is theirs and shows nothing. The
            // daemons that start here take a fifth of the time by themselves.
            if waitShare < 0.35, load < 4, killed.report.longestStall < .milliseconds(50) {
                #expect(killed.report.longestPause < .milliseconds(100))
            }
            let spread = (descriptors.max() ?? 0) - (descriptors.min() ?? 0)
            #expect(spread <= 8, "\(descriptors)")
            let list = try await desk.command("service", "list", "--json")
            let line = list.documents.first { $0?["service"]?.text == "core" }
            #expect(line??["adopted"] != nil && line??["restarts"]?.integer == 0, "\(list)")
            try await Books(desk, orders).check()
            #expect(try await desk.terminate() == 0)
            #expect(ProcessesOf.directory(desk.directory.path).isEmpty)
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

        /// How long the thread that waited most was ready to run and had no processor.
        static func processorWait(_ pid: pid_t) -> Duration {
            let folder = "/proc/\(pid)/task"
            let threads = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            let waits = threads.compactMap { thread -> Int64? in
                let text = FileManager.default.contents(atPath: "\(folder)/\(thread)/schedstat")
                let words = String(decoding: text ?? Data(), as: UTF8.self).split(separator: " ")
                return words.count > 1 ? Int64(words[1]) : nil
            }
            return .nanoseconds(waits.max() ?? 0)
        }

        /// Of the last minute.
        static func loadAverage() -> Double {
            var averages = [0.0, 0.0, 0.0]
            return getloadavg(&averages, 3) > 0 ? averages[0] : .infinity
        }

        static func descriptors(_ pid: pid_t) -> Int {
            (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd"))?.count ?? 0
        }
    }
}

/// One client that posts order after order and remembers its waits for a success; beside it two
/// probes that remember when the machine itself stood still: a sleep that ended late, and a small
/// file that took long to reach the disk, which every order has to as well.
///
/// Under a lock: it is read by the test while the client goes on; it is held for an insertion.
final class Pace: Sendable {
    typealias Span = Range<ContinuousClock.Instant>

    struct Report: Sendable, CustomStringConvertible {
        var orders = 0
        /// Times between two orders that were accepted, when they were long.
        var gaps: [Span] = []
        var stalls: [Span] = []

        var longestGap: Duration { gaps.map(\.length).max() ?? .zero }
        var longestStall: Duration { stalls.map(\.length).max() ?? .zero }
        /// The longest gap without what the machine itself stood still meanwhile.
        var longestPause: Duration {
            gaps.map { gap in
                let still = stalls.filter { $0.overlaps(gap) }.map { $0.clamped(to: gap).length }
                return gap.length - (still.max() ?? .zero)
            }.max() ?? .zero
        }

        var description: String {
            "\(orders) orders, longest gap \(longestGap), without the machine's own stalls "
                + "\(longestPause), longest stall \(longestStall)"
        }
    }

    /// While `body` runs.
    func measure(_ body: () async throws -> Void) async throws {
        let client = Task { await run() }
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await body())
        } catch {
            outcome = .failure(error)
        }
        client.cancel()
        await client.value
        try outcome.get()
    }

    private static let noteworthy = Duration.milliseconds(20)

    private let load: OrderLoad
    private let token: String
    private let probe: String
    private let state = Mutex(Report())

    /// - Parameter folder: on the disk of the journal.
    init(_ load: OrderLoad, _ token: String, folder: String) {
        self.load = load
        self.token = token
        probe = folder + "/probe"
    }

    var report: Report { state.withLock { $0 } }

    /// Until it is cancelled.
    private func run() async {
        async let sleeps: Void = watch { try? await Task.sleep(for: .milliseconds(2)) }
        async let writes: Void = watch { [self] in
            try? await Task.sleep(for: .milliseconds(10))
            await flushProbe()
        }
        var last = ContinuousClock.now
        while !Task.isCancelled {
            let isAccepted = await load.postOne(account: "TRADE_001", token)
            let now = ContinuousClock.now
            if isAccepted {
                let gap = last..<now
                last = now
                state.withLock { report in
                    report.orders += 1
                    if gap.length > Self.noteworthy { report.gaps.append(gap) }
                }
            }
            try? await Task.sleep(for: .milliseconds(2))
        }
        await sleeps
        await writes
    }

    private func watch(_ step: @Sendable () async -> Void) async {
        while !Task.isCancelled {
            let start = ContinuousClock.now
            await step()
            let span = start..<ContinuousClock.now
            if Task.isCancelled { return }
            if span.length > Self.noteworthy { state.withLock { $0.stalls.append(span) } }
        }
    }

    private func flushProbe() async {
        let path = probe
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            DispatchQueue.global().async {
                let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
                var byte: UInt8 = 1
                _ = write(descriptor, &byte, 1)
                _ = fdatasync(descriptor)
                _ = close(descriptor)
                continuation.resume()
            }
        }
    }
}

extension Range where Bound == ContinuousClock.Instant {
    var length: Duration { lowerBound.duration(to: upperBound) }
}
