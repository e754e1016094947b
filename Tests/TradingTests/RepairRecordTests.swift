import Ledger
import Testing

@testable import Trading

/// What is decided about repairs, and that a restart knows it.
@Suite struct RepairRecordTests {
    private static let now = Timestamp(microseconds: 1_000_000)

    private func record(
        _ id: String, _ state: RepairRecord.State = .waiting, store: String = "hot"
    ) -> RepairRecord {
        RepairRecord(
            id: id, check: "positions", dataset: "positions", store: store, rows: 3,
            planDigest: "ab", state: state, reason: nil, by: "verify", madeAt: Self.now)
    }

    private func state() -> TradingState {
        TradingState(
            rules: [], digestKey: SipHashKey(low: 1, high: 2),
            sequence: SequenceNumber(epoch: 1, number: 0))
    }

    @Test func aRowTellsAllOfIt() throws {
        var whole = record("a")
        whole.counts.repaired = 1
        whole.counts.adopted = 2
        whole.counts.overtaken = 3
        whole.counts.failed = 4
        whole.counts.undone = 5
        whole.counts.newer = 6
        whole.reason = "because"
        #expect(try RepairRecord(row: whole.row) == whole)
        #expect(throws: Never.self) { try Datasets.repairs.row(whole.row.values) }
    }

    @Test func whatWasDecidedCannotBeDecidedOtherwise() throws {
        var state = state()
        try state.planRepair(record("a"), at: Self.now, by: "verify")
        func move(_ next: RepairRecord.State) -> RepairRecord.State? {
            try? state.moveRepair("a", to: next, reason: nil, at: Self.now, by: "lin").state
        }
        #expect(move(.undoing) == nil && move(.applied) == nil)
        #expect(move(.rejected) == .rejected && move(.rejected) == nil)
        #expect(move(.applying) == nil, "what was turned down is approved first")
        #expect(move(.approved) == .approved && move(.rejected) == nil)
        #expect(move(.applying) == .applying && move(.applying) == .applying)
        #expect(move(.applied) == .applied && move(.applying) == nil)
        #expect(move(.undoing) == .undoing && move(.undone) == .undone)
        #expect(RepairRecord.State.allCases.allSatisfy { move($0) == nil })
        #expect(throws: Refusal.unknownRepair("b")) {
            try state.moveRepair("b", to: .approved, reason: nil, at: Self.now, by: "lin")
        }
    }

    @Test func aNewerPlanTakesThePlaceOfTheOneThatWaited() throws {
        var state = state()
        try state.planRepair(record("a"), at: Self.now, by: "verify")
        try state.planRepair(record("other", store: "record"), at: Self.now, by: "verify")
        try state.planRepair(record("at once", .applying), at: Self.now, by: "verify")
        #expect(state.repairs["a"]?.value.state == .waiting)
        try state.planRepair(record("b"), replacing: ["a", "at once"], at: Self.now, by: "verify")
        #expect(state.repairs["a"]?.value.state == .replaced)
        #expect(state.repairs["at once"]?.value.state == .applying)
        #expect(state.repairs["b"]?.value.state == .waiting)
        #expect(state.repairs["other"]?.value.state == .waiting)
        // Handed in twice it is one.
        try state.planRepair(record("a"), at: Self.now, by: "verify")
        #expect(state.repairs["a"]?.value.state == .replaced)
    }

    @Test func whatIsTakenBackLeavesNoTraceAndARestartKnowsTheRest() throws {
        var state = state()
        try state.planRepair(record("a"), at: Self.now, by: "verify")
        _ = state.commit()
        let before = StateEssence(state)
        let mark = state.mark
        _ = try state.moveRepair("a", to: .applying, reason: "x", at: Self.now, by: "lin")
        state.rollback(to: mark)
        #expect(StateEssence(state) == before)

        var restored = self.state()
        let tracked = try #require(state.repairs["a"])
        let part = try restored.restore(
            StampedRow(row: tracked.value.row, sequence: tracked.sequence))
        #expect(part?.hash == tracked.digest.sum)
        #expect(restored.repairs["a"]?.value == record("a"))
    }
}
