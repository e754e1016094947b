import Foundation
import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Control

/// The decision alone: a process that is not ready yet, looked at each second.
@Suite struct ServiceBeginningTests {
    private static let silent = WatchFinding.wrong("it does not answer")

    /// The first second at which it counts as hung; nil within a thousand.
    private func found(
        ticksPerSecond: UInt64, state: Character = "S", answersAt: Int? = nil
    ) throws -> Int? {
        let start = ContinuousClock.now
        var beginning = ServiceBeginning(at: start)
        for second in 1...1_000 {
            let stat = try Self.stat(state, ticks: UInt64(second) * ticksPerSecond)
            let verdict = beginning.judge(
                second == answersAt ? .fine : Self.silent, stat, at: start + .seconds(second),
                readinessTimeout: .seconds(30))
            if case .wrong = verdict { return second }
        }
        return nil
    }

    private static func stat(_ state: Character, ticks: UInt64) throws -> ProcessStat {
        let rest = Array(repeating: "0", count: 10) + ["\(ticks)", "0"]
        let text =
            "7 (x) \(state) 1 7 7 "
            + (rest.dropFirst(3) + ["0", "0", "0", "0", "0", "0"])
            .joined(separator: " ") + " 5 0 9"
        return try #require(ProcessStat(text))
    }

    @Test func whoDoesNothingIsHungWhenItsTimeIsOver() throws {
        #expect(try Self.stat("S", ticks: 44).cpuTicks == 44)
        #expect(try found(ticksPerSecond: 0) == 30)
        // A timer that goes on ticking is no work.
        #expect(try found(ticksPerSecond: 2) == 30)
    }

    @Test func whoIsAtWorkHasTenTimesAsLong() throws {
        #expect(try found(ticksPerSecond: 50) == 300)
        #expect(try found(ticksPerSecond: 0, state: "D") == 300)
    }

    @Test func whoHasAnsweredOnceMustGoOn() throws {
        #expect(try found(ticksPerSecond: 50, answersAt: 5) == 6)
    }

    @Test func whatIsUnknownCountsForNothing() throws {
        var beginning = ServiceBeginning(at: .now)
        let verdict = beginning.judge(
            .unknown("no descriptor"), try Self.stat("S", ticks: 0), at: .now + .seconds(99),
            readinessTimeout: .seconds(30))
        #expect(verdict == .unknown("no descriptor"))
    }
}

/// Services that the supervisor cannot ask, or that never get ready.
@Suite(.serialized) struct BeginningTests {
    @Test func aQuestionThatCannotBeAskedIsNotHeldAgainstTheService() async throws {
        let shop = try Workshop()
        var service = try shop.script("s", "exec sleep 60")
        service.watchdog = .milliseconds(40)
        // Under a lock: the test turns it, the supervisor asks it.
        let answer = Mutex(ServiceAnswer.hasNoSocket)
        let supervisor = try Supervisor(
            services: [service], ask: { _, _ in answer.withLock { $0 } }, metrics: shop.registry,
            onEvent: { shop.log.record($0) })
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .ready }
        answer.withLock { $0 = .unknown("too many open files") }
        func looks() -> Int {
            let text = RegistryTests.text(shop.registry)
            let line = text.split(separator: "\n").first {
                $0.hasPrefix("opsd_service_looks_failed_total")
            }
            return line?.split(separator: " ").last.flatMap { Int($0) } ?? 0
        }
        while looks() < 10 { try await Task.sleep(for: .milliseconds(5)) }
        let status = try #require(await supervisor.status().first)
        #expect(status.isAnswering && status.restarts == 0)
        #expect(shop.log.events.count { $0.kind == .cannotLook("too many open files") } == 1)
        #expect(shop.log.exits("s").isEmpty)
        // And one that is silent is still found.
        answer.withLock { $0 = .silent }
        try await shop.log.wait(for: "s", \.isHung)
        await supervisor.stopAll()
    }

    @Test func whatHangsBeforeItsFirstAnswerIsFound() async throws {
        let shop = try Workshop()
        var service = try shop.script(
            "s", "exec sleep 60", readinessTimeout: .milliseconds(300))
        service.watchdog = .milliseconds(100)
        let supervisor = try shop.supervisor([service], readyByFile: true)
        let start = ContinuousClock.now
        await supervisor.start()
        try await shop.log.wait(for: "s", \.isHung)
        #expect(start.duration(to: .now) >= .milliseconds(300))
        // Its policy decides, as of any failure.
        try await shop.log.wait(for: "s", count: 2, \.isStarted)
        #expect(shop.log.pauses("s") == [.milliseconds(10)])
        await supervisor.stopAll()
    }

    @Test func anAdoptedOneThatNeverAnswersIsFoundToo() async throws {
        let shop = try Workshop()
        var service = try shop.script(
            "s", "exec sleep 60", restart: RestartPolicy(mode: .never),
            readinessTimeout: .milliseconds(300))
        service.watchdog = .milliseconds(100)
        let first = try Supervisor(
            services: [service], dataDirectory: shop.directory.path, metrics: shop.registry)
        await first.start()
        while await first.status().first?.pid == nil { await Task.yield() }
        let pid = try #require(await first.status().first?.pid)
        let second = try Supervisor(
            services: [service], dataDirectory: shop.directory.path,
            ask: { _, _ in .silent }, metrics: shop.registry,
            onEvent: { shop.log.record($0) })
        await second.start()
        try await shop.log.wait(for: "s", \.isHung)
        try await shop.log.wait(for: "s", \.isFailed)
        #expect(shop.log.events.contains { $0.kind == .adopted(pid: pid) })
        #expect(!Workshop.isAlive(pid))
        await second.stopAll()
        await first.stopAll()
    }
}
