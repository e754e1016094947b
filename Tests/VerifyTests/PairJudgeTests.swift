import Ledger
import Testing

@testable import Verify

/// What is said of rows in two places, from what was read there alone.
@Suite struct PairJudgeTests {
    static let schema = Schema(
        dataset: "legacy", kind: .declared, key: [Field("id", .integer)],
        fields: [
            Field("price", .decimal, optional: true), Field("at", .timestamp, optional: true),
            Field("note", .text, optional: true),
        ])

    static func row(
        _ id: Int64, _ price: String = "1.5", at seconds: Int64 = 0, note: String? = "a"
    ) -> FoundRow {
        let price = ExactDecimal(price).map(Value.decimal) ?? .null
        return .row(
            StampedRow(
                row: Row(
                    dataset: "legacy",
                    values: [
                        .integer(id), price,
                        .timestamp(Timestamp(microseconds: seconds * 1_000_000)), .optional(note),
                    ]), sequence: .none))
    }

    static func key(_ id: Int64) -> RowKey { RowKey(dataset: "legacy", values: [.integer(id)]) }

    private func verdict(
        _ left: [FoundRow], _ right: [FoundRow], _ tolerance: [Int: PairTolerance] = [:]
    ) -> Verdict? {
        PairJudge(schema: Self.schema, tolerance: tolerance, left: "one", right: "other")
            .difference(Self.key(1), left, right)?.verdict
    }

    @Test func theVerdictIsNamedFromTheLeft() {
        #expect(verdict([], []) == nil)
        #expect(verdict([Self.row(1)], [Self.row(1)]) == nil)
        #expect(verdict([Self.row(1)], []) == .missing)
        #expect(verdict([], [Self.row(1)]) == .rogue)
        #expect(verdict([Self.row(1)], [Self.row(1, "1.51")]) == .corrupt)
    }

