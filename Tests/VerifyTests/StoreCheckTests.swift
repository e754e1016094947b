import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Verify

@Suite(.timeLimit(.minutes(1))) struct StoreCheckTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("verify")
    }

    private func check(
        _ copy: MemoryCopy, deadline: Duration = .milliseconds(60), memoryRowsMax: Int = 50
    ) -> StoreCheck {
        var limits = StoreCheck.Limits()
        limits.deadline = deadline
        limits.directory = folder.path("")
        // So that hashes go to the file and come back.
        limits.memoryRowsMax = memoryRowsMax
        return StoreCheck(
            MemoryJournal.schema, in: "memory", copy, against: copy.journal, limits: limits)
    }

    private func wholeCopy(seed: UInt64 = 1) -> MemoryCopy {
        let journal = MemoryJournal(seed: seed)
        journal.change(400)
        let copy = MemoryCopy(journal)
        copy.follow()
        return copy
    }

    private func key(of copy: MemoryCopy, _ number: Int = 0) -> RowKey {
        copy.content.withLock { $0.found.keys.sorted { "\($0)" < "\($1)" }[number] }
    }

    @Test func aCopyThatIsWholeIsEqual() async throws {
        let copy = wholeCopy()
        let report = await check(copy).full()
        #expect(report.outcome == .equal, "\(report)")
        #expect(report.rowsCompared == copy.content.withLock { $0.found.count })
        #expect(report.through == copy.journal.content.withLock { $0.head })
        #expect(report.digests == copy.journal.content.withLock { $0.digests })
    }

    // MARK: Faults, one at a time

    enum Fault: String, CaseIterable {
        case changed, swapped, deleted, added, older, stamped, unstamped, ahead, damaged, litter

        var verdict: Verdict {
            switch self {
            case .changed, .swapped, .older, .stamped, .unstamped, .damaged, .litter: .corrupt
            case .deleted: .missing
            case .added: .rogue
            case .ahead: .ahead
            }
        }
        var count: Int { self == .swapped ? 2 : 1 }

        /// - Returns: the rows that are wrong now.
        func plant(_ content: inout MemoryCopy.Content, at keys: [RowKey]) -> [RowKey] {
            guard case .row(let one)? = content.found[keys[0]],
                case .row(let two)? = content.found[keys[1]]
            else { return [] }
            let sequence = one.sequence
            func row(_ values: [Value], _ sequence: SequenceNumber) -> FoundRow {
                .row(StampedRow(row: Row(dataset: "held", values: values), sequence: sequence))
            }
            var other = one.row.values
            other[2] = .integer(-1)
            switch self {
            case .changed: content.found[keys[0]] = row(other, sequence)
            case .swapped:
                content.found[keys[0]] = row(
                    keys[0].values + two.row.values.dropFirst(2), sequence)
                content.found[keys[1]] = row(
                    keys[1].values + one.row.values.dropFirst(2), two.sequence)
                return Array(keys.prefix(2))
            case .deleted: content.found[keys[0]] = nil
            case .added:
                let key = RowKey(dataset: "held", values: [.text("A"), .text("rogue")])
                content.found[key] = row(key.values + [.integer(1), .null], .none)
                return [key]
            case .older:
                content.found[keys[0]] = row(other, SequenceNumber(rawValue: sequence.rawValue - 1))
            case .stamped:
                content.found[keys[0]] = row(other, SequenceNumber(rawValue: sequence.rawValue + 1))
            case .unstamped: content.found[keys[0]] = row(one.row.values, .none)
            case .ahead: content.found[keys[0]] = row(other, SequenceNumber(epoch: 7, number: 1))
            case .damaged:
                content.found[keys[0]] = .damaged(
                    DamagedRow(key: keys[0], place: "there", problem: "it is a list"))
            case .litter:
                content.litter.append(
                    DamagedRow(key: nil, place: "there", problem: "it is no row at all"))
                return []
            }
            return [keys[0]]
        }
    }

    @Test(arguments: Fault.allCases) func aFaultIsFound(_ fault: Fault) async throws {
        let copy = wholeCopy(seed: 2)
        // Their last change must not be the newest one, or a later stamp would be ahead.
        let keys = copy.content.withLock { content in
            content.found.filter { _, found in
                guard case .row(let row) = found else { return false }
                return row.sequence.number < 390
            }.keys.sorted { "\($0)" < "\($1)" }
        }
        var wrong: [RowKey] = []
        copy.change { wrong = fault.plant(&$0, at: keys) }
        let report = await check(copy).full()
        #expect(report.outcome == .found)
        #expect(report.counts == [fault.verdict: fault.count], "\(report)")
        #expect(Set(report.differences.compactMap(\.key)) == Set(wrong))
        if fault == .changed {
            #expect(report.differences[0].fields.map(\.field) == ["days"])
            #expect(report.differences[0].fields[0].found == .integer(-1))
        }
    }

    /// Under XOR they would cancel.
    @Test func twoFaultsThatAreAlikeDoNotCancel() async throws {
        let copy = wholeCopy()
        let (one, two) = (key(of: copy, 0), key(of: copy, 1))
        copy.change { content in
            content.found[one] = nil
            content.found[two] = nil
        }
        #expect(await check(copy).full().counts == [.missing: 2])
    }

    /// Nothing is taken for missing that was not read.
    @Test func aStoreThatDoesNotAnswerIsUnknown() async throws {
        let copy = wholeCopy()
        copy.change { $0.failure = .unavailable(store: "memory", problem: "it is away") }
        let report = await check(copy).full()
        #expect(report.outcome == .unknown)
        #expect(report.counts.isEmpty)
        #expect(report.problems == ["memory did not answer: it is away"])
    }

    @Test func aStoreThatWasReplacedByAnEmptyOneLacksEverything() async throws {
        let copy = wholeCopy()
        let count = copy.content.withLock { $0.found.count }
        copy.change { $0 = .init(position: .empty) }
        let report = await check(copy).full()
        #expect(report.counts == [.missing: count])
    }

    @Test func whatIsBeingFilledIsUnknown() async throws {
        let copy = wholeCopy()
        copy.change { $0.position.datasets = [] }
        let report = await check(copy).full()
        #expect(report.outcome == .unknown)
        #expect(report.problems.first?.contains("is not whole there") == true)
    }

    @Test func whatIsNoCopyOfThisJournalIsAhead() async throws {
        let copy = wholeCopy()
        copy.change { $0.position.applied = SequenceNumber(epoch: 9, number: 1) }
        #expect(await check(copy).full().counts == [.ahead: 1])
        copy.change { $0.position.journal = "another" }
        #expect(await check(copy).full().counts == [.ahead: 1])
        #expect(
            await check(copy).recent(after: SequenceNumber(epoch: 1, number: 400)).counts
                == [.ahead: 1], "also when nothing has changed")
    }

    /// The sum does not tell a stamp.
    @Test func aStampOfTheFutureUnderRightValuesIsAhead() async throws {
        let copy = wholeCopy()
        let key = key(of: copy)
        copy.change { content in
            guard case .row(let row)? = content.found[key] else { return }
            content.found[key] = .row(
                StampedRow(row: row.row, sequence: SequenceNumber(epoch: 7, number: 1)))
        }
        // The journal goes on, with another last entry at each look.
        let writing = Task {
            while !Task.isCancelled {
                copy.journal.put(MemoryJournal.key(1_000), nil)
                copy.follow()
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
        #expect(await check(copy, deadline: .zero).full().counts == [.ahead: 1])
        writing.cancel()
        await writing.value
    }

    @Test func aRowThatLiesTwiceIsFound() async throws {
        let copy = wholeCopy()
        let key = key(of: copy)
        copy.change { content in
            guard case .row(let row)? = content.found[key] else { return }
            content.doubles = [row]
        }
        let report = await check(copy).full()
        #expect(report.counts == [.corrupt: 1], "\(report)")
        #expect(report.differences.first?.problem == "it lies there 2 times")
    }

    /// Somebody was writing it.
    @Test func whatWasNoRowForAMomentIsNotFound() async throws {
        let looks = Mutex(0)
        let journal = MemoryJournal(seed: 4)
        journal.change(40)
        let copy = MemoryCopy(journal) { copy in
            let isFirst = looks.withLock { looks in
                looks += 1
                return looks == 1
            }
            copy.change { $0.litter = isFirst ? [Self.half] : [] }
        }
        copy.follow()
        copy.change { $0.litter = [Self.half] }
        #expect(await check(copy).full().outcome == .equal)
    }

    private static let half = DamagedRow(key: nil, place: "there", problem: "half of it")

    /// What a store is compared with must be right itself.
    @Test func aStoreIsNotFoundGuiltyOfADamagedCheckpoint() async throws {
        let copy = wholeCopy()
        let (one, other) = (key(of: copy, 0), key(of: copy, 1))
        copy.journal.content.withLock { content in
            guard let row = content.rows[one] else { return }
            content.rows[one] = StampedRow(
                row: Row(dataset: "held", values: one.values + [.integer(-7), .null]),
                sequence: row.sequence)
        }
        copy.change { $0.found[other] = nil }
        let report = await check(copy).full()
        #expect(report.outcome == .unknown, "\(report)")
        #expect(report.problems.first?.hasPrefix("checkpoint is damaged") == true)
    }

    // MARK: In motion

    /// The store is written and lags while it is scanned; what is right is never found wrong.
    @Test(arguments: 1...40) func whatMovesIsNotFoundWrong(_ seed: UInt64) async throws {
        let journal = MemoryJournal(seed: seed)
        journal.change(300)
        let copy = MemoryCopy(journal) { copy in
            copy.journal.change(Int(seed % 7))
            copy.follow(Int(seed % 5), isHalf: seed % 3 == 0)
        }
        copy.follow(280)
        // It catches up in the end, as a store that follows does.
        let catchingUp = Task {
            while !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(5))
                copy.follow()
            }
        }
        let whole = await check(copy, deadline: .seconds(20)).full()
        #expect(whole.outcome == .equal, "\(whole)")

        var wrong = RowKey(dataset: "held", values: [])
        copy.change { content in
            // A row that nobody changes any more.
            wrong = RowKey(dataset: "held", values: [.text("A"), .text("rest")])
            content.found[wrong] = .row(
                StampedRow(
                    row: Row(dataset: "held", values: wrong.values + [.integer(1), .null]),
                    sequence: SequenceNumber(epoch: 1, number: 3)))
        }
        let report = await check(copy, deadline: .seconds(20)).full()
        #expect(report.counts == [.rogue: 1], "\(report)")
        #expect(report.differences.first?.key == wrong)
        catchingUp.cancel()
        await catchingUp.value
    }

    /// At each look the store is late with another entry, and what it has is right.
    @Test func aRowThatChangesAllTheTimeIsNotLate() async throws {
        let journal = MemoryJournal(seed: 6)
        let copy = MemoryCopy(journal)
        let key = MemoryJournal.key(0)
        let writing = Task {
            var days: Int64 = 0
            while !Task.isCancelled {
                for _ in 0..<3 {
                    days += 1
                    journal.put(
                        key, Row(dataset: "held", values: key.values + [.integer(days), .null]))
                }
                // It never has the newest.
                copy.follow(journal.content.withLock { $0.entries.count } - 2 - copy.appliedCount)
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
        try await Task.sleep(for: .milliseconds(20))
        let report = await check(copy, deadline: .milliseconds(300)).full()
        #expect(report.outcome == .equal, "\(report)")
        writing.cancel()
        await writing.value
    }

    @Test func whatLagsIsLagUntilItIsThere() async throws {
        let copy = wholeCopy()
        copy.journal.change(5)
        let behind = await check(copy).full()
        #expect(Set(behind.counts.keys) == [.lag], "\(behind)")
        #expect(behind.outcome == .found)
        let start = copy.content.withLock { $0.position.applied }
        copy.follow()
        let recent = await check(copy).recent(after: start)
        #expect(recent.outcome == .equal)
        #expect((1...5).contains(recent.rowsCompared))
    }
}
