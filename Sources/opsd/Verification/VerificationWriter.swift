import Foundation
import Ledger
import TradingHTTP
import Verify

/// Prints what a verification has found: a line a difference, a line a dataset and store, the result.
struct VerificationWriter: Sendable {
    let isJSON: Bool
    /// Differences of one report that are printed.
    let limit: Int

    /// What is new; nothing where nothing is.
    func show(_ step: ChangeFollower.Step, at place: Verification.Place) {
        for difference in step.found { show(difference, in: place.store) }
        for difference in step.mended { show(difference, in: place.store, isMended: true) }
    }

    /// When it is another one than before.
    func show(problem: String?, at place: Verification.Place) {
        let words = problem.map { "cannot be looked at: \($0)" } ?? "can be looked at again"
        FileHandle.standardError.write(
            Data("\(place.dataset) in \(place.store) \(words)\n".utf8))
    }

    func show(_ report: CheckReport) {
        for difference in report.differences.prefix(limit) {
            show(difference, in: report.store, isOfPair: report.isOfPair)
        }
        if isJSON {
            printObject { json in
                json.member("dataset", report.dataset)
                json.member("store", report.store)
                members(of: report, &json)
            }
            return
        }
        let more = report.differences.count - limit
        if more > 0 { printLine("… and \(more) more: --limit shows them") }
        printLine(line(of: report))
        for problem in report.problems { printLine("    \(problem)") }
    }

    func showResult(_ reports: [CheckReport]) {
        let outcomes = reports.map(\.outcome)
        let outcome =
            outcomes.contains(.found) ? "found" : outcomes.contains(.unknown) ? "unknown" : "equal"
        let rows = reports.reduce(0) { $0 + $1.rowsCompared }
        let differing = reports.reduce(0) { $0 + Self.differing($1) }
        if isJSON {
            printObject { json in
                json.member("outcome", outcome)
                json.member("rows_compared", rows)
                json.member("differences", differing)
            }
            return
        }
        let isOfPairs = reports.allSatisfy(\.isOfPair)
        switch outcome {
        case "found":
            printLine(
                isOfPairs
                    ? "not the same on both sides: \(differing) of \(rows) rows"
                    : "not as journaled: \(differing) of \(rows) rows")
        case "unknown": printLine("nothing was found, but not everything could be read")
        case _ where isOfPairs:
            printLine(
                rows == 1
                    ? "the one row is the same on both sides"
                    : "all \(rows) rows are the same on both sides")
        default:
            printLine(
                rows == 1
                    ? "the one row is as it was journaled"
                    : "all \(rows) rows are as they were journaled")
        }
    }

    /// On a terminal, how many rows have been read, and how long it will take.
    func showProgress(_ place: Verification.Place, _ progress: ScanProgress) {
        guard !isJSON, isatty(2) == 1, progress.rows > 0 else { return }
        let total = progress.rowsTotal.map { " of \($0)" } ?? ""
        let left = progress.remaining.map {
            ", \(Int(($0 / .seconds(1)).rounded(.up))) s left"
        }
        FileHandle.standardError.write(
            Data(
                "\r\(place.dataset) in \(place.store): \(progress.rows)\(total) rows\(left ?? "")\u{1B}[K\r"
                    .utf8))
    }

    func show(_ signed: SignedCertificate, key: String?) {
        let certificate = signed.certificate
        let signature =
            !signed.isIntact
            ? "it was changed since, or is not whole"
            : key == nil
                ? "this data directory has signed none"
                : key == signed.publicKey ? nil : "another data directory signed it"
        if isJSON {
            printObject { json in
                json.member("sequence", SequenceNumber(rawValue: certificate.sequence).description)
                json.member("made_at", certificate.madeAt)
                json.member("is_intact", signed.isIntact)
                json.member("is_ours", signed.isIntact && key == signed.publicKey)
                json.name("doubts")
                json.array(certificate.doubts) { $0.value($1) }
            }
            return
        }
        printLine(
            "certificate as of entry \(SequenceNumber(rawValue: certificate.sequence)), "
                + "made at \(certificate.madeAt)")
        for copy in certificate.copies {
            let proven = copy.provenAt.map { ", proven at \($0)" } ?? ", never proven"
            printLine(
                "\(copy.dataset) in \(copy.store): \(copy.outcome), \(copy.rows) rows\(proven)")
        }
        for doubt in certificate.doubts { printLine("doubt: \(doubt)") }
        printLine("signature: \(signature ?? "of this data directory")")
    }

