import Dispatch
import Foundation
import Ledger
import Verify

/// What the last verifications have said, in a file for each dataset and store of the data directory, so
/// that the daemon shows what commands have found, whoever ran them.
struct VerificationBook: Sendable {
    struct Page: Codable, Equatable, Sendable {
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

        enum CodingKeys: String, CodingKey {
            case dataset, store, outcome, verdicts
            case finishedAt = "finished_at"
            case rowsCompared = "rows_compared"
            case rowsComparedTotal = "rows_compared_total"
            case equalAt = "equal_at"
            case provenAt = "proven_at"
            case provenSequence = "proven_sequence"
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
        try PrivateFile.makeDirectory(layout.verify)
        let path = path(report.dataset, report.store)
        let before = Self.read(path)
        var verdicts = Dictionary(
            uniqueKeysWithValues: report.counts.map { ($0.key.rawValue, $0.value) })
        if report.unexamined > 0 { verdicts["unexamined"] = report.unexamined }
        var page = Page(
            dataset: report.dataset, store: report.store, outcome: "\(report.outcome)",
            finishedAt: now.microseconds, verdicts: verdicts, rowsCompared: report.rowsCompared,
            rowsComparedTotal: (before?.rowsComparedTotal ?? 0) + report.rowsCompared,
            equalAt: before?.equalAt, provenAt: before?.provenAt,
            provenSequence: before?.provenSequence)
        if !isWhole, let before {
            // Of the rows that it did not look at it says nothing: what was found there stands.
            page.verdicts = page.verdicts.merging(before.verdicts, uniquingKeysWith: max)
            if before.outcome == "found" { page.outcome = before.outcome }
        } else if report.outcome == .equal {
            page.equalAt = begun.microseconds
        }
        if isWhole, report.outcome == .equal {
            page.provenAt = begun.microseconds
            page.provenSequence = report.through?.rawValue
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        guard let data = try? encoder.encode(page) else { return }
        try PrivateFile.replace(path, String(decoding: data, as: UTF8.self) + "\n")
    }

    /// Nil while another one writes: two at once would lose one's count.
    func lock() -> FileLock? { try? FileLock(path: layout.lock(of: "verify-book")) }

    /// Notes what a command has found, while no other one does. On a thread of its own, because it waits for
    /// the disk.
    func noteAlone(_ report: CheckReport, isWhole: Bool, _ begun: Timestamp) async {
        var lock = lock()
        for _ in 0..<100 where lock == nil {
            try? await Task.sleep(for: .milliseconds(10))
            lock = self.lock()
        }
        defer { withExtendedLifetime(lock) {} }
        let problem: FileWriteError? = await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                do throws(FileWriteError) {
                    try note(report, isWhole: isWhole, begun: begun)
                    continuation.resume(returning: nil)
                } catch {
                    continuation.resume(returning: error)
                }
            }
        }
        guard let problem else { return }
        FileHandle.standardError.write(
            Data("the daemon will not show what was found: \(problem)\n".utf8))
    }

    /// By dataset and store. Of these places alone: others may be of an earlier configuration.
    func pages(of places: [Verification.Place]) -> [Page] {
        places.compactMap { Self.read(path($0.dataset, $0.store)) }
    }

    private func path(_ dataset: String, _ store: String) -> String {
        "\(layout.verify)/\(dataset)@\(store).json"
    }

    /// Nil for one that is not there, or that is none: the next verification writes it anew.
    private static func read(_ path: String) -> Page? {
        FileManager.default.contents(atPath: path).flatMap {
            try? JSONDecoder().decode(Page.self, from: $0)
        }
    }
}
