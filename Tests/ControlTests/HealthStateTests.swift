import Ledger
import Testing

@testable import Control

@Suite struct HealthStateTests {
    /// One letter a run: s success, d degraded, f failure, u unknown.
    static func run(
        _ letters: String, _ rules: HealthRules, from state: HealthState? = nil
    ) -> (state: HealthState, transitions: [HealthStatus]) {
        var state = state ?? HealthState(since: time(0))
        var transitions: [HealthStatus] = []
        for (index, letter) in letters.enumerated() {
            let outcome: ProbeOutcome =
                switch letter {
                case "s": .success("ok")
                case "d": .degraded("slow")
                case "f": .failure("refused")
                default: .unknown("no descriptors")
                }
            if let change = state.observe(outcome, at: time(Int64(index + 1)), rules: rules) {
                #expect(change.from != change.to)
                #expect(change.time == time(Int64(index + 1)))
                transitions.append(change.to)
            }
        }
        return (state, transitions)
    }

    static func time(_ seconds: Int64) -> Timestamp {
        Timestamp(microseconds: seconds * 1_000_000)
    }

    @Test func nothingIsKnownBeforeTheFirstRun() {
        let state = HealthState(since: Self.time(7))
        #expect(state.status == .unknown)
        #expect(state.since == Self.time(7))
        #expect(state.lastOutcome == nil)
        #expect(state.message == "not checked yet")
    }

    /// Runs, rules, and the statuses that they go through.
    @Test(arguments: [
        ("s", 3, 1, [HealthStatus.healthy]),
        ("ff", 3, 1, []),
        ("fff", 3, 1, [.unhealthy]),
        ("f", 1, 1, [.unhealthy]),
        // A row is a row: one success begins it anew.
        ("sffsff", 3, 1, [.healthy]),
        ("sfffff", 3, 1, [.healthy, .unhealthy]),
        // Back again only after so many in a row.
        ("fffss", 3, 3, [.unhealthy]),
        ("fffssfsss", 3, 3, [.unhealthy, .healthy]),
        // What was never unhealthy is well with its first answer.
        ("fs", 3, 3, [.healthy]),
        // The latest answer says whether it is degraded.
        ("sdsd", 3, 1, [.healthy, .degraded, .healthy, .degraded]),
        ("fffdd", 3, 2, [.unhealthy, .degraded]),
        ("fffsd", 3, 2, [.unhealthy, .degraded]),
        // What could not be asked says nothing of the thing.
        ("suu", 3, 1, [.healthy]),
        ("suuu", 3, 1, [.healthy, .unknown]),
        ("sfufuf", 3, 1, [.healthy, .unhealthy]),
        ("uuu", 3, 1, []),
        // Unknown is no recovery: success_threshold still counts.
        ("fffuuus", 3, 2, [.unhealthy, .unknown]),
        ("fffuuuss", 3, 2, [.unhealthy, .unknown, .healthy]),
    ])
    func thresholdsHoldInBothDirections(
        letters: String, threshold: Int, successThreshold: Int, expected: [HealthStatus]
    ) {
        let rules = HealthRules(threshold: threshold, successThreshold: successThreshold)
        #expect(Self.run(letters, rules).transitions == expected, "\(letters)")
    }

    @Test func sinceIsTheMomentOfTheLastChange() {
        let (state, _) = Self.run("sssfff", HealthRules(threshold: 2))
        #expect(state.since == Self.time(5))
        #expect(state.checkedAt == Self.time(6))
        #expect(state.message == "refused")
        #expect(state.failuresInRow == 3)
    }

    @Test func aNewProcessKeepsWhatWasUnhealthyAndCountsItsOwnFailures() {
        let rules = HealthRules(threshold: 2)
        var (state, _) = Self.run("sff", rules)
        #expect(state.hasJustFailed(rules))
        #expect(state.beginAnew(at: Self.time(9), because: "new process") == nil)
        #expect(state.status == .unhealthy)
        #expect(state.since == Self.time(3))
        #expect(!state.hasJustFailed(rules))
        let once = Self.run("f", rules, from: state).state
        #expect(!once.hasJustFailed(rules))
        let twice = Self.run("ff", rules, from: state).state
        #expect(twice.hasJustFailed(rules))
        #expect(twice.since == Self.time(3))
        #expect(!Self.run("fff", rules, from: state).state.hasJustFailed(rules))
        #expect(Self.run("s", rules, from: state).transitions == [.healthy])
    }

