// The text of a calendar: docs/CALENDARS.md describes it.

internal import Foundation
internal import Ledger

/// What is wrong in a calendar's text, and where. Lines and columns count from 1.
public struct CalendarFileError: Error, Equatable {
    public let line: Int
    public let column: Int
    public let problem: String
    public let remedy: String
}

extension ExchangeCalendar {
    /// Reads a calendar, and refuses at the first thing that is wrong.
    public init(name: String, parsing text: String) throws(CalendarFileError) {
        var reader = CalendarReader()
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let line = line.hasSuffix("\r") ? line.dropLast() : line
            if line.isEmpty { continue }
            try reader.read(line, number: index + 1)
        }
        self = try reader.calendar(name, lineCount: lines.count)
    }
}

private struct CalendarReader {
    static let columns = "date,open,break_start,break_end,close"

    var zone: TimeZone?
    var first: CivilDate?
    var last: CivilDate?
    var hasColumns = false
    var sessions: [CivilDate: ExchangeCalendar.Session] = [:]
    var dates: ClosedRange<CivilDate>?

    mutating func read(_ line: Substring, number: Int) throws(CalendarFileError) {
        if line.hasPrefix("#") { return try readHead(line, number) }
        guard hasColumns else {
            guard line == Self.columns else {
                throw CalendarFileError(
                    line: number, column: 1, problem: "the columns are not named",
                    remedy: "write '\(Self.columns)' before the first day")
            }
            return hasColumns = true
        }
        try readDay(line, number)
    }

    /// `# time_zone: Asia/Shanghai`, `# from: 2024-01-01`, `# to: 2026-12-31`; other lines that begin
    /// with `#` are remarks.
    private mutating func readHead(_ line: Substring, _ number: Int) throws(CalendarFileError) {
        let parts = line.dropFirst().split(separator: ":", maxSplits: 1).map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        guard parts.count == 2, ["time_zone", "from", "to"].contains(parts[0]) else { return }
        let column = line.count - parts[1].count + 1
        if parts[0] == "time_zone" {
            zone =
                TimeZone.knownTimeZoneIdentifiers.contains(parts[1])
                ? TimeZone(identifier: parts[1]) : parts[1] == "UTC" ? .gmt : nil
            if zone != nil { return }
            throw CalendarFileError(
                line: number, column: column, problem: "there is no time zone '\(parts[1])'",
                remedy: "write one such as Asia/Shanghai, or UTC")
        }
        guard let date = CivilDate(parts[1]) else {
            throw Self.noDate(parts[1], number, column)
        }
        if parts[0] == "from" { first = date } else { last = date }
    }

    private mutating func readDay(_ line: Substring, _ number: Int) throws(CalendarFileError) {
        let cells = line.split(separator: ",", omittingEmptySubsequences: false)
        guard cells.count == 5 else {
            throw CalendarFileError(
                line: number, column: 1, problem: "a day has five values, this line \(cells.count)",
                remedy: "write '\(Self.columns)', with both of a break empty where there is none")
        }
        guard let date = CivilDate(cells[0]) else {
            throw Self.noDate(String(cells[0]), number, 1)
        }
        if let latest = dates?.upperBound, date <= latest {
            throw CalendarFileError(
                line: number, column: 1, problem: "\(date) does not come after \(latest)",
                remedy: "put the days in order, each once")
        }
        var column = 12
        var times: [Int?] = []
        for cell in cells.dropFirst() {
            times.append(try Self.minute(cell, number, column))
            column += cell.count + 1
        }
        sessions[date] = try Self.session(times, number)
        dates = (dates?.lowerBound ?? date)...date
    }

    private static func session(
        _ times: [Int?], _ number: Int
    ) throws(CalendarFileError) -> ExchangeCalendar.Session {
        if let open = times[0], let close = times[3], open < close {
            switch (times[1], times[2]) {
            case (nil, nil): return ExchangeCalendar.Session(open: open, close: close)
            case (let start?, let end?) where open < start && start < end && end < close:
                return ExchangeCalendar.Session(open: open, close: close, pause: start..<end)
            default: break
            }
        }
        throw CalendarFileError(
            line: number, column: 12, problem: "these hours are no session",
            remedy: "write open, break_start, break_end, close in their order, as in "
                + "09:30,11:30,13:00,15:00 or 09:30,,,16:00")
    }

    /// Nil for an empty cell.
    private static func minute(
        _ cell: Substring, _ number: Int, _ column: Int
    ) throws(CalendarFileError) -> Int? {
        if cell.isEmpty { return nil }
        let parts = cell.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count == 2, parts.allSatisfy(Self.isTwoDigits),
            let hour = UInt8(parts[0]), let minute = UInt8(parts[1]), hour < 24, minute < 60
        {
            return Int(hour) * 60 + Int(minute)
        }
        throw CalendarFileError(
            line: number, column: column, problem: "'\(cell)' is no time",
            remedy: "write hours and minutes, as in 09:30")
    }

    private static func isTwoDigits(_ text: Substring) -> Bool {
        text.utf8.count == 2 && text.utf8.allSatisfy { (48...57).contains($0) }
    }

    private static func noDate(_ text: String, _ line: Int, _ column: Int) -> CalendarFileError {
        CalendarFileError(
            line: line, column: column, problem: "'\(text)' is no date",
            remedy: "write one such as 2026-11-21")
    }

    func calendar(
        _ name: String, lineCount: Int
    ) throws(CalendarFileError) -> ExchangeCalendar {
        guard let zone else {
            throw CalendarFileError(
                line: 1, column: 1, problem: "the time zone is missing",
                remedy: "write '# time_zone: Asia/Shanghai' in the first line")
        }
        guard let dates else {
            throw CalendarFileError(
                line: lineCount, column: 1, problem: "there is no day",
                remedy: "write one a line, as in 2026-01-05,09:30,11:30,13:00,15:00")
        }
        let (first, last) = (first ?? dates.lowerBound, last ?? dates.upperBound)
        guard first <= dates.lowerBound, dates.upperBound <= last else {
            throw CalendarFileError(
                line: 1, column: 1,
                problem: "a day lies outside of 'from' and 'to': the first is "
                    + "\(dates.lowerBound), the last \(dates.upperBound)",
                remedy: "correct 'from' and 'to'")
        }
        return ExchangeCalendar(name: name, timeZone: zone, days: first...last, sessions: sessions)
    }
}
