import Dispatch
import Foundation
import Ledger
import Verify

/// What the last verifications have said, in a file for each dataset and store of the data directory, so
/// that the daemon shows what commands and the service have found, and each of them knows what the other
/// has.
struct VerificationBook: Sendable {
    struct Page: Codable, Equatable, Sendable {
        /// A row that was not as journaled.
        struct OpenRow: Codable, Hashable, Sendable {
            /// In the canonical encoding, base64.
            var key: String
            var verdict: String
        }

        var dataset: String
        var store: String
        /// `equal`, `found`, `unknown`.
        var outcome: String
        /// Microseconds since 1970, as the others.
        var finishedAt: Int64
        var verdicts: [String: Int]
        var rowsCompared: Int
        /// Ever since the file was begun.
        var rowsComparedTotal: Int
        /// When all that was looked at was as journaled last.
        var equalAt: Int64?
        /// When every row was read from the store last, and was as journaled.
        var provenAt: Int64?
        /// As of which entry that was.
        var provenSequence: Int64?
        /// Those of the differences that are one row each, as far as they are kept; nil from an earlier
        /// version.
        var rows: [OpenRow]?
        /// Why something could not be told; nil when it could.
        var problem: String?

        enum CodingKeys: String, CodingKey {
            case dataset, store, outcome, verdicts, rows, problem
            case finishedAt = "finished_at"
            case rowsCompared = "rows_compared"
            case rowsComparedTotal = "rows_compared_total"
            case equalAt = "equal_at"
            case provenAt = "proven_at"
            case provenSequence = "proven_sequence"
        }

        /// Differences that `rows` does not have.
        var beyondRows: [String: Int] {
            var counts = verdicts
            for row in rows ?? [] { counts[row.verdict, default: 0] -= 1 }
            return counts.filter { $0.value > 0 }
        }
    }

    /// Those that a difference may have, and `unexamined`: rows that differ, and were not looked at one by
    /// one.
    static let verdicts =
        Verdict.allCases.filter { $0 != .equal }.map(\.rawValue) + ["unexamined"]

    private let layout: DataLayout

    init(_ layout: DataLayout) {
        self.layout = layout
    }

    /// - Parameters:
    ///   - isWhole: whether every row was read.
    ///   - begun: when it was begun: it says nothing of what was done to the store later.
    func note(
        _ report: CheckReport, isWhole: Bool, begun: Timestamp, at now: Timestamp = .now()
    ) throws(FileWriteError) {
        let before = page(Verification.Place(dataset: report.dataset, store: report.store))
        var verdicts = Dictionary(
            uniqueKeysWithValues: report.counts.map { ($0.key.rawValue, $0.value) })
        if report.unexamined > 0 { verdicts["unexamined"] = report.unexamined }
        var page = Page(
            dataset: report.dataset, store: report.store, outcome: "\(report.outcome)",
            finishedAt: now.microseconds, verdicts: verdicts, rowsCompared: report.rowsCompared,
            rowsComparedTotal: (before?.rowsComparedTotal ?? 0) + report.rowsCompared,
            equalAt: before?.equalAt, provenAt: before?.provenAt,
            provenSequence: before?.provenSequence,
            rows: report.differences.compactMap(Page.OpenRow.init),
            problem: report.problems.first)
        if !isWhole, let before {
            // Of the rows that it did not look at it says nothing: what was found there stands.
            page.verdicts = page.verdicts.merging(before.verdicts, uniquingKeysWith: max)
            page.rows = Array(Set((page.rows ?? []) + (before.rows ?? [])))
            if before.outcome == "found" { page.outcome = before.outcome }
        } else if report.outcome == .equal {
            page.equalAt = begun.microseconds
        }
        if isWhole, report.outcome == .equal {
            page.provenAt = begun.microseconds
            page.provenSequence = report.through?.rawValue
        }
        try write(page)
    }

    func write(_ page: Page) throws(FileWriteError) {
        try PrivateFile.makeDirectory(layout.verify)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        guard let data = try? encoder.encode(page) else { return }
        try PrivateFile.replace(
            path(page.dataset, page.store), String(decoding: data, as: UTF8.self) + "\n")
    }

    /// Nil while another one writes: two at once would lose one's count.
    func lock() -> FileLock? { try? FileLock(path: layout.lock(of: "verify-book")) }

    /// Notes what a command has found.
    func noteAlone(_ report: CheckReport, isWhole: Bool, _ begun: Timestamp) async {
        do throws(FileWriteError) {
            try await hold { () throws(FileWriteError) in
                try note(report, isWhole: isWhole, begun: begun)
            }
        } catch {
            FileHandle.standardError.write(
                Data("the daemon will not show what was found: \(error)\n".utf8))
        }
    }

    /// The lock, waited for; then `body` on a thread of its own, because it waits for the disk.
    func hold<Result: Sendable>(
        _ body: @escaping @Sendable () throws(FileWriteError) -> Result
    ) async throws(FileWriteError) -> Result {
        var lock = lock()
        for _ in 0..<100 where lock == nil {
            try? await Task.sleep(for: .milliseconds(10))
            lock = self.lock()
        }
        defer { withExtendedLifetime(lock) {} }
        let outcome: Swift.Result<Result, FileWriteError> = await withCheckedContinuation {
            continuation in
            DispatchQueue.global().async {
                do throws(FileWriteError) {
                    continuation.resume(returning: .success(try body()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try outcome.get()
    }

    /// By dataset and store. Of these places alone: others may be of an earlier configuration.
    func pages(of places: [Verification.Place]) -> [Page] { places.compactMap(page) }

    /// Nil for one that is not there, or that is none: the next verification writes it anew.
    func page(_ place: Verification.Place) -> Page? {
        FileManager.default.contents(atPath: path(place.dataset, place.store)).flatMap {
            try? JSONDecoder().decode(Page.self, from: $0)
        }
    }

    private func path(_ dataset: String, _ store: String) -> String {
        "\(layout.verify)/\(dataset)@\(store).json"
    }
}

extension VerificationBook.Page.OpenRow {
    /// Nil where it cannot be told what row it would be.
    init?(_ difference: Difference) {
        guard let key = difference.key else { return nil }
        self.init(key: key.base64, verdict: difference.verdict.rawValue)
    }

    /// For who looks at it again; nil for what is none.
    var difference: Difference? {
        guard let key = RowKey(base64: key), let verdict = Verdict(rawValue: verdict) else {
            return nil
        }
        return Difference(known: key, verdict: verdict)
    }
}
