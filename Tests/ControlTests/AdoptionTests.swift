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
        AdoptionPlan(found: found, declared: ["s", "t"], answering: answering, recorded: recorded)
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
