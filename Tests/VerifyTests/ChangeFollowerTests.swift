import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Verify

@Suite(.timeLimit(.minutes(1))) struct ChangeFollowerTests {
    private let journal = MemoryJournal(seed: 5)
    private let copy: MemoryCopy
    private var follower: ChangeFollower
    private let start = ContinuousClock.now
    private let key = MemoryJournal.key(1)

    init() {
        copy = MemoryCopy(journal)
        var limits = StoreCheck.Limits()
        limits.deadline = .seconds(2)
        let check = StoreCheck(
            MemoryJournal.schema, in: "memory", copy, against: journal, limits: limits)
        follower = ChangeFollower(check, after: SequenceNumber(epoch: 1, number: 0))
    }

    private func row(_ days: Int64) -> Row {
        Row(dataset: "held", values: key.values + [.integer(days), .null])
    }

    private mutating func step(_ milliseconds: Int) async -> ChangeFollower.Step {
        await follower.step(at: start + .milliseconds(milliseconds))
    }

    @Test mutating func whatIsRightIsNotSaid() async {
        journal.put(key, row(1))
        copy.follow()
        let step = await step(0)
        #expect(step.rowsCompared == 1)
        #expect(step.found.isEmpty)
        #expect(await self.step(1).rowsCompared == 0, "it is not looked at again")
    }

    @Test mutating func whatLagsIsSaidWhenTheDeadlineIsOver() async {
        journal.put(key, row(1))
        for time in [0, 1_000, 1_999] { #expect(await step(time).found.isEmpty) }
        #expect(await step(2_000).found.map(\.verdict) == [.lag])
        #expect(await step(2_100).found.isEmpty, "once")
        copy.follow()
        #expect(await step(2_600).mended.map(\.verdict) == [.lag])
        #expect(follower.open.isEmpty)
    }

    /// It is looked at twice, and what lags beside it keeps it waiting for nothing.
    @Test mutating func whatIsWrongIsSaidAtOnceBesideWhatLags() async {
        journal.put(key, row(1))
        copy.follow()
        copy.change { content in
            content.found[key] = .row(
                StampedRow(row: row(7), sequence: SequenceNumber(epoch: 1, number: 1)))
        }
        journal.put(MemoryJournal.key(2), nil)
        #expect(await step(0).found.isEmpty)
        let found = await step(100).found
        #expect(found.map(\.verdict) == [.corrupt])
        #expect(found.first?.fields.map(\.field) == ["days"])
    }

    /// Not even when the store is away for long.
    @Test mutating func whatCouldNotBeReadIsLookedAtWhenItCanBe() async {
        journal.put(key, row(1))
        copy.change { $0.failure = .unavailable(store: "memory", problem: "it is away") }
        for time in [0, 60_000] {
            let step = await step(time)
            #expect(step.found.isEmpty)
            #expect(step.problem == "memory did not answer: it is away")
        }
        copy.change { $0.failure = nil }
        // How long it was late before, nobody has seen.
        #expect(await step(60_100).found.isEmpty)
        #expect(await step(62_100).found.map(\.verdict) == [.lag])
        copy.follow()
        #expect(await step(62_200).mended.count == 1)
    }

    /// A difference that changes is said again; what it was before is not.
    @Test mutating func anotherDifferenceOfTheSameRowIsSaid() async {
        journal.put(key, row(1))
        copy.follow()
        copy.change { $0.found[key] = nil }
        _ = await step(0)
        #expect(await step(1).found.map(\.verdict) == [.missing])
        copy.change { content in
            content.found[key] = .row(
                StampedRow(row: row(7), sequence: SequenceNumber(epoch: 1, number: 1)))
        }
        _ = await step(2)
        #expect(await step(3).found.map(\.verdict) == [.corrupt])
        #expect(follower.open.count == 1)
    }

    // MARK: Where it stands

    /// Rows that wait are looked at by the follower that begins where this one stood.
    @Test mutating func nothingIsLostBetweenTwoFollowers() async throws {
        let other = MemoryJournal.key(2)
        journal.put(other, nil)
        copy.follow()
        _ = await step(0)
        // It is looked at once more.
        #expect(follower.settled == SequenceNumber(epoch: 1, number: 0))
        _ = await step(1_000)
        let settled = try #require(follower.settled)
        #expect(settled == SequenceNumber(epoch: 1, number: 1))
        journal.put(key, row(1))
        journal.put(other, nil)
        // The store is behind: the rows wait.
        #expect(await step(1_100).found.isEmpty)
        #expect(follower.settled == settled)
        copy.follow()
        copy.change { $0.found[key] = nil }
        follower = ChangeFollower(
            StoreCheck(MemoryJournal.schema, in: "memory", copy, against: journal), after: settled)
        _ = await step(1_200)
        #expect(await step(1_300).found.map(\.verdict) == [.missing])
        _ = await step(2_200)
        #expect(follower.settled == SequenceNumber(epoch: 1, number: 3))
    }

    /// What is damaged when it has been looked at already, a moment after the change.
    @Test mutating func aRowThatChangedIsLookedAtTwice() async {
        journal.put(key, row(1))
        copy.follow()
        #expect(await step(0).rowsCompared == 1)
        copy.change { $0.found[key] = nil }
        #expect(await step(900).rowsCompared == 0)
        _ = await step(1_000)
        #expect(await step(1_100).found.map(\.verdict) == [.missing])
    }

    @Test mutating func whatOthersFoundIsWatchedUntilItIsMended() async {
        journal.put(key, row(1))
        copy.follow()
        copy.change { $0.found[key] = nil }
        follower = ChangeFollower(
            StoreCheck(MemoryJournal.schema, in: "memory", copy, against: journal), after: nil)
        follower.watch([Difference(known: key, verdict: .missing)])
        #expect(follower.settled == nil)
        for time in [0, 600, 1_200] { _ = await step(time) }
        #expect(follower.open[key]?.verdict == .missing)
        copy.change { content in
            content.found[key] = .row(
                StampedRow(row: row(1), sequence: SequenceNumber(epoch: 1, number: 1)))
        }
        #expect(await step(1_800).mended.count == 1)
        #expect(follower.open.isEmpty)
    }

    /// A store that is far behind is not asked for rows that it cannot have.
    @Test mutating func rowsThatCannotBeThereYetAreNotRead() async {
        journal.change(500)
        let count = await step(0).rowsCompared
        #expect(count > 0)
        #expect(await step(100).rowsCompared == 0)
        copy.follow()
        let late = await step(200).rowsCompared
        #expect(late > 0 && late <= count, "those that are gone again are right already")
        #expect(follower.open.isEmpty)
    }

    /// A store of another journal is one difference, and none of its rows is looked at.
    @Test mutating func aStoreOfAnotherJournalIsSaidAsAWhole() async {
        journal.put(key, row(1))
        copy.follow()
        copy.change {
            $0.position = StorePosition(
                journal: "other", applied: $0.position.applied, datasets: ["held"])
        }
        let step = await step(0)
        #expect(step.whole?.verdict == .ahead && step.found.isEmpty && step.problem == nil)
    }

    /// However much has changed, it is taken up a page at a time, and all of it is looked at.
    @Test(arguments: [1, 7, 100])
    func changesAreTakenUpInPages(_ pageEntries: Int) async {
        let journal = MemoryJournal(seed: 3, pageEntries: pageEntries)
        let copy = MemoryCopy(journal)
        journal.change(300)
        copy.follow()
        let keys = journal.content.withLock { Array($0.rows.keys) }
        copy.change { for key in keys { $0.found[key] = nil } }
        let start = SequenceNumber(epoch: 1, number: 0)
        let check = StoreCheck(MemoryJournal.schema, in: "memory", copy, against: journal)
        var follower = ChangeFollower(check, after: start)
        for _ in 0..<310 { _ = await follower.step() }
        #expect(Set(follower.open.keys) == Set(keys))
        let report = await check.recent(after: start)
        #expect(Set(report.differences.compactMap(\.key)) == Set(keys))
        #expect(report.counts == [.missing: keys.count])
    }
}
