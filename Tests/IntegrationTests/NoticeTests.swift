import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

extension RealProcesses {
    /// How soon the daemon knows that something is wrong with a process. The times are those that it
    /// has written down itself.
    @Suite(.serialized) struct NoticeTests {
        private static let read = """
            import sqlite3, sys
            base = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True)
            query = "SELECT time FROM events WHERE service = ? AND kind = ? ORDER BY id"
            for row in base.execute(query, sys.argv[2:4]): print(row[0])
            """

        /// When the daemon noted something of a service.
        private func times(
            _ desk: Desk, _ service: String, _ kind: String
        ) async throws -> [Timestamp] {
            let outcome = try await Desk.command(
                ["python3", "-c", Self.read, desk.data + "/control.sqlite", service, kind],
                in: desk.directory, program: "/usr/bin/env")
            #expect(outcome.code == 0, "\(outcome)")
            return outcome.output.split(separator: "\n").compactMap { Int64($0) }
                .map(Timestamp.init(microseconds:))
        }

        /// From each moment to the first note after it.
        private func delays(
            _ moments: [Timestamp], _ desk: Desk, _ service: String, _ kind: String
        ) async throws -> [Duration] {
            var noted: [Timestamp] = []
            try await eventually("the end of \(service) is written down") {
                noted = try await times(desk, service, kind)
                return noted.count >= moments.count
            }
            #expect(noted.count == moments.count, "\(service) \(kind)")
            return zip(moments, noted).map { moment, noted in
                .microseconds(noted.microseconds - moment.microseconds)
            }
        }

        private func report(_ what: String, _ delays: [Duration], _ stall: Duration) -> Duration {
            let sorted = delays.sorted()
            let longest = sorted.last ?? .zero
            print(
                "\(what): median \(sorted[sorted.count / 2]), longest \(longest) of "
                    + "\(sorted.count); longest stall of the machine \(stall)")
            return longest
        }

        /// A process that is up and another one than before.
        private func next(_ desk: Desk, _ service: String, after old: pid_t?) async throws -> pid_t
        {
            var pid: pid_t?
            try await eventually("\(service) runs", within: .seconds(30)) {
                pid = try await desk.pid(of: service)
                return pid != nil && pid != old
            }
            return try #require(pid)
        }

        @Test(.timeLimit(.minutes(5)))
        func aKilledProcessIsNoticedWithinFiftyMilliseconds() async throws {
            var settings = DeskSettings(services: [
                "idle: {command: [sleep, \"4321\"], restart: {backoff: 20ms, limit: 20ms}}"
            ])
            settings.backoff = "20ms"
            try await Desk.run(settings) { desk in
                var killed: [String: [Timestamp]] = [:]
                let daemon = try #require(desk.daemonPID)
                let start = ContinuousClock.now
                let waited = SupervisorCrashTests.processorWait(daemon)
                let stall = try await StallWatch.measure {
                    for service in ["core", "broker", "idle"] {
                        var last: pid_t?
                        for _ in 0..<20 {
                            let pid = try await next(desk, service, after: last)
                            last = pid
                            killed[service, default: []].append(.now())
                            #expect(kill(pid, SIGKILL) == 0)
                        }
                    }
                }
                let waitShare =
                    (SupervisorCrashTests.processorWait(daemon) - waited) / start.duration(to: .now)
                for (service, moments) in killed.sorted(by: { $0.key < $1.key }) {
                    let delays = try await delays(moments, desk, service, "exited")
                    let longest = report("\(service) killed", delays, stall)
                    // Where others keep the processors busy, a pause is the machine's.
                    if waitShare < 0.1, stall < .milliseconds(50) {
                        #expect(longest < .milliseconds(50) + stall)
                    }
                    #expect(delays.sorted()[delays.count / 2] < .milliseconds(50))
                }
            }
        }

        @Test(.timeLimit(.minutes(5)), arguments: [(1, rounds: 5), (5, rounds: 1)])
        func aHungProcessIsFoundWithinTwoIntervals(_ seconds: Int, rounds: Int) async throws {
            try await Desk.run(starts: false) { desk in
                let text = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
                try text.replacing(
                    "{builtin: core,", with: "{builtin: core, watchdog: \(seconds)s,"
                )
                .replacing(
                    "{builtin: paper-broker,",
                    with: "{builtin: paper-broker, watchdog: \(seconds)s,"
                ).write(toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                try await desk.start()
                try await desk.waitUntilReady()
                var stopped: [String: [Timestamp]] = [:]
                let stall = try await StallWatch.measure {
                    for round in 0..<rounds {
                        for service in ["core", "broker"] {
                            let pid = try #require(try await desk.pid(of: service))
                            // Anywhere between two looks of the watchdog.
                            try await Task.sleep(for: .milliseconds(Int.random(in: 0...500)))
                            stopped[service, default: []].append(.now())
                            #expect(kill(pid, SIGSTOP) == 0)
                        }
                        for service in ["core", "broker"] {
                            _ = try await delays(
                                stopped[service] ?? [], desk, service, "hung")
                        }
                        try await desk.waitUntilReady()
                        #expect(round < rounds)
                    }
                }
                for (service, moments) in stopped.sorted(by: { $0.key < $1.key }) {
                    let delays = try await delays(moments, desk, service, "hung")
                    let longest = report(
                        "\(service) stopped, watchdog \(seconds) s", delays, stall)
                    #expect(longest < .seconds(2 * seconds) + stall)
                }
            }
        }
    }
}
