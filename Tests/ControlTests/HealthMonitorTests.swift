import CoreMetrics
import Foundation
import Synchronization
import Testing

@testable import Control

/// Answers as it is told, and notes who asks when.
final class ScriptedProber: HealthProber {
    private struct State {
        var outcomes: [String: ProbeOutcome] = [:]
        var hanging: Set<String> = []
        var held: [CheckedContinuation<Void, Never>] = []
        var counts: [String: Int] = [:]
        var present: [String: Int] = [:]
        var mostAtOnce: [String: Int] = [:]
    }

    /// A lock: probes run in tasks of the monitor's.
    private let state = Mutex(State())

    func set(_ name: String, _ outcome: ProbeOutcome) {
        state.withLock { $0.outcomes[name] = outcome }
    }

    /// Runs of this check never end, cancelled or not, until they are let go.
    func hang(_ name: String) {
        _ = state.withLock { $0.hanging.insert(name) }
    }

    func letGo() {
        let held = state.withLock { state in
            state.hanging = []
            defer { state.held = [] }
            return state.held
        }
        for continuation in held { continuation.resume() }
    }

    func count(_ name: String) -> Int { state.withLock { $0.counts[name] ?? 0 } }
    func mostAtOnce(_ name: String) -> Int { state.withLock { $0.mostAtOnce[name] ?? 0 } }