    private static func differing(_ report: CheckReport) -> Int {
        report.unexamined
            + report.counts.reduce(0) { $0 + ($1.key == .unknown ? 0 : $1.value) }
    }

    private func line(of report: CheckReport) -> String {
        let place = "\(report.dataset) in \(report.store): "
        let through = report.through.map { ", as of entry \($0)" } ?? ""
        var counts = report.counts.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { "\($0.value) \($0.key.rawValue)" }
        if report.unexamined > 0 { counts.append("\(report.unexamined) more that differ") }
        switch report.outcome {
        case .equal: return place + "equal, \(report.rowsCompared) rows\(through)"
        case .found:
            return place
                + "\(counts.joined(separator: ", ")) of \(report.rowsCompared) rows\(through)"
        case .unknown: return place + "unknown"
        }
    }

    private func members(of report: CheckReport, _ json: inout JSONWriter) {
        json.member("outcome", "\(report.outcome)")
        json.member("rows_compared", report.rowsCompared)
        json.member("through", report.through?.description)
        json.name("verdicts")
        json.object { json in
            for (verdict, count) in report.counts.sorted(by: { $0.key.rawValue < $1.key.rawValue })
            {
                json.name(verdict.rawValue)
                json.value(count)
            }
        }
        json.member("unexamined", report.unexamined)
        json.name("problems")
        json.array(report.problems) { $0.value($1) }
    }

    /// - Parameter isOfPair: two places were compared; then the left one's row stands for the journaled.
    private func show(
        _ difference: Difference, in store: String, isMended: Bool = false, isOfPair: Bool = false
    ) {
        let key = difference.key?.description ?? difference.dataset
        if isJSON {
            printObject { json in
                json.member("dataset", difference.dataset)
                json.member("store", store)
                json.member("key", difference.key.map { "\($0)" })
                json.member(
                    "verdict", isMended ? Verdict.equal.rawValue : difference.verdict.rawValue)
                json.member("problem", isMended ? nil : difference.problem)
                if !isOfPair {
                    json.member("journaled_sequence", difference.journaledSequence?.description)
                    json.member("found_sequence", difference.found?.sequence.description)
                }
                json.name("fields")
                json.array(difference.fields) { json, field in
                    json.object { json in
                        json.member("field", field.field)
                        json.name(isOfPair ? "left" : "journaled")
                        json.value(field.journaled)
                        json.name(isOfPair ? "right" : "found")
                        json.value(field.found)
                    }
                }
            }
            return
        }
        if isMended {
            return printLine("equal \(key) in \(store): it is as journaled again")
        }
        let fields = difference.fields.map { ": \($0.field) is \($0.found), not \($0.journaled)" }
        printLine(
            "\(difference.verdict.rawValue) \(key) in \(store): \(difference.problem)\(fields.joined(separator: ""))"
        )
    }

    /// At once, because who follows waits for it. What would move the cursor of a terminal is left out.
    private func printLine(_ line: String) {
        let line = isJSON ? line : ScreenText.cut(line, to: nil)
        try? FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8))
    }

    /// Lines for people, or one object.
    func printLine(text: String, json: (inout JSONWriter) -> Void) {
        if isJSON { return printObject(json) }
        for line in text.split(separator: "\n") { printLine(String(line)) }
    }

    private func printObject(_ body: (inout JSONWriter) -> Void) {
        var writer = JSONWriter()
        writer.object(body)
        printLine(writer.text)
    }
}
