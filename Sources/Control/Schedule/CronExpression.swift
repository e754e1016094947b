internal import Ledger

/// Five fields as cron reads them: minute, hour, day of the month, month, day of the week. Each is `*`,
/// a value, a range, a step of one of these (`*/15`, `10-20/2`), or a list. Months and days of the week
/// have names of three letters. Where both kinds of day are restricted, either is enough; a field that
/// begins with `*` restricts nothing in this sense, so `*/2` and a day of the week must both hold.
///
/// A pure value: which instants these are is said by a `LocalClock`.
public struct CronExpression: Sendable, Hashable, CustomStringConvertible {
    let minutes: [Int]
    let hours: [Int]
    private let days: Set<Int>
    private let months: Set<Int>
    /// Sunday is 0.
    private let weekdays: Set<Int>
    private let isEitherDayEnough: Bool
    /// As it was written.
    public let description: String

    private static let nicknames = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
        "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
    ]

    public init(_ text: String) throws(ScheduleError) {
        let fields = Self.fields(Self.nicknames[text.lowercased()] ?? text)
        if text.hasPrefix("@"), fields.count == 1 {
            throw ScheduleError(
                at: 0, "'\(text)' is no schedule",
                "write five fields, or one of \(Self.nicknames.keys.sorted().joined(separator: ", "))"
            )
        }
        guard fields.count == 5 else {
            throw ScheduleError(
                at: fields.count > 5 ? fields[5].offset : text.unicodeScalars.count,
                "a schedule has five fields (minute, hour, day, month, weekday), this one "
                    + "\(fields.count)",
                "write one such as '30 3 * * mon-fri'")
        }
        minutes = try CronField.minute.parse(fields[0].text, at: fields[0].offset).sorted()
        hours = try CronField.hour.parse(fields[1].text, at: fields[1].offset).sorted()
        days = try CronField.day.parse(fields[2].text, at: fields[2].offset)
        months = try CronField.month.parse(fields[3].text, at: fields[3].offset)
        weekdays = Set(
            try CronField.weekday.parse(fields[4].text, at: fields[4].offset).map { $0 % 7 })
        isEitherDayEnough = !fields[2].text.hasPrefix("*") && !fields[4].text.hasPrefix("*")
        description = text
        let longest = months.map(Self.lengthOfMonth).max() ?? 0
        if !isEitherDayEnough, days.allSatisfy({ $0 > longest }) {
            throw ScheduleError(
                at: fields[2].offset, "this time never comes: no such month has such a day",
                "write a day up to \(longest)")
        }
    }

    /// Whether every hour is named. Then the schedule is one of elapsed time, which does not stand still
    /// while the clocks are set back.
    var isEachHour: Bool { hours.count == 24 }

    func includes(_ date: CivilDate) -> Bool {
        let (_, month, day) = date.components
        guard months.contains(Int(month)) else { return false }
        let isDay = days.contains(Int(day))
        let isWeekday = weekdays.contains(date.weekday)
        return isEitherDayEnough ? isDay || isWeekday : isDay && isWeekday
    }

    private static func fields(_ text: String) -> [(text: Substring, offset: Int)] {
        text.split { $0 == " " || $0 == "\t" }.map { field in
            (field, text.unicodeScalars.distance(from: text.startIndex, to: field.startIndex))
        }
    }

    private static func lengthOfMonth(_ month: Int) -> Int {
        switch month {
        case 2: 29
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
