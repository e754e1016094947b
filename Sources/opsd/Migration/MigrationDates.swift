import Foundation
import Ledger

/// Which days a migration is about: whole days in the desk's time zone, by one field of the rows.
struct MigrationDates: Sendable, Equatable {
    /// `20260131`, as a number.
    typealias Day = Int

    private enum Kind: Equatable {
        case time
        /// A text or a number that is a day by itself.
        case day
    }

    let field: String
    private let index: Int
    private let kind: Kind
    private let from: Day?
    private let through: Day?
    private let calendar: Calendar

    /// Nil when no date is given.
    /// - Parameter field: by name; nil: the only time in the key, or the only one there is.
    init?(
        since: String?, until: String?, field name: String?, of schema: Schema, in zone: TimeZone
    ) throws(CommandFailure) {
        guard since != nil || until != nil else {
            if name == nil { return nil }
            throw CommandFailure(.badInput, "--date-field is for --since and --until")
        }
        index = try Self.index(name, schema)
        let found = schema.fields[index]
        (field, kind) = (found.name, found.type == .timestamp ? .time : .day)
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        self.calendar = calendar
        from = try since.map { text throws(CommandFailure) in
            try Self.given(text, "--since", calendar)
        }
        through = try until.map { text throws(CommandFailure) in
            try Self.given(text, "--until", calendar)
        }
        if let from, let through, from > through {
            throw CommandFailure(.badInput, "--since is after --until; both days are included")
        }
    }

    private static func index(
        _ name: String?, _ schema: Schema
    ) throws(CommandFailure) -> Int {
        let usable = schema.fields.filter { [.timestamp, .text, .integer].contains($0.type) }
        if let name {
            guard let index = schema.index(of: name), usable.contains(schema.fields[index]) else {
                throw CommandFailure(
                    .badInput,
                    "--date-field: \(schema.dataset) has no field '\(name)' that can be a day; there "
                        + "are \(usable.map(\.name).joined(separator: ", "))")
            }
            return index
        }
        let times = schema.fields.indices.filter { schema.fields[$0].type == .timestamp }
        let inKey = times.filter { $0 < schema.keyCount }
        if inKey.count == 1 { return inKey[0] }
        if times.count == 1 { return times[0] }
        throw CommandFailure(
            .badInput,
            "\(schema.dataset) has \(times.isEmpty ? "no field" : "several fields") of type timestamp: "
                + "say with --date-field which one the dates are of ("
                + usable.map(\.name).joined(separator: ", ") + ")")
    }

    private static func given(
        _ text: String, _ flag: String, _ calendar: Calendar
    ) throws(CommandFailure) -> Day {
        guard let day = day(text, calendar) else {
            throw CommandFailure(
                .badInput, "\(flag): '\(text)' is no day; write 2026-01-31 or 20260131")
        }
        return day
    }

    /// `2026-01-31`, `20260131` or `2026/01/31`, also with a time behind it.
    private static func day(_ text: String, _ calendar: Calendar) -> Day? {
        let head = text.prefix { $0 != " " && $0 != "T" }
        let parts = head.split(
            omittingEmptySubsequences: false, whereSeparator: { $0 == "-" || $0 == "/" })
        let digits = parts.joined()
        guard parts.count == 1 || parts.map(\.count) == [4, 2, 2], digits.utf8.count == 8,
            digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let day = Int(digits)
        else { return nil }
        let wanted = DateComponents(
            calendar: calendar, year: day / 10_000, month: day / 100 % 100, day: day % 100)
        return wanted.isValidDate ? day : nil
    }

    /// Whether a row is of these days; one without a date is of none.
    func contain(_ row: Row) throws(CommandFailure) -> Bool {
        let value = row.values[index]
        let day: Day?
        switch value {
        case .null: return false
        case .timestamp(let time):
            let date = Date(timeIntervalSince1970: Double(time.microseconds) / 1_000_000)
            let parts = calendar.dateComponents([.year, .month, .day], from: date)
            day = (parts.year ?? 0) * 10_000 + (parts.month ?? 0) * 100 + (parts.day ?? 0)
        case .integer(let number): day = Self.day(String(number), calendar)
        default: day = value.plainText.flatMap { Self.day($0, calendar) }
        }
        guard let day else {
            throw CommandFailure(
                .badInput,
                "\(field) of a row of \(row.dataset) is '\(value.plainText ?? "")', which is no day"
            )
        }
        return (from.map { $0 <= day } ?? true) && (through.map { day <= $0 } ?? true)
    }
}
