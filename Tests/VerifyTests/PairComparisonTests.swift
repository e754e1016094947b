import Ledger
import Synchronization
import Testing

@testable import Verify

/// Two places in memory with each other, written while they are read.
@Suite(.timeLimit(.minutes(2))) struct PairComparisonTests {
    private typealias Judge = PairJudgeTests

    /// The lock guards the rows; it is held to read or to write them.
    private final class Rows: ComparedRows, Sendable {
        struct Content {
            var rows: [Int64: [FoundRow]] = [:]
            var litter: [DamagedRow] = []
            var failsAfter: Int?
            var finds = 0
        }

        let content: Mutex<Content>
        let between: @Sendable () -> Void

        init(
            _ rows: [Int64: FoundRow], between: @escaping @Sendable () -> Void = {}
        ) {
            content = Mutex(Content(rows: rows.mapValues { [$0] }))
            self.between = between
        }

        func change(_ body: (inout Content) -> Void) { content.withLock { body(&$0) } }

        func scan(
            _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
        ) async throws(StoreError) {
            let ids = content.withLock { $0.rows.keys.sorted() }
            for (count, id) in ids.enumerated() {
                if count % 100 == 50 { between() }
                let (rows, failsAfter) = content.withLock { ($0.rows[id] ?? [], $0.failsAfter) }
                if let failsAfter, count >= failsAfter {
                    throw .unavailable(store: "memory", problem: "it went away")
                }
                try await consume(rows)
            }
            try await consume(content.withLock { $0.litter }.map(FoundRow.damaged))
        }

        func find(_ keys: [RowKey]) async throws(StoreError) -> [[FoundRow]] {
            between()
            return content.withLock { content in
                content.finds += 1
                return keys.map { content.rows[$0.values[0].integer ?? -1] ?? [] }
            }
        }
    }

    private func rows(_ count: Int64) -> [Int64: FoundRow] {
        Dictionary(
            uniqueKeysWithValues: (1...count).map { ($0, Judge.row($0, "\($0).25")) })
    }

    private func compare(
        _ left: Rows, _ right: Rows, _ tolerance: [String: PairTolerance] = [:],
        _ change: (inout StoreCheck.Limits) -> Void = { _ in }
    ) async -> CheckReport {
        var limits = StoreCheck.Limits()
        limits.deadline = .milliseconds(50)
        change(&limits)
        return await PairComparison(
            Judge.schema, in: "other", left: PairSide("one", left), right: PairSide("other", right),
            tolerance: tolerance, limits: limits
        ).run()
    }

    @Test func whatIsTheSameIsEqual() async {
        let report = await compare(Rows(rows(1_000)), Rows(rows(1_000)))
        #expect(report.outcome == .equal, "\(report)")
        #expect(report.rowsCompared == 1_000)
    }

    @Test func everyDifferenceIsFoundAndNoOther() async {
        let (left, right) = (Rows(rows(2_000)), Rows(rows(2_000)))
        right.change { content in
            content.rows[7] = [Judge.row(7, "8.25")]
            // Two rows that have changed places: sums and exclusive ors of fields do not notice.
            content.rows[10] = [Judge.row(10, "11.25")]
            content.rows[11] = [Judge.row(11, "10.25")]
            content.rows[20] = nil
            content.rows[3_000] = [Judge.row(3_000)]
            // The same fault twice, which an exclusive or would not see.
            content.rows[30] = [Judge.row(30, "1"), Judge.row(30, "1")]
        }
        left.change { $0.rows[40]?.append(Judge.row(40, "40.25")) }
        let report = await compare(left, right)
        let found = Dictionary(
            report.differences.map { ($0.key?.values[0].integer ?? -1, $0.verdict) },
            uniquingKeysWith: { first, _ in first })
        #expect(
            found == [
                7: .corrupt, 10: .corrupt, 11: .corrupt, 20: .missing, 3_000: .rogue, 30: .corrupt,
                40: .corrupt,
            ])
        #expect(report.differences.count == 7)
    }

    @Test func aTolerantFieldIsComparedByItsValueAndTheOthersExactly() async {
        let (left, right) = (Rows(rows(500)), Rows(rows(500)))
        right.change { content in
            for id in content.rows.keys { content.rows[id] = [Judge.row(id, "\(id).26", at: 1)] }
            content.rows[9] = [Judge.row(9, "9.2601", at: 1)]
            content.rows[10] = [Judge.row(10, "10.25", at: 2)]
            content.rows[11] = [Judge.row(11, "11.25", note: "b")]
            content.rows[12] = [Judge.row(12, "null")]
            // Longer than any number that is kept.
            content.rows[13] = [Judge.row(13, "99999999999999999999999999999999999999")]
        }
        left.change {
            $0.rows[13] = [Judge.row(13, "99999999999999999999999999999999999998.99")]
            $0.rows[14] = [Judge.row(14, "99999999999999999999999999999999999999")]
        }
        right.change {
            $0.rows[14] = [Judge.row(14, "99999999999999999999999999999999999999")]
        }
        let report = await compare(
            left, right,
            [
                "price": .number(ExactDecimal("0.01") ?? .zero), "at": .microseconds(1_000_000),
            ])
        let found = Set(report.differences.compactMap { $0.key?.values[0].integer })
        #expect(found.isSuperset(of: [9, 10, 11, 12]), "\(found)")
        #expect(found.isSubset(of: [9, 10, 11, 12, 13]), "\(found)")
        #expect(report.unexamined == 0)
    }

    /// Both sides are written all the while, the right one a moment after the left one.
    @Test func aWriterInProgressIsNoDifference() async {
        let (left, right) = (Rows(rows(1_000)), Rows(rows(1_000)))
        let writer = Task.detached {
            var turn: Int64 = 0
            while !Task.isCancelled {
                turn += 1
                let id = turn % 1_200 + 1
                let row = turn % 5 == 0 ? [] : [Judge.row(id, "\(turn)")]
                left.change { $0.rows[id] = row }
                try? await Task.sleep(for: .microseconds(200))
                right.change { $0.rows[id] = row }
            }
        }
        for _ in 0..<10 {
            let report = await compare(left, right) { $0.deadline = .milliseconds(300) }
            #expect(report.outcome == .equal, "\(report.counts) \(report.problems)")
        }
        writer.cancel()
        await writer.value
        // And what was damaged under it is found.
        right.change { $0.rows[77] = [Judge.row(77, "0.01")] }
        let report = await compare(left, right)
        #expect(report.differences.map(\.key) == [Judge.key(77)])
    }

    @Test func whatCouldNotBeReadIsUnknownAndNeverMissing() async {
        let (left, right) = (Rows(rows(1_000)), Rows(rows(1_000)))
        right.change { $0.failsAfter = 500 }
        let report = await compare(left, right)
        #expect(report.outcome == .unknown)
        #expect(report.differences.isEmpty)
        #expect(report.problems.contains { $0.contains("it went away") })
    }

    @Test func whatIsNoRowIsNamed() async {
        let (left, right) = (Rows(rows(10)), Rows(rows(10)))
        right.change { content in
            content.litter = [
                DamagedRow(key: nil, place: "line 7", problem: "it is no row"),
                DamagedRow(key: Judge.key(3), place: "line 3", problem: "price is no decimal"),
            ]
            content.rows[3] = [
                .damaged(
                    DamagedRow(key: Judge.key(3), place: "line 3", problem: "price is no decimal"))
            ]
        }
        let report = await compare(left, right)
        #expect(report.counts == [.corrupt: 2], "\(report.differences)")
        #expect(report.differences.contains { $0.key == nil && $0.problem.contains("line 7") })
        #expect(report.differences.contains { $0.key == Judge.key(3) })
    }

    @Test func moreDifferencesThanAreLookedAtAreCounted() async {
        let (left, right) = (Rows(rows(300)), Rows([:]))
        let report = await compare(left, right) { $0.examinedMax = 100 }
        #expect(report.counts == [.missing: 100])
        #expect(report.unexamined == 200)
        #expect(report.outcome == .found)
    }

    @Test func whatDoesNotFitIntoMemoryGoesToTheDisk() async throws {
        let (left, right) = (Rows(rows(20_000)), Rows(rows(20_000)))
        right.change { $0.rows[12_345] = nil }
        let report = await compare(left, right, ["price": .number(ExactDecimal("0.01") ?? .zero)]) {
            $0.memoryRowsMax = 1_000
        }
        #expect(report.differences.map(\.key) == [Judge.key(12_345)])
    }
}
