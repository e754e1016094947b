/// A day of the Gregorian calendar, also before that was in use; without a time and without a zone.
public struct CivilDate: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let daysSince1970: Int64

    public init(daysSince1970: Int64) {
        self.daysSince1970 = daysSince1970
    }

    /// Nil when the month has no such day.
    public init?(year: Int64, month: Int64, day: Int64) {
        guard let days = Calendar.day(year: year, month: month, day: day) else { return nil }
        daysSince1970 = days
    }

    /// Reads `2026-11-21`; nil for anything else.
    public init?(_ text: some StringProtocol) {
        guard text.utf8.count == 10, let midnight = Timestamp("\(text)T00:00:00Z") else {
            return nil
        }
        self.init(ofSeconds: midnight.seconds)
    }

    /// The day that a count of seconds since 1970 lies in.
    public init(ofSeconds seconds: Int64) {
        daysSince1970 = Calendar.floorDivide(seconds, 86_400)
    }

    public var components: (year: Int64, month: Int64, day: Int64) {
        Calendar.date(ofDay: daysSince1970)
    }

    /// 0 is Sunday, as cron counts.
    public var weekday: Int {
        // 1970 began on a Thursday.
        Int((daysSince1970 % 7 + 7 + 4) % 7)
    }

    /// `2026-11-21`.
    public var description: String {
        let seconds = Timestamp(microseconds: daysSince1970 * Calendar.microsecondsPerDay)
        return String(seconds.description.prefix { $0 != "T" })
    }

    public static func < (left: CivilDate, right: CivilDate) -> Bool {
        left.daysSince1970 < right.daysSince1970
    }
}
