import Foundation
import Ledger
import Testing

@testable import Control

@Suite struct JobTimetableTests {
    private static func time(_ text: String) throws -> Timestamp {
        try #require(Timestamp("2026-11-20T\(text)Z"))
    }

    private static func job(
        _ schedule: Schedule, only condition: CalendarCondition? = nil,
        overlap: JobOverlap = .skip, catchUp: Duration = .seconds(86_400), jitter: Duration = .zero
    ) -> JobSpecification {
        JobSpecification(
            name: "nightly", executable: "true", schedule: schedule, condition: condition,
            overlap: overlap, catchUp: catchUp, jitter: jitter, logFile: "x")
    }

    private static let tenMinutes = Schedule.every(.seconds(600))

    /// Shanghai's calendar, of one day and a half.
    private static func shanghai(_ state: CalendarState) throws -> CalendarCondition {
        let text = """
            # time_zone: Asia/Shanghai
            # to: 2026-11-21
            date,open,break_start,break_end,close
            2026-11-20,09:30,11:30,13:00,15:00
            """
        return CalendarCondition(
            calendar: try ExchangeCalendar(name: "XSHG", parsing: text), state: state)
    }

    private func start(
        _ text: String, _ trigger: JobTrigger = .schedule
    ) throws -> JobTimetable.Decision {
        .start(JobTimetable.Due(time: try Self.time(text), trigger: trigger))
    }

    @Test func aTimeStartsOneRun() throws {
        var table = JobTimetable(
            Self.job(Self.tenMinutes), consideredUntil: try Self.time("09:01:00"))
        #expect(table.wakesAt == (try Self.time("09:10:00")))
        #expect(table.decide(now: try Self.time("09:09:59")) == nil)
        #expect(table.decide(now: try Self.time("09:10:00")) == (try start("09:10:00")))
        #expect(table.end() == nil)
        #expect(table.decide(now: try Self.time("09:10:01")) == nil)
        #expect(table.wakesAt == (try Self.time("09:20:00")))
        // A little late is in time.
        #expect(table.decide(now: try Self.time("09:20:59")) == (try start("09:20:00")))
    }

    @Test func ofSeveralTimesThatPassedTheNewestIsMadeUpForOnce() throws {
        var table = JobTimetable(
            Self.job(Self.tenMinutes), consideredUntil: try Self.time("05:00:00"))
        #expect(table.decide(now: try Self.time("09:17:00")) == (try start("09:10:00", .catchUp)))
        #expect(table.end() == nil)
        #expect(table.decide(now: try Self.time("09:19:59")) == nil)
        #expect(table.decide(now: try Self.time("09:20:00")) == (try start("09:20:00")))
    }

    @Test func whatIsTooOldIsMissedAndSaid() throws {
        let five = Schedule.cron(try CronExpression("0 5 * * *"))
        var table = JobTimetable(
            Self.job(five, catchUp: .seconds(3_600)), consideredUntil: try Self.time("04:00:00"))
        #expect(table.decide(now: try Self.time("06:00:01")) == .missed(try Self.time("05:00:00")))
        #expect(table.decide(now: try Self.time("06:00:02")) == nil)
        var silent = JobTimetable(
            Self.job(five, catchUp: .zero), consideredUntil: try Self.time("04:00:00"))
        #expect(silent.decide(now: try Self.time("06:00:01")) == nil)
        // Without any making up a start may still be a little late.
        silent = JobTimetable(
            Self.job(five, catchUp: .zero), consideredUntil: try Self.time("04:00:00"))
        #expect(silent.decide(now: try Self.time("05:00:59")) == (try start("05:00:00")))
    }

    @Test func aTimeThatComesWhileItRunsIsSkippedOrWaits() throws {
        var skipping = JobTimetable(
            Self.job(Self.tenMinutes), consideredUntil: try Self.time("09:00:00"))
        var queueing = JobTimetable(
            Self.job(Self.tenMinutes, overlap: .queue), consideredUntil: try Self.time("09:00:00"))
        _ = skipping.decide(now: try Self.time("09:10:00"))
        _ = queueing.decide(now: try Self.time("09:10:00"))
        for time in ["09:20:00", "09:30:00"] {
            #expect(skipping.decide(now: try Self.time(time)) == .skip(try Self.time(time)))
            #expect(queueing.decide(now: try Self.time(time)) == nil)
        }
        #expect(skipping.end() == nil)
        #expect(queueing.end() == (try start("09:30:00")))
        #expect(queueing.end() == nil)
        // What a person starts counts as a run too, and nothing is started by hand beside one.
        let (first, second) = (skipping.startByHand(), skipping.startByHand())
        #expect(first && !second)
        #expect(skipping.decide(now: try Self.time("09:40:00")) == .skip(try Self.time("09:40:00")))
    }

