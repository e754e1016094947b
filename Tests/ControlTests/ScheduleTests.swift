import Foundation
import Ledger
import TestSupport
import Testing

@testable import Control

@Suite struct ScheduleTests {
    private func zone(_ name: String) throws -> TimeZone {
        try #require(TimeZone(identifier: name))
    }

    private func times(
        _ text: String, _ zone: String, after start: String, count: Int
    ) throws -> [String] {
        let schedule = Schedule.cron(try CronExpression(text))
        let zone = try self.zone(zone)
        var time = try #require(Timestamp(start))
        return try (0..<count).map { _ in
            time = try #require(schedule.next(after: time, in: zone))
            return time.description
        }
    }

    @Test func aTimeIsReadOnTheClocksOfItsZone() throws {
        #expect(
            try times("0 3 * * *", "Asia/Shanghai", after: "2026-11-21T00:00:00Z", count: 2)
                == ["2026-11-21T19:00:00Z", "2026-11-22T19:00:00Z"])
        #expect(
            try times("0 3 * * *", "UTC", after: "2026-11-21T03:00:00Z", count: 1)
                == ["2026-11-22T03:00:00Z"])
        #expect(
            try times("0 3 * * *", "UTC", after: "2026-11-21T02:59:59.999999Z", count: 1)
                == ["2026-11-21T03:00:00Z"])
        #expect(
            try times("0 0 29 2 *", "UTC", after: "2026-11-21T00:00:00Z", count: 2)
                == ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"])
    }

    /// New York goes from 2:00 to 3:00 on 2026-03-08, and from 2:00 back to 1:00 on 2026-11-01.
    @Test func aTimeThatTheClocksSkipComesOnce() throws {
        #expect(
            try times("30 2 * * *", "America/New_York", after: "2026-03-07T12:00:00Z", count: 2)
                == ["2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z"])
        // It falls together with another of its times.
        #expect(
            try times("0 2,3 * * *", "America/New_York", after: "2026-03-08T05:00:00Z", count: 2)
                == ["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"])
        // Lord Howe goes from 2:00 to 2:30 on 2026-10-04.
        #expect(
            try times("15 * * * *", "Australia/Lord_Howe", after: "2026-10-03T14:50:00Z", count: 3)
                == ["2026-10-03T15:45:00Z", "2026-10-03T16:15:00Z", "2026-10-03T17:15:00Z"])
        // Samoa had no 30 December 2011 at all.
        #expect(
            try times("0 9 30 12 *", "Pacific/Apia", after: "2011-12-01T00:00:00Z", count: 2)
                == ["2011-12-30T19:00:00Z", "2012-12-29T19:00:00Z"])
    }

    @Test func aTimeThatTheClocksShowTwiceComesOnce() throws {
        #expect(
            try times("30 1 * * *", "America/New_York", after: "2026-10-31T12:00:00Z", count: 2)
                == ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"])
        #expect(
            try times("*/30 1-2 * * *", "America/New_York", after: "2026-11-01T04:00:00Z", count: 5)
                == [
                    "2026-11-01T05:00:00Z", "2026-11-01T05:30:00Z", "2026-11-01T07:00:00Z",
                    "2026-11-01T07:30:00Z", "2026-11-02T06:00:00Z",
                ])
    }

    @Test func whatNamesEachHourGoesOnWhileTheClocksAreSetBack() throws {
        #expect(
            try times("0 * * * *", "America/New_York", after: "2026-11-01T04:30:00Z", count: 3)
                == ["2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"])
        #expect(
            try times("45 * * * *", "Australia/Lord_Howe", after: "2026-04-04T14:00:00Z", count: 3)
                == ["2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z", "2026-04-04T16:15:00Z"])
    }

    @Test func everySoOftenIsCountedFromMidnight() throws {
        let schedule = Schedule.every(.seconds(600))
        let start = try #require(Timestamp("2026-11-21T09:31:07.5Z"))
        let first = try #require(schedule.next(after: start, in: .gmt))
        #expect(first.description == "2026-11-21T09:40:00Z")
        #expect(schedule.next(after: first, in: .gmt)?.description == "2026-11-21T09:50:00Z")
        #expect(
            schedule.next(after: Timestamp(microseconds: -1), in: .gmt)?.microseconds == 0)
        #expect("\(schedule)" == "every 10m" && "\(Schedule.every(.seconds(90)))" == "every 90s")
    }

    // MARK: Against an oracle

    /// The clocks of one place over 400 days, a minute at a time, by nothing but what they show.
    private struct Clocks {
        static let start: Int64 = 1_767_225_600  // 2026-01-01T00:00:00Z
        static let minutes = 400 * 1_440
        /// Of each minute: what the clocks show, as minutes since 1970, and whether they showed it before.
        var shown: [Int64] = []
        var isAgain: [Bool] = []
        /// What the clocks skip, with the minute at which it would have been.
        var skipped: [(minute: Int, shown: Int64)] = []

        init(_ zone: TimeZone) {
            var highest = Int64.min
            var offset: Int64 = 0
            for minute in 0..<Self.minutes {
                let second = Self.start + Int64(minute) * 60
                // No place changes its clocks but at a quarter of an hour.
                if minute % 15 == 0 {
                    let date = Date(timeIntervalSince1970: Double(second))
                    offset = Int64(zone.secondsFromGMT(for: date))
                }
                let local = (second + offset) / 60
                if let last = shown.last, local > last + 1 {
                    for lost in (last + 1)..<local {
                        skipped.append((minute + Int(lost - last - 1), lost))
                    }
                }
                shown.append(local)
                isAgain.append(local <= highest)
                highest = max(highest, local)
            }
        }

        /// All the instants of an expression, as minutes since the start.
        func times(_ expression: CronExpression) -> [Int] {
            var isMinute = [Bool](repeating: false, count: 1_440)
            for hour in expression.hours {
                for minute in expression.minutes { isMinute[hour * 60 + minute] = true }
            }
            let firstDay = (shown[0] / 1_440) - 1
            let isDay = (firstDay...(firstDay + 405)).map {
                expression.includes(CivilDate(daysSince1970: $0))
            }
            func matches(_ local: Int64) -> Bool {
                isDay[Int(local / 1_440 - firstDay)] && isMinute[Int(local % 1_440)]
            }
            let whole = expression.hours.count == 24
            var times: [Int] = []
            for minute in shown.indices where matches(shown[minute]) {
                if whole || !isAgain[minute] { times.append(minute) }
            }
            times += skipped.filter { matches($0.shown) }.map(\.minute)
            return Set(times).sorted()
        }
    }

    private static func expression(_ random: inout some RandomNumberGenerator) -> String {
        func field(_ range: ClosedRange<Int>, star: Int) -> String {
            let (one, two) = (
                Int.random(in: range, using: &random), Int.random(in: range, using: &random)
            )
            switch Int.random(in: 0..<10, using: &random) {
            case ..<star: return "*"
            case ..<(star + 1): return "*/\(Int.random(in: 1...range.upperBound, using: &random))"
            case ..<(star + 2): return "\(min(one, two))-\(max(one, two))"
            case ..<(star + 3): return "\(one),\(two)"
            default: return "\(one)"
            }
        }
        // Hours near the changes of clocks, more often than not.
        let hours = Bool.random(using: &random) ? field(0...3, star: 2) : field(0...23, star: 4)
        return [
            field(0...59, star: 1), hours, field(1...31, star: 7), field(1...12, star: 7),
            field(0...7, star: 7),
        ].joined(separator: " ")
    }

    @Test(
        .timeLimit(.minutes(5)),
        arguments: ["America/New_York", "Europe/London", "Asia/Shanghai", "Australia/Lord_Howe"])
    func theNextTimeIsWhatTheClocksShowMinuteByMinute(_ name: String) throws {
        let zone = try zone(name)
        let clocks = Clocks(zone)
        var random = SeededGenerator(seed: 30)
        var compared = 0
        while compared < 40 {
            let text = Self.expression(&random)
            // A day that no month has.
            guard let expression = try? CronExpression(text) else { continue }
            let expected = clocks.times(expression)
            guard expected.count > 1 else { continue }
            compared += 1
            let picks = expected.count > 60 ? [0, expected.count / 2] : [0]
            for pick in picks {
                var time = Timestamp(
                    microseconds: (Clocks.start + Int64(expected[pick]) * 60) * 1_000_000)
                for minute in expected[(pick + 1)...].prefix(20) {
                    let next = try #require(Schedule.cron(expression).next(after: time, in: zone))
                    let wanted = (Clocks.start + Int64(minute) * 60) * 1_000_000
                    guard next.microseconds == wanted else {
                        Issue.record(
                            "\(text) in \(name) after \(time): \(next), not \(Timestamp(microseconds: wanted))"
                        )
                        return
                    }
                    time = next
                }
            }
            // Around each change of the clocks, whatever lies there.
            for change in clocks.skipped.map(\.minute).prefix(1)
                + clocks.isAgain.indices.filter({ clocks.isAgain[$0] }).prefix(1)
            {
                let start = change - 180
                let time = Timestamp(microseconds: (Clocks.start + Int64(start) * 60) * 1_000_000)
                guard let minute = expected.first(where: { $0 > start }) else { continue }
                let next = Schedule.cron(expression).next(after: time, in: zone)
                #expect(
                    next?.microseconds == (Clocks.start + Int64(minute) * 60) * 1_000_000,
                    "\(text) in \(name) after \(time)")
            }
        }
    }
}
