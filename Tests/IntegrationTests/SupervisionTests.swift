import CurlClient
import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// What the daemon does when a service hangs, crashes or is changed, seen from outside.
    @Suite(.serialized) struct SupervisionTests {
        @Test(.timeLimit(.minutes(2)))
        func aStoppedCoreIsFoundAndReplaced() async throws {
            try await Desk.run { desk in
                let core = try #require(try await desk.pid(of: "core"))
                let start = ContinuousClock.now
                kill(core, SIGSTOP)
                try await eventually("the metric says that it is down", within: .seconds(10)) {
                    try await desk.get("\(desk.opsURL)/metrics").text
                        .contains("opsd_service_up{service=\"core\"} 0")
                }
                try await eventually("the core is killed", within: .seconds(12)) {
                    kill(core, 0) != 0
                }
                // The default interval is five seconds.
                #expect(start.duration(to: .now) < .seconds(10))
                try await desk.waitUntilReady()
                #expect(try await desk.pid(of: "core") != core)
                #expect(desk.text("run.err").contains("core: hung and killed"))
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aCrashLoopIsShownAndHangUpsChangeWhatRuns() async throws {
            let loop = "loop: {command: [sh, -c, \"exit 7\"], restart: {backoff: 20s, limit: 20s}}"
            try await Desk.run(DeskSettings(services: [loop]), starts: false) { desk in
                try await desk.start()
                try await eventually("the crash loop is shown", within: .seconds(30)) {
                    let list = try await desk.command("service", "list")
                    return list.output.contains("backing-off")
                        && list.output.contains("exited with code 7; starts again at")
                }
                try await eventually("the core is up", within: .seconds(30)) {
                    desk.text("run.err").contains("core: ready")
                }
                let core = try #require(try await desk.pid(of: "core"))
                let text = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
                let daemon = try #require(desk.daemonPID)
                func write(_ text: String) throws {
                    try text.write(
                        toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                    kill(daemon, SIGHUP)
                }
                try write(text.replacing("exit 7", with: "exec sleep 99"))
                try await eventually("the new command runs") {
                    try await desk.pid(of: "loop") != nil
                }
                try write(text + "\nnonsense: 1\n")
                try await eventually("the broken file is refused") {
                    desk.text("run.err").contains("the configuration is refused")
                }
                #expect(try await desk.pid(of: "loop") != nil)
                try write(text.replacing(loop, with: ""))
                try await eventually("the service is gone") {
                    let list = try await desk.command("service", "list", "--json")
                    return list.documents.count == 2
                }
                #expect(try await desk.pid(of: "core") == core)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func servicesAreListedRestartedAndTheirLogsShown() async throws {
            let talker = "talker: {command: [sh, -c, \"seq 1 90; exec sleep 99\"]}"
            try await Desk.run(DeskSettings(services: [talker])) { desk in
                let before = try #require(try await desk.pid(of: "talker"))
                let who = ["--operator", "lin", "--reason", "a test"]
                let command = { (words: [String]) in
                    try await Desk.command(
                        ["service"] + words + ["-c", desk.configurationFile], in: desk.directory)
                }
                let dry = try await command(["restart", "talker", "--dry-run"] + who)
                #expect(dry.code == 0)
                #expect(try await desk.pid(of: "talker") == before)
                let restarted = try await command(["restart", "talker", "--json"] + who)
                #expect(restarted.code == 0, "\(restarted)")
                try await eventually("it has another process") {
                    let pid = try await desk.pid(of: "talker")
                    return pid != nil && pid != before
                }
                #expect(try await command(["restart", "talkr"] + who).code == 2)
                #expect(try await command(["restart", "talker", "--operator", "eve"]).code == 2)
                try await eventually("both runs are in the log") {
                    let logs = try await command(["logs", "talker", "-n", "91"])
                    return logs.output.split(separator: "\n").count == 91
                }
                let logs = try await command(["logs", "talker", "-n", "2", "--json"])
                #expect(logs.documents.map { $0?["line"]?.text } == ["89", "90"], "\(logs)")
                #expect(try await command(["logs", "nobody"]).code == 2)
                #expect(try await command(["logs", "talker", "-n", "-3"]).code == 2)
                #expect(try await desk.terminate() == 0)
                #expect(try await command(["logs", "talker", "-n", "1"]).output == "90\n")
                #expect(try await command(["list", "--json"]).code == 0)
                #expect(try await command(["restart", "talker"] + who).code == 3)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func nothingDumpsItsMemory() async throws {
            try await Desk.run { desk in
                for pid in ProcessesOf.directory(desk.directory.path) {
                    let limits = FileManager.default.contents(atPath: "/proc/\(pid)/limits")
                    let text = String(decoding: limits ?? Data(), as: UTF8.self)
                    #expect(text.contains(/Max core file size +0 +0/), "\(text)")
                }
            }
        }
    }
}
