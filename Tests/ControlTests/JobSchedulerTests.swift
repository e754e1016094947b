import CoreMetrics
import Foundation
import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Control

/// Jobs that are scripts in a directory of their own, and what happens to them.
private struct JobShop {
    let directory: TemporaryDirectory
    let registry = MetricsRegistry()
    let clock = WallClock()

    /// What the wall clock shows: the machine's own time, moved by the test.
    final class WallClock: Sendable {
        /// Under a lock: the scheduler reads it while a test moves it. It is held for an addition.
        private let offset = Mutex<Duration>(.zero)

        var now: Timestamp { Timestamp.now().advanced(by: offset.withLock { $0 }) }

        func move(by duration: Duration) { offset.withLock { $0 = $0 + duration } }
    }

    init() throws {
        directory = try TemporaryDirectory("opsd-jobs")
    }

    func path(_ name: String) -> String { directory.path(name) }

    func lines(_ name: String) -> [String] {
        let text = FileManager.default.contents(atPath: path(name)) ?? Data()
        return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Runs the script with `$DIR` set to the shop, each second unless told otherwise.
    func job(
        _ name: String, _ body: String, every period: Duration = .seconds(1),
        timeout: Duration = .seconds(60), overlap: JobOverlap = .skip, isOwn: Bool = false,
        only condition: CalendarCondition? = nil
    ) throws -> JobSpecification {
        let file = path("\(name).sh")
        try "DIR=\(directory.path)\n\(body)".write(
            toFile: file, atomically: true, encoding: .utf8)
        return JobSpecification(
            name: name, executable: "/bin/sh", arguments: [file], isOwnCommand: isOwn,
            schedule: .every(period), condition: condition, timeout: timeout, overlap: overlap,
            logFile: path("\(name).log"))
    }

    func state() throws -> ControlState { try ControlState(path: path("control.sqlite")) }

    func scheduler(
        _ jobs: [JobSpecification], _ state: ControlState? = nil
    ) throws -> JobScheduler {
        try JobScheduler(
            jobs: jobs, dataDirectory: directory.path, state: state, now: { [clock] in clock.now },
            metrics: registry)
    }

    /// Lets a scheduler run while `body` does, and stops it.
    func run(
        _ scheduler: JobScheduler, _ body: () async throws -> Void
    ) async throws {
        let task = Task { await scheduler.run() }
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        task.cancel()
        await task.value
        #expect(await scheduler.stopAll(within: .seconds(5)).isEmpty)
        try outcome.get()
    }

    func eventually(
        _ what: String, _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while try await !condition() {
            try #require(ContinuousClock.now < deadline, "not in time: \(what)")
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    func ended(_ scheduler: JobScheduler, _ name: String, _ count: Int = 1) async throws
        -> [JobRun]
    {
        var runs: [JobRun] = []
        try await eventually("\(count) runs of \(name) have ended") {
            runs = try await scheduler.history(of: name, newest: 100).filter { $0.ended != nil }
            return runs.count >= count
        }
        return runs
    }

    var metrics: String { RegistryTests.text(registry) }
}

extension JobScheduler {
    /// From here on it is as if its daemon had been killed: it writes down nothing more.
    fileprivate func die(_ loop: Task<Void, Never>) async {
        state = nil
        loop.cancel()
        await loop.value
    }
}

@Suite(.serialized) struct JobSchedulerTests {
    @Test func aJobRunsAtItsTimesAndIsWrittenDown() async throws {
        let shop = try JobShop()
        let state = try shop.state()
        let scheduler = try shop.scheduler(
            [try shop.job("tick", "echo out; echo err >&2; date +%s >> $DIR/ticks")], state)
        try await shop.run(scheduler) {
            let runs = try await shop.ended(scheduler, "tick", 3)
            #expect(runs.allSatisfy { $0.outcome == .succeeded && $0.exitCode == 0 })
            #expect(runs.allSatisfy { $0.trigger == .schedule && $0.pid == nil })
            #expect(runs.allSatisfy { $0.output == "out\nerr" }, "\(runs.map(\.output))")
            let scheduled = runs.compactMap(\.scheduled)
            #expect(Set(scheduled).count == runs.count)
            #expect(scheduled.allSatisfy { $0.microseconds % 1_000_000 == 0 })
            let status = try #require(await scheduler.status().first)
            #expect(status.lastSuccess != nil && !status.isOverdue)
            #expect(try #require(status.next) > scheduled[0])
            #expect(
                try ControlState.readRuns(
                    path: shop.path("control.sqlite"), of: "tick", newest: 1
                ).first?.output
                    == "out\nerr")
        }
        #expect(shop.metrics.contains("opsd_job_status{job=\"tick\",status=\"succeeded\"} 1\n"))
        #expect(shop.metrics.contains("opsd_job_failures_total{job=\"tick\"} 0\n"))
        #expect(!shop.metrics.contains("opsd_job_last_success_timestamp_seconds{job=\"tick\"} 0\n"))
        #expect(shop.metrics.contains("opsd_job_duration_seconds_count{job=\"tick\"}"))
    }

    @Test func exitCodesAreKeptAndMeanWhatTheyMean() async throws {
        let shop = try JobShop()
        let state = try shop.state()
        let codes: [(Int32, JobOutcome, JobOutcome)] = [
            (0, .succeeded, .succeeded), (1, .found, .failed), (2, .failed, .failed),
            (3, .unknown, .failed), (4, .refused, .failed), (130, .interrupted, .failed),
            (7, .failed, .failed),
        ]
        var jobs: [JobSpecification] = []
        for (code, _, _) in codes {
            jobs.append(
                try shop.job("own-\(code)", "exit \(code)", every: .seconds(86_400), isOwn: true))
            jobs.append(try shop.job("other-\(code)", "exit \(code)", every: .seconds(86_400)))
        }
        jobs.append(try shop.job("killed", "kill -9 $$", every: .seconds(86_400)))
        var gone = try shop.job("gone", "", every: .seconds(86_400))
        gone.executable = shop.path("no-such-program")
        jobs.append(gone)
        let scheduler = try shop.scheduler(jobs, state)
        try await shop.run(scheduler) {
            for job in jobs { _ = try await scheduler.start(job.name) }
            for (code, own, other) in codes {
                let ownRun = try await shop.ended(scheduler, "own-\(code)")[0]
                let otherRun = try await shop.ended(scheduler, "other-\(code)")[0]
                #expect(ownRun.outcome == own && ownRun.exitCode == code)
                #expect(otherRun.outcome == other && otherRun.exitCode == code)
                #expect(ownRun.trigger == .manual && ownRun.scheduled == nil)
            }
            let killed = try await shop.ended(scheduler, "killed")[0]
            #expect(killed.outcome == .failed && killed.signal == SIGKILL && killed.exitCode == nil)
            let absent = try await shop.ended(scheduler, "gone")[0]
            #expect(absent.outcome == .failed && absent.detail.contains("no-such-program"))
        }
        #expect(shop.metrics.contains("opsd_job_failures_total{job=\"own-1\"} 0\n"))
        #expect(shop.metrics.contains("opsd_job_failures_total{job=\"other-1\"} 1\n"))
        #expect(shop.metrics.contains("opsd_job_failures_total{job=\"own-3\"} 0\n"))
        #expect(shop.metrics.contains("opsd_job_status{job=\"own-3\",status=\"unknown\"} 1\n"))
    }

    @Test func aRunIsNeverBesideAnother() async throws {
        let shop = try JobShop()
        let state = try shop.state()
        let body = "echo start >> $DIR/N; sleep 2.5; echo end >> $DIR/N"
        let scheduler = try shop.scheduler(
            [
                try shop.job("skip", body.replacing("N", with: "skip")),
                try shop.job("queue", body.replacing("N", with: "queue"), overlap: .queue),
            ], state)
        try await shop.run(scheduler) {
            let skips = try await shop.ended(scheduler, "skip", 2)
            let queued = try await shop.ended(scheduler, "queue", 2)
            #expect(skips[0].skipped >= 1 && skips[1].skipped >= 1)
            // The time of what waited came while the one before went on.
            let waited = try #require(queued[0].scheduled)
            #expect(waited < (try #require(queued[1].ended)))
            #expect(queued[0].started >= (try #require(queued[1].ended)))
            _ = try? await scheduler.start("skip")
            await #expect(throws: JobError.self) { try await scheduler.start("skip") }
            await #expect(throws: JobError.unknownJob("x", known: ["skip", "queue"])) {
                try await scheduler.start("x")
            }
        }
        for name in ["skip", "queue"] {
            for (index, line) in shop.lines(name).enumerated() {
                #expect(line == (index % 2 == 0 ? "start" : "end"), "\(name): \(shop.lines(name))")
            }
        }
    }

    @Test func aRunThatTakesTooLongIsStoppedWithAllThatItHasStarted() async throws {
        let shop = try JobShop()
        let state = try shop.state()
        let scheduler = try shop.scheduler(
            [
                try shop.job(
                    "deaf",
                    "trap 'echo heard' TERM; sleep 3331 & sleep 3332 & "
                        + "echo $! > $DIR/child; while :; do sleep 0.05; done",
                    every: .seconds(86_400), timeout: .milliseconds(300)),
                try shop.job(
                    "polite", "trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done",
                    every: .seconds(86_400), timeout: .milliseconds(300)),
            ], state)
        try await shop.run(scheduler) {
            _ = try await scheduler.start("deaf")
            _ = try await scheduler.start("polite")
            let polite = try await shop.ended(scheduler, "polite")[0]
            #expect(polite.outcome == .timedOut && polite.output.hasSuffix("bye"))
            #expect(polite.exitCode == 0 && polite.detail == "did not end within 300 ms")
            let deaf = try await shop.ended(scheduler, "deaf")[0]
            #expect(deaf.outcome == .timedOut && deaf.signal == SIGKILL)
            #expect(deaf.output.contains("heard"))
            let took = try #require(deaf.duration)
            #expect(took >= .seconds(10) && took < onThisMachine(.seconds(14)), "\(took)")
            let child = try #require(shop.lines("child").first.flatMap { Int32($0) })
            #expect(!Workshop.isAlive(child))
        }
        #expect(shop.metrics.contains("opsd_job_failures_total{job=\"deaf\"} 1\n"))
    }

    @Test func hugeOutputIsBounded() async throws {
        let shop = try JobShop()
        let state = try shop.state()
        var job = try shop.job(
            "loud",
            "head -c 3000000 /dev/zero | tr '\\0' x; echo; seq 1 100000; printf '\\377\\nlast'",
            every: .seconds(86_400))
        job.rotation = LogRotation(atBytes: 100_000, keep: 2)
        let scheduler = try shop.scheduler([job], state)
        let files = [job.logFile: job.rotation]
        let keeper = LogKeeper(files: { files })
        try await shop.run(scheduler) {
            for round in 1...3 {
                _ = try await scheduler.start("loud")
                let run = try await shop.ended(scheduler, "loud", round)[0]
                await keeper.look()
                #expect(run.output.hasSuffix("100000\n\u{FFFD}\nlast"))
                #expect(run.output.split(separator: "\n").count == JobLog.linesMax)
                #expect(run.output.utf8.count <= JobLog.bytesMax + 8)
            }
            #expect(!FileManager.default.fileExists(atPath: shop.path("loud.log.3")))
        }
    }

    @Test func theHistoryIsBounded() async throws {
        let shop = try JobShop()
        let state = try shop.state()
        var first = ""
        for number in 0..<(JobRecords.runsMax + 50) {
            var run = JobRun(
                number % 3 == 0 ? "b" : "a", .schedule, scheduled: nil,
                started: Timestamp(microseconds: Int64(number)))
            if number == 0 { first = run.instance }
            state.save(run)
            run.outcome = .succeeded
            state.save(run)
        }
        await state.flush()
        let (a, b) = (
            await state.runs(of: "a", newest: 1_000), await state.runs(of: "b", newest: 1_000)
        )
        #expect(a.count == JobRecords.runsMax && b.count == 50)
        #expect(b.last?.instance == first)
        #expect(a.first?.started.microseconds == 149 && a.first?.outcome == .succeeded)
        state.remove(job: "a")
        await state.flush()
        #expect(await state.runs(of: "a", newest: 1).isEmpty)
    }

    @Test func timesThatPassedWithoutADaemonAreMadeUpForOnce() async throws {
        let shop = try JobShop()
        let job = try shop.job("hourly", "echo run >> $DIR/runs", every: .seconds(3_600))
        let first = try shop.scheduler([job], try shop.state())
        try await shop.run(first) { try await Task.sleep(for: .milliseconds(50)) }
        // A new job has no past.
        #expect(shop.lines("runs").isEmpty)
        shop.clock.move(by: .seconds(5 * 3_600 + 200))
        let second = try shop.scheduler([job], try shop.state())
        try await shop.run(second) {
            let run = try await shop.ended(second, "hourly")[0]
            #expect(run.trigger == .catchUp)
            let scheduled = try #require(run.scheduled)
            #expect(scheduled.microseconds % 3_600_000_000 == 0 && scheduled <= shop.clock.now)
        }
        shop.clock.move(by: .seconds(26 * 3_600))
        var impatient = job
        impatient.catchUp = .seconds(60)
        let third = try shop.scheduler([impatient], try shop.state())
        let late = shop.clock.now.microseconds % 3_600_000_000
        try await shop.run(third) {
            // Unless the hour is just striking.
            if (61_000_000..<3_590_000_000).contains(late) {
                let runs = try await shop.ended(third, "hourly", 2)
                #expect(runs[0].outcome == .missed && runs[0].detail.hasPrefix("not run: "))
                #expect(shop.lines("runs").count == 1)
            }
        }
    }

    @Test func whatACalendarDoesNotKnowIsCountedAndNotRun() async throws {
        let shop = try JobShop()
        let text = """
            # time_zone: UTC
            date,open,break_start,break_end,close
            2020-01-02,09:30,,,15:00
            """
        let calendar = try ExchangeCalendar(name: "OLD", parsing: text)
        let job = try shop.job(
            "doubt", "echo run >> $DIR/runs",
            only: CalendarCondition(calendar: calendar, state: .nonTradingDay))
        let scheduler = try shop.scheduler([job], try shop.state())
        try await shop.run(scheduler) {
            try await shop.eventually("three times came") {
                try await scheduler.history(of: "doubt", newest: 9).first?.skipped ?? 0 >= 2
            }
            let runs = try await scheduler.history(of: "doubt", newest: 9)
            #expect(runs.count == 1 && runs[0].outcome == .unknown)
            #expect(runs[0].detail.hasSuffix("its data ends with 2020-01-02"), "\(runs[0].detail)")
            #expect(await scheduler.status().first?.doubt != nil)
        }
        #expect(shop.lines("runs").isEmpty)
        #expect(shop.metrics.contains("opsd_job_status{job=\"doubt\",status=\"unknown\"} 1\n"))
    }

    // MARK: A daemon after another

    @Test func aRunThatIsStoppedWithTheDaemonIsMadeUpFor() async throws {
        let shop = try JobShop()
        let job = try shop.job(
            "slow", "echo run >> $DIR/runs; [ $(wc -l < $DIR/runs) = 1 ] && exec sleep 3333; true",
            every: .seconds(3))
        let first = try shop.scheduler([job], try shop.state())
        try await shop.run(first) {
            try await shop.eventually("it runs") { !shop.lines("runs").isEmpty }
        }
        let state = try shop.state()
        let stopped = try #require(await state.runs(of: "slow", newest: 1).first)
        #expect(stopped.outcome == .interrupted && stopped.detail == JobRun.daemonStopped)
        let second = try shop.scheduler([job], state)
        try await shop.run(second) {
            let runs = try await shop.ended(second, "slow", 2)
            #expect(runs.last { $0.instance != stopped.instance }?.outcome == .succeeded)
        }
    }

    /// The first scheduler is forgotten as if its daemon had been killed: it starts nothing any more.
    @Test func aRunThatOutlivesItsDaemonIsAdoptedAndItsEndIsUnknown() async throws {
        let shop = try JobShop()
        let body = """
            echo start >> $DIR/runs
            [ $(wc -l < $DIR/runs) = 1 ] && while [ ! -e $DIR/go ]; do sleep 0.02; done
            echo end >> $DIR/runs
            """
        let job = try shop.job("orphan", body, every: .seconds(1))
        let first = try shop.scheduler([job], try shop.state())
        let loop = Task { await first.run() }
        try await shop.eventually("it runs") { !shop.lines("runs").isEmpty }
        await first.die(loop)
        let second = try shop.scheduler([job], try shop.state())
        try await shop.run(second) {
            try await shop.eventually("it is adopted") {
                await second.status().first?.run?.skipped ?? 0 >= 2
            }
            #expect(shop.lines("runs") == ["start"])
            #expect(FileManager.default.createFile(atPath: shop.path("go"), contents: nil))
            let runs = try await shop.ended(second, "orphan", 3)
            let adopted = try #require(runs.last)
            #expect(
                adopted.outcome == .unknown && adopted.exitCode == nil && !adopted.wasNotStarted)
            let repeated = runs[runs.count - 2]
            #expect(repeated.outcome == .succeeded)
        }
        for (index, line) in shop.lines("runs").enumerated() {
            #expect(line == (index % 2 == 0 ? "start" : "end"))
        }
        await first.stopAll(within: .seconds(1))
    }

