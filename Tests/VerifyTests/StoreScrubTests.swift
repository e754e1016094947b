import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Verify

/// A store that is read again and again, a little at a time.
@Suite(.timeLimit(.minutes(1))) struct StoreScrubTests {
    private let journal = MemoryJournal(seed: 7)
    private let copy: MemoryCopy
    private let check: StoreCheck
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("scrub")
        copy = MemoryCopy(journal) { copy in
            copy.journal.change(1)
            copy.follow()
        }
        var limits = StoreCheck.Limits()
        limits.directory = folder.path
        limits.deadline = .milliseconds(200)
        check = StoreCheck(
            MemoryJournal.schema, in: "memory", copy, against: journal, limits: limits)
    }

    /// Both walks of a cycle: what each has found, by verdict and key.
    private func cycle(page: Int = 7) async throws -> Set<String> {
        var found: Set<String> = []
        func note(_ report: CheckReport) {
            #expect(report.outcome != .unknown, "\(report.problems)")
            for difference in report.differences {
                found.insert("\(difference.verdict) \(difference.key?.description ?? "-")")
            }
        }
        var last: RowKey?
        while true {
            let keys = try await check.keys(after: last, limit: page)
            if keys.isEmpty { break }
            note(await check.examine(keys))
            last = keys.last
        }
        note(await check.strays { _ in })
        return found
    }

    @Test func aCopyThatIsRightIsFoundSoWhileItIsWritten() async throws {
        journal.change(400)
        copy.follow()
        #expect(try await cycle() == [])
    }

    /// Whatever is wrong, one cycle finds it, and nothing else.
    @Test(arguments: 1...20)
    func eachFaultIsFoundInOneCycle(_ seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        journal.change(300)
        copy.follow()
        let keys = journal.content.withLock { Array($0.rows.keys) }.sorted { "\($0)" < "\($1)" }
            .shuffled(using: &generator)
        let rogue = RowKey(dataset: "held", values: [.text("NOBODY"), .text("X")])
        copy.change { content in
            guard case .row(let row)? = content.found[keys[0]] else { return }
            var values = row.row.values
            values[2] = .integer(-1)
            content.found[keys[0]] = .row(
                StampedRow(row: Row(dataset: "held", values: values), sequence: row.sequence))
            content.found[keys[1]] = nil
            // The right row under the stamp of an earlier entry.
            guard case .row(let other)? = content.found[keys[2]] else { return }
            content.found[keys[2]] = .row(StampedRow(row: other.row, sequence: .none))
            content.found[rogue] = .row(
                StampedRow(
                    row: Row(dataset: "held", values: rogue.values + [.integer(1), .null]),
                    sequence: .none))
            content.litter = [DamagedRow(key: nil, place: "a file", problem: "it is no row")]
            guard case .row(let double)? = content.found[keys[3]] else { return }
            content.doubles = [double]
        }
        // What is written over meanwhile is mended: the walk itself writes nothing here.
        let still = MemoryCopy(journal)
        still.change { $0 = copy.content.withLock { $0 } }
        let check = StoreCheck(
            MemoryJournal.schema, in: "memory", still, against: journal, limits: check.limits)
        var found: Set<String> = []
        var last: RowKey?
        while case let keys = try await check.keys(after: last, limit: 13), !keys.isEmpty {
            for difference in await check.examine(keys).differences {
                found.insert("\(difference.verdict) \(difference.key?.description ?? "-")")
            }
            last = keys.last
        }
        for difference in await check.strays({ _ in }).differences {
            found.insert("\(difference.verdict) \(difference.key?.description ?? "-")")
        }
        #expect(
            found == [
                "corrupt \(keys[0])", "missing \(keys[1])", "corrupt \(keys[2])",
                "rogue \(rogue)", "corrupt -", "corrupt \(keys[3])",
            ])
    }

    @Test func whatCannotBeReadIsNoProof() async throws {
        journal.change(50)
        copy.follow()
        let keys = try await check.keys(after: nil, limit: 10)
        copy.change { $0.failure = .unavailable(store: "memory", problem: "it is away") }
        #expect(await check.examine(keys).outcome == .unknown)
        #expect(await check.strays { _ in }.outcome == .unknown)
    }

    // MARK: The pace

    @Test func rowsAreSpreadOverTheCycle() {
        let pace = ScrubPace(cycle: .seconds(3_600))
        func rate(_ rest: Int, _ seconds: Int) -> Int {
            Int(
                pace.rowsPerSecond(rows: rest, rest: rest, elapsed: .seconds(seconds)).rounded())
        }
        #expect(rate(400_000, 0) == 159)
        // Behind, it reads faster; never faster than it may.
        #expect(rate(400_000, 1_260) == 317)
        #expect(rate(400_000_000, 0) == 20_000)
        // A few rows are read one by one.
        let page = pace.page(rows: 10, rest: 10, elapsed: .zero)
        #expect(page.rows == 1 && abs(page.pause / .seconds(1) - 252) < 0.01)
        let many = pace.page(rows: 10_000_000, rest: 10_000_000, elapsed: .zero)
        #expect(many.rows == 992 && many.pause < .seconds(1))
        #expect(abs(pace.shortest / .seconds(1) - 2_880) < 0.01)
    }

    /// However long it takes to read a page, and however the process was interrupted, the walk ends
    /// before the cycle does.
    @Test(arguments: [5, 60, 3_600])
    func theWalkEndsBeforeTheCycle(_ seconds: Int) {
        let pace = ScrubPace(cycle: .seconds(seconds))
        var generator = SeededGenerator(seed: UInt64(seconds))
        for rows in [1, 10, 1_000, 50_000] {
            var (rest, elapsed) = (rows, Duration.zero)
            while rest > 0 {
                let page = pace.page(rows: rows, rest: rest, elapsed: elapsed)
                rest -= page.rows
                let late = Double.random(in: 0..<0.02, using: &generator)
                elapsed += page.pause + page.pause * late
            }
            #expect(elapsed < .seconds(seconds) * 0.8, "\(rows) rows took \(elapsed)")
        }
    }

    @Test func aCycleThatCannotBeHeldIsSaid() {
        #expect(ScrubPace(cycle: .seconds(10)).problem(rows: 100_000) == nil)
        #expect(
            ScrubPace(cycle: .seconds(10)).problem(rows: 1_000_000)
                == "a cycle takes 71 s and not the 10 s of 'every': at most 20000 rows a second "
                + "are read")
    }
}
