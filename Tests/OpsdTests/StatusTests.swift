import Control
import Foundation
import Ledger
import StrictYAML
import TestSupport
import Testing

@testable import opsd

/// Reports for the tests of the judgement and of the screen.
enum SampleReport {
    static let now = "2026-11-21T12:00:00.5Z"

    static func service(
        _ name: String, _ state: String = "running", problem: String? = nil,
        after: [String] = [], notReady: String? = nil
    ) -> StatusReport.Service {
        StatusReport.Service(
            name: name, state: state, pid: state == "running" ? 4711 : nil, restarts: 2,
            since: "2026-11-21T11:56:00.25Z",
            last_exit: state == "running" ? nil : "exited with code 1",
            not_ready: notReady, problem: problem, after: after)
    }

    static func check(
        _ name: String, _ status: String, last: String? = nil, service: String? = nil,
        dependsOn: [String] = [], message: String = "says this"
    ) -> StatusReport.Check {
        StatusReport.Check(
            name: name, kind: "http", status: status, since: "2026-11-21T11:58:00Z",
            message: message, last_outcome: last, checked_at: nil, service: service,
            depends_on: dependsOn, look: "look at \(name)")
    }

    static func core(
        unknown: Int = 0, halted: [String] = [], notOpen: [String] = [], checkpoint: String? = nil
    ) -> StatusReport.Core {
        StatusReport.Core(
            journal_sequence: "1-42", checkpoint_sequence: "1-41", checkpoint_failure: checkpoint,
            queue_depth: 1, queue_capacity: 10_000, live_orders: 3, orders_unknown: unknown,
            accounts_halted: halted, accounts_not_open: notOpen)
    }

    static func report(
        _ services: [StatusReport.Service] = [
            service("broker"), service("core", after: ["broker"]),
        ],
        checks: [StatusReport.Check] = [], core: StatusReport.Core? = core(),
        coreService: String? = "core"
    ) -> StatusReport {
        StatusJudgement.judged(
            StatusReport(
                node: "desk-1", version: "0.1.0", time: now, services: services, health: checks,
                core_service: coreService, core: core))
    }
}

@Suite struct StatusJudgementTests {
    @Test func nothingWrongIsWell() {
        let report = SampleReport.report()
        #expect(report.verdict == .well)
        #expect(report.findings.isEmpty)
        #expect(report.verdict.exitStatus == .done)
    }

