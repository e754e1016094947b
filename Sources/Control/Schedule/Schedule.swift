public import Foundation
public import Ledger

/// When something is to happen, again and again. A pure value.
public enum Schedule: Sendable, Hashable, CustomStringConvertible {
    case cron(CronExpression)
    /// Whole multiples of it since midnight UTC of 1970-01-01, so that a restart does not shift it.
    case every(Duration)

    /// The first time after another one; nil when there is none within the next fifty years.
    public func next(after time: Timestamp, in zone: TimeZone) -> Timestamp? {
        switch self {
        case .every(let period):
            let length = max(1, period.microseconds)
            let (quotient, rest) = time.microseconds.quotientAndRemainder(dividingBy: length)
            let (next, overflow) = (rest < 0 ? quotient : quotient + 1)
                .multipliedReportingOverflow(by: length)
            return overflow ? nil : Timestamp(microseconds: next)
        case .cron(let expression):
            return LocalClock(zone: zone).next(of: expression, afterSecond: time.seconds)
                .map { Timestamp(microseconds: $0 * 1_000_000) }
        }
    }

    public var description: String {
        switch self {
        case .cron(let expression): expression.description
        case .every(let period):
            Self.units.first { period.microseconds % $0.microseconds == 0 }
                .map { "every \(period.microseconds / $0.microseconds)\($0.name)" }
                ?? "every \(period)"
        }
    }

    private static let units: [(name: String, microseconds: Int64)] = [
        ("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000),
        ("ms", 1_000),
    ]
}

extension Duration {
    var microseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }
}

/// The times of a cron expression on the clocks of one place.
///
/// A local time is read with the offset that held before the clocks were changed. So a time that they
/// skip comes once, as long after the change as it would have been without it, and one that they show
/// twice comes the first time only. An expression that names every hour comes both times.
struct LocalClock {
    let zone: TimeZone

    private static let secondsPerDay: Int64 = 86_400
    private static let daysMax: Int64 = 366 * 50

    func next(of expression: CronExpression, afterSecond second: Int64) -> Int64? {
        let today = CivilDate(ofSeconds: second + offset(at: second)).daysSince1970
        var found: Int64?
        // Yesterday, because a time that the clocks skipped may come after midnight.
        for day in (today - 1)...(today + Self.daysMax) {
            guard expression.includes(CivilDate(daysSince1970: day)) else {
                if let found { return found }
                continue
            }
            let time = first(of: expression, on: day, afterSecond: second)
            // The day after may have an earlier one, for the same reason.
            if let found { return min(found, time ?? found) }
            found = time
        }
        return found
    }

    private func first(
        of expression: CronExpression, on day: Int64, afterSecond second: Int64
    ) -> Int64? {
        let midnight = day * Self.secondsPerDay
        let before = offset(at: midnight - Self.secondsPerDay)
        let isPlain = before == offset(at: midnight + 2 * Self.secondsPerDay)
        if isPlain, midnight + Self.secondsPerDay - before <= second { return nil }
        var found: Int64?
        for hour in expression.hours {
            for minute in expression.minutes {
                let local = midnight + Int64(hour) * 3_600 + Int64(minute) * 60
                if isPlain {
                    if local - before > second { return local - before }
                    continue
                }
                for time in instants(of: local, twice: expression.isEachHour)
                where time > second && time < found ?? .max { found = time }
            }
        }
        return found
    }

    /// - Parameter local: seconds as if the place had UTC.
    /// - Parameter twice: whether a time that the clocks show twice counts both times.
    private func instants(of local: Int64, twice: Bool) -> [Int64] {
        // No place is further than this from UTC, nor changes its clocks twice within such a time.
        let before = offset(at: local - Self.secondsPerDay)
        let behind = offset(at: local + Self.secondsPerDay)
        let (early, late) = (local - before, local - behind)
        let (isEarly, isLate) = (offset(at: early) == before, offset(at: late) == behind)
        if isEarly, isLate, early != late, twice { return [early, late] }
        return isEarly || !isLate ? [early] : [late]
    }

    func offset(at second: Int64) -> Int64 {
        Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(second))))
    }
}
