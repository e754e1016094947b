import CoreMetrics
import Foundation
import Ledger
import TestSupport
import Testing

@testable import Control

/// The decision alone.
@Suite struct AdoptionPlanTests {
    private func found(
        _ pid: Int32, _ service: String = "s", ticks: UInt64 = 1, instance: String? = nil
    ) -> FoundProcess {
        FoundProcess(
            identity: ProcessIdentity(pid: pid, startTicks: ticks), service: service,
            instance: instance ?? String(pid))
    }

    private func plan(
        _ found: [FoundProcess], answering: [String: Int32] = [:],
        recorded: [String: ProcessIdentity] = [:]
    ) -> AdoptionPlan {
        AdoptionPlan(
            found: found, declared: ["s", "t"], answering: answering,
            recorded: recorded.mapValues {
                AdoptionPlan.Recorded(
                    identity: $0, instance: String($0.pid), startTicks: $0.startTicks)
            })
    }

    @Test func whatRunsIsAdopted() {
        let plan = plan([found(7), found(8, "t")])
        #expect(plan.adopted.mapValues(\.identity.pid) == ["s": 7, "t": 8])
        #expect(plan.ended.isEmpty && plan.lost.isEmpty)
    }

    @Test func ofTwoTheOneThatAnswersStays() {
        let both = [found(7, ticks: 1), found(9, ticks: 5)]
        #expect(plan(both, answering: ["s": 9]).adopted["s"]?.identity.pid == 9)
        #expect(plan(both, answering: ["s": 9]).ended.map(\.process.identity.pid) == [7])
        let recorded = ProcessIdentity(pid: 9, startTicks: 5)
        #expect(plan(both, recorded: ["s": recorded]).adopted["s"]?.identity.pid == 9)
        #expect(plan(both).adopted["s"]?.identity.pid == 7)
    }

    @Test func whatAServiceStartedInASessionOfItsOwnIsNoSecondService() {
        let plan = plan([found(9, ticks: 5, instance: "a"), found(7, ticks: 1, instance: "a")])
        #expect(plan.adopted["s"]?.identity.pid == 7)
        #expect(plan.ended.isEmpty)
    }

    /// Process 7 was the service and 9 its helper, in a session of its own.
    private func helperPlan(
        _ found: [FoundProcess], isStarting: Bool = false, pid: Int32? = 7, instance: String = "a"
    ) -> AdoptionPlan {
        let identity = pid.map { ProcessIdentity(pid: $0, startTicks: 1) }
        return AdoptionPlan(
            found: found, declared: ["s"], answering: [:],
            recorded: [
                "s": AdoptionPlan.Recorded(
                    identity: identity, instance: instance,
                    startTicks: isStarting ? nil : 1, isStarting: isStarting)
            ])
    }

    @Test func aHelperIsNeverTakenForItsService() {
        let service = found(7, ticks: 1, instance: "a")
        let helper = found(9, ticks: 5, instance: "a")
        // Beside its service it stays.
        let both = helperPlan([service, helper])
        #expect(both.adopted["s"]?.identity.pid == 7 && both.ended.isEmpty)
        // Left behind it is ended, whether the end of its service was seen or not.
        let unseen = helperPlan([helper])
        #expect(unseen.adopted.isEmpty && unseen.lost == ["s": 7])
        #expect(unseen.ended.map(\.process.identity.pid) == [9])
        let seen = helperPlan([helper], pid: nil)
        #expect(seen.adopted.isEmpty && seen.lost.isEmpty)
        #expect(seen.ended.map(\.process.identity.pid) == [9])
        // So is that of a start before the last one.
        let older = AdoptionPlan(
            found: [found(9, ticks: 5, instance: "old")], declared: ["s"], answering: [:],
            recorded: ["s": AdoptionPlan.Recorded(instance: "a", startTicks: 8)])
        #expect(older.adopted.isEmpty && older.ended.map(\.process.identity.pid) == [9])
    }

    @Test func aStartThatWasNotWrittenDownIsAdopted() {
        let service = found(7, ticks: 1, instance: "a")
        #expect(helperPlan([service], isStarting: true, pid: nil).adopted["s"] == service)
        // A disk that took nothing more still has the start before.
        let later = found(9, ticks: 5, instance: "b")
        #expect(helperPlan([later]).adopted["s"] == later)
    }

    @Test func whatIsNoLongerConfiguredIsEnded() {
        #expect(plan([found(7, "gone")]).ended.map(\.process.identity.pid) == [7])
    }

    @Test func whatWasWrittenDownAndIsNotThereIsLost() {
        let recorded = ["s": ProcessIdentity(pid: 7, startTicks: 1)]
        #expect(plan([], recorded: recorded).lost == ["s": 7])
        #expect(plan([found(9)], recorded: recorded).lost.isEmpty)
    }
}

