import Control
import CoreMetrics
import Ledger
import Testing

@testable import Verify
@testable import opsd

/// What verifications have found, as it is written down and shown to Prometheus.
@Suite struct VerificationBookTests {
    private let folder: ConfigurationFolder
    private let configuration: Configuration
    private let book: VerificationBook

    init() throws {
        folder = try ConfigurationFolder()
        configuration = try folder.load(
            """
            stores: {files: {kind: files, path: ./files}, local: {kind: sqlite, path: ./rows.sqlite}}
            datasets: {positions: {old: files, also: [local]}}
            """)
        let layout = DataLayout(configuration)
        try layout.prepare()
        book = VerificationBook(layout)
    }

    private func report(_ store: String, rows: Int, _ verdicts: [Verdict] = []) -> CheckReport {
        var report = CheckReport(dataset: "positions", store: store)
        report.rowsCompared = rows
        report.through = SequenceNumber(epoch: 1, number: 9)
        for verdict in verdicts {
            report.add(
                Difference(dataset: "positions", key: nil, verdict: verdict, problem: "why"))
        }
        return report
    }

    private func note(_ report: CheckReport, isWhole: Bool = true, at seconds: Int64) throws {
        try book.note(
            report, isWhole: isWhole, begun: Timestamp(microseconds: seconds * 1_000_000))
    }

    /// The series that a scrape shows.
    private func scrape() async -> Set<String> {
        let configuration = configuration
        let metrics = VerificationMetrics(configuration)
        let registry = MetricsRegistry(descriptions: VerificationMetrics.descriptions)
        registry.addCollector(metrics.collect)
        await metrics.refresh()
        let text = String(decoding: registry.encode(.text), as: UTF8.self)
        return Set(text.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") })
    }

    @Test func theProofIsAsOldAsThatOfTheStoreForWhichItIsLongestAgo() async throws {
        try note(report("files", rows: 3), at: 100)
        var lines = await scrape()
        #expect(lines.contains("opsd_verify_rows_compared_total{check=\"positions\"} 3"))
        #expect(lines.allSatisfy { !$0.contains("timestamp") }, "the other was never looked at")
        try note(report("local", rows: 4), at: 200)
        lines = await scrape()
        #expect(lines.contains("opsd_verify_rows_compared_total{check=\"positions\"} 7"))
        for name in ["success", "independent"] {
            #expect(
                lines.contains(
                    "opsd_verify_last_\(name)_timestamp_seconds{check=\"positions\"} 100"),
                "\(lines)")
        }
    }

    /// It has not looked at the rows that were wrong.
    @Test func lookingAtAFewRowsMendsNothing() async throws {
        try note(report("files", rows: 9, [.corrupt, .corrupt, .missing]), at: 100)
        try note(report("files", rows: 1), isWhole: false, at: 200)
        let corrupt = "opsd_verify_differences{check=\"positions\",verdict=\"corrupt\"}"
        #expect(await scrape().contains("\(corrupt) 2"))
        try note(report("files", rows: 1, [.ahead]), isWhole: false, at: 300)
        let lines = await scrape()
        #expect(lines.contains("\(corrupt) 2"))
        #expect(lines.contains("opsd_verify_differences{check=\"positions\",verdict=\"ahead\"} 1"))
        try note(report("files", rows: 9), at: 400)
        #expect(await scrape().contains("\(corrupt) 0"))
    }
}
