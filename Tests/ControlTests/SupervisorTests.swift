import Control
import CoreMetrics
import Foundation
import TestSupport
import Testing

/// A supervisor over shell scripts in a directory of its own.
struct Workshop {
    let directory: TemporaryDirectory
    let log = EventLog()
    let registry = MetricsRegistry()

    init() throws {
        directory = try TemporaryDirectory("opsd-supervisor")
    }

    func path(_ name: String) -> String { directory.path(name) }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

    func text(_ name: String) throws -> String {
        try String(contentsOfFile: path(name), encoding: .utf8)
    }

    /// A service that runs the script with `$DIR` set to the workshop.
    func script(
        _ name: String, _ body: String, after: [String] = [],
        restart: RestartPolicy = RestartPolicy(backoff: .milliseconds(10)),
        stop: StopPolicy = StopPolicy(), readinessTimeout: Duration = .seconds(20)
    ) throws -> ServiceSpecification {
        let file = path("\(name).sh")
        try body.write(toFile: file, atomically: true, encoding: .utf8)
        return ServiceSpecification(
            name: name, executable: "/bin/sh", arguments: [file],
            environment: ["DIR": directory.path], after: after, restart: restart, stop: stop,
            logFile: path("\(name).log"), readinessTimeout: readinessTimeout)
    }

    /// Ready when the script has made the file `NAME.ready`.
    func supervisor(
        _ services: [ServiceSpecification], readyByFile: Bool = false
    ) throws -> Supervisor {
        let directory = directory
        return try Supervisor(
            services: services,
            ask: { name, _ in
                !readyByFile
                    || FileManager.default.fileExists(atPath: directory.path("\(name).ready"))
                    ? .hasNoSocket : .silent
            },
            metrics: registry, onEvent: { [log] in log.record($0) })
    }

    /// Whether the process is there and not merely a zombie that its new parent has yet to reap.
    static func isAlive(_ pid: Int32) -> Bool {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let end = stat.lastIndex(of: ")")
        else { return false }
        return !stat[end...].hasPrefix(") Z") && !stat[end...].hasPrefix(") X")
    }

    static func isThere(_ pid: Int32) -> Bool {
        FileManager.default.fileExists(atPath: "/proc/\(pid)")
    }
}

@Suite(.serialized) struct SupervisorTests {
    @Test func servicesStartWhenThoseBeforeThemAreReadyAndStopInReverse() async throws {
        let shop = try Workshop()
        let body = "sleep 0.05; touch $DIR/$NAME.ready; exec sleep 60"
        let supervisor = try shop.supervisor(
            [
                shop.script("c", "NAME=c\n\(body)", after: ["b"]),
                shop.script("b", "NAME=b\n\(body)", after: ["a"]),
                shop.script("a", "NAME=a\n\(body)"),
            ], readyByFile: true)
        await supervisor.start()
        try await shop.log.wait(for: "c") { $0 == .ready }
        let up = await supervisor.status()
        #expect(up.map(\.name) == ["a", "b", "c"])
        for service in up {
            guard case .running(let pid, _) = service.state else {
                Issue.record("\(service)")
                continue
            }
            #expect(pid == service.pid)
            #expect(getsid(pid) == pid)
        }
        await supervisor.stopAll()
        let order = shop.log.events.compactMap { event -> String? in
            switch event.kind {
            case .started: "start \(event.service)"
            case .ready: "ready \(event.service)"
            case .exited: "exit \(event.service)"
            default: nil
            }
        }
        #expect(
            order == [
                "start a", "ready a", "start b", "ready b", "start c", "ready c", "exit c",
                "exit b", "exit a",
            ])
        #expect(await supervisor.status().allSatisfy { $0.state == .stopped && $0.pid == nil })
        for name in ["a", "b", "c"] {
            for pid in shop.log.pids(name) { #expect(!Workshop.isThere(pid)) }
        }
    }

