import Ledger
import Testing

@testable import Control

@Suite struct CronTests {
    private func days(_ text: String, of month: String) throws -> [Int64] {
        let expression = try CronExpression(text)
        let first = try #require(CivilDate("\(month)-01"))
        return (0..<31).map { CivilDate(daysSince1970: first.daysSince1970 + $0) }
            .filter { $0.components.month == first.components.month && expression.includes($0) }
            .map(\.components.day)
    }

    @Test func fieldsAreListsRangesAndSteps() throws {
        let expression = try CronExpression("5,10-12,*/20 0-23/8 * * *")
        #expect(expression.minutes == [0, 5, 10, 11, 12, 20, 40])
        #expect(expression.hours == [0, 8, 16])
        #expect(try CronExpression("10-30/7 * * * *").minutes == [10, 17, 24])
        #expect(try CronExpression("\t7   8 * *  *").hours == [8])
    }

    /// November 2026 begins on a Sunday.
    @Test func daysOfMonthAndWeek() throws {
        #expect(try days("0 0 10,20-22 * *", of: "2026-11") == [10, 20, 21, 22])
        #expect(try days("0 0 * * mon", of: "2026-11") == [2, 9, 16, 23, 30])
        #expect(try days("0 0 * * 0", of: "2026-11") == (try days("0 0 * * 7", of: "2026-11")))
        #expect(try days("0 0 * * 5-7", of: "2026-11").prefix(4) == [1, 6, 7, 8])
        #expect(try days("0 0 * * FRI-sat", of: "2026-11").prefix(4) == [6, 7, 13, 14])
        #expect(try days("0 0 1 Jan,nov *", of: "2026-11") == [1])
        #expect(try days("0 0 1 1-10 *", of: "2026-11") == [])
        // Both restricted: either is enough. One that begins with a star restricts nothing.
        #expect(try days("0 0 13 * fri", of: "2026-11") == [6, 13, 20, 27])
        #expect(try days("0 0 15 * fri", of: "2026-11") == [6, 13, 15, 20, 27])
        #expect(try days("0 0 */2 * mon", of: "2026-11") == [9, 23])
        #expect(try days("0 0 29 2 *", of: "2028-02") == [29])
    }

    @Test func nicknames() throws {
        for (name, fields) in [
            ("@hourly", "0 * * * *"), ("@Daily", "0 0 * * *"), ("@weekly", "0 0 * * 0"),
            ("@monthly", "0 0 1 * *"), ("@yearly", "0 0 1 1 *"),
        ] {
            let (left, right) = (try CronExpression(name), try CronExpression(fields))
            #expect(left.minutes == right.minutes && left.hours == right.hours)
            let date = try #require(CivilDate("2026-11-01"))
            #expect(left.includes(date) == right.includes(date), "\(name)")
        }
    }

    static let refusals = [
        (
            "",
            "character 1: a schedule has five fields (minute, hour, day, month, weekday), this one 0; write one such as '30 3 * * mon-fri'"
        ),
        (
            "0 3 * *",
            "character 8: a schedule has five fields (minute, hour, day, month, weekday), this one 4; write one such as '30 3 * * mon-fri'"
        ),
        (
            "0 0 3 * * *",
            "character 11: a schedule has five fields (minute, hour, day, month, weekday), this one 6; write one such as '30 3 * * mon-fri'"
        ),
        ("60 3 * * *", "character 1: minute: there is no '60'; write 0 to 59"),
        ("0 24 * * *", "character 3: hour: there is no '24'; write 0 to 23"),
        ("0 3 0 * *", "character 5: day of the month: there is no '0'; write 1 to 31"),
        ("0 3 * 13 *", "character 7: month: there is no '13'; write 1 to 12, or jan to dec"),
        ("0 3 * * 8", "character 9: day of the week: there is no '8'; write 0 to 7, or sun to sat"),
        (
            "0 3 * * fri-mon",
            "character 9: day of the week: the range 'fri-mon' runs backwards; write fri-7,0-mon"
        ),
        (
            "0 3 * monday *",
            "character 7: month: there is no 'monday'; write 1 to 12, or jan to dec"
        ),
        ("1,,2 3 * * *", "character 3: minute: a value is missing; write 0 to 59"),
        ("1,5-70 3 * * *", "character 5: minute: there is no '70'; write 0 to 59"),
        (
            "5/10 * * * *",
            "character 1: minute: '5/10' has a step, but '5' is no range; write 5-59/10 or */10"
        ),
        ("*/0 * * * *", "character 3: minute: '0' is no step; write a number from 1 to 59"),
        ("+5 * * * *", "character 1: minute: there is no '+5'; write 0 to 59"),
        (
            "0 0 31 2,4 *",
            "character 5: this time never comes: no such month has such a day; write a day up to 30"
        ),
        (
            "@often",
            "character 1: '@often' is no schedule; write five fields, or one of @annually, @daily, @hourly, @midnight, @monthly, @weekly, @yearly"
        ),
        (
            "@reboot",
            "character 1: '@reboot' is no schedule; write five fields, or one of @annually, @daily, @hourly, @midnight, @monthly, @weekly, @yearly"
        ),
    ]

    @Test(arguments: refusals) func whatIsWrongIsSaidWithItsPlace(text: String, says: String) {
        #expect { try CronExpression(text) } throws: { "\($0)" == says }
    }
}
