import Foundation
import Ledger
import Logging
import Verify

/// The page of the book for one dataset in one store, as the service keeps it: what is open, put together
/// from what changes showed, what the walk through all rows showed, and what commands have written there.
actor PlacePage {
    private let place: Verification.Place
    private let book: VerificationBook
    private let logger: Logger

    /// The rows that are open, by what was found.
    private var rows: [VerificationBook.Page.OpenRow] = []
    private var rowCounts: [String: Int] = [:]
    /// Those that were handed to the follower, and are not among them yet.
    private var unwatched = 0
    /// Of no row in particular: things that are none, a store of another journal.
    private var loose: [String: Int] = [:]
    /// What a command found beyond the rows that it has written down.
    private var beyond: [String: Int] = [:]
    private var isAhead = false
    private var followProblem: String?
    private var scrubProblem: String?
    private var rowsCompared = 0
    private var provenAt: Timestamp?

    private var isChanged = false
    /// As it was written here last.
    private var written: VerificationBook.Page?
    private var writtenAt = ContinuousClock.now
    private var lookedAt = ContinuousClock.now
    private var writeProblem: String?

    private static let rowsMax = CheckReport.differencesMax
    /// Where nothing but a count has changed it is written so often.
    private static let slowPause = Duration.seconds(30)
    /// So often it is looked whether a command has written there.
    private static let lookPause = Duration.seconds(1)

    init(_ place: Verification.Place, _ book: VerificationBook, _ logger: Logger) {
        self.place = place
        self.book = book
        self.logger = logger
    }

    // MARK: What is found

    /// - Parameter watched: so many of those that were handed over are in `open` since.
    func take(_ step: ChangeFollower.Step, watched: Int, _ open: [RowKey: Difference]) {
        rowsCompared += step.rowsCompared
        unwatched -= watched
        if watched > 0 || !step.found.isEmpty || !step.mended.isEmpty {
            rowCounts = [:]
            for difference in open.values {
                rowCounts[difference.verdict.rawValue, default: 0] += 1
            }
            rows = open.values.prefix(Self.rowsMax).compactMap(
                VerificationBook.Page.OpenRow.init)
            isChanged = true
        }
        if isAhead != (step.whole != nil) || followProblem != step.problem {
            isAhead = step.whole != nil
            followProblem = step.problem
            isChanged = true
        }
    }

    /// - Returns: what the follower is to watch.
    func take(_ report: CheckReport) -> [Difference] {
        rowsCompared += report.rowsCompared
        if scrubProblem != nil, report.isKnown {
            scrubProblem = nil
            isChanged = true
        }
        let rows = report.differences.filter { $0.key != nil && $0.verdict != .unknown }
        unwatched += rows.count
        return rows
    }

    /// Why the walk does not go on.
    func stall(_ problem: String) {
        guard scrubProblem != problem else { return }
        scrubProblem = problem
        isChanged = true
    }

    /// The walk has been through all that lies in the store.
    func replaceLoose(_ report: CheckReport) {
        loose = [:]
        for difference in report.differences where difference.key == nil {
            loose[difference.verdict.rawValue, default: 0] += 1
        }
        if report.unexamined > 0 { loose["unexamined"] = report.unexamined }
        isChanged = true
    }

    /// Every row has been read: what earlier checks found beyond their rows is known anew.
    func endCycle(begun: Timestamp) {
        beyond = [:]
        isChanged = true
        if counts.isEmpty, unwatched == 0 { provenAt = begun }
    }

    /// What there is a right row of, or none.
    var repairable: Set<VerificationBook.Page.OpenRow> {
        let verdicts = [Verdict.corrupt, .missing, .rogue].map(\.rawValue)
        return Set(rows.filter { verdicts.contains($0.verdict) })
    }

    private var problem: String? { followProblem ?? scrubProblem }

    private var counts: [String: Int] {
        var counts = rowCounts.merging(loose, uniquingKeysWith: +)
            .merging(beyond, uniquingKeysWith: +)
        if isAhead { counts[Verdict.ahead.rawValue, default: 0] += 1 }
        if problem != nil { counts[Verdict.unknown.rawValue, default: 0] += 1 }
        return counts
    }

    // MARK: The book

    /// What the page says that was written last, by whomever: those rows are looked at again.
    func adopt() async -> [Difference] {
        let (book, place) = (book, place)
        let found = try? await book.hold { book.page(place) }
        return (found ?? nil).map(take) ?? []
    }

    private func take(_ page: VerificationBook.Page) -> [Difference] {
        written = page
        beyond = page.beyondRows.filter { $0.key != Verdict.unknown.rawValue }
        isChanged = true
        let rows = (page.rows ?? []).compactMap(\.difference)
        unwatched += rows.count
        return rows
    }

    /// Writes it where there is something to write.
    /// - Returns: what somebody else has found meanwhile.
    func write(isLast: Bool = false) async -> [Difference] {
        let now = ContinuousClock.now
        let isDue = isChanged || (rowsCompared > 0 && (isLast || now - writtenAt > Self.slowPause))
        guard isDue || now - lookedAt > Self.lookPause else { return [] }
        lookedAt = now
        let draft = isDue ? self.draft : nil
        let (before, took, proven) = (written, rowsCompared, provenAt)
        isChanged = false
        let (book, place) = (book, place)
        let found: VerificationBook.Page?
        do throws(FileWriteError) {
            found = try await book.hold { [draft] () throws(FileWriteError) in
                let present = book.page(place)
                guard present?.finishedAt == before?.finishedAt else { return present }
                if var draft {
                    draft.rowsComparedTotal += present?.rowsComparedTotal ?? 0
                    draft.inherit(present)
                    try book.write(draft)
                }
                return nil
            }
            if writeProblem != nil { logger.notice("what is found is written down again") }
            writeProblem = nil
        } catch {
            if writeProblem != error.description {
                logger.error("the daemon does not show what is found: \(error)")
            }
            writeProblem = error.description
            isChanged = true
            return []
        }
        if let found {
            // Written with the next turn, when what it says is in here.
            return take(found)
        }
        if let draft {
            written = draft
            writtenAt = now
            rowsCompared -= took
            if provenAt == proven { provenAt = nil }
        }
        return []
    }

    private var draft: VerificationBook.Page {
        let counts = counts
        let isFound = counts.contains { $0.key != Verdict.unknown.rawValue && $0.value > 0 }
        let outcome = isFound ? "found" : counts.isEmpty ? "equal" : "unknown"
        return VerificationBook.Page(
            dataset: place.dataset, store: place.store, outcome: outcome,
            finishedAt: Timestamp.now().microseconds, verdicts: counts, rowsCompared: rowsCompared,
            rowsComparedTotal: rowsCompared, equalAt: provenAt?.microseconds,
            provenAt: provenAt?.microseconds, provenSequence: nil, rows: rows, problem: problem)
    }
}

extension VerificationBook.Page {
    /// What was proven earlier stays proven.
    fileprivate mutating func inherit(_ before: VerificationBook.Page?) {
        provenAt = provenAt ?? before?.provenAt
        // Of an earlier proof: what changed since that entry changed since this one too.
        provenSequence = provenSequence ?? before?.provenSequence
        equalAt = equalAt ?? before?.equalAt
    }
}