    @Test func aKillIsNoticedAtOnceAndTheServiceComesBack() async throws {
        let shop = try Workshop()
        let supervisor = try shop.supervisor([
            shop.script(
                "s", "exec sleep 60",
                restart: RestartPolicy(backoff: .milliseconds(1), factor: 1))
        ])
        await supervisor.start()
        var delays: [Duration] = []
        for round in 1...5 {
            try await shop.log.wait(for: "s", count: round) { $0 == .ready }
            let pid = try #require(shop.log.pids("s").last)
            let start = ContinuousClock.now
            kill(pid, SIGKILL)
            try await shop.log.wait(for: "s", count: round, \.isExited)
            delays.append(start.duration(to: .now))
        }
        try await shop.log.wait(for: "s", count: 6) { $0 == .ready }
        // The quickest: the machine may be busy with other tests, but nothing polls on the way.
        #expect(try #require(delays.min()) < onThisMachine(.milliseconds(50)), "\(delays)")
        #expect(shop.log.exits("s") == Array(repeating: .signalled(SIGKILL), count: 5))
        let status = try #require(await supervisor.status().first)
        #expect(status.restarts == 5)
        #expect(status.lastExit == "killed by signal 9 (SIGKILL)")
        let text = RegistryTests.text(shop.registry)
        #expect(text.contains("opsd_service_up{service=\"s\"} 1\n"))
        #expect(text.contains("opsd_service_restarts_total{service=\"s\"} 5\n"))
        await supervisor.stopAll()
        #expect(RegistryTests.text(shop.registry).contains("opsd_service_up{service=\"s\"} 0\n"))
        for pid in shop.log.pids("s") { #expect(!Workshop.isThere(pid)) }
    }

    @Test func theBackOffGrowsAndResets() async throws {
        let shop = try Workshop()
        let supervisor = try shop.supervisor([
            shop.script(
                "s", "echo run >> $DIR/runs; [ $(wc -l < $DIR/runs) = 4 ] && sleep 1; exit 7",
                restart: RestartPolicy(
                    backoff: .milliseconds(10), factor: 2, limit: .milliseconds(30),
                    resetAfter: .milliseconds(900)))
        ])
        await supervisor.start()
        try await shop.log.wait(for: "s", count: 5, \.isBackingOff)
        #expect(
            shop.log.pauses("s").prefix(5) == [
                .milliseconds(10), .milliseconds(20), .milliseconds(30), .milliseconds(10),
                .milliseconds(20),
            ])
        #expect(shop.log.exits("s").allSatisfy { $0 == .exited(code: 7) })
        await supervisor.stopAll()
    }

