import CoreMetrics
import Foundation
import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Control

/// Hung processes, limits, health and new configurations.
@Suite(.serialized) struct WatchTests {
    /// Other suites run beside these, so the bounds here are wide: `NoticeTests` hold the real ones.
    @Test func aStoppedCommandIsFound() async throws {
        let shop = try Workshop()
        var service = try shop.script("s", "exec sleep 60")
        service.watchdog = .milliseconds(400)
        let supervisor = try shop.supervisor([service])
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .ready }
        let pid = try #require(shop.log.pids("s").first)
        let start = ContinuousClock.now
        kill(pid, SIGSTOP)
        try await shop.log.wait(for: "s", \.isHung)
        #expect(start.duration(to: .now) < onThisMachine(.milliseconds(2_400)))
        try await shop.log.wait(for: "s", count: 2) { $0 == .ready }
        #expect(await supervisor.status().first?.lastExit?.contains("SIGSTOP") == true)
        #expect(!Workshop.isThere(pid))
        await supervisor.stopAll()
    }

    @Test func aServiceThatFallsSilentIsFoundAndShownAsDown() async throws {
        let shop = try Workshop()
        var service = try shop.script("s", "exec sleep 60")
        service.watchdog = .milliseconds(400)
        // Under a lock: the test turns it, the supervisor asks it.
        let isSilent = Mutex(false)
        let pid = Mutex<Int32>(0)
        let supervisor = try Supervisor(
            services: [service],
            ask: { _, limit in
                guard isSilent.withLock({ $0 }) else {
                    return .says(pid: pid.withLock { $0 }, isReady: true)
                }
                try? await Task.sleep(for: limit)
                return .silent
            }, metrics: shop.registry,
            onEvent: { event in
                if case .started(let started) = event.kind { pid.withLock { $0 = started } }
                shop.log.record(event)
            })
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .ready }
        let start = ContinuousClock.now
        isSilent.withLock { $0 = true }
        while await supervisor.status().first?.isAnswering == true { await Task.yield() }
        #expect(RegistryTests.text(shop.registry).contains("opsd_service_up{service=\"s\"} 0\n"))
        try await shop.log.wait(for: "s", \.isHung)
        #expect(start.duration(to: .now) < onThisMachine(.milliseconds(2_400)))
        isSilent.withLock { $0 = false }
        try await shop.log.wait(for: "s", count: 2) { $0 == .ready }
        await supervisor.stopAll()
    }

    @Test func anotherProcessesAnswerIsNotTakenForTheServices() async throws {
        let shop = try Workshop()
        let service = try shop.script("s", "exec sleep 60", readinessTimeout: .milliseconds(100))
        let supervisor = try Supervisor(
            services: [service], ask: { _, _ in .says(pid: 1, isReady: true) },
            metrics: shop.registry, onEvent: { shop.log.record($0) })
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .readinessTimedOut }
        #expect(await supervisor.status().first?.state == .starting)
        await supervisor.stopAll()
    }

    @Test func healthRestartsCountAsFailures() async throws {
        let shop = try Workshop()
        let supervisor = try shop.supervisor([
            shop.script(
                "s", "exec sleep 60",
                restart: RestartPolicy(mode: .onFailure, backoff: .milliseconds(20)))
        ])
        await supervisor.start()
        for round in 1...2 {
            try await shop.log.wait(for: "s", count: round) { $0 == .ready }
            let pid = try #require(shop.log.pids("s").last)
            try await supervisor.restart("s", process: pid + 1, because: "it is another one")
            try await supervisor.restart(
                "s", process: pid, because: "its check failed three times")
        }
        try await shop.log.wait(for: "s", count: 3) { $0 == .ready }
        #expect(shop.log.pauses("s") == [.milliseconds(20), .milliseconds(40)])
        let reason = "its check failed three times"
        #expect(shop.log.exits("s") == Array(repeating: .forced(because: reason), count: 2))
        #expect(await supervisor.status().first?.quickExits == 2)
        await supervisor.stopAll()
    }

    @Test func whoHoldsTooMuchMemoryIsStoppedWithFigures() async throws {
        let shop = try Workshop()
        var service = try shop.script(
            "s", "head -c 100000000 /dev/zero | tail | sleep 60",
            restart: RestartPolicy(mode: .never))
        service.limits.memoryBytes = 40_000_000
        let supervisor = try shop.supervisor([service])
        await supervisor.start()
        try await shop.log.wait(for: "s", \.isOverMemory)
        try await shop.log.wait(for: "s", \.isFailed)
        await supervisor.stopAll()
    }

    @Test func openFilesAreLimitedAlsoWhileItRuns() async throws {
        let shop = try Workshop()
        var service = try shop.script("s", "exec sleep 60")
        service.limits.openFiles = 77
        let supervisor = try shop.supervisor([service])
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .ready }
        let pid = try #require(shop.log.pids("s").first)
        func limits() throws -> String {
            try String(contentsOfFile: "/proc/\(pid)/limits", encoding: .utf8)
        }
        #expect(try limits().contains(/Max open files +77 +77/))
        service.limits.openFiles = 55
        #expect(try await supervisor.apply([service]).updated == ["s"])
        #expect(try limits().contains(/Max open files +55 +55/))
        #expect(await supervisor.status().first?.pid == pid)
        await supervisor.stopAll()
    }

    @Test func aNewConfigurationTouchesOnlyWhatChanged() async throws {
        let shop = try Workshop()
        let (same, gone) = (
            try shop.script("same", "exec sleep 60"), try shop.script("gone", "exec sleep 60")
        )
        var other = try shop.script("other", "exec sleep 60")
        let supervisor = try shop.supervisor([same, other, gone])
        await supervisor.start()
        for name in ["same", "other", "gone"] {
            try await shop.log.wait(for: name) { $0 == .ready }
        }
        other.environment["NEW"] = "1"
        let changes = try await supervisor.apply([
            same, other, shop.script("new", "exec sleep 60", after: ["same"]),
        ])
        #expect(changes.added == ["new"] && changes.removed == ["gone"])
        #expect(changes.restarted == ["other"] && changes.updated.isEmpty)
        try await shop.log.wait(for: "new") { $0 == .ready }
        try await shop.log.wait(for: "other", count: 2) { $0 == .ready }
        #expect(shop.log.pids("same").count == 1)
        #expect(await supervisor.status().map(\.name) == ["same", "other", "new"])
        #expect(!Workshop.isThere(try #require(shop.log.pids("gone").first)))
        #expect(!RegistryTests.text(shop.registry).contains("gone"))
        // What cannot be put in an order changes nothing.
        await #expect(throws: StartOrderError.self) {
            try await supervisor.apply([shop.script("a", "", after: ["a"])])
        }
        #expect(await supervisor.status().count == 3)
        await supervisor.stopAll()
    }

    /// Each takes a second to stop; of two that do not depend on each other neither waits.
    @Test func aNewConfigurationRestartsAtTheSameTimeAndInOrder() async throws {
        let shop = try Workshop()
        let body = "trap 'sleep 1; exit' TERM; touch $DIR/$NAME.ready; while :; do sleep 0.02; done"
        var services = try [("a", []), ("b", []), ("c", ["a"])].map { name, after in
            try shop.script(name, "NAME=\(name)\n\(body)", after: after)
        }
        let supervisor = try shop.supervisor(services, readyByFile: true)
        await supervisor.start()
        for name in ["a", "b", "c"] { try await shop.log.wait(for: name) { $0 == .ready } }
        for index in services.indices { services[index].environment["NEW"] = "1" }
        #expect(try await supervisor.apply(services).restarted == ["a", "b", "c"])
        try await shop.log.wait(for: "c", count: 2) { $0 == .ready }
        let events = shop.log.events
        func first(_ service: String, _ isMet: (ServiceEvent.Kind) -> Bool) throws -> Int {
            try #require(events.firstIndex { $0.service == service && isMet($0.kind) })
        }
        // Both were asked before either was gone, and c only when a was ready again.
        let exits = try [first("a", \.isExited), first("b", \.isExited)]
        #expect(try first("a") { $0 == .stopping } < exits[1])
        #expect(try first("b") { $0 == .stopping } < exits[0])
        let readyAgain = events.lastIndex { $0.service == "a" && $0.kind == .ready }
        #expect(try first("c") { $0 == .stopping } > (try #require(readyAgain)))
        await supervisor.stopAll()
    }

    @Test func aThousandNewConfigurationsLeakNothing() async throws {
        let shop = try Workshop()
        let services = [try shop.script("s", "exec sleep 60")]
        let more = services + [try shop.script("t", "exec sleep 60")]
        let supervisor = try shop.supervisor(services)
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .ready }
        let before = SupervisorTests.pidDescriptors()
        for round in 0..<1_000 {
            _ = try await supervisor.apply(round % 20 == 19 ? more : services)
        }
        _ = try await supervisor.apply(services)
        #expect(await supervisor.status().count == 1)
        #expect(shop.log.pids("s").count == 1)
        #expect(abs(SupervisorTests.pidDescriptors() - before) < 20)
        for pid in shop.log.pids("t") { #expect(!Workshop.isThere(pid)) }
        await supervisor.stopAll()
    }

    @Test func servicesThatDoNotDependOnEachOtherStopAtTheSameTime() async throws {
        let shop = try Workshop()
        let slow =
            "trap 'sleep 1; exit' TERM; touch $DIR/$NAME.ready; while :; do sleep 0.02; done"
        let supervisor = try shop.supervisor(
            ["a", "b", "c", "d"].map { try shop.script($0, "NAME=\($0)\n\(slow)") },
            readyByFile: true)
        await supervisor.start()
        for name in ["a", "b", "c", "d"] { try await shop.log.wait(for: name) { $0 == .ready } }
        let start = ContinuousClock.now
        await supervisor.stopAll()
        #expect(start.duration(to: .now) < onThisMachine(.milliseconds(3_500)))
    }

    /// As one in the kernel whose disk does not answer: signals are not heard.
    @Test func aStopGivesUpWhatNothingEnds() async throws {
        let shop = try Workshop()
        let isDeaf = Mutex(true)
        let services = [
            try shop.script("a", "exec sleep 60"),
            try shop.script("b", "exec sleep 60", after: ["a"]),
        ]
        let supervisor = try Supervisor(
            services: services, dataDirectory: nil, state: nil,
            ask: { _, _ in .hasNoSocket }, clock: ContinuousClock(), now: { .now() },
            metrics: shop.registry, onEvent: { shop.log.record($0) },
            processes: try ProcessThread { process, number in
                let isB = shop.log.pids("b").contains(process.pid)
                if !isB || !isDeaf.withLock({ $0 }) { ProcessGroup.signal(process, number) }
            })
        await supervisor.start()
        try await shop.log.wait(for: "b") { $0 == .ready }
        let pids = try ["a", "b"].map { try #require(shop.log.pids($0).first) }
        let start = ContinuousClock.now
        let left = await supervisor.stopAll(within: .milliseconds(200))
        #expect(start.duration(to: .now) < onThisMachine(.seconds(9)))
        #expect(left == [LeftoverProcess(service: "b", pid: pids[1])])
        #expect(shop.log.events.contains { $0.kind == .cannotDie(pid: pids[1]) })
        // What does not hang is stopped all the same.
        #expect(!Workshop.isThere(pids[0]))
        isDeaf.withLock { $0 = false }
        kill(pids[1], SIGKILL)
        try await shop.log.wait(for: "b", \.isExited)
    }

    @Test func aStopHasAnEndWhateverTheServicesDo() async throws {
        let shop = try Workshop()
        let supervisor = try shop.supervisor(
            [shop.script("s", "trap '' TERM; touch $DIR/s.ready; while :; do sleep 0.1; done")],
            readyByFile: true)
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .ready }
        let start = ContinuousClock.now
        await supervisor.stopAll(within: .milliseconds(300))
        #expect(start.duration(to: .now) < onThisMachine(.seconds(5)))
        #expect(shop.log.events.contains { $0.kind == .killed })
    }
}

extension ServiceEvent.Kind {
    var isHung: Bool { if case .hung = self { true } else { false } }
    var isOverMemory: Bool { if case .overMemory = self { true } else { false } }
}
