import Foundation
import Ledger
import Logging
import TestSupport
import Testing

@testable import Verify
@testable import opsd

/// What `opsd status` says of checks, and the page of the book that the service keeps.
@Suite struct VerifyStatusTests {
    private func report(
        _ outcome: String?, _ differences: [String: Int] = [:], unknown: [String] = [],
        proven: String? = "2026-11-21T11:30:00Z", reviews: Int? = nil,
        storeState: String = "following"
    ) -> StatusReport {
        var report = SampleReport.report()
        report.core?.stores = [
            StatusReport.Store(
                name: "hot", state: storeState, says: "is away", datasets: ["positions"],
                degraded: [])
        ]
        report.verification = [
            StatusReport.Verification(
                check: "positions", dataset: "positions", outcome: outcome,
                differences: differences, unknown_stores: unknown, problem: "it did not answer",
                proven: proven, cycle_seconds: 3_600, cycle_share: 0.426, reviews_open: reviews)
        ]
        return StatusJudgement.judged(report)
    }

    @Test func differencesAreAFindingAndWhatIsNotKnownADoubt() {
        #expect(report("equal").verdict == .well)
        #expect(report(nil, proven: nil).verdict == .well, "it has not been round yet")
        let found = report("found", ["corrupt": 1, "missing": 3])
        #expect(found.verdict == .wrong)
        #expect(found.findings.map(\.what) == ["positions: 1 row is corrupt, 3 are missing"])
        #expect(found.findings[0].command == "opsd verify positions")
        let unknown = report("unknown", ["unknown": 1], unknown: ["hot"])
        #expect(unknown.verdict == .unknown)
        #expect(
            unknown.findings.map(\.what)
                == ["positions in hot cannot be compared: it did not answer"])
        // The store itself is the finding then.
        let away = report("unknown", ["unknown": 1], unknown: ["hot"], storeState: "failing")
        #expect(away.findings.map(\.what) == ["store hot is away"])
    }

    @Test func aProofThatIsOldIsADoubtAndAReviewIsAFinding() {
        #expect(report("equal", proven: "2026-11-21T09:00:01Z").verdict == .well)
        let old = report("equal", proven: "2026-11-21T08:59:59Z")
        #expect(
            old.verdict == .unknown && old.findings[0].command == "opsd verify positions --full")
        let review = report("equal", reviews: 2)
        #expect(review.findings.map(\.command) == ["opsd review list"])
    }

    @Test func theScreenHasATableOfChecks() {
        let lines = StatusScreen(report: report("found", ["corrupt": 1, "rogue": 2])).text
        #expect(
            lines.contains(
                "positions  found  1 corrupt, 2 rogue  2026-11-21T11:30:00Z (30 min)  43% of 60 min"
            )
                || lines.contains("43% of 1 h"), "\(lines)")
    }

    // MARK: The page

    private static let key = RowKey(
        dataset: "positions", values: [.text("TRADE_001"), .text("AAPL")])
    private let place = Verification.Place(dataset: "positions", store: "hot")

    private func step(found: [Difference] = [], mended: [Difference] = []) -> ChangeFollower.Step {
        var step = ChangeFollower.Step()
        (step.found, step.mended, step.rowsCompared) = (found, mended, 5)
        return step
    }

    /// What a command writes is watched, and what the service found besides stays.
    @Test func serviceAndCommandsShareAPage() async throws {
        let folder = try ConfigurationFolder()
        let configuration = try folder.load("{}")
        let layout = DataLayout(configuration)
        try layout.prepare()
        let book = VerificationBook(layout)
        let page = PlacePage(place, book, Logger(label: "test"))
        #expect(await page.adopt().isEmpty)
        let corrupt = Difference(known: Self.key, verdict: .corrupt)
        await page.take(step(found: [corrupt]), watched: 0, [Self.key: corrupt])
        #expect(await page.write().isEmpty)
        #expect(book.page(place)?.verdicts == ["corrupt": 1])
        #expect(book.page(place)?.rows?.first.flatMap(\.difference)?.key == Self.key)

        let other = RowKey(dataset: "positions", values: [.text("TRADE_002"), .text("A\u{0301}")])
        var report = CheckReport(dataset: "positions", store: "hot")
        report.rowsCompared = 9
        report.add(Difference(known: other, verdict: .missing))
        report.add(Difference(dataset: "positions", key: nil, verdict: .corrupt, problem: "litter"))
        try book.note(report, isWhole: true, begun: .now())
        try await Task.sleep(for: .milliseconds(1_100))
        let handed = await page.write()
        #expect(handed.compactMap(\.key) == [other])
        let missing = Difference(known: other, verdict: .missing)
        await page.take(step(), watched: 1, [Self.key: corrupt, other: missing])
        #expect(await page.write().isEmpty)
        #expect(book.page(place)?.verdicts == ["corrupt": 2, "missing": 1])
        #expect(book.page(place)?.rowsComparedTotal == 19)
        // A cycle that has read all rows knows of no litter, and is no proof while rows are open.
        await page.endCycle(begun: .now())
        _ = await page.write()
        #expect(book.page(place)?.verdicts == ["corrupt": 1, "missing": 1])
        #expect(book.page(place)?.provenAt == nil)
        await page.take(step(mended: [corrupt, missing]), watched: 0, [:])
        let begun = Timestamp.now()
        await page.endCycle(begun: begun)
        _ = await page.write()
        #expect(book.page(place)?.verdicts == [:] && book.page(place)?.outcome == "equal")
        #expect(book.page(place)?.provenAt == begun.microseconds)
    }

    /// What was found and not looked at yet is no proof.
    @Test func whatIsOnItsWayToTheFollowerIsNoProof() async throws {
        let folder = try ConfigurationFolder()
        let layout = DataLayout(try folder.load("{}"))
        try layout.prepare()
        let book = VerificationBook(layout)
        let page = PlacePage(place, book, Logger(label: "test"))
        var report = CheckReport(dataset: "positions", store: "hot")
        report.add(Difference(known: Self.key, verdict: .rogue))
        #expect(await page.take(report).count == 1)
        await page.endCycle(begun: .now())
        _ = await page.write()
        #expect(book.page(place)?.provenAt == nil)
    }

    @Test func whereTheServiceStoodIsKnownAfterAKill() async throws {
        let folder = try ConfigurationFolder()
        let layout = DataLayout(try folder.load("{}"))
        try layout.prepare()
        try PrivateFile.makeDirectory(layout.verify)
        let progress = VerificationProgress(layout, journal: "one")
        await progress.update(place) {
            $0 = VerificationProgress.Place(
                followed: 42, begun: 7, after: Self.key.base64, done: 30, rows: 60,
                cycleSeconds: 3_600)
        }
        try await progress.flush()
        let next = VerificationProgress(layout, journal: "one")
        let found = try #require(await next[place])
        #expect(found.followed == 42 && found.after.flatMap { RowKey(base64: $0) } == Self.key)
        #expect(found.share == 0.25)
        // Of another journal it means nothing.
        #expect(await VerificationProgress(layout, journal: "two")[place] == nil)
        #expect(VerificationProgress.all(layout)["positions@hot"] == found)
    }
}