    @Test func aServiceThatIsDownIsOneFindingWithAllThatFollowsFromIt() {
        let report = SampleReport.report(
            [
                SampleReport.service("broker", "backing-off", problem: "is backing off"),
                SampleReport.service(
                    "core", problem: "is not ready: no account", after: ["broker"],
                    notReady: "no account"),
            ],
            checks: [
                SampleReport.check("service:broker", "unhealthy", last: "failure"),
                SampleReport.check("broker/http", "unhealthy", last: "failure", service: "broker"),
                SampleReport.check(
                    "page", "unhealthy", last: "failure", dependsOn: ["broker/http"]),
            ], core: SampleReport.core(notOpen: ["A", "B"]))
        #expect(report.verdict == .wrong)
        #expect(
            report.findings == [
                StatusReport.Finding(
                    what: "broker is backing off", since: "2026-11-21T11:56:00.25Z",
                    command: "opsd service logs broker",
                    explains: ["broker/http", "core", "page"])
            ])
        #expect(report.health.map(\.consequence_of) == [[], ["broker"], ["broker"]])
    }

    @Test func aServiceThatFailedForGoodIsToBeRestarted() {
        let report = SampleReport.report(
            [
                SampleReport.service("signals", "failed", problem: "has failed: exited with code 1")
            ], core: nil, coreService: nil)
        #expect(report.findings.map(\.command) == ["opsd service restart signals"])
    }

    @Test func anUnhealthyCheckIsAFindingAndADegradedOneToo() {
        let report = SampleReport.report(
            checks: checks("disk", "unhealthy") + checks("page", "degraded"))
        #expect(report.verdict == .wrong)
        #expect(
            report.findings.map(\.what)
                == ["check disk is unhealthy: says this", "check page is degraded: says this"])
        #expect(report.findings.map(\.command) == ["look at disk", "look at page"])
    }

    private func checks(_ name: String, _ status: String) -> [StatusReport.Check] {
        [SampleReport.check(name, status, last: status == "unhealthy" ? "failure" : status)]
    }

    @Test func aCheckThatWasNotAskedOftenEnoughIsNoFinding() {
        let report = SampleReport.report(
            checks: [
                SampleReport.check("new", "unknown"),
                SampleReport.check("begins", "unknown", last: "failure"),
                // And it explains nothing either.
                SampleReport.check("slow", "degraded", last: "degraded", dependsOn: ["new"]),
            ])
        #expect(report.findings.map(\.what) == ["check slow is degraded: says this"])
    }

    @Test func aCheckThatCouldNotBeCarriedOutMeansThatNobodyCanTell() {
        let report = SampleReport.report(
            checks: checks("disk", "unhealthy")
                + [SampleReport.check("tool", "unknown", last: "unknown")])
        #expect(report.verdict == .unknown)
        #expect(report.verdict.exitStatus == .unknown)
        #expect(report.findings.map(\.is_doubt) == [false, true])
    }

    @Test func aCoreThatRunsAndSaysNothingMeansThatNobodyCanTell() {
        let report = SampleReport.report(
            [SampleReport.service("core", problem: "is not ready: silent", notReady: "silent")],
            core: nil)
        #expect(report.verdict == .unknown)
        #expect(report.findings.count == 1)
        #expect(report.findings.first?.what.contains("gives no report (silent)") == true)
    }

    @Test func aCoreThatIsKnownToBeDownIsWrongAndNotUnknown() {
        let report = SampleReport.report(
            [SampleReport.service("core", "backing-off", problem: "is backing off")], core: nil)
        #expect(report.verdict == .wrong)
        #expect(report.findings.count == 1)
    }

    @Test func aDeskWithoutACoreIsWell() {
        #expect(
            SampleReport.report([SampleReport.service("exporter")], core: nil, coreService: nil)
                .verdict == .well)
    }

    @Test func whatTheCoreReportsIsFound() {
        let report = SampleReport.report(
            core: SampleReport.core(
                unknown: 1, halted: ["A"], notOpen: ["B", "C", "D", "E", "F"],
                checkpoint: "disk full"))
        #expect(
            report.findings.map(\.what) == [
                "1 order is unknown at the broker", "the checkpoint cannot be written: disk full",
                "account A is halted",
                "5 accounts are not synchronised with the broker: B, C, D and 2 more",
            ])
        #expect(report.findings.allSatisfy { !$0.command.isEmpty })
        #expect(report.findings[2].command == "opsd account resume A")
    }
}