    @Test func whatIgnoresTheStopSignalIsKilled() async throws {
        let shop = try Workshop()
        let supervisor = try shop.supervisor(
            [
                shop.script(
                    "s", "trap '' TERM; sleep 60 & echo $! > $DIR/child; touch $DIR/s.ready; wait",
                    stop: StopPolicy(timeout: .milliseconds(200)))
            ], readyByFile: true)
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .ready }
        let child = try #require(
            Int32(try shop.text("child").trimmingCharacters(in: .whitespacesAndNewlines)))
        let start = ContinuousClock.now
        await supervisor.stopAll()
        #expect(start.duration(to: .now) >= .milliseconds(200))
        #expect(shop.log.events.contains { $0.kind == .killed })
        #expect(shop.log.exits("s") == [.signalled(SIGKILL)])
        #expect(!Workshop.isAlive(child))
    }

    @Test func aCrashLeavesNothingOfTheGroupBehind() async throws {
        let shop = try Workshop()
        let supervisor = try shop.supervisor(
            [
                shop.script(
                    "s", "sleep 60 & echo $! > $DIR/child; touch $DIR/s.ready; wait",
                    restart: RestartPolicy(mode: .never))
            ], readyByFile: true)
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .ready }
        let child = try #require(
            Int32(try shop.text("child").trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(Workshop.isAlive(child))
        kill(try #require(shop.log.pids("s").first), SIGKILL)
        try await shop.log.wait(for: "s", \.isFailed)
        #expect(!Workshop.isAlive(child))
        let status = try #require(await supervisor.status().first)
        #expect(status.state == .failed(reason: "killed by signal 9 (SIGKILL)"))
        await supervisor.stopAll()
    }

    @Test func grandchildrenHaveTheStopTimeoutToo() async throws {
        let shop = try Workshop()
        let inner = try shop.script(
            "inner",
            "trap 'sleep 0.2; echo saved > $DIR/saved; exit' TERM; touch $DIR/s.ready\n"
                + "while :; do sleep 0.02; done")
        let supervisor = try shop.supervisor(
            [shop.script("s", "/bin/sh \(inner.arguments[0]) & wait")], readyByFile: true)
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .ready }
        await supervisor.stopAll()
        #expect(try shop.text("saved") == "saved\n")
        #expect(!shop.log.events.contains { $0.kind == .killed })
    }

    @Test func theLogFileIsOwnerOnlyAndAppendedTo() async throws {
        let shop = try Workshop()
        try "before\n".write(toFile: shop.path("s.log"), atomically: true, encoding: .utf8)
        let supervisor = try shop.supervisor([
            shop.script(
                "s", "echo out; echo err >&2; ls /proc/self/fd | tr '\\n' ' '; cat",
                restart: RestartPolicy(mode: .never))
        ])
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .stopped }
        // Descriptor 3 is the directory that ls reads; nothing else came along.
        #expect(try shop.text("s.log") == "before\nout\nerr\n0 1 2 3 ")
        let attributes = try FileManager.default.attributesOfItem(atPath: shop.path("s.log"))
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        await supervisor.stopAll()
    }

    @Test func environmentAndWorkingDirectoryArriveWithoutAShell() async throws {
        let shop = try Workshop()
        var service = try shop.script("s", "")
        service.executable = "sh"
        service.arguments = ["-c", "echo \"$0|$EXTRA|$PWD|${PATH:+path}\"", "$HOME *"]
        service.environment = ["EXTRA": "a b"]
        service.workingDirectory = shop.directory.path
        service.restart = RestartPolicy(mode: .onFailure)
        let supervisor = try shop.supervisor([service])
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .stopped }
        #expect(try shop.text("s.log") == "$HOME *|a b|\(shop.directory.path)|path\n")
        await supervisor.stopAll()
    }

    @Test func aMissingCommandIsSaidClearlyAndTriedAgain() async throws {
        let shop = try Workshop()
        var service = try shop.script("s", "")
        service.executable = "/nowhere/program"
        let supervisor = try shop.supervisor([service])
        await supervisor.start()
        try await shop.log.wait(for: "s", count: 2, \.isBackingOff)
        let reason = "cannot run /nowhere/program: No such file or directory"
        #expect(shop.log.exits("s").first == .notStarted(reason))
        #expect(await supervisor.status().first?.lastExit == "not started: \(reason)")
        await supervisor.stopAll()
    }

    @Test func restartReplacesTheProcess() async throws {
        let shop = try Workshop()
        let supervisor = try shop.supervisor([
            shop.script("s", "exec sleep 60"),
            shop.script(
                "t", "exit 1", restart: RestartPolicy(backoff: .seconds(600), limit: .seconds(600))),
        ])
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .ready }
        try await supervisor.restart("s")
        #expect(!Workshop.isThere(try #require(shop.log.pids("s").first)))
        try await shop.log.wait(for: "s", count: 2) { $0 == .ready }
        #expect(shop.log.exits("s") == [.signalled(SIGTERM)])
        #expect(shop.log.pauses("s").isEmpty)
        // A service that backs off starts now.
        try await shop.log.wait(for: "t", \.isBackingOff)
        try await supervisor.restart("t")
        try await shop.log.wait(for: "t", count: 2, \.isStarted)
        await #expect(throws: SupervisorError.unknownService("u", known: ["s", "t"])) {
            try await supervisor.restart("u")
        }
        await supervisor.stopAll()
        await #expect(throws: SupervisorError.stopping) { try await supervisor.restart("s") }
    }

    @Test func aServiceThatNeverGetsReadyDoesNotHoldTheOthersForEver() async throws {
        let shop = try Workshop()
        let supervisor = try shop.supervisor(
            [
                shop.script("a", "exec sleep 60", readinessTimeout: .milliseconds(100)),
                shop.script("b", "exec sleep 60", after: ["a"]),
            ], readyByFile: true)
        await supervisor.start()
        try await shop.log.wait(for: "b", \.isStarted)
        #expect(shop.log.events.contains(ServiceEvent(service: "a", kind: .readinessTimedOut)))
        let states = await supervisor.status().map(\.state)
        #expect(states == [.starting, .starting])
        await supervisor.stopAll()
    }

    @Test func stoppingWhileOthersWaitStartsNothing() async throws {
        let shop = try Workshop()
        let supervisor = try shop.supervisor(
            [shop.script("a", "exec sleep 60"), shop.script("b", "exec sleep 60", after: ["a"])],
            readyByFile: true)
        await supervisor.start()
        try await shop.log.wait(for: "a", \.isStarted)
        await supervisor.stopAll()
        #expect(shop.log.pids("b").isEmpty)
        #expect(await supervisor.status().allSatisfy { $0.state == .stopped })
    }

    @Test func twoHundredRestartsLeakNoDescriptorAndNoZombie() async throws {
        let shop = try Workshop()
        var service = try shop.script("s", "", restart: RestartPolicy(backoff: .zero, factor: 1))
        service.executable = "true"
        let supervisor = try shop.supervisor([service])
        let before = Self.pidDescriptors()
        await supervisor.start()
        try await shop.log.wait(for: "s", count: 201, \.isExited)
        await supervisor.stopAll()
        #expect(Self.descriptors { $0 == shop.path("s.log") } == 0)
        // Other suites may hold a few of their own at this moment.
        #expect(Self.pidDescriptors() - before < 20)
        #expect(shop.log.pids("s").count > 200)
        for pid in Set(shop.log.pids("s")) { #expect(!Workshop.isThere(pid)) }
    }

    static func pidDescriptors() -> Int { descriptors { $0.contains("pidfd") } }

    static func descriptors(_ isCounted: (String) -> Bool) -> Int {
        let folder = "/proc/self/fd"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.count { name in
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(name)"))
                .map(isCounted) ?? false
        }
    }
}
