/// Where something stands: counted from 1, columns in Unicode scalars.
public struct Place: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let file: String
    public let line: Int
    public let column: Int

    public init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    public var description: String { "\(file):\(line):\(column)" }

    public static func < (left: Place, right: Place) -> Bool {
        (left.file, left.line, left.column) < (right.file, right.line, right.column)
    }
}

/// One thing that is wrong, where, and what to write instead.
/// Always one line: control characters that a file may have put into it are replaced.
public struct Finding: Hashable, Sendable, CustomStringConvertible {
    public enum Severity: String, Sendable, Hashable {
        /// The file is refused.
        case error
        /// The file is taken, in a way that its author may not expect.
        case warning
    }

    public let severity: Severity
    public let place: Place
    public let problem: String
    public let remedy: String

    public init(severity: Severity, place: Place, problem: String, remedy: String) {
        self.severity = severity
        self.place = place
        self.problem = Quoted.onOneLine(problem)
        self.remedy = Quoted.onOneLine(remedy)
    }

    public var description: String {
        let mark = severity == .warning ? "warning: " : ""
        return "\(place): \(mark)\(problem); \(remedy)"
    }
}

/// Collects what is wrong over any number of files. Reading goes on after a finding, so that a
/// person gets the whole list at once. Belongs to one load on one thread.
public final class Findings {
    /// Each finding once, in the order found.
    public private(set) var all: [Finding] = []
    private var seen: Set<Finding> = []
    private var hasSaidEnough = false

    /// Nobody reads more, and a file may have millions.
    public static let countMax = 1_000

    public init() {}

    public func error(_ place: Place, _ problem: String, _ remedy: String) {
        append([Finding(severity: .error, place: place, problem: problem, remedy: remedy)])
    }

    public func warning(_ place: Place, _ problem: String, _ remedy: String) {
        append([Finding(severity: .warning, place: place, problem: problem, remedy: remedy)])
    }

    public func append(_ findings: some Sequence<Finding>) {
        for finding in findings where !hasSaidEnough && seen.insert(finding).inserted {
            guard all.count < Self.countMax else { return sayEnough(finding.place) }
            all.append(finding)
        }
    }

    /// An error in any case: what was left out could have been one.
    private func sayEnough(_ place: Place) {
        hasSaidEnough = true
        all.append(
            Finding(
                severity: .error, place: place,
                problem: "there is more than these \(Self.countMax) findings",
                remedy: "correct them and look again"))
    }

    public var hasErrors: Bool { all.contains { $0.severity == .error } }
    public var warnings: [Finding] { all.filter { $0.severity == .warning } }

    /// Throws everything found, warnings included, when any of it is an error.
    public func throwIfErrors() throws(StrictYAMLError) {
        guard hasErrors else { return }
        throw StrictYAMLError(findings: all)
    }
}

/// A file was refused. Prints one finding a line, in the order of the files' lines. Retrying the same
/// files does not help.
public struct StrictYAMLError: Error, Equatable, CustomStringConvertible {
    public let findings: [Finding]

    public init(findings: [Finding]) {
        self.findings = findings
    }

    public var description: String {
        var files: [String: Int] = [:]
        for finding in findings where files[finding.place.file] == nil {
            files[finding.place.file] = files.count
        }
        let sorted = findings.enumerated().sorted { left, right in
            let (first, second) = (left.element.place, right.element.place)
            let firstFile = files[first.file] ?? 0
            let secondFile = files[second.file] ?? 0
            return (firstFile, first.line, first.column, left.offset)
                < (secondFile, second.line, second.column, right.offset)
        }
        return sorted.map(\.element.description).joined(separator: "\n")
    }
}
