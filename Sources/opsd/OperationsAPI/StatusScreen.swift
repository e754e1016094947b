import Control
import Ledger

/// The screen of `opsd status`: is anything wrong, since when, what to type. A function of the report.
/// No line is wider than the terminal: findings and commands are continued on the next one, since half
/// a command cannot be typed; rows of tables are cut.
struct StatusScreen {
    let report: StatusReport
    /// Columns; nil where there is no terminal: nothing is cut.
    var width: Int?

    /// More healthy checks than this are counted and not listed.
    private static let healthyChecksMax = 8

    var text: String {
        var head = [headline, "\(report.node)  opsd \(report.version)  \(moment(report.time))"]
        if !report.findings.isEmpty { head += [""] + findingLines }
        var tables = [""] + serviceLines
        if !report.health.isEmpty { tables += [""] + checkLines }
        if let checks = report.verification, !checks.isEmpty {
            tables += [""] + verificationLines(checks)
        }
        if let jobs = report.jobs, !jobs.isEmpty { tables += [""] + jobLines(jobs) }
        tables += [""] + coreLines
        return
            (head.flatMap { ScreenText.wrapped($0, to: width) }
            + tables.map { ScreenText.cut($0, to: width) }).joined(separator: "\n")
    }

    // MARK: The verdict

    private var headline: String {
        let count = report.findings.count
        let things = "\(count) \(count == 1 ? "THING IS" : "THINGS ARE") WRONG"
        switch report.verdict {
        case .well: return "ALL IS WELL"
        case .wrong: return things + firstSince
        case .unknown:
            let doubts = report.findings.count(where: \.is_doubt)
            let wrong = count - doubts
            return "CANNOT TELL whether all is well"
                + (wrong == 0 ? "" : "; \(wrong) \(wrong == 1 ? "thing is" : "things are") wrong")
                + firstSince
        }
    }

    private var firstSince: String {
        let first = report.findings.compactMap(\.since).compactMap { Timestamp($0) }.min()
        return first.map { ", \(report.findings.count == 1 ? "" : "the first ")since \(age($0))" }
            ?? ""
    }

    private var findingLines: [String] {
        report.findings.enumerated().flatMap { index, finding in
            let since = finding.since.flatMap { Timestamp($0) }.map { "since \(age($0))   " } ?? ""
            var lines = [
                "\(index + 1). \(finding.what)", "   \(since)type: \(finding.command)",
            ]
            if !finding.explains.isEmpty {
                lines.append("   because of it: \(finding.explains.joined(separator: ", "))")
            }
            return lines
        }
    }

    // MARK: Tables

    private var serviceLines: [String] {
        ScreenText.table(
            [["SERVICE", "STATE", "PID", "RESTARTS", "SINCE", "LAST END"]]
                + report.services.map { service in
                    [
                        service.name, service.problem == nil ? service.state : "! " + service.state,
                        service.pid.map(String.init) ?? "-", String(service.restarts),
                        Timestamp(service.since).map(age) ?? service.since,
                        service.last_exit ?? "-",
                    ]
                })
    }

    /// What is not well, and the others as long as they are few.
    private var checkLines: [String] {
        let (well, ill) = (
            report.health.filter { $0.status == "healthy" },
            report.health.filter { $0.status != "healthy" }
        )
        let listed = ill + (well.count > Self.healthyChecksMax ? [] : well)
        var lines = ScreenText.table(
            [["CHECK", "STATUS", "SINCE", "SAYS"]]
                + listed.map { check in
                    [
                        check.name, check.status, Timestamp(check.since).map(age) ?? check.since,
                        check.consequence_of.isEmpty
                            ? check.message
                            : "because of \(check.consequence_of.joined(separator: ", ")): "
                                + check.message,
                    ]
                })
        if listed.count < report.health.count {
            if listed.isEmpty { lines = [] }
            lines.append("\(well.count) checks are healthy")
        }
        return lines
    }

    private func verificationLines(_ checks: [StatusReport.Verification]) -> [String] {
        ScreenText.table(
            [["VERIFIED", "STATE", "DIFFERENCES", "ALL ROWS PROVEN", "CYCLE"]]
                + checks.map { $0.cells(age: age) })
    }

