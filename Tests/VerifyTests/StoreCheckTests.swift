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

    @Test func whatCannotBeSaidIsUnknown() async throws {
        let copy = wholeCopy()
        copy.change { $0.position.datasets = [] }
        #expect(await check(copy).full().outcome == .unknown, "it is being filled")
        copy.change { content in
            content.position.datasets = ["held"]
            content.position.journal = "another"
        }
        #expect(await check(copy).full().outcome == .unknown, "the copy of another journal")
        copy.change { content in
            content.position.journal = copy.journal.identity
            content.position.applied = SequenceNumber(epoch: 9, number: 1)
        }
        #expect(await check(copy).full().outcome == .unknown, "it is ahead of the journal")
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