    @Test func valuesAreComparedAsValues() {
        #expect(verdict([Self.row(1, "1.50")], [Self.row(1, "1.5000")]) == nil)
        #expect(verdict([Self.row(1, note: nil)], [Self.row(1, note: "")]) == .corrupt)
        // One letter, and a letter with an accent behind it: other bytes.
        #expect(
            verdict([Self.row(1, note: "\u{E9}")], [Self.row(1, note: "e\u{301}")]) == .corrupt)
    }

    @Test func whatDiffersIsNamedWithBothValues() throws {
        let judge = PairJudge(schema: Self.schema, tolerance: [:], left: "one", right: "other")
        let found = judge.difference(Self.key(1), [Self.row(1)], [Self.row(1, "2", note: "b")])
        let fields = try #require(found).fields
        #expect(fields.map(\.field) == ["price", "note"])
        #expect(fields.map(\.journaled) == [.decimal(ExactDecimal("1.5") ?? .zero), .text("a")])
        #expect(fields.map(\.found) == [.decimal(ExactDecimal(2)), .text("b")])
    }

    @Test(
        arguments: [
            ("1.5", "1.51", nil), ("1.5", "1.49", nil), ("1.5", "1.5100000001", Verdict.corrupt),
            ("-0.005", "0.005", nil), ("99999999999999999999999999999999999999", "1", .corrupt),
        ] as [(String, String, Verdict?)])
    func aDecimalMayBeApart(_ left: String, _ right: String, _ wanted: Verdict?) throws {
        let most = try #require(ExactDecimal("0.01"))
        #expect(
            verdict([Self.row(1, left)], [Self.row(1, right)], [1: .number(most)]) == wanted)
    }

    @Test func aTimeMayBeApartAndNullMayNot() {
        let tolerance: [Int: PairTolerance] = [2: .microseconds(5_000_000)]
        #expect(verdict([Self.row(1, at: 5)], [Self.row(1, at: 10)], tolerance) == nil)
        #expect(verdict([Self.row(1, at: 5)], [Self.row(1, at: 11)], tolerance) == .corrupt)
        let ends = (Self.row(1, at: -9_000_000_000_000), Self.row(1, at: 9_000_000_000_000))
        #expect(verdict([ends.0], [ends.1], tolerance) == .corrupt)
        let none: [Int: PairTolerance] = [1: .number(ExactDecimal(1_000))]
        #expect(verdict([Self.row(1, "0")], [Self.row(1, "null")], none) == .corrupt)
    }

    @Test func severalRowsOfOneKeyAreTheSameWhenEachHasItsOwn() {
        let (one, other) = (Self.row(1, "1"), Self.row(1, "2"))
        #expect(verdict([one, other], [other, one]) == nil)
        #expect(verdict([one, one], [one, other]) == .corrupt)
        #expect(verdict([one, one], [one]) == .corrupt)
        let near: [Int: PairTolerance] = [1: .number(ExactDecimal(1))]
        #expect(verdict([one, other], [other, one], near) == nil)
    }

    @Test func whatNobodyCanReadIsUnknown() {
        let damage = FoundRow.damaged(
            DamagedRow(key: Self.key(1), place: "a row", problem: "price is no decimal"))
        #expect(verdict([damage], [Self.row(1)]) == .corrupt)
        #expect(verdict([Self.row(1)], [damage]) == .corrupt)
        #expect(verdict([damage], [damage]) == .unknown)
    }

    // MARK: Between two looks

    private static let start = ContinuousClock.now
    private static let patience = Duration.seconds(10)

    private func look(
        _ suspicion: inout PairSuspicion, _ left: FoundRow?, _ right: FoundRow?, after: Int
    ) -> String {
        let judge = PairJudge(schema: Self.schema, tolerance: [:], left: "one", right: "other")
        let (left, right) = ([left].compactMap { $0 }, [right].compactMap { $0 })
        let outcome = suspicion.take(
            judge.difference(Self.key(1), left, right), left: left, right: right,
            at: Self.start + .seconds(after), patience: Self.patience)
        return switch outcome {
        case .equal: "equal"
        case .wrong(let difference): difference.verdict.rawValue
        case .open: "open"
        }
    }

    @Test func aDifferenceIsOneWhenItStaysForAsLongAsAWriteMayTake() {
        var suspicion = PairSuspicion()
        #expect(look(&suspicion, Self.row(1), nil, after: 0) == "open")
        #expect(look(&suspicion, Self.row(1), nil, after: 9) == "open")
        #expect(look(&suspicion, Self.row(1), nil, after: 10) == "missing")
    }

    @Test func aWriteInProgressIsNone() {
        var suspicion = PairSuspicion()
        #expect(look(&suspicion, Self.row(1, "2"), Self.row(1, "1"), after: 0) == "open")
        #expect(look(&suspicion, Self.row(1, "2"), Self.row(1, "2"), after: 3) == "equal")
    }

    @Test func aRowThatMovesBeginsAnew() {
        var suspicion = PairSuspicion()
        #expect(look(&suspicion, Self.row(1, "2"), Self.row(1, "1"), after: 0) == "open")
        #expect(look(&suspicion, Self.row(1, "3"), Self.row(1, "1"), after: 9) == "open")
        #expect(look(&suspicion, Self.row(1, "3"), Self.row(1, "1"), after: 18) == "open")
        #expect(look(&suspicion, Self.row(1, "3"), Self.row(1, "1"), after: 19) == "corrupt")
    }

    @Test func whoComesBehindLagsAndWhatMovesOnBothSidesIsUnknown() {
        var following = PairSuspicion()
        _ = look(&following, Self.row(1, "2"), Self.row(1, "1"), after: 0)
        _ = look(&following, Self.row(1, "3"), Self.row(1, "2"), after: 5)
        #expect(following.verdict == .lag)
        var left = PairSuspicion()
        _ = look(&left, Self.row(1, "2"), Self.row(1, "1"), after: 0)
        _ = look(&left, Self.row(1, "3"), Self.row(1, "1"), after: 5)
        #expect(left.verdict == .lag)
        var both = PairSuspicion()
        _ = look(&both, Self.row(1, "2"), Self.row(1, "1"), after: 0)
        _ = look(&both, Self.row(1, "3"), Self.row(1, "9"), after: 5)
        #expect(both.verdict == .unknown)
    }
}
