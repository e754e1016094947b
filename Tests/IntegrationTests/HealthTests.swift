import CurlClient
import ExactJSON
import Foundation
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#endif

extension RealProcesses {
    /// What the daemon says of how things are, with real processes behind it.
    @Suite(.serialized) struct HealthTests {
        /// Adds services to a desk that has not been started.
        private func declare(_ services: [String], on desk: Desk) throws {
            var text = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
            let lines = services.map { "  \($0)\n" }.joined()
            text = text.replacing("services:\n", with: "services:\n" + lines)
            try text.write(toFile: desk.configurationFile, atomically: true, encoding: .utf8)
        }

        private func check(_ desk: Desk, _ name: String) async throws -> JSONValue? {
            let report = try await desk.get("\(desk.opsURL)/api/ops/status").data
            return report?["health"]?.elements?.first { $0["name"]?.text == name }
        }

        @Test(.timeLimit(.minutes(2)))
        func aServiceThatDidItsOneThingDoesNotHoldUpReadiness() async throws {
            try await Desk.run(starts: false) { desk in
                try declare(
                    [
                        "once: {command: ['true'], restart: {policy: on-failure}}",
                        "twice: {command: ['true'], restart: {policy: never}}",
                    ], on: desk)
                try await desk.start()
                try await desk.waitUntilReady()
                let status = try await desk.command("status", "--json")
                #expect(status.code == 0, "\(status)")
                #expect(status.documents.last??["verdict"]?.text == "well")
                let screen = try await desk.command("status")
                #expect(screen.output.hasPrefix("ALL IS WELL\n"), "\(screen)")
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aServiceThatFailedForGoodIsNamedWithWhatToType() async throws {
            try await Desk.run(starts: false) { desk in
                try declare(
                    [
                        "gone: {command: ['false'], restart: {policy: never}, "
                            + "checks: [{tcp: '127.0.0.1:1', period: 1s}]}"
                    ], on: desk)
                try await desk.start()
                try await eventually("the service has failed") {
                    try await desk.command("status").output.contains("gone has failed")
                }
                let status = try await desk.command("status")
                #expect(status.code == 1, "\(status)")
                #expect(status.output.contains("type: opsd service restart gone"), "\(status)")
                let ready = try await desk.get("\(desk.opsURL)/readyz")
                #expect(ready.status == 503)
                #expect(ready.json?["message"]?.text?.hasPrefix("gone has failed") == true)
                #expect(try await desk.get("\(desk.opsURL)/healthz").status == 200)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aServiceThatItsCheckFindsIllIsStartedAgainUntilItIsWell() async throws {
            try await Desk.run(starts: false) { desk in
                let flag = desk.directory.path("well")
                try declare(
                    [
                        "signals: {command: [sleep, '1000'], checks: "
                            + "[{command: [test, -e, '\(flag)'], period: 200ms, timeout: 2s, "
                            + "threshold: 2}]}"
                    ], on: desk)
                try await desk.start()
                try await eventually("it has been started again") {
                    let services = try await desk.get("\(desk.opsURL)/api/ops/status")
                        .data?["services"]?.elements
                    let signals = services?.first { $0["name"]?.text == "signals" }
                    return signals?["restarts"]?.integer ?? 0 >= 2
                }
                #expect(try await check(desk, "signals/command")?["status"]?.text == "unhealthy")
                #expect(try await desk.get("\(desk.opsURL)/readyz").status == 503)
                try Data().write(to: URL(fileURLWithPath: flag))
                try await eventually("the check is well") {
                    try await check(desk, "signals/command")?["status"]?.text == "healthy"
                }
                try await desk.waitUntilReady()
                let page = try await desk.get("\(desk.opsURL)/metrics").text
                for line in [
                    #"opsd_health_status{check="signals/command",status="healthy"} 1"#,
                    #"opsd_health_status{check="signals/command",status="unhealthy"} 0"#,
                    #"opsd_health_check_duration_seconds_count{check="signals/command"} "#,
                    #"opsd_log_errors_total{component="supervisor"} "#,
                    "opsd_host_memory_total_bytes ",
                ] {
                    #expect(page.contains("\n" + line), "\(line)")
                }
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aCheckThatIsAddedAndTakenAwayIsLive() async throws {
            try await Desk.run { desk in
                let old = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
                let daemon = try #require(desk.daemonPID)
                let missing = desk.directory.path("missing")
                try
                    (old + "health: [{name: beat, file: '\(missing)', stale_after: 1h, "
                    + "period: 200ms, threshold: 1}]\n")
                    .write(toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                kill(daemon, SIGHUP)
                try await eventually("the new check is unhealthy") {
                    try await check(desk, "beat")?["status"]?.text == "unhealthy"
                }
                let status = try await desk.command("status")
                #expect(status.code == 1, "\(status)")
                #expect(status.output.contains("check beat is unhealthy"), "\(status)")
                #expect(status.output.contains("type: ls -l \(missing)"), "\(status)")
                // A finding about something else turns no traffic away.
                #expect(try await desk.get("\(desk.opsURL)/readyz").status == 200)
                try old.write(toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                kill(daemon, SIGHUP)
                try await eventually("all is well") {
                    try await desk.command("status").code == 0
                }
                #expect(!(try await desk.get("\(desk.opsURL)/metrics").text.contains("\"beat\"")))
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aCoreThatRunsAndSaysNothingIsNeitherWellNorUp() async throws {
            try await Desk.run { desk in
                let core = try #require(try await desk.pid(of: "core"))
                kill(core, SIGSTOP)
                defer { kill(core, SIGCONT) }
                // A process of many threads stops one after the other.
                var page = ""
                try await eventually("its series are gone") {
                    page = try await desk.get("\(desk.opsURL)/metrics").text
                    return !page.contains("\nopsd_journal_last_sequence ")
                }
                #expect(page.contains("\nopsd_service_up{service=\"core\"} 0\n"))
                #expect(page.contains("\nopsd_service_up{service=\"broker\"} 1\n"))
                // What stands twice on purpose is not counted as a fault of the page before.
                let next = try await desk.get("\(desk.opsURL)/metrics").text
                #expect(
                    next.contains("\nopsd_metrics_merge_dropped_total{reason=\"duplicate\"} 0\n"))
                let status = try await desk.command("status")
                // The supervisor may have found it hung and killed it by now: then it is known to
                // be down. Well it is in no case.
                #expect(status.code == 3 || status.code == 1, "\(status)")
                #expect(status.code == 1 || status.output.hasPrefix("CANNOT TELL"), "\(status)")
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aDaemonThatWasKilledIsSaidToBeDownAndItsServicesToRun() async throws {
            try await Desk.run { desk in
                let core = try #require(try await desk.pid(of: "core"))
                let supervisor = try #require(desk.daemonPID)
                kill(supervisor, SIGKILL)
                try await eventually("the daemon is gone") {
                    (try? await desk.get("\(desk.opsURL)/healthz")) == nil
                }
                let status = try await desk.command("status")
                #expect(status.code == 3, "\(status)")
                #expect(status.output.hasPrefix("CANNOT TELL: the daemon does not answer"))
                #expect(status.output.contains(try Regex("core +\(core) +it runs")), "\(status)")
                #expect(status.output.contains(/supervisor +- +it does not run/), "\(status)")
                #expect(status.output.contains("type: opsd run -c "), "\(status)")
                let json = try await desk.command("status", "--json").documents.last
                #expect(json??["verdict"]?.text == "unknown")
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func watchingEndsWithTheCodeOfAnInterruptedCommand() async throws {
            try await Desk.run { desk in
                let output = desk.directory.path("watch.out")
                let watch = try ChildProcess.start(
                    Desk.program, ["status", "--watch", "--json", "-c", desk.configurationFile],
                    in: desk.directory.path, output: output,
                    errors: desk.directory.path("watch.err"))
                defer { watch.endGroup() }
                try await eventually("it has looked twice") {
                    desk.text("watch.out").split(separator: "\n").count >= 2
                }
                watch.signal(SIGINT)
                #expect(try await watch.exit(within: .seconds(10)) == 130)
                for line in desk.text("watch.out").split(separator: "\n") {
                    let report = try JSONValue(parsing: Array(line.utf8))
                    #expect(report["verdict"]?.text != nil)
                }
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func anAddressOfIPv6IsUnderstood() async throws {
            guard Self.hasIPv6 else { return }
            try await Desk.run(starts: false) { desk in
                let address = desk.opsURL.dropFirst("http://".count)
                let port = try #require(address.split(separator: ":").last)
                let text = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
                try text.replacing("ops: \(address)", with: "ops: \"[::1]:\(port)\"")
                    .write(toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                try await desk.start()
                try await eventually("all is well", within: .seconds(30)) {
                    try await desk.command("status").code == 0
                }
                try await eventually("it says where it listens") {
                    desk.text("run.out").contains("http://[::1]:\(port) ")
                }
            }
        }

        private static let hasIPv6 =
            FileManager.default.contents(atPath: "/proc/net/if_inet6")
            .map { String(decoding: $0, as: UTF8.self).contains(" lo\n") } ?? false
    }
}