@Suite struct StatusScreenTests {
    private func screen(_ report: StatusReport, width: Int? = nil) -> [String] {
        StatusScreen(report: report, width: width).text
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    @Test func theFirstLineIsTheVerdict() {
        #expect(screen(SampleReport.report()).first == "ALL IS WELL")
        let wrong = SampleReport.report(core: SampleReport.core(unknown: 2, halted: ["A"]))
        #expect(screen(wrong).first == "2 THINGS ARE WRONG")
        let down = SampleReport.report(
            [SampleReport.service("core", "failed", problem: "has failed")], core: nil)
        #expect(
            screen(down).first == "1 THING IS WRONG, since 2026-11-21T11:56:00Z (4 min)")
        let mute = SampleReport.report(
            [SampleReport.service("core")],
            checks: [SampleReport.check("disk", "unhealthy", last: "failure")], core: nil)
        #expect(
            screen(mute).first
                == "CANNOT TELL whether all is well; 1 thing is wrong, the first since "
                + "2026-11-21T11:58:00Z (2 min)")
    }

    @Test func eachFindingSaysSinceWhenAndWhatToType() {
        let report = SampleReport.report(
            [SampleReport.service("broker", "backing-off", problem: "is backing off")],
            checks: [
                SampleReport.check("broker/tcp", "unhealthy", last: "failure", service: "broker")
            ],
            core: nil, coreService: nil)
        #expect(
            screen(report) == [
                "1 THING IS WRONG, since 2026-11-21T11:56:00Z (4 min)",
                "desk-1  opsd 0.1.0  2026-11-21T12:00:00Z",
                "",
                "1. broker is backing off",
                "   since 2026-11-21T11:56:00Z (4 min)   type: opsd service logs broker",
                "   because of it: broker/tcp",
                "",
                "SERVICE  STATE          PID  RESTARTS  SINCE                         LAST END",
                "broker   ! backing-off  -    2         2026-11-21T11:56:00Z (4 min)  exited with code 1",
                "",
                "CHECK       STATUS     SINCE                         SAYS",
                "broker/tcp  unhealthy  2026-11-21T11:58:00Z (2 min)  because of broker: says this",
                "",
            ])
    }

    @Test func theCoresFiguresAreThere() {
        #expect(
            screen(SampleReport.report()).suffix(3) == [
                "journal     entry 1-42", "checkpoint  entry 1-41",
                "orders      3 live, 0 unknown, 1 of 10000 waiting",
            ])
    }

    @Test func manyHealthyChecksAreCountedAndTheOthersListed() {
        let healthy = (0..<50).map { SampleReport.check("check-\($0)", "healthy", last: "success") }
        let report = SampleReport.report(
            checks: healthy + [SampleReport.check("disk", "unhealthy", last: "failure")])
        let lines = screen(report)
        #expect(lines.contains("50 checks are healthy"))
        #expect(lines.contains { $0.hasPrefix("disk ") })
        #expect(!lines.contains { $0.hasPrefix("check-") })
        #expect(lines.count < 24, "it is one screen")
        #expect(screen(SampleReport.report([], checks: healthy)).contains("50 checks are healthy"))
    }

    @Test(arguments: [1, 20, 40, 80])
    func noLineIsWiderThanTheTerminal(width: Int) {
        let report = SampleReport.report(
            [
                SampleReport.service(
                    "broker", "failed", problem: String(repeating: "long ", count: 50))
            ])
        let lines = screen(report, width: width)
        #expect(lines.allSatisfy { $0.count <= width })
        #expect(!screen(report).contains { $0.contains("…") })
        // Of what is wrong and of what to type nothing is lost.
        let words = lines.joined(separator: " ").split(separator: " ").joined()
        #expect(words.contains(String(repeating: "long", count: 50)))
        #expect(words.contains("opsdservicerestartbroker"))
    }

    @Test func linesAreBrokenAtBlanksAndRowsAreCut() {
        let line = "   since noon   type: opsd run -c /a/long/path/of/a/file.yaml"
        #expect(
            ScreenText.wrapped(line, to: 30) == [
                "   since noon   type: opsd run", "      -c", "      /a/long/path/of/a/file.y",
                "      aml",
            ])
        #expect(ScreenText.wrapped(line, to: nil) == [line])
        #expect(ScreenText.wrapped("", to: 5) == [""])
        #expect(ScreenText.cut("abcdef", to: 4) == "abc…")
        #expect(ScreenText.cut("abcd", to: 4) == "abcd")
    }

    @Test func nothingMovesTheCursor() {
        let report = SampleReport.report(
            checks: [
                SampleReport.check(
                    "page", "unhealthy", last: "failure", message: "a\u{1B}[2Jb\nc\u{9B}d")
            ])
        let text = StatusScreen(report: report, width: nil).text
        #expect(text.contains("a [2Jb c d"))
        #expect(text.unicodeScalars.allSatisfy { $0.value >= 0x20 || $0 == "\n" })
    }
}

