import Foundation
import Ledger
import Testing

@testable import Control

@Suite struct ExchangeCalendarTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "calendars")

    private func calendar(_ name: String) throws -> ExchangeCalendar {
        let file = Self.folder.appending(path: "\(name).csv")
        return try ExchangeCalendar(
            name: name, parsing: String(contentsOf: file, encoding: .utf8))
    }

    private func answer(
        _ calendar: ExchangeCalendar, _ state: CalendarState, _ time: String
    ) throws -> CalendarAnswer {
        calendar.answer(state, at: try #require(Timestamp(time)))
    }

    @Test func everyCalendarOfTheProductIsRead() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        #expect(files.sorted() == ["XHKG.csv", "XNYS.csv", "XSHE.csv", "XSHG.csv"])
        for (name, zone, sessions, last) in [
            ("XSHG", "Asia/Shanghai", 727, "2026-12-31"),
            ("XSHE", "Asia/Shanghai", 727, "2026-12-31"),
            ("XHKG", "Asia/Hong_Kong", 958, "2027-11-19"),
            ("XNYS", "America/New_York", 976, "2027-11-19"),
        ] {
            let calendar = try calendar(name)
            #expect(calendar.timeZone.identifier == zone)
            #expect(calendar.sessions.count == sessions)
            #expect(calendar.days.lowerBound.description == "2024-01-01")
            #expect(calendar.days.upperBound.description == last)
            // No exchange trades on a weekend.
            #expect(calendar.sessions.keys.allSatisfy { (1...5).contains($0.weekday) })
        }
    }

    @Test func shenzhenKeepsTheSessionsOfShanghai() throws {
        #expect(try calendar("XSHE").sessions == (try calendar("XSHG").sessions))
    }

    /// Shanghai trades from 9:30 to 11:30 and from 13:00 to 15:00, eight hours before UTC.
    @Test func openAndClosedChangeAtTheSecond() throws {
        let shanghai = try calendar("XSHG")
        for (time, isOpen) in [
            ("2026-11-20T01:29:59.999999Z", false), ("2026-11-20T01:30:00Z", true),
            ("2026-11-20T03:29:59Z", true), ("2026-11-20T03:30:00Z", false),
            ("2026-11-20T04:59:59Z", false), ("2026-11-20T05:00:00Z", true),
            ("2026-11-20T06:59:59Z", true), ("2026-11-20T07:00:00Z", false),
            // Saturday, and the national holiday.
            ("2026-11-21T02:00:00Z", false), ("2026-10-01T02:00:00Z", false),
        ] {
            #expect(try answer(shanghai, .open, time) == (isOpen ? .yes : .no), "\(time)")
            #expect(try answer(shanghai, .closed, time) == (isOpen ? .no : .yes), "\(time)")
        }
    }

    @Test func aDayIsTheExchangesOwn() throws {
        let newYork = try calendar("XNYS")
        // Friday evening in New York is Saturday in UTC.
        #expect(try answer(newYork, .tradingDay, "2026-11-21T04:00:00Z") == .yes)
        #expect(try answer(newYork, .nonTradingDay, "2026-11-21T06:00:00Z") == .yes)
        // Early close on the day after Thanksgiving; thirteen o'clock is eighteen in UTC.
        #expect(try answer(newYork, .open, "2026-11-27T17:59:59Z") == .yes)
        #expect(try answer(newYork, .open, "2026-11-27T18:00:00Z") == .no)
    }

    @Test func beyondItsDataNobodyKnows() throws {
        let shanghai = try calendar("XSHG")
        for state in CalendarState.allCases {
            #expect(
                try answer(shanghai, state, "2026-12-31T16:00:00Z")
                    == .unknown(
                        "calendar XSHG does not know 2027-01-01: its data ends with 2026-12-31"))
            #expect(
                try answer(shanghai, state, "2023-12-31T15:59:59Z")
                    == .unknown(
                        "calendar XSHG does not know 2023-12-31: its data begins with 2024-01-01"))
        }
        #expect(try answer(shanghai, .closed, "2026-12-31T15:59:59Z") == .yes)
        #expect(shanghai.end.description == "2026-12-31T16:00:00Z")
    }

    /// Whatever is asked, nothing changes before the change that it names.
    @Test func itNamesTheNextChange() throws {
        let newYork = try calendar("XNYS")
        for start in ["2026-03-06T00:00:00Z", "2026-10-30T00:00:00Z", "2026-11-26T00:00:00Z"] {
            var time = try #require(Timestamp(start))
            let end = time.advanced(bySeconds: 4 * 86_400)
            while time < end {
                let change = newYork.holdsUntil(after: time)
                #expect(change > time)
                let last = Timestamp(microseconds: change.microseconds - 1)
                for state in CalendarState.allCases {
                    #expect(newYork.answer(state, at: last) == newYork.answer(state, at: time))
                }
                time = change
            }
        }
    }

    static let refusals = [
        ("date,open", 1, 1, "the columns are not named"),
        ("# time_zone: Mars/Base\n", 1, 14, "there is no time zone 'Mars/Base'"),
        ("# from: 2026-13-01\n", 1, 9, "'2026-13-01' is no date"),
        ("X2026-11-20,09:30", 2, 1, "a day has five values, this line 2"),
        ("X2026-02-30,09:30,,,15:00", 2, 1, "'2026-02-30' is no date"),
        ("X2026-11-20,9:30,,,15:00", 2, 12, "'9:30' is no time"),
        ("X2026-11-20,09:30,,,24:00", 2, 20, "'24:00' is no time"),
        ("X2026-11-20,15:30,,,15:00", 2, 12, "these hours are no session"),
        ("X2026-11-20,09:30,11:30,,15:00", 2, 12, "these hours are no session"),
        (
            "X2026-11-20,09:30,,,15:00\n2026-11-20,09:30,,,15:00", 3, 1,
            "2026-11-20 does not come after 2026-11-20"
        ),
        ("X2026-11-20,09:30,,,15:00", 1, 1, "the time zone is missing"),
        ("# time_zone: UTC\nX", 3, 1, "there is no day"),
        (
            "# time_zone: UTC\n# to: 2026-11-19\nX2026-11-20,09:30,,,15:00", 1, 1,
            "a day lies outside of 'from' and 'to': the first is 2026-11-20, the last 2026-11-20"
        ),
    ]

    @Test(arguments: refusals)
    func whatIsWrongIsSaidWithItsPlace(
        text: String, line: Int, column: Int, problem: String
    ) throws {
        let columns = "date,open,break_start,break_end,close\n"
        let text = text.replacing("X", with: columns)
        let error = #expect(throws: CalendarFileError.self) {
            try ExchangeCalendar(name: "X", parsing: text)
        }
        let found = try #require(error)
        #expect(found.problem == problem)
        #expect((found.line, found.column) == (line, column))
    }
}