    func probe(_ check: HealthCheck) async -> ProbeOutcome {
        let name = check.name
        state.withLock { state in
            state.counts[name, default: 0] += 1
            state.present[name, default: 0] += 1
            state.mostAtOnce[name] = max(
                state.mostAtOnce[name] ?? 0, state.present[name] ?? 0)
        }
        await withCheckedContinuation { continuation in
            let mustWait = state.withLock { state in
                guard state.hanging.contains(name) else { return false }
                state.held.append(continuation)
                return true
            }
            if !mustWait { continuation.resume() }
        }
        return state.withLock { state in
            state.present[name, default: 1] -= 1
            return state.outcomes[name] ?? .success("ok")
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct HealthMonitorTests {
    /// What happened, in order; a lock, because the monitor's callbacks come from its own tasks.
    final class Log: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    static func check(
        _ name: String, service: String? = nil, threshold: Int = 2, degradedFrom: Duration? = nil
    ) -> HealthCheck {
        HealthCheck(
            name: name, probe: .service("any"), period: .milliseconds(100),
            timeout: .milliseconds(150),
            rules: HealthRules(threshold: threshold, degradedFrom: degradedFrom), service: service)
    }

    private func until(
        _ what: String, _ isMet: () async -> Bool,
        _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while !(await isMet()) {
            guard ContinuousClock.now < deadline else {
                Issue.record("never: \(what)", sourceLocation: location)
                throw CancellationError()
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private func reading(_ monitor: HealthMonitor, _ name: String) async -> HealthReading? {
        await monitor.readings().first { $0.name == name }
    }

    @Test func aProbeThatHangsDelaysNobodyAndIsNeverJoinedByASecondRun() async throws {
        let prober = ScriptedProber()
        prober.hang("stuck")
        let monitor = HealthMonitor(prober: prober, metrics: MetricsRegistry())
        await monitor.apply([Self.check("stuck"), Self.check("quick")])
        await monitor.start()
        try await until("the hanging check is unhealthy") {
            await reading(monitor, "stuck")?.status == .unhealthy
        }
        let before = prober.count("quick")
        try await until("the other one goes on") { prober.count("quick") >= before + 3 }
        #expect(prober.mostAtOnce("stuck") == 1)
        #expect(prober.count("stuck") == 1)
        #expect(await reading(monitor, "quick")?.status == .healthy)
        // The late answer of the first run says nothing, a run after it does.
        prober.letGo()
        try await until("it is asked again") { prober.count("stuck") >= 2 }
        try await until("it is well again") {
            await reading(monitor, "stuck")?.status == .healthy
        }
        #expect(prober.mostAtOnce("stuck") == 1)
        await monitor.stop()
    }

    @Test func aServiceIsStartedAgainForItsOwnCheckAndOnceAProcess() async throws {
        let prober = ScriptedProber()
        prober.set("web/http", .failure("status 500"))
        prober.set("disk", .failure("full"))
        let log = Log()
        let pid = Mutex<Int32>(10)
        let monitor = HealthMonitor(
            prober: prober, process: { _ in .running(pid: pid.withLock { $0 }) },
            metrics: MetricsRegistry(),
            onEvent: { log.add("\($0.check) \($0.transition.to.rawValue)") },
            onUnhealthy: { log.add("restart \($0): \($2)") })
        await monitor.apply([Self.check("web/http", service: "web"), Self.check("disk")])
        await monitor.start()
        let isRestart = { (line: String) in line.hasPrefix("restart web: web/http: ") }
        try await until("the service is restarted") { log.all.contains(where: isRestart) }
        let count = prober.count("web/http")
        try await until("it is asked on") { prober.count("web/http") >= count + 4 }
        #expect(log.all.count(where: isRestart) == 1, "the same process is not restarted twice")
        pid.withLock { $0 = 11 }
        try await until("the new process is restarted too") { log.all.count(where: isRestart) == 2 }
        #expect(log.all.count { $0 == "web/http unhealthy" } == 1, "it was never well in between")
        #expect(!log.all.contains { $0.hasPrefix("restart disk") })
        await monitor.stop()
    }

    /// Each answer comes when the process that was asked has been replaced.
    @Test func whatWasMeasuredAtTheOldProcessIsNotHeldAgainstTheNewOne() async throws {
        let prober = ScriptedProber()
        prober.set("web/http", .failure("status 500"))
        let log = Log()
        let pid = Mutex<Int32>(10)
        // Asked before and after each run: another process each time.
        let monitor = HealthMonitor(
            prober: prober,
            process: { _ in
                .running(
                    pid: pid.withLock { pid in
                        pid += 1
                        return pid
                    })
            }, metrics: MetricsRegistry(),
            onUnhealthy: { service, pid, _ in log.add("restart \(service) \(pid)") })
        var check = Self.check("web/http", service: "web")
        check.rules = HealthRules(threshold: 1)
        await monitor.apply([check])
        await monitor.start()
        try await until("it is asked") { prober.count("web/http") >= 5 }
        #expect(log.all.isEmpty)
        #expect(await reading(monitor, "web/http")?.failuresInRow == 0)
        await monitor.stop()
    }

    @Test func aRunThatNeverEndsDoesNotKeepTheNewProcessFromBeingAsked() async throws {
        let prober = ScriptedProber()
        prober.hang("web/http")
        let pid = Mutex<Int32>(10)
        let monitor = HealthMonitor(
            prober: prober, process: { _ in .running(pid: pid.withLock { $0 }) },
            metrics: MetricsRegistry())
        await monitor.apply([Self.check("web/http", service: "web")])
        await monitor.start()
        try await until("the hanging check is unhealthy") {
            await reading(monitor, "web/http")?.status == .unhealthy
        }
        #expect(prober.count("web/http") == 1)
        pid.withLock { $0 = 11 }
        try await until("the new process is asked") { prober.count("web/http") >= 2 }
        prober.letGo()
        try await until("it is well") { await reading(monitor, "web/http")?.status == .healthy }
        await monitor.stop()
    }

    @Test func aServiceThatDoesNotRunIsNotAsked() async throws {
        let prober = ScriptedProber()
        let process = Mutex(SupervisedProcess.down)
        let monitor = HealthMonitor(
            prober: prober, process: { _ in process.withLock { $0 } }, metrics: MetricsRegistry())
        await monitor.apply([Self.check("web/tcp", service: "web"), Self.check("clock")])
        await monitor.start()
        try await until("time passes") { prober.count("clock") >= 4 }
        #expect(prober.count("web/tcp") == 0)
        #expect(await reading(monitor, "web/tcp")?.status == .unknown)
        #expect(await reading(monitor, "web/tcp")?.message == "web does not run")
        process.withLock { $0 = .running(pid: 4) }
        try await until("it is asked") { await reading(monitor, "web/tcp")?.status == .healthy }
        process.withLock { $0 = .absent }
        try await until("it is forgotten") { await reading(monitor, "web/tcp")?.status == .unknown }
        await monitor.stop()
    }

    @Test func aSlowAnswerIsDegraded() async throws {
        let monitor = HealthMonitor(prober: ScriptedProber(), metrics: MetricsRegistry())
        await monitor.apply([Self.check("slow", degradedFrom: .zero)])
        await monitor.start()
        try await until("it is degraded") { await reading(monitor, "slow")?.status == .degraded }
        #expect(await reading(monitor, "slow")?.message.contains("degraded from 0 ms") == true)
        await monitor.stop()
    }

    @Test func theSeriesSayTheStatusAndGoWithTheirCheck() async throws {
        let registry = MetricsRegistry(descriptions: HealthMonitor.metricDescriptions)
        let prober = ScriptedProber()
        prober.set("a", .failure("no"))
        let monitor = HealthMonitor(prober: prober, metrics: registry)
        await monitor.apply([Self.check("a"), Self.check("b")])
        let first = RegistryTests.text(registry)
        #expect(first.contains(#"opsd_health_status{check="a",status="unknown"} 1"#))
        await monitor.start()
        try await until("a is unhealthy") { await reading(monitor, "a")?.status == .unhealthy }
        try await until("b is healthy") { await reading(monitor, "b")?.status == .healthy }
        let text = RegistryTests.text(registry)
        for (status, value) in [("healthy", 0), ("degraded", 0), ("unhealthy", 1), ("unknown", 0)] {
            #expect(
                text.contains("opsd_health_status{check=\"a\",status=\"\(status)\"} \(value)\n"))
        }
        #expect(text.contains(#"opsd_health_check_duration_seconds_bucket{check="b",le="0.001"}"#))
        await monitor.apply([Self.check("b")])
        #expect(!RegistryTests.text(registry).contains(#"check="a""#))
        await monitor.stop()
    }

    @Test func newChecksAreTakenUpWhileItRunsAndTheSameOnesKeepTheirState() async throws {
        let prober = ScriptedProber()
        let monitor = HealthMonitor(prober: prober, metrics: MetricsRegistry())
        await monitor.apply([Self.check("same"), Self.check("changed")])
        await monitor.start()
        try await until("both are known") {
            await monitor.readings().allSatisfy { $0.status == .healthy }
        }
        let since = await reading(monitor, "same")?.since
        await monitor.apply([
            Self.check("new"), Self.check("same"), Self.check("changed", threshold: 5),
        ])
        #expect(await monitor.readings().map(\.name) == ["new", "same", "changed"])
        #expect(await reading(monitor, "same")?.since == since)
        #expect(await reading(monitor, "same")?.status == .healthy)
        #expect(await reading(monitor, "changed")?.status == .unknown)
        try await until("the new one is asked") {
            await monitor.readings().allSatisfy { $0.status == .healthy }
        }
        await monitor.stop()
        let count = prober.count("new") + prober.count("same")
        try await Task.sleep(for: .milliseconds(250))
        #expect(prober.count("new") + prober.count("same") == count, "it was stopped")
    }

    @Test func checksHavePlacesOfTheirOwnInThePeriod() {
        let names = (0..<50).map { "check-\($0)" }
        let schedules = names.map { HealthSchedule(name: $0, period: .seconds(30)) }
        let first = schedules.map { $0.delay(beforeRun: 0) }
        #expect(first.allSatisfy { $0 >= .zero && $0 < .seconds(1) })
        let second = zip(schedules, first).map { $0.delay(beforeRun: 1) + $1 }
        // No second of the thirty has more than its share by much.
        let crowds = Dictionary(grouping: second) { $0.components.seconds }
        #expect(crowds.values.allSatisfy { $0.count <= 8 }, "\(crowds.mapValues(\.count))")
        #expect(schedules.allSatisfy { $0.delay(beforeRun: 7) == .seconds(30) })
        #expect(
            HealthSchedule(name: "a", period: .seconds(3))
                == HealthSchedule(name: "a", period: .seconds(3)))
    }
}