    @Test func aRunOfUnknownEndIsRepeatedOnceWhenItIsNotTooOld() throws {
        let five = Schedule.cron(try CronExpression("0 5 * * *"))
        var table = JobTimetable(
            Self.job(five, catchUp: .seconds(3_600)), consideredUntil: try Self.time("05:00:00"))
        table.adopt()
        #expect(table.decide(now: try Self.time("05:30:00")) == nil)
        #expect(table.end(repeating: try Self.time("05:00:00")) == nil)
        #expect(try #require(table.wakesAt) <= (try Self.time("05:30:00")))
        #expect(table.decide(now: try Self.time("05:30:00")) == (try start("05:00:00", .catchUp)))
        #expect(table.end() == nil)
        #expect(table.decide(now: try Self.time("05:40:00")) == nil)
        #expect(table.end(repeating: try Self.time("05:00:00")) == nil)
        #expect(table.decide(now: try Self.time("06:00:01")) == nil)
        // A newer time stands for it.
        #expect(table.end(repeating: try Self.time("05:00:00")) == nil)
        let tomorrow = try #require(Timestamp("2026-11-21T05:00:00Z"))
        #expect(
            table.decide(now: tomorrow)
                == .start(JobTimetable.Due(time: tomorrow, trigger: .schedule)))
        _ = table.end()
        #expect(table.decide(now: tomorrow.advanced(bySeconds: 60)) == nil)
    }

    @Test func aClockThatIsSetBackRepeatsNothingUnlessItWasFarAhead() throws {
        var table = JobTimetable(
            Self.job(Self.tenMinutes), consideredUntil: try Self.time("09:00:00"))
        _ = table.decide(now: try Self.time("09:10:00"))
        _ = table.end()
        #expect(table.decide(now: try Self.time("08:55:00")) == nil)
        #expect(table.decide(now: try Self.time("09:10:00")) == nil)
        // Somebody had set it to a wrong day: the job does not wait for that one.
        #expect(table.decide(now: try Self.time("05:05:00")) == nil)
        #expect(table.decide(now: try Self.time("05:10:00")) == (try start("05:10:00")))
    }

    @Test func aCalendarTakesTimesAway() throws {
        let job = Self.job(Self.tenMinutes, only: try Self.shanghai(.open))
        var table = JobTimetable(job, consideredUntil: try Self.time("00:00:00"))
        #expect(table.next(after: try Self.time("00:00:00"))?.time == (try Self.time("01:30:00")))
        #expect(table.next(after: try Self.time("03:20:00"))?.time == (try Self.time("05:00:00")))
        #expect(table.decide(now: try Self.time("01:20:00")) == nil)
        #expect(table.decide(now: try Self.time("01:30:00")) == (try start("01:30:00")))
        _ = table.end()
        // The newest that it left is made up for, although it is closed by now.
        #expect(table.decide(now: try Self.time("04:30:00")) == (try start("03:20:00", .catchUp)))
    }

    @Test func whatTheCalendarDoesNotKnowIsNeitherRunNorPassedOverInSilence() throws {
        let job = Self.job(
            .cron(try CronExpression("0 18 * * *")), only: try Self.shanghai(.nonTradingDay))
        var table = JobTimetable(job, consideredUntil: try Self.time("09:00:00"))
        let saturday = try #require(Timestamp("2026-11-20T18:00:00Z"))
        #expect(table.next(after: try Self.time("09:00:00"))?.time == saturday)
        #expect(
            table.decide(now: saturday)
                == .start(JobTimetable.Due(time: saturday, trigger: .schedule)))
        _ = table.end()
        let sunday = saturday.advanced(bySeconds: 86_400)
        let reason = "calendar XSHG does not know 2026-11-22: its data ends with 2026-11-21"
        #expect(table.next(after: saturday) == JobTimetable.Time(time: sunday, doubt: reason))
        #expect(table.decide(now: sunday) == .cannotTell(sunday, reason: reason))
        #expect(table.decide(now: sunday.advanced(bySeconds: 1)) == nil)
    }

    @Test func jitterIsAPartOfItThatTheNameDecides() throws {
        var job = Self.job(Self.tenMinutes, jitter: .seconds(300))
        let delay = job.delay
        #expect(delay >= .zero && delay < .seconds(300))
        #expect(job.delay == delay)
        var others: Set<Duration> = [delay]
        for number in 1...20 {
            job.name = "job-\(number)"
            others.insert(job.delay)
        }
        #expect(others.count > 15)
        job.name = "nightly"
        var table = JobTimetable(job, consideredUntil: try Self.time("09:01:00"))
        let due = try Self.time("09:10:00").advanced(by: delay)
        #expect(table.wakesAt == due)
        #expect(table.decide(now: Timestamp(microseconds: due.microseconds - 1)) == nil)
        #expect(table.decide(now: due) == (try start("09:10:00")))
    }

    /// What is considered already lies ahead of a clock that is set back by the jitter.
    @Test func aJitterThatIsAddedRunsNothingTwice() throws {
        let nightly = Schedule.cron(try CronExpression("0 3 * * *"))
        var table = JobTimetable(
            Self.job(nightly), consideredUntil: try Self.time("02:00:00"))
        #expect(table.decide(now: try Self.time("03:00:00")) == (try start("03:00:00")))
        _ = table.end()
        #expect(table.decide(now: try Self.time("04:00:00")) == nil)
        let later = Self.job(nightly, jitter: .seconds(86_400))
        try #require(later.delay > .seconds(3_700))
        let now = try Self.time("04:00:01")
        table = table.replaced(by: later, now: now)
        for minutes in 0..<1_000 {
            #expect(table.decide(now: now.advanced(bySeconds: Int64(minutes * 60))) == nil)
        }
    }

    @Test func timesBeforeAChangeOfTheScheduleWereNotThisJobs() throws {
        let now = try Self.time("10:00:00")
        let table = JobTimetable(
            Self.job(.cron(try CronExpression("0 3 * * *"))),
            consideredUntil: try Self.time("03:00:00"))
        var changed = table.replaced(
            by: Self.job(.cron(try CronExpression("0 9 * * *"))), now: now)
        #expect(changed.decide(now: now) == nil)
        // A change of anything else forgets nothing.
        var alike = table.replaced(
            by: Self.job(.cron(try CronExpression("0 3 * * *")), overlap: .queue), now: now)
        #expect(alike.consideredUntil == table.consideredUntil)
        #expect(alike.decide(now: now) == nil)
    }

    @Test func twoTimesWithoutADoneRunAreOverdue() throws {
        let table = JobTimetable(
            Self.job(Self.tenMinutes), consideredUntil: try Self.time("09:00:00"))
        let done = try Self.time("09:03:00")
        #expect(!table.isOverdue(lastDone: done, now: try Self.time("09:21:00")))
        #expect(table.isOverdue(lastDone: done, now: try Self.time("09:21:01")))
        let open = JobTimetable(
            Self.job(Self.tenMinutes, only: try Self.shanghai(.open)),
            consideredUntil: try Self.time("03:20:00"))
        // Its break is nobody's fault.
        #expect(
            !open.isOverdue(lastDone: try Self.time("03:25:00"), now: try Self.time("05:05:00")))
    }

    /// Days of seconds are not counted through.
    @Test func aLongAbsenceIsQuicklyLookedThrough() throws {
        let job = Self.job(.every(.seconds(1)), only: try Self.shanghai(.open))
        var table = JobTimetable(
            job, consideredUntil: try #require(Timestamp("2026-11-19T17:00:00Z")))
        let start = ContinuousClock.now
        let saturday = try #require(Timestamp("2026-11-21T06:00:00Z"))
        #expect(
            table.decide(now: saturday)
                == .start(
                    JobTimetable.Due(
                        time: try Self.time("06:59:59"), trigger: .catchUp)))
        #expect(start.duration(to: .now) < .seconds(5))
    }
}