/// Two supervisors on one data directory: the first is forgotten as if it had been killed.
@Suite(.serialized) struct AdoptionTests {
    private static let never = RestartPolicy(mode: .never)

    private func supervisor(
        _ shop: Workshop, _ services: [ServiceSpecification], _ log: EventLog,
        state: ControlState? = nil
    ) throws -> Supervisor {
        try Supervisor(
            services: services, dataDirectory: shop.directory.path, state: state,
            metrics: shop.registry, onEvent: { log.record($0) })
    }

    @Test func aSecondSupervisorAdoptsAndNeverStartsASecondProcess() async throws {
        let shop = try Workshop()
        let state = try ControlState(path: shop.path("control.sqlite"))
        let services = [
            try shop.script("s", "sleep 60 & wait", restart: Self.never),
            try shop.script("gone", "exec sleep 60", restart: Self.never),
        ]
        let first = try supervisor(shop, services, EventLog(), state: state)
        await first.start()
        while await first.status().contains(where: { $0.pid == nil }) { await Task.yield() }
        let pids = await first.status().map { $0.pid ?? 0 }
        await state.flush()
        let log = EventLog()
        let second = try supervisor(
            shop, [shop.script("s", "sleep 60 & wait")], log,
            state: try ControlState(path: shop.path("control.sqlite")))
        await second.start()
        try await log.wait(for: "s") { $0 == .ready }
        let status = try #require(await second.status().first)
        #expect(status.pid == pids[0])
        #expect(status.isAdopted && status.restarts == 0)
        #expect(log.pids("s").isEmpty)
        // What nobody configures is ended, and the whole session of what ends goes with it.
        kill(pids[0], SIGKILL)
        try await log.wait(for: "s", count: 2) { $0 == .ready }
        #expect(log.exits("s") == [.unknown])
        #expect(await second.status().first?.isAdopted == false)
        await second.stopAll()
        #expect(ProcessTable.members(ofSession: pids[0]).isEmpty)
        #expect(!Workshop.isAlive(pids[1]))
        await first.stopAll()
    }