    /// With a disk that took no records, and a control.sqlite that opens late.
    @Test func aRunOfWhichNothingIsWrittenDownIsFoundAllTheSame() async throws {
        let shop = try JobShop()
        let job = try shop.job(
            "orphan", "echo start >> $DIR/runs; exec sleep 3336", every: .seconds(1))
        let first = try shop.scheduler([job])
        let loop = Task { await first.run() }
        try await shop.eventually("it runs") { !shop.lines("runs").isEmpty }
        await first.die(loop)
        let second = try shop.scheduler([job])
        try await shop.run(second) {
            try await shop.eventually("it is adopted") {
                await second.status().first?.run?.skipped ?? 0 >= 2
            }
            #expect(shop.lines("runs") == ["start"])
            let state = try shop.state()
            await second.write(to: state)
            let written = try await second.history(of: "orphan", newest: 9)
            #expect(written.count == 1 && written[0].ended == nil && written[0].isAlive)
        }
        // The end of the second daemon was the end of its runs.
        let after = try ControlState.readRuns(
            path: shop.path("control.sqlite"), of: "orphan", newest: 9)
        #expect(after.count == 1 && after[0].outcome == .interrupted)
        await first.stopAll(within: .seconds(1))
    }

    @Test func aRunThatEndedWithoutADaemonIsUnknownAndRepeated() async throws {
        let shop = try JobShop()
        let job = try shop.job(
            "lost", "echo run >> $DIR/runs; [ $(wc -l < $DIR/runs) = 1 ] && exec sleep 3334; true",
            every: .seconds(4))
        let first = try shop.scheduler([job], try shop.state())
        let loop = Task { await first.run() }
        try await shop.eventually("it runs") { !shop.lines("runs").isEmpty }
        await first.die(loop)
        let state = try shop.state()
        var run = try #require(await state.runs(of: "lost", newest: 1).first)
        // A process of another run of the machine is none of this one.
        run.bootID = "another"
        state.save(run)
        await state.flush()
        await first.stopAll(within: .seconds(1))
        let second = try shop.scheduler([job], state)
        try await shop.run(second) {
            let runs = try await shop.ended(second, "lost", 2)
            let lost = try #require(runs.last)
            #expect(lost.outcome == .unknown && lost.scheduled == run.scheduled)
            #expect(lost.detail.contains("no daemon ran"))
            #expect(runs[runs.count - 2].outcome == .succeeded)
        }
    }

