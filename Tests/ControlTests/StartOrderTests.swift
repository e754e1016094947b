import Control
import Testing

@Suite struct StartOrderTests {
    static func service(
        _ name: String, after: [String] = [], before: [String] = []
    ) -> ServiceSpecification {
        ServiceSpecification(
            name: name, executable: "true", after: after, before: before, logFile: "/dev/null")
    }

    @Test func servicesWithoutOrderStayAsDeclared() throws {
        let order = try StartOrder([Self.service("c"), Self.service("a"), Self.service("b")])
        #expect(order.names == ["c", "a", "b"])
    }

    @Test func afterAndBeforeAreObeyed() throws {
        let order = try StartOrder([
            Self.service("signals", after: ["core"]),
            Self.service("core"),
            Self.service("exporter"),
            Self.service("broker", before: ["core"]),
        ])
        #expect(order.names == ["exporter", "broker", "core", "signals"])
        #expect(order.predecessors(of: "core") == ["broker"])
        #expect(order.predecessors(of: "signals") == ["core"])
        #expect(order.predecessors(of: "broker") == [])
    }

    @Test func aDiamondStartsEachServiceOnce() throws {
        let order = try StartOrder([
            Self.service("d", after: ["b", "c"]), Self.service("b", after: ["a"], before: ["d"]),
            Self.service("c", after: ["a"]), Self.service("a"),
        ])
        #expect(order.names == ["a", "b", "c", "d"])
    }

    @Test func aCycleNamesItsServicesAndNoOthers() {
        #expect(throws: StartOrderError.cycle(["a", "b", "c", "a"])) {
            try StartOrder([
                Self.service("z", after: ["a"]),
                Self.service("a", after: ["c"], before: ["b"]),
                Self.service("c", after: ["b"]), Self.service("b"),
            ])
        }
        #expect(throws: StartOrderError.cycle(["a", "a"])) {
            try StartOrder([Self.service("a", after: ["a"])])
        }
    }

    @Test func unknownAndRepeatedNamesAreErrors() {
        #expect(throws: StartOrderError.unknown("cor", namedBy: "signals")) {
            try StartOrder([Self.service("core"), Self.service("signals", after: ["cor"])])
        }
        #expect(throws: StartOrderError.duplicate("core")) {
            try StartOrder([Self.service("core"), Self.service("core")])
        }
    }
}

@Suite struct RestartPolicyTests {
    static func pauses(
        _ policy: RestartPolicy, _ runs: [(ProcessExit, Duration)]
    ) -> [Duration?] {
        var state = RestartPolicy.State()
        return runs.map { exit, ranFor in
            let decided = policy.decide(exit, ranFor: ranFor, state: state)
            state = decided.state
            guard case .restart(let pause) = decided.decision else { return nil }
            return pause
        }
    }

    static let crash = (ProcessExit.signalled(9), Duration.seconds(1))

    @Test func thePauseGrowsToItsLimitAndStaysThere() {
        let policy = RestartPolicy(backoff: .milliseconds(500), factor: 2, limit: .seconds(3))
        #expect(
            Self.pauses(policy, Array(repeating: Self.crash, count: 6))
                == [
                    .milliseconds(500), .seconds(1), .seconds(2), .seconds(3), .seconds(3),
                    .seconds(3),
                ])
    }

    @Test func aLongRunForgetsTheQuickExits() {
        let policy = RestartPolicy(backoff: .seconds(1), factor: 3, resetAfter: .seconds(60))
        let runs = [Self.crash, Self.crash, (.exited(code: 1), .seconds(60)), Self.crash]
        #expect(Self.pauses(policy, runs) == [.seconds(1), .seconds(3), .seconds(1), .seconds(3)])
    }

    @Test func anyFactorEndsAtTheLimit() {
        let policy = RestartPolicy(backoff: .milliseconds(500), factor: 1e30, limit: .seconds(30))
        let pauses = Self.pauses(policy, Array(repeating: Self.crash, count: 3))
        #expect(pauses == [.milliseconds(500), .seconds(30), .seconds(30)])
    }

    @Test func itNeverGivesUp() {
        let policy = RestartPolicy(backoff: .milliseconds(1), factor: 1e6, limit: .seconds(30))
        let pauses = Self.pauses(policy, Array(repeating: Self.crash, count: 10_000))
        #expect(pauses.allSatisfy { $0 != nil })
        #expect(pauses.last == .seconds(30))
    }

    @Test(arguments: [
        (RestartPolicy.Mode.always, ProcessExit.exited(code: 0), true),
        (.always, .signalled(15), true),
        (.always, .notStarted("no such file"), true),
        (.always, .unknown, true),
        (.onFailure, .exited(code: 0), false),
        (.onFailure, .exited(code: 1), true),
        (.onFailure, .signalled(9), true),
        (.onFailure, .notStarted("no such file"), true),
        (.onFailure, .unknown, true),
        (.never, .exited(code: 1), false),
        (.never, .notStarted("no such file"), false),
    ])
    func theModeDecides(mode: RestartPolicy.Mode, exit: ProcessExit, restarts: Bool) {
        let policy = RestartPolicy(mode: mode, backoff: .seconds(1))
        #expect(Self.pauses(policy, [(exit, .zero)]) == [restarts ? .seconds(1) : nil])
    }

    @Test func senselessFiguresAreMadeHarmless() {
        let policy = RestartPolicy(backoff: .seconds(-1), factor: .nan, limit: .seconds(-1))
        #expect(Self.pauses(policy, [Self.crash, Self.crash]) == [.zero, .zero])
        let flat = RestartPolicy(backoff: .seconds(1), factor: 0.1)
        #expect(Self.pauses(flat, [Self.crash, Self.crash]) == [.seconds(1), .seconds(1)])
    }

    @Test func exitsReadAsSentences() {
        #expect(ProcessExit.exited(code: 3).description == "exited with code 3")
        #expect(ProcessExit.signalled(9).description == "killed by signal 9 (SIGKILL)")
        #expect(ProcessExit.signalled(40).description == "killed by signal 40")
    }
}
