import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// The configuration is read again and again, and nothing is left of it each time.
    @Suite(.serialized) struct ReloadTests {
        private static let rounds =
            ProcessInfo.processInfo.environment["OPSD_RELOADS"].flatMap(Int.init) ?? 100

        private static let (taken, unchanged, refused, nonsense) = (
            "the configuration was read again", "nothing has changed",
            "the configuration is refused", "'nonsense'"
        )

        /// What the daemon has at one moment.
        private struct Holdings: CustomStringConvertible {
            let descriptors: Int
            let residentBytes: Int

            init(_ daemon: pid_t) {
                descriptors = SupervisorCrashTests.descriptors(daemon)
                residentBytes = ProcessesOf.residentBytes(daemon) ?? 0
            }

            var description: String {
                "\(descriptors) descriptors, \(residentBytes / 1_000_000) MB resident"
            }
        }

        /// Over as many rounds as one likes.
        private static let growthBytesMax = 16_000_000

        private func write(_ text: String, _ desk: Desk) throws {
            try text.write(toFile: desk.configurationFile, atomically: true, encoding: .utf8)
            kill(try #require(desk.daemonPID), SIGHUP)
        }

        /// The zombies that the daemon has not reaped.
        private func zombies(of daemon: pid_t) -> [String] {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
            return names.filter { name in
                guard let pid = pid_t(name), SupervisorCrashTests.isZombie(pid) else {
                    return false
                }
                let stat = FileManager.default.contents(atPath: "/proc/\(name)/stat") ?? Data()
                let words = String(decoding: stat, as: UTF8.self).split(separator: ")").last?
                    .split(separator: " ")
                return words.flatMap { $0.count > 1 ? pid_t($0[1]) : nil } == daemon
            }
        }

        @Test(.timeLimit(.minutes(60)))
        func aConfigurationThatChangesOverAndOverLeavesNothingBehind() async throws {
            try await Desk.run { desk in
                let base = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
                func with(_ environment: String) -> String {
                    base.replacing(
                        "\nservices:",
                        with: "\nservices:\n  extra: {command: [sleep, \"4321\"], "
                            + "environment: {A: \"\(environment)\"}}")
                }
                // Added, changed, the same again, removed.
                let versions = [with("1"), with("2"), with("2"), base]
                let daemon = try #require(desk.daemonPID)
                let services = (try await desk.pid(of: "core"), try await desk.pid(of: "broker"))
                var log = LogTail(desk.directory.path("run.err"), [Self.taken, Self.unchanged])
                var settled: Holdings?
                let start = ContinuousClock.now
                for round in 1...Self.rounds {
                    try write(versions[(round - 1) % 4], desk)
                    try await eventually("round \(round) is carried out") {
                        log.count(Self.taken) + log.count(Self.unchanged) >= round
                    }
                    if round == (Self.rounds / 10 + 3) / 4 * 4 { settled = Holdings(daemon) }
                }
                #expect(log.count(Self.unchanged) == Self.rounds / 4)
                let after = Holdings(daemon)
                let before = try #require(settled)
                print(
                    "\(Self.rounds) reloads in \(start.duration(to: .now)): after the first tenth "
                        + "\(before), at the end \(after)")
                #expect(abs(after.descriptors - before.descriptors) <= 4)
                #expect(after.residentBytes - before.residentBytes < Self.growthBytesMax)
                try await eventually("nothing is left of what was removed") {
                    let left = ProcessesOf.directory(desk.directory.path)
                    return left.count == 3 && zombies(of: daemon).isEmpty
                }
                #expect(try await desk.pid(of: "core") == services.0)
                #expect(try await desk.pid(of: "broker") == services.1)
            }
        }

        @Test(.timeLimit(.minutes(60)))
        func aBrokenFileEveryOtherTimeChangesNothingAndIsSaidOnceEach() async throws {
            let settings = DeskSettings(services: ["idle: {command: [sleep, \"4321\"]}"])
            try await Desk.run(settings) { desk in
                let text = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
                let daemon = try #require(desk.daemonPID)
                var before: [pid_t?] = []
                let names = ["core", "broker", "idle"]
                for name in names { before.append(try await desk.pid(of: name)) }
                var log = LogTail(
                    desk.directory.path("run.err"),
                    [Self.taken, Self.unchanged, Self.refused, Self.nonsense])
                var settled: Holdings?
                for round in 1...Self.rounds {
                    let isBroken = round % 2 == 1
                    try write(isBroken ? text + "\nnonsense: \(round)\n" : text, desk)
                    try await eventually("round \(round) is answered") {
                        log.count(Self.refused) + log.count(Self.unchanged) >= round
                    }
                    if round == Self.rounds / 10 { settled = Holdings(daemon) }
                }
                let after = Holdings(daemon)
                let start = try #require(settled)
                print("\(Self.rounds) reloads, half of them broken: \(start), then \(after)")
                #expect(abs(after.descriptors - start.descriptors) <= 4)
                #expect(after.residentBytes - start.residentBytes < Self.growthBytesMax)
                #expect(log.count(Self.refused) == (Self.rounds + 1) / 2)
                #expect(log.count(Self.nonsense) == (Self.rounds + 1) / 2)
                #expect(log.count(Self.taken) == 0)
                for (name, pid) in zip(names, before) {
                    #expect(try await desk.pid(of: name) == pid)
                }
                #expect(ProcessesOf.directory(desk.directory.path).count == 4)
                #expect(zombies(of: daemon).isEmpty)
            }
        }
    }
}
