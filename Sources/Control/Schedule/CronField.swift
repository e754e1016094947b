/// One of the five fields of a cron expression: its name, its range and the names of its values.
struct CronField: Sendable {
    let name: String
    let range: ClosedRange<Int>
    /// The first of them means the first value of the range.
    var words: [String] = []

    static let minute = CronField(name: "minute", range: 0...59)
    static let hour = CronField(name: "hour", range: 0...23)
    static let day = CronField(name: "day of the month", range: 1...31)
    static let month = CronField(
        name: "month", range: 1...12,
        words: [
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ])
    /// Sunday is 0 and 7.
    static let weekday = CronField(
        name: "day of the week", range: 0...7,
        words: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"])

    /// Lists of values, ranges and steps: `1,10-20,*/15`.
    /// - Parameter offset: of the text in the whole expression, for the place of an error.
    func parse(_ text: Substring, at offset: Int) throws(ScheduleError) -> Set<Int> {
        var values: Set<Int> = []
        var offset = offset
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            values.formUnion(try parsePart(part, at: offset))
            offset += part.unicodeScalars.count + 1
        }
        return values
    }

    private func parsePart(_ part: Substring, at offset: Int) throws(ScheduleError) -> Set<Int> {
        let halves = part.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let span = halves.first ?? ""
        let isRange = span == "*" || span.contains("-")
        let values = try parseSpan(span, at: offset)
        guard halves.count == 2 else { return Set(values) }
        let stepOffset = offset + span.unicodeScalars.count + 1
        guard isRange else {
            throw ScheduleError(
                at: offset, "\(name): '\(part)' has a step, but '\(span)' is no range",
                "write \(span)-\(range.upperBound)/\(halves[1]) or */\(halves[1])")
        }
        guard let step = Self.number(halves[1]), step > 0, step <= range.upperBound else {
            throw ScheduleError(
                at: stepOffset, "\(name): '\(halves[1])' is no step",
                "write a number from 1 to \(range.upperBound)")
        }
        return Set(stride(from: values.lowerBound, through: values.upperBound, by: step))
    }

    private func parseSpan(
        _ span: Substring, at offset: Int
    ) throws(ScheduleError) -> ClosedRange<Int> {
        if span == "*" {
            // Both names of Sunday would count twice as a step.
            return name == Self.weekday.name ? 0...6 : range
        }
        let ends = span.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let first = try parseValue(ends.first ?? "", at: offset)
        guard ends.count == 2 else { return first...first }
        let last = try parseValue(
            ends[1], at: offset + (ends.first ?? "").unicodeScalars.count + 1)
        guard first <= last else {
            throw ScheduleError(
                at: offset, "\(name): the range '\(span)' runs backwards",
                "write \(ends[0])-\(range.upperBound),\(range.lowerBound)-\(ends[1])")
        }
        return first...last
    }

    private func parseValue(_ text: Substring, at offset: Int) throws(ScheduleError) -> Int {
        if let index = words.firstIndex(of: text.lowercased()) { return range.lowerBound + index }
        guard let number = Self.number(text), range.contains(number) else {
            let names = words.isEmpty ? "" : ", or \(words[0]) to \(words[words.count - 1])"
            throw ScheduleError(
                at: offset,
                text.isEmpty ? "\(name): a value is missing" : "\(name): there is no '\(text)'",
                "write \(range.lowerBound) to \(range.upperBound)\(names)")
        }
        return number
    }

    /// Digits only: `Int` would take a sign.
    private static func number(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(text)
    }
}

/// What is wrong with a schedule, and where.
public struct ScheduleError: Error, Equatable, CustomStringConvertible {
    /// Characters before it in the text.
    public let offset: Int
    public let problem: String
    public let remedy: String

    init(at offset: Int, _ problem: String, _ remedy: String) {
        self.offset = offset
        self.problem = problem
        self.remedy = remedy
    }

    public var description: String { "character \(offset + 1): \(problem); \(remedy)" }
}