    @Test func aHelperThatOutlivesItsServiceIsEndedAndTheServiceStartedAgain() async throws {
        let shop = try Workshop()
        let state = try ControlState(path: shop.path("control.sqlite"))
        let service = try shop.script(
            "s", "setsid sleep 61 & echo $! > $DIR/helper; touch $DIR/s.ready; wait; sleep 60")
        let first = try supervisor(shop, [service], EventLog(), state: state)
        await first.start()
        while await first.status().first?.pid == nil { await Task.yield() }
        let pid = try #require(await first.status().first?.pid)
        let helper = try await helperOf(pid)
        await state.flush()
        // As if both had died together: the first one writes nothing of it.
        let copy = shop.path("copy.sqlite")
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(
                atPath: shop.path("control.sqlite" + suffix), toPath: copy + suffix)
        }
        let stopping = Task { _ = await first.stopAll() }
        kill(pid, SIGKILL)
        await stopping.value
        #expect(Workshop.isAlive(helper), "it has a session of its own")
        let log = EventLog()
        let second = try supervisor(
            shop, [service], log, state: try ControlState(path: copy))
        await second.start()
        try await log.wait(for: "s", count: 1) { $0 == .ready }
        let now = try #require(await second.status().first)
        #expect(now.pid != helper && !now.isAdopted && now.restarts == 1)
        #expect(log.events.contains { $0.kind == .lost(pid: pid) })
        #expect(log.events.map(\.kind.word).contains("leftover"))
        while Workshop.isAlive(helper) { try await Task.sleep(for: .milliseconds(5)) }
        let other = try await helperOf(now.pid ?? 0)
        await second.stopAll()
        kill(other, SIGKILL)
    }

    /// The second supervisor begins where the first was, three quick ends into a crash loop.
    @Test func aCrashLoopOutlivesTheSupervisor() async throws {
        let shop = try Workshop()
        let state = try ControlState(path: shop.path("control.sqlite"))
        let policy = RestartPolicy(
            backoff: .milliseconds(100), factor: 4, limit: .seconds(600), resetAfter: .seconds(60))
        let service = try shop.script("s", "exit 7", restart: policy)
        let firstLog = EventLog()
        let first = try supervisor(shop, [service], firstLog, state: state)
        await first.start()
        try await firstLog.wait(for: "s", count: 3, \.isBackingOff)
        await state.flush()
        let log = EventLog()
        let start = ContinuousClock.now
        let second = try supervisor(
            shop, [service], log, state: try ControlState(path: shop.path("control.sqlite")))
        await second.start()
        try await log.wait(for: "s", count: 1, \.isStarted)
        #expect(start.duration(to: .now) > .milliseconds(700))
        try await log.wait(for: "s", count: 2, \.isBackingOff)
        let pauses = log.pauses("s")
        #expect(pauses[0] > .milliseconds(700) && pauses[0] <= .milliseconds(1_600))
        #expect(pauses[1] == .milliseconds(6_400))
        #expect(await second.status().first?.quickExits == 4)
        await first.stopAll()
        await second.stopAll()
        // An orderly stop ends the memory too.
        await state.flush()
        let record = try ControlState.readServices(path: shop.path("control.sqlite")).first
        #expect(record?.quickExits == 0 && record?.startsAt == nil)
    }

    /// The session leader that a service's process has started.
    private func helperOf(_ pid: Int32) async throws -> Int32 {
        for _ in 0..<2_000 {
            let helper = ProcessTable.pids().first { other in
                guard let stat = ProcessTable.stat(other) else { return false }
                return stat.parent == pid && stat.session == other
            }
            if let helper { return helper }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw EventLog.TimedOut(waitedFor: "a helper", events: [])
    }

    /// What has done its one thing, or failed for good, did so for every supervisor; only a daemon that
    /// was stopped and is started again begins anew.
    @Test func whatEndedForGoodIsNotStartedByTheNextSupervisor() async throws {
        let shop = try Workshop()
        let services = [
            try shop.script("once", "echo run", restart: RestartPolicy(mode: .onFailure)),
            try shop.script("broken", "echo run; exit 3", restart: RestartPolicy(mode: .never)),
            try shop.script("always", "sleep 600"),
        ]
        let state = try ControlState(path: shop.path("control.sqlite"))
        let firstLog = EventLog()
        let first = try supervisor(shop, services, firstLog, state: state)
        await first.start()
        try await firstLog.wait(for: "once") { $0 == .stopped }
        try await firstLog.wait(for: "broken", \.isFailed)
        await state.flush()
        // As if it had been killed: nothing is stopped.
        let log = EventLog()
        let second = try supervisor(shop, services, log, state: state)
        await second.start()
        try await log.wait(for: "always", \.isAdopted)
        #expect(await second.status(of: "once")?.state == .completed)
        #expect(
            await second.status(of: "broken")?.state == .failed(reason: "exited with code 3"))
        #expect(try shop.text("once.log") == "run\n" && shop.text("broken.log") == "run\n")
        // An operator's word still starts it.
        try await second.restart("once")
        try await log.wait(for: "once") { $0 == .stopped }
        #expect(try shop.text("once.log") == "run\nrun\n")
        await second.stopAll()
        #expect(await second.status(of: "once")?.state == .stopped)
        let thirdLog = EventLog()
        let third = try supervisor(shop, services, thirdLog, state: state)
        await third.start()
        try await thirdLog.wait(for: "once") { $0 == .stopped }
        #expect(try shop.text("once.log") == "run\nrun\nrun\n")
        await third.stopAll()
    }

    @Test func whatIsAskedForBeforeTheAdoptionIsOverWaitsForIt() async throws {
        let shop = try Workshop()
        let service = try shop.script("s", "exec sleep 60", restart: Self.never)
        let first = try supervisor(shop, [service], EventLog())
        await first.start()
        while await first.status().first?.pid == nil { await Task.yield() }
        let pid = try #require(await first.status().first?.pid)
        let log = EventLog()
        let second = try supervisor(shop, [service], log)
        async let starting: Void = second.start()
        _ = try await second.apply([service])
        await starting
        #expect(await second.status().first?.pid == pid)
        #expect(log.pids("s").isEmpty, "nothing is started beside what runs")
        await second.stopAll()
        await first.stopAll()
        // An operator's restart of what nobody has adopted yet ends it first.
        let third = try supervisor(shop, [service], EventLog())
        await third.start()
        while await third.status().first?.pid == nil { await Task.yield() }
        let old = try #require(await third.status().first?.pid)
        let fourth = try supervisor(shop, [service], EventLog())
        try await fourth.restart("s")
        await fourth.start()
        while await fourth.status().first?.pid.map({ $0 == old }) ?? true { await Task.yield() }
        #expect(!Workshop.isAlive(old))
        await fourth.stopAll()
        await third.stopAll()
    }

    @Test func withoutAnythingWrittenDownTheVariablesAreEnough() async throws {
        let shop = try Workshop()
        let service = try shop.script("s", "exec sleep 60", restart: Self.never)
        let first = try supervisor(shop, [service], EventLog())
        await first.start()
        while await first.status().first?.pid == nil { await Task.yield() }
        let pid = await first.status().first?.pid
        let second = try supervisor(shop, [service], EventLog())
        await second.start()
        #expect(await second.status().first?.pid == pid)
        // Another data directory's supervisor leaves it alone.
        let other = try Workshop()
        let third = try supervisor(other, [other.script("t", "exec sleep 60")], EventLog())
        await third.start()
        await third.stopAll()
        #expect(Workshop.isAlive(try #require(pid)))
        await second.stopAll()
        #expect(!Workshop.isAlive(try #require(pid)))
        await first.stopAll()
    }
}
