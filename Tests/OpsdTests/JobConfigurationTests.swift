import Control
import Foundation
import Ledger
import TestSupport
import Testing

@testable import opsd

@Suite struct JobConfigurationTests {
    private let folder: ConfigurationFolder

    init() throws {
        folder = try ConfigurationFolder()
        try folder.write("XSHG.csv", Self.calendar)
    }

    private static let calendar = """
        # time_zone: Asia/Shanghai
        # to: 2026-11-21
        date,open,break_start,break_end,close
        2026-11-20,09:30,11:30,13:00,15:00

        """

    private static let text = """
        time_zone: Asia/Shanghai
        calendars: {XSHG: XSHG.csv}
        jobs:
          - {name: check, command: [opsd, journal, check], schedule: "30 15 * * mon-fri", only: {calendar: XSHG, when: trading_day}}
          - {name: report, command: [python3, report.py, "${env:TOKEN}"], every: 10m, timeout: 5m, overlap: queue, catch_up: 0s, jitter: 1m}
        """

    @Test func jobsAreReadWithTheirDefaults() throws {
        let configuration = try folder.load(Self.text)
        let (check, report) = (configuration.jobs[0], configuration.jobs[1])
        #expect(check.timeZone.identifier == "Asia/Shanghai")
        #expect(check.only?.state == .tradingDay && check.only?.calendar.sessions.count == 1)
        #expect(check.timeout == .seconds(86_400) && check.catchUp == .seconds(86_400))
        #expect(check.overlap == .skip && check.jitter == .zero)
        #expect(report.schedule == .every(.seconds(600)) && report.only == nil)
        #expect(report.timeout == .seconds(300) && report.catchUp == .zero)
        #expect(report.overlap == .queue && report.jitter == .seconds(60))
    }

    @Test func opsdIsThisProgramWithThisConfiguration() throws {
        let configuration = try folder.load(Self.text)
        let jobs = JobSpecification.all(of: configuration)
        #expect(jobs[0].isOwnCommand && jobs[0].executable.hasPrefix("/"))
        #expect(jobs[0].arguments == ["journal", "check", "-c", folder.path("opsd.yaml")])
        #expect(!jobs[1].isOwnCommand && jobs[1].executable == "python3")
        #expect(jobs[1].arguments == ["report.py", "tell-nobody"])
        #expect(jobs[1].workingDirectory == folder.directory.path)
        #expect(jobs[1].logFile == folder.path("data/log/jobs/report.log"))
        let other = Self.text.replacing("journal, check", with: "journal, check, -c, other.yaml")
        #expect(
            JobSpecification.all(of: try folder.load(other))[0].arguments
                == ["journal", "check", "-c", "other.yaml"])
    }

    @Test func theSummaryShowsThemWithoutArguments() throws {
        let text = ConfigurationSummary(try folder.load(Self.text)).description
        #expect(
            text.contains(
                "XSHG: \(folder.path("XSHG.csv")), 1 sessions from 2026-11-20 to 2026-11-21"))
        #expect(text.contains("command: python3 with 2 arguments"))
        #expect(text.contains("when: trading_day") && text.contains("catch_up: 0ms"))
        #expect(!text.contains("tell-nobody"))
    }

    @Test func changesOfJobsAndCalendarsAreLive() throws {
        let running = try folder.load(Self.text)
        let reload = try folder.reload(
            running,
            Self.text.replacing("30 15", with: "45 15").replacing(
                "5m, overlap", with: "6m, overlap")
                + "\n  - {name: new, command: [date], every: 1h}")
        #expect(
            reload.lines == [
                "jobs[new]: added: command date; takes effect now",
                "jobs[check].schedule: 30 15 * * mon-fri → 45 15 * * mon-fri; takes effect now",
                "jobs[report].timeout: 5m → 6m; takes effect now",
            ])
        guard case .changed(let plan) = reload else { return }
        #expect(plan.configuration.jobs.count == 3)
        // A calendar that says something else is a change too.
        try folder.write("XSHG.csv", Self.calendar + "2026-11-21,09:30,,,15:00\n")
        let updated = try folder.reload(running, Self.text)
        #expect(updated.lines.count == 2, "\(updated.lines)")
        guard case .changed(let plan) = updated else { return }
        #expect(plan.configuration.jobs[0].only?.calendar.sessions.count == 2)
    }

    @Test func anotherTimeZoneHoldsForJobsAtOnce() throws {
        let running = try folder.load(Self.text)
        let reload = try folder.reload(
            running, Self.text.replacing("time_zone: Asia/Shanghai", with: "time_zone: UTC"))
        guard case .changed(let plan) = reload else {
            Issue.record("\(reload)")
            return
        }
        #expect(plan.configuration.jobs[0].timeZone == .gmt)
    }

    /// A core that starts again meanwhile reads what was accepted.
    @Test func calendarsAreAmongTheTextsThatWereAccepted() throws {
        let accepted = try folder.load(Self.text)
        try folder.write("XSHG.csv", "half an edit")
        let again = try Configuration.load(
            folder.path("opsd.yaml"), environment: { ConfigurationFolder.variables[$0] },
            loginName: "lin", accepted: accepted.texts)
        #expect(again.calendars == accepted.calendars)
        #expect(folder.refusal(Self.text).hasPrefix("XSHG.csv:1:1: the columns are not named"))
    }

    @Test func calendarsSayWhenTheyEnd() throws {
        let registry = MetricsRegistry()
        let configuration = try folder.load(Self.text)
        registry.addCollector { configuration.collectCalendars(into: &$0) }
        let page = String(decoding: registry.encode(.text), as: UTF8.self)
        let end = try #require(Timestamp("2026-11-21T16:00:00Z"))
        #expect(
            page.contains("opsd_calendar_end_timestamp_seconds{calendar=\"XSHG\"} \(end.seconds)"))
    }
}

@Suite struct JobStatusTests {
    private func report(
        _ outcome: String?, running: String? = nil, overdue: Bool = false
    ) -> StatusReport {
        var report = SampleReport.report()
        report.jobs = [
            StatusReport.Job(
                name: "nightly", times: "0 3 * * *; GMT", next: "2026-11-22T03:00:00Z",
                running_since: running, last_outcome: outcome, last_detail: "exited with code 3",
                last_ended: "2026-11-21T03:00:00Z", is_overdue: overdue)
        ]
        return StatusJudgement.judged(report)
    }

    @Test func howTheLastRunEndedIsAFindingOrADoubt() {
        #expect(report("succeeded").verdict == .well)
        #expect(report(nil).verdict == .well)
        for outcome in ["found", "failed", "timed-out", "refused", "missed"] {
            let report = report(outcome)
            #expect(report.verdict == .wrong && report.findings.count == 1)
            #expect(report.findings[0].what == "job nightly: exited with code 3")
            #expect(report.findings[0].command == "opsd job history nightly")
        }
        #expect(report("unknown").verdict == .unknown)
        #expect(report("interrupted").verdict == .unknown)
        // While it runs again, that is history.
        #expect(report("failed", running: "2026-11-21T11:59:00Z").verdict == .well)
        #expect(report("succeeded", overdue: true).verdict == .wrong)
    }

    @Test func theScreenHasATableOfJobs() {
        let lines = StatusScreen(report: report("failed")).text
        #expect(
            lines.contains(
                "nightly  failed    2026-11-21T03:00:00Z (9 h)  2026-11-22T03:00:00Z"))
        let running = report("failed", running: "2026-11-21T11:59:00Z")
        #expect(StatusScreen(report: running).text.contains("nightly  running"))
    }
}
