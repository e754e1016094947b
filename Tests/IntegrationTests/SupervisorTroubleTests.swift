import CurlClient
import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// What is wrong with the supervisor itself must not become a fault of its services.
    @Suite(.serialized) struct SupervisorTroubleTests {
        @Test(.timeLimit(.minutes(2)))
        func aSupervisorWithoutDescriptorsLeavesItsServicesAlone() async throws {
            try await Desk.run(starts: false) { desk in
                try await desk.start(through: ["/usr/bin/prlimit", "--nofile=1000:5000"])
                try await desk.waitUntilReady()
                let core = try #require(try await desk.pid(of: "core"))
                let daemon = try #require(desk.daemonPID)
                #expect(try Self.openFiles(daemon) == ("5000", "5000"))
                // The core raises its own; what else is started has what the daemon was given.
                #expect(try Self.openFiles(core) == ("5000", "5000"))
                let broker = try #require(try await desk.pid(of: "broker"))
                #expect(try Self.openFiles(broker) == ("1000", "5000"))
                try Self.limit(daemon, to: "3:5000")
                try await eventually("the supervisor says that it cannot look") {
                    desk.text("run.err").contains("core: whether it is well is unknown")
                }
                // Two more looks: a miss each would be the end of the core.
                try await Task.sleep(for: .seconds(6))
                try Self.limit(daemon, to: "5000:5000")
                try await desk.waitUntilReady()
                #expect(try await desk.pid(of: "core") == core)
                let page = try await desk.get("\(desk.opsURL)/metrics").text
                #expect(page.contains(/opsd_service_looks_failed_total\{service="core"\} [1-9]/))
                #expect(!desk.text("run.err").contains("hung and killed"))
            }
        }

        /// Three services that need four seconds each to go, and a client that never ends its request.
        @Test(.timeLimit(.minutes(2)))
        func aStopDoesNotWaitForAReload() async throws {
            let stubborn = ["one", "two", "three"].map {
                "\($0): {command: [sh, -c, \"trap '' TERM; while :; do sleep 0.1; done\"], "
                    + "stop: {timeout: 4s}}"
            }
            try await Desk.run(DeskSettings(services: stubborn)) { desk in
                let daemon = try #require(desk.daemonPID)
                var text = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
                func save() throws {
                    try text.write(
                        toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                    kill(daemon, SIGHUP)
                }
                text = text.replacing("sleep 0.1", with: "sleep 0.2")
                try save()
                try await eventually("the restarts are under way") {
                    desk.text("run.err").contains("three: asked to stop")
                }
                // What comes meanwhile is not lost, and the newest file wins.
                text = text.replacing(
                    "\nservices:", with: "\nservices:\n  late: {command: [sleep, \"77\"]}")
                try save()
                try await eventually("the newest file holds", within: .seconds(15)) {
                    try await desk.pid(of: "late") != nil
                }
                text = text.replacing("sleep 0.2", with: "sleep 0.3")
                try save()
                try await eventually("the restarts are under way again") {
                    let stops = desk.text("run.err").components(
                        separatedBy: "three: asked to stop")
                    return stops.count == 3
                }
                let port = try #require(URL(string: desk.opsURL)?.port)
                let client = try #require(Self.connection(to: port))
                defer { close(client) }
                let half = Array("GET /healthz HTTP/1.1\r\nHost: x\r\n".utf8)
                #expect(write(client, half, half.count) == half.count)
                let start = ContinuousClock.now
                #expect(try await desk.terminate() == 0)
                #expect(start.duration(to: .now) < .seconds(7), "\(start.duration(to: .now))")
                #expect(ProcessesOf.directory(desk.directory.path).isEmpty)
            }
        }

        /// Both files that a core is made of are broken while it dies.
        @Test(.timeLimit(.minutes(2)))
        func aCoreStartsAgainBesideABrokenConfiguration() async throws {
            try await Desk.run { desk in
                let accounts = desk.data + "/accounts/trading_accounts.yaml"
                let good = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
                try (good + "\nnonsense: [\n").write(
                    toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                let goodAccounts = try String(contentsOfFile: accounts, encoding: .utf8)
                try FileManager.default.removeItem(atPath: accounts)
                try await desk.kill9("core")
                try await desk.waitUntilReady()
                // What people ask reads the files themselves.
                #expect(try await desk.command("check").code == 2)
                func held() async throws -> String {
                    let answer = try await desk.curl.send(
                        CurlRequest(
                            .get, "http://localhost/control/configuration",
                            unixSocketPath: desk.data + "/run/supervisor.sock"))
                    return String(decoding: answer.body, as: UTF8.self)
                }
                let text = try await held()
                let key = try String(contentsOfFile: desk.data + "/jwt.key", encoding: .utf8)
                #expect(text.contains("${file:") && !text.contains(key.prefix(32)))
                #expect(!text.contains("nonsense"))
                // An accepted change replaces it.
                try goodAccounts.write(toFile: accounts, atomically: true, encoding: .utf8)
                try (good + "\n# a remark\n").write(
                    toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                kill(try #require(desk.daemonPID), SIGHUP)
                try await eventually("the new text is held") {
                    try await held().contains("# a remark")
                }
                try await desk.kill9("core")
                try await desk.waitUntilReady()
                #expect(!desk.text("data/log/core.log").contains("is read itself"))
            }
        }

        /// The daemon's standard error is a pipe of one page that nobody reads.
        @Test(.timeLimit(.minutes(2)))
        func aLogThatNobodyReadsStopsNothing() async throws {
            let loop = "loop: {command: [sh, -c, \"exit 7\"], restart: {backoff: 10ms, factor: 1}}"
            try await Desk.run(DeskSettings(services: [loop]), starts: false) { desk in
                let path = desk.directory.path("run.err")
                try #require(mkfifo(path, 0o600) == 0)
                defer { unlink(path) }
                let reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
                defer { close(reader) }
                // F_SETPIPE_SZ
                try #require(fcntl(reader, 1_031, 4_096) == 4_096)
                try await desk.start()
                try await eventually("the core is up", within: .seconds(30)) {
                    try await desk.pid(of: "core") != nil
                }
                try await Task.sleep(for: .seconds(2))
                var waiting: Int32 = 0
                try #require(ioctl(reader, UInt(FIONREAD), &waiting) == 0)
                #expect(waiting > 3_000, "the pipe is full")
                try await desk.kill9("core")
                try await eventually("the core is back") {
                    try await desk.pid(of: "core") != nil
                }
                let start = ContinuousClock.now
                #expect(try await desk.terminate() == 0)
                #expect(start.duration(to: .now) < .seconds(12))
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aControlFileThatCannotBeOpenedIsSaidAndTriedAgain() async throws {
            try await Desk.run(starts: false) { desk in
                let file = desk.data + "/control.sqlite"
                try FileManager.default.createDirectory(
                    atPath: file, withIntermediateDirectories: false)
                try await desk.start()
                try await desk.waitUntilReady()
                let ill = try await desk.command("status")
                #expect(
                    ill.code == 1 && ill.output.contains("control.sqlite cannot be opened"),
                    "\(ill)")
                #expect(
                    try await desk.get("\(desk.opsURL)/metrics").text
                        .contains("\nopsd_control_state_up 0\n"))
                #expect(desk.text("run.err").contains("is not written down"))
                try FileManager.default.removeItem(atPath: file)
                try await eventually("it is open", within: .seconds(30)) {
                    try await desk.get("\(desk.opsURL)/metrics").text
                        .contains("\nopsd_control_state_up 1\n")
                }
                #expect(try await desk.command("status").code == 0)
                let core = try #require(try await desk.pid(of: "core"))
                try await desk.killDaemon()
                let list = try await desk.command("service", "list", "--json")
                let line = list.documents.first { $0?["service"]?.text == "core" }
                #expect(line??["pid"]?.integer == Int(core), "\(list)")
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func hundredsOfConnectionsDoNotKeepTheWatchFromWorking() async throws {
            try await Desk.run { desk in
                let daemon = try #require(desk.daemonPID)
                let port = try #require(URL(string: desk.opsURL)?.port)
                let held = (0..<400).compactMap { _ in Self.connection(to: port) }
                defer { for descriptor in held { close(descriptor) } }
                #expect(held.count == 400)
                try await Task.sleep(for: .seconds(1))
                #expect(SupervisorCrashTests.descriptors(daemon) < 340)
                for descriptor in held { shutdown(descriptor, Int32(SHUT_RDWR)) }
                try await desk.waitUntilReady()
            }
        }

        /// Half of what the core may have open.
        @Test(.timeLimit(.minutes(2)))
        func whoTakesAllConnectionsOfTheTradingAPILeavesTheCoreItsFiles() async throws {
            try await Desk.run(starts: false) { desk in
                try await desk.start(through: ["/usr/bin/prlimit", "--nofile=300:300"])
                try await desk.waitUntilReady()
                let core = try #require(try await desk.pid(of: "core"))
                let port = try #require(URL(string: desk.tradingURL)?.port)
                let held = (0..<250).compactMap { _ in Self.connection(to: port) }
                defer { for descriptor in held { close(descriptor) } }
                try await Task.sleep(for: .seconds(1))
                #expect(SupervisorCrashTests.descriptors(core) < 280)
                // What needs descriptors goes on: the core answers at its own socket, and journals.
                let outcome = try await desk.command(
                    "account", "halt", "--all", "--operator", "lin")
                #expect(outcome.code == 0, "\(outcome)")
                for descriptor in held { shutdown(descriptor, Int32(SHUT_RDWR)) }
                try await eventually("clients are heard again") {
                    try await desk.get("\(desk.tradingURL)/api/v1/accounts").status == 401
                }
            }
        }

        private static func openFiles(_ pid: pid_t) throws -> (soft: String, hard: String) {
            let text = try String(contentsOfFile: "/proc/\(pid)/limits", encoding: .utf8)
            let match = try #require(text.firstMatch(of: /Max open files +(\S+) +(\S+)/))
            return (String(match.1), String(match.2))
        }

        private static func limit(_ pid: pid_t, to files: String) throws {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/prlimit")
            process.arguments = ["--pid", "\(pid)", "--nofile=\(files)"]
            try process.run()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }

        /// A connection on which nothing is ever asked.
        private static func connection(to port: Int) -> Int32? {
            let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            let descriptor = socket(AF_INET, type, 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let code = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if code == 0 { return descriptor }
            close(descriptor)
            return nil
        }
    }
}
