import Control
import Ledger

// What a status says of the checks of datasets.

extension StatusReport {
    struct Verification: Codable, Equatable, Sendable {
        var check: String
        var dataset: String
        /// `equal`, `found`, `unknown`; nil while one of its stores was never looked at.
        var outcome: String?
        /// In all of its stores, by verdict.
        var differences: [String: Int]
        /// Those of which nobody can tell, and why.
        var unknown_stores: [String] = []
        var problem: String?
        /// Since when nobody has read every row from each store and found it as journaled.
        var proven: String?
        /// Within so long every row is read again, and how much of that is done in the store that is
        /// furthest behind: from 0 to 1.
        var cycle_seconds: Int
        var cycle_share: Double?
        var cycle_problem: String?
        /// Plans of repairs that wait for a person.
        var reviews_open: Int?
    }
}

extension StatusJudgement {
    /// - Parameter core: what says of its stores why nothing can be told of them.
    static func findings(
        of checks: [StatusReport.Verification], core: StatusReport.Core?, at now: Timestamp?
    ) -> [StatusReport.Finding] {
        checks.flatMap { check -> [StatusReport.Finding] in
            var findings: [StatusReport.Finding] = []
            let wrong = check.differences.filter { $0.key != "unknown" && $0.value > 0 }
            if !wrong.isEmpty {
                findings.append(
                    StatusReport.Finding(
                        what: "\(check.check): \(words(for: wrong))",
                        command: "opsd verify \(check.check)"))
            }
            // What the core says of a store that it cannot write explains that it cannot be read.
            let ill = (core?.stores ?? []).filter { $0.state != "following" }.map(\.name)
            let doubtful = check.unknown_stores.filter { !ill.contains($0) }
            if !doubtful.isEmpty {
                findings.append(
                    StatusReport.Finding(
                        what: "\(check.check) in \(doubtful.joined(separator: ", ")) cannot be "
                            + "compared: \(check.problem ?? "rows could not be read")",
                        command: "opsd verify \(check.check)", is_doubt: true))
            }
            if let review = check.reviews_open, review > 0 {
                findings.append(
                    StatusReport.Finding(
                        what:
                            "\(check.check): \(review) \(review == 1 ? "repair waits" : "repairs wait")"
                            + " for somebody to decide", command: "opsd review list"))
            }
            return findings + staleness(of: check, at: now)
        }
    }

    private static func staleness(
        of check: StatusReport.Verification, at now: Timestamp?
    ) -> [StatusReport.Finding] {
        guard let now, let proven = check.proven.flatMap({ Timestamp($0) }),
            check.differences.isEmpty,
            now.microseconds - proven.microseconds > 3 * Int64(check.cycle_seconds) * 1_000_000
        else { return [] }
        let why = check.cycle_problem.map { ": \($0)" } ?? ""
        return [
            StatusReport.Finding(
                what:
                    "\(check.check): not every row was read for three times as long as 'every' says\(why)",
                since: check.proven, command: "opsd verify \(check.check) --full", is_doubt: true)
        ]
    }

    /// `1 row is corrupt, 3 are missing`.
    private static func words(for counts: [String: Int]) -> String {
        counts.sorted { $0.key < $1.key }.enumerated().map { index, entry in
            let noun = index > 0 ? "" : entry.value == 1 ? "row " : "rows "
            return "\(entry.value) \(noun)\(entry.value == 1 ? "is" : "are") \(entry.key)"
        }.joined(separator: ", ")
    }
}

extension StatusReport.Verification {
    /// Of the table: check, state, differences, proven, cycle.
    func cells(age: (Timestamp) -> String) -> [String] {
        let share = cycle_share.map { "\(Int(($0 * 100).rounded()))% of " } ?? ""
        return [
            check, outcome ?? "not known yet",
            differences.isEmpty
                ? "-"
                : differences.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
                    .joined(separator: ", "),
            proven.flatMap { Timestamp($0) }.map(age) ?? "-",
            share + DurationText.short(.seconds(cycle_seconds)),
        ]
    }
}
