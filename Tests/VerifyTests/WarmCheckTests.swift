import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Verify

/// What is said of a store without reading all of it.
@Suite(.timeLimit(.minutes(1))) struct WarmCheckTests {
    private func check(_ copy: MemoryCopy) -> StoreCheck {
        var limits = StoreCheck.Limits()
        limits.deadline = .milliseconds(60)
        return StoreCheck(
            MemoryJournal.schema, in: "memory", copy, against: copy.journal, limits: limits)
    }

    /// A copy that was proven, and after that has followed further changes.
    private func copy() -> (MemoryCopy, proven: SequenceNumber) {
        let journal = MemoryJournal(seed: 7)
        journal.change(400)
        let copy = MemoryCopy(journal)
        copy.follow()
        let proven = copy.content.withLock { $0.position.applied }
        journal.change(40)
        copy.follow()
        return (copy, proven)
    }

    private func spoil(_ copy: MemoryCopy, where isWanted: (RowKey) -> Bool) {
        copy.change { content in
            guard let key = content.found.keys.first(where: isWanted),
                case .row(let stamped)? = content.found[key]
            else { return }
            let row = Row(dataset: "held", values: key.values + [.integer(-1), .null])
            content.found[key] = .row(StampedRow(row: row, sequence: stamped.sequence))
        }
    }

    private func changed(_ copy: MemoryCopy, after sequence: SequenceNumber) -> Set<RowKey> {
        copy.journal.content.withLock { content in
            Set(content.entries.filter { $0.sequence ?? .none > sequence }.map(\.key))
        }
    }

    @Test func whatChangedIsReadAndWhatRestsIsBelieved() async throws {
        let (copy, proven) = copy()
        let changed = changed(copy, after: proven)
        var report = await check(copy).warm(after: proven)
        #expect(report.outcome == .equal, "\(report)")
        #expect(report.rowsCompared == changed.count)

        // Why it never stands in for a proof.
        spoil(copy) { !changed.contains($0) }
        report = await check(copy).warm(after: proven)
        #expect(report.outcome == .equal)
        #expect(await check(copy).full().outcome == .found)

        spoil(copy) { changed.contains($0) }
        report = await check(copy).warm(after: proven)
        #expect(report.counts == [.corrupt: 1], "\(report)")
    }

    @Test func anotherDigestIsADifference() async throws {
        let (copy, proven) = copy()
        var digests = try await copy.digests()
        let account = digests[0].scope.account
        digests[0] = DigestStamp(scope: digests[0].scope, digest: .empty)
        let spoiled = digests
        copy.change { $0.digests = spoiled }
        let report = await check(copy).warm(after: proven)
        #expect(report.counts == [.corrupt: 1])
        #expect(report.differences[0].problem.contains("of account '\(account)'"))
        copy.change { $0.digests = Array(spoiled.dropFirst()) }
        #expect(await check(copy).warm(after: proven).counts == [.corrupt: 1])
    }

    @Test func aStoreThatIsBehindIsComparedWithItsOwnEntry() async throws {
        let (copy, proven) = copy()
        copy.journal.change(1)
        var report = await check(copy).warm(after: proven)
        // The row that it has not come to.
        #expect(report.counts == [.lag: 1], "\(report)")
        copy.follow()
        report = await check(copy).warm(after: proven)
        #expect(report.outcome == .equal, "\(report)")
        copy.change { $0.failure = .unavailable(store: "memory", problem: "it is away") }
        report = await check(copy).warm(after: proven)
        #expect(report.outcome == .unknown)
    }

    @Test func aSampleIsOfSoManyRowsEachOnce() async throws {
        let (copy, _) = copy()
        let count = copy.content.withLock { $0.found.count }
        var report = await check(copy).sample(10)
        #expect(report.rowsCompared == 10)
        #expect(report.outcome == .equal)
        report = await check(copy).sample(count * 2)
        #expect(report.rowsCompared == count)
        spoil(copy) { _ in true }
        report = await check(copy).sample(count)
        #expect(report.counts == [.corrupt: 1])
        #expect(report.rowsCompared == count)
    }
}