    private func jobLines(_ jobs: [StatusReport.Job]) -> [String] {
        ScreenText.table(
            [["JOB", "LAST RUN", "ENDED", "NEXT"]]
                + jobs.map { job in
                    [
                        job.name, job.running_since == nil ? job.last_outcome ?? "-" : "running",
                        job.last_ended.flatMap { Timestamp($0) }.map(age) ?? "-",
                        (job.next.map(moment) ?? "never")
                            + (job.doubt == nil ? "" : " (not known)"),
                    ]
                })
    }

    private var coreLines: [String] {
        guard let core = report.core else {
            return report.core_service.map { ["\($0) gives no report"] } ?? []
        }
        return [
            "journal     entry \(core.journal_sequence)",
            "checkpoint  entry \(core.checkpoint_sequence)",
            "orders      \(core.live_orders) live, \(core.orders_unknown) unknown, "
                + "\(core.queue_depth) of \(core.queue_capacity) waiting",
        ] + storeLines(core.stores ?? [])
    }

    private func storeLines(_ stores: [StatusReport.Store]) -> [String] {
        if stores.isEmpty { return [] }
        return [""]
            + ScreenText.table(
                [["STORE", "STATE", "ENTRY", "BEHIND", "DATASETS"]]
                    + stores.map { store in
                        [
                            store.name, store.state, store.applied_sequence ?? "?",
                            store.lag_entries.map { $0 == 0 ? "-" : "\($0) entries" } ?? "?",
                            store.datasets.joined(separator: " "),
                        ]
                    })
    }

    // MARK: Times

    private func moment(_ time: String) -> String {
        Timestamp(time).map(ScreenText.second) ?? time
    }

    /// `2026-11-21T09:30:00Z (4 min)`.
    private func age(_ time: Timestamp) -> String {
        guard let now = Timestamp(report.time) else { return ScreenText.second(time) }
        let passed = Duration.microseconds(max(0, now.microseconds - time.microseconds))
        return "\(ScreenText.second(time)) (\(DurationText.short(passed)))"
    }
}

/// Lines for a terminal.
enum ScreenText {
    /// Whole seconds: nobody reads microseconds at night.
    static func second(_ time: Timestamp) -> String {
        Timestamp(microseconds: time.seconds * 1_000_000).description
    }

    /// Columns as wide as their widest cell, two blanks between them; the last one is open.
    static func table(_ rows: [[String]]) -> [String] {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in
            rows.compactMap { column < $0.count ? $0[column].count : nil }.max() ?? 0
        }
        return rows.map { row in
            row.enumerated().map { column, cell in
                column == row.count - 1
                    ? cell
                    : cell + String(repeating: " ", count: widths[column] - cell.count + 2)
            }.joined()
        }
    }

    /// Without what would move the cursor, and at most `width` characters, the last one `…` where
    /// something was cut off.
    static func cut(_ line: String, to width: Int?) -> String {
        let bare = bare(line)
        guard let width, width > 0, bare.count > width else { return bare }
        return bare.prefix(width - 1) + "…"
    }

    /// The same line on as many as it needs, broken at blanks where there are some, the further ones
    /// indented.
    static func wrapped(_ line: String, to width: Int?) -> [String] {
        let bare = bare(line)
        guard let width, width > 0, bare.count > width else { return [bare] }
        let indentation = String(repeating: " ", count: width > 20 ? 6 : 0)
        var lines: [String] = []
        var rest = bare[...]
        while !rest.isEmpty {
            let lead = lines.isEmpty ? "" : indentation
            let room = width - lead.count
            guard rest.count > room else {
                lines.append(lead + rest)
                break
            }
            let piece = rest.prefix(room)
            let isAtBlank = rest[piece.endIndex] == " "
            // A blank that only indents is no place to break at.
            let blank = piece.drop { $0 == " " }.lastIndex(of: " ")
            let end = isAtBlank ? piece.endIndex : blank ?? piece.endIndex
            lines.append(lead + rest[..<end])
            rest = rest[end...].drop { $0 == " " }
        }
        return lines
    }

    private static func bare(_ line: String) -> String {
        String(
            String.UnicodeScalarView(
                line.unicodeScalars.map { scalar in
                    scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value) ? " " : scalar
                }))
    }
}