    @Test func anotherConfigurationEndsWhatIsGoneAndLetsTheRestGoOn() async throws {
        let shop = try JobShop()
        let body = "echo run >> $DIR/N; exec sleep 3335"
        let (stays, goes) = (
            try shop.job("stays", body.replacing("N", with: "stays"), every: .seconds(86_400)),
            try shop.job("goes", body.replacing("N", with: "goes"), every: .seconds(86_400))
        )
        let state = try shop.state()
        let scheduler = try shop.scheduler([stays, goes], state)
        try await shop.run(scheduler) {
            _ = try await scheduler.start("stays")
            _ = try await scheduler.start("goes")
            try await shop.eventually("both run") {
                !shop.lines("stays").isEmpty && !shop.lines("goes").isEmpty
            }
            let pid = await scheduler.status().first?.run?.pid
            var changed = stays
            changed.schedule = .every(.seconds(3_600))
            await scheduler.apply([changed, try shop.job("comes", "echo run >> $DIR/comes")])
            try await shop.eventually("the new one runs") { !shop.lines("comes").isEmpty }
            try await shop.eventually("what is gone is forgotten") {
                await state.flush()
                return await state.runs(of: "goes", newest: 1).isEmpty
                    && !shop.metrics.contains("job=\"goes\"")
            }
            let status = await scheduler.status()
            #expect(status.map(\.name) == ["stays", "comes"])
            #expect(status[0].times == "every 1h; GMT" && status[0].run?.pid == pid)
        }
    }
}