@Suite struct DaemonSilenceTests {
    @Test func locksAreReadFromTheKernelsList() {
        let text = """
            1: FLOCK  ADVISORY  WRITE 30173 fe:00:16220204 0 EOF
            1: -> FLOCK  ADVISORY  WRITE 31635 fe:00:16220204 0 EOF
            2: POSIX  ADVISORY  READ 5 fe:00:7 128 128
            3: FLOCK  ADVISORY  WRITE x fe:00:7 0 EOF
            """
        #expect(KernelLock.parse(text) == [KernelLock(pid: 30_173, inode: 16_220_204)])
    }

    @Test func aLockThatThisMachineHoldsIsSeenAndNotTouched() throws {
        let directory = try TemporaryDirectory()
        var configuration = try Configuration.load(EmbeddedDefault.write(in: directory.path))
        configuration.dataDirectory = directory.path("data")
        let layout = DataLayout(configuration)
        try layout.prepare()
        let free = DaemonTraces.read(layout)
        #expect(free.are_locks_known)
        #expect(free.processes.map(\.name) == ["supervisor", "core", "paper-broker", "verify"])
        #expect(free.processes.allSatisfy { $0.pid == nil && !$0.has_socket })
        try Data().write(to: URL(fileURLWithPath: layout.socket(of: "core")))
        let lock = try layout.hold("core")
        let held = DaemonTraces.read(layout) { $0 == getpid() }
        #expect(held.processes[1] == .init(name: "core", pid: Int(getpid()), has_socket: true))
        #expect(held.processes[0].pid == nil)
        // The same file number on another file system is held by somebody else.
        #expect(DaemonTraces.read(layout) { _ in false }.processes[1].pid == nil)
        withExtendedLifetime(lock) {}
    }

    private func silence(_ processes: [DaemonTraces.Process], known: Bool = true) -> DaemonSilence {
        DaemonSilence(
            address: "[::1]:9464", problem: "Couldn't connect to server",
            traces: DaemonTraces(are_locks_known: known, processes: processes),
            configurationFile: "/etc/opsd.yaml")
    }

    @Test func aDaemonThatIsDownIsToBeStarted() {
        let down = silence([
            .init(name: "supervisor", pid: nil, has_socket: false),
            .init(name: "core", pid: 12, has_socket: true),
            .init(name: "paper-broker", pid: nil, has_socket: true),
        ])
        #expect(
            down.text(width: nil) == """
                CANNOT TELL: the daemon does not answer at [::1]:9464
                Couldn't connect to server

                PROCESS       PID  WHAT ITS LOCK SAYS
                supervisor    -    it does not run
                core          12   it runs
                paper-broker  -    it does not run; it left its socket behind

                type: opsd run -c /etc/opsd.yaml
                """)
        #expect(down.text(width: 10).split(separator: "\n").allSatisfy { $0.count <= 10 })
    }

    @Test func aDaemonThatRunsAndIsSilentIsToBeEnded() {
        let mute = silence([.init(name: "supervisor", pid: 7, has_socket: false)])
        #expect(mute.command == "kill -TERM 7, then opsd run -c /etc/opsd.yaml")
        #expect(mute.text(width: nil).contains("it runs, and does not answer"))
        #expect(silence([], known: false).text(width: nil).contains("nobody knows what runs"))
    }

    @Test func anAddressOfIPv6StandsInBrackets() {
        #expect(
            StatusQuestion.url(HostPort(host: "::1", port: 9464))
                == "http://[::1]:9464/api/ops/status")
        #expect(
            StatusQuestion.url(HostPort(host: "127.0.0.1", port: 9464))
                == "http://127.0.0.1:9464/api/ops/status")
    }
}