    @Test func aNewProcessOfWhatWasWellIsUnknown() {
        var (state, _) = Self.run("sf", HealthRules(threshold: 2))
        let change = state.beginAnew(at: Self.time(9), because: "new process")
        #expect(change?.from == .healthy)
        #expect(change?.to == .unknown)
        #expect(state.since == Self.time(9))
        #expect(state.failuresInRow == 0)
    }

    @Test func whatHasEndedIsForgotten() {
        var (state, _) = Self.run("ff", HealthRules(threshold: 2))
        #expect(state.forget(at: Self.time(9), because: "ended")?.to == .unknown)
        #expect(state.lastOutcome == nil)
        #expect(state.forget(at: Self.time(10), because: "ended") == nil)
        #expect(state.since == Self.time(9))
    }

    @Test func aThresholdOfNothingIsOne() {
        let rules = HealthRules(threshold: 0, successThreshold: -1)
        #expect(Self.run("fs", rules).transitions == [.unhealthy, .healthy])
    }
}

@Suite struct HealthVerdictTests {
    private func node(
        _ name: String, _ status: HealthStatus, _ dependsOn: String...
    ) -> HealthNode {
        HealthNode(name: name, status: status, dependsOn: dependsOn)
    }

    @Test func oneCauseIsOneFinding() {
        let verdict = HealthVerdict([
            node("page", .unhealthy, "api"), node("api", .unhealthy, "database", "cache"),
            node("database", .unhealthy), node("cache", .healthy), node("disk", .degraded),
        ])
        #expect(verdict.causes == ["database", "disk"])
        #expect(verdict.consequences == ["page": ["database"], "api": ["database"]])
    }

    @Test func twoCausesAreBothNamed() {
        let verdict = HealthVerdict([
            node("page", .unhealthy, "a", "b"), node("a", .unhealthy), node("b", .unhealthy),
        ])
        #expect(verdict.causes == ["a", "b"])
        #expect(verdict.consequences["page"] == ["a", "b"])
    }

    @Test func aCauseIsAtLeastAsBadAsWhatItExplains() {
        let verdict = HealthVerdict([
            node("page", .unhealthy, "slow", "unasked"), node("slow", .degraded),
            node("unasked", .unknown), node("late", .degraded, "unasked"),
            node("mute", .unknown, "slow"),
        ])
        #expect(verdict.causes == ["page", "slow", "unasked", "mute"])
        #expect(verdict.consequences == ["late": ["unasked"]])
    }

    @Test func ringsHideNothing() {
        let ring = HealthVerdict([
            node("a", .unhealthy, "b"), node("b", .unhealthy, "a"), node("c", .unhealthy, "a"),
            node("own", .unhealthy, "own"),
        ])
        #expect(Set(ring.causes).isSuperset(of: ["a", "b", "own"]))
        let explained = HealthVerdict([
            node("a", .unhealthy, "b"), node("b", .unhealthy, "a", "root"),
            node("root", .unhealthy),
        ])
        #expect(explained.causes == ["root"])
    }

    @Test func whatIsNotThereExplainsNothing() {
        #expect(HealthVerdict([node("a", .unhealthy, "gone")]).causes == ["a"])
        #expect(HealthVerdict([]) == HealthVerdict([node("a", .healthy, "b")]))
    }

    /// Whatever depends on whatever: each thing that is not well is a cause or a consequence of
    /// causes, and while anything is ill there is a cause.
    @Test func nothingIsLostInAnyGraph() {
        var random = SplitMix(state: 3)
        let statuses: [HealthStatus] = [.healthy, .degraded, .unknown, .unhealthy]
        for _ in 0..<2_000 {
            let names = (0..<Int.random(in: 1...8, using: &random)).map { "n\($0)" }
            let nodes = names.map { name in
                HealthNode(
                    name: name, status: statuses.randomElement(using: &random) ?? .healthy,
                    dependsOn: names.filter { _ in Int.random(in: 0..<4, using: &random) == 0 })
            }
            let verdict = HealthVerdict(nodes)
            for node in nodes {
                let isIll = node.status != .healthy
                let isCause = verdict.causes.contains(node.name)
                let causes = verdict.consequences[node.name]
                #expect((isCause || causes != nil) == isIll)
                #expect(!(isCause && causes != nil))
                #expect(causes?.allSatisfy(verdict.causes.contains) ?? true)
                #expect(causes?.isEmpty != true)
            }
        }
    }
}

@Suite struct ServiceReadingTests {
    private func reading(
        _ state: ServiceState, _ policy: RestartPolicy.Mode = .always, lastExit: String? = nil,
        notReady: String? = nil, quickExits: Int = 0, isAnswering: Bool = true
    ) -> ServiceReading {
        ServiceReading(
            ServiceStatus(
                name: "s", state: state, pid: nil, restarts: 0, since: HealthStateTests.time(0),
                lastExit: lastExit, quickExits: quickExits, isAnswering: isAnswering,
                isAdopted: false),
            readiness: notReady.map(ServiceReadiness.notReady) ?? .ready,
            policy: RestartPolicy(mode: policy))
    }

    @Test func aServiceThatRunsAndIsReadyIsWell() {
        let running = ServiceState.running(pid: 1, since: HealthStateTests.time(0))
        #expect(reading(running).problem == nil)
        #expect(reading(running).outcome == .success("s runs and is ready"))
        #expect(reading(running, notReady: "no account").problem == "is not ready: no account")
    }

    @Test func aServiceThatDidItsOneThingIsWell() {
        let success = "exited with code 0"
        #expect(reading(.completed, .onFailure, lastExit: success).problem == nil)
        #expect(reading(.completed, .never, lastExit: success).problem == nil)
        // Stopped with the daemon, or without ever having run.
        #expect(reading(.stopped, .onFailure, lastExit: success).problem != nil)
        #expect(reading(.stopped, .never).problem == "is stopped")
        #expect(
            reading(.failed(reason: "exited with code 1"), .never).problem
                == "has failed: exited with code 1; nothing starts it again")
    }

    @Test(arguments: [ServiceState.waiting, .starting, .stopping])
    func whatIsOnItsWayIsNotWell(state: ServiceState) {
        #expect(reading(state).problem != nil)
        guard case .failure = reading(state).outcome else {
            Issue.record("\(state)")
            return
        }
    }

    @Test func theLastEndIsNamed() {
        let state = ServiceState.backingOff(until: HealthStateTests.time(60))
        #expect(
            reading(state, lastExit: "exited with code 3").problem
                == "is backing off until 1970-01-01T00:01:00Z; last end: exited with code 3")
        #expect(
            reading(state, lastExit: "exited with code 3", quickExits: 4).problem?
                .hasSuffix("exited with code 3 (4 times in a row)") == true)
    }

    @Test func aServiceThatKeepsEndingIsNamedUntilItHasRunForLongEnough() {
        let running = ServiceState.running(pid: 1, since: HealthStateTests.time(0))
        let end = "killed by signal 9 (SIGKILL)"
        let loop = reading(running, lastExit: end, quickExits: 3)
        #expect(loop.problem == nil, "it may have traffic")
        #expect(
            loop.instability(at: HealthStateTests.time(59))
                == "keeps ending; last end: killed by signal 9 (SIGKILL) (3 times in a row)")
        #expect(loop.instability(at: HealthStateTests.time(60)) == nil)
        let once = reading(running, lastExit: end, quickExits: 1)
        #expect(once.instability(at: HealthStateTests.time(1)) == nil)
        #expect(reading(.starting, quickExits: 3).instability(at: HealthStateTests.time(1)) == nil)
    }

    @Test func aServiceThatHangsIsNotReady() {
        let running = ServiceState.running(pid: 1, since: HealthStateTests.time(0))
        #expect(
            reading(running, isAnswering: false).problem
                == "is not ready: it hangs: its watchdog hears nothing")
    }
}
