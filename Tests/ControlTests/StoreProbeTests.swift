import Ledger
import Testing

@testable import Control

@Suite struct StoreProbeTests {
    @Test func theWorstGroupIsJudged() {
        func judge(_ groups: [(String, Int)]) -> ProbeOutcome {
            StoreProbe.judge(stream: "s", groups: groups.map { ($0.0, $0.1) }, from: 10)
        }
        #expect(judge([("a", 3), ("b", 9)]) == .success("group b of s has 9 before it"))
        #expect(
            judge([("a", 10), ("b", 2)])
                == .degraded("group a of s has 10 before it, degraded from 10"))
        #expect(judge([]) == .success("no group reads s"))
    }

    private static let start = Timestamp(microseconds: 1_700_000_000_000_000)

    private func judge(
        _ memory: inout FreshnessMemory, _ ages: [String: Int64], after seconds: Int64 = 0
    ) -> ProbeOutcome {
        let now = Self.start.advanced(bySeconds: seconds)
        return memory.judge(
            "quotes", rows: ages.mapValues { now.advanced(bySeconds: -$0) }, now: now,
            staleAfter: .seconds(30), from: 2)
    }

    @Test func rowsAreStaleByTheirOwnTime() {
        var memory = FreshnessMemory()
        #expect(
            judge(&memory, ["A": 0, "B": 30, "C": -5])
                == .success("0 of 3 quotes are stale"))
        #expect(
            judge(&memory, ["A": 31, "B": 1, "C": 0])
                == .success("1 of 3 quotes are stale, A by 31 s"))
        #expect(
            judge(&memory, ["A": 31, "B": 60, "C": 0])
                == .degraded("2 of 3 quotes are stale, B by 1 min, degraded from 2"))
    }

    @Test func aRowThatVanishedIsStaleUntilItIsBackOrMissedNoLonger() {
        var memory = FreshnessMemory()
        _ = judge(&memory, ["A": 0, "B": 0, "C": 0])
        #expect(
            judge(&memory, ["A": 0], after: 60)
                == .degraded("2 of 3 quotes are stale, B is gone, degraded from 2"))
        #expect(
            judge(&memory, [:], after: 90)
                == .degraded("3 of 3 quotes are stale, A is gone, degraded from 2"))
        #expect(
            judge(&memory, ["A": 0, "B": 0], after: 120)
                == .success("1 of 3 quotes are stale, C is gone"))
        // C was last seen at 0, and a day has passed since.
        #expect(
            judge(&memory, ["A": 0, "B": 0], after: 86_400) == .success("0 of 2 quotes are stale"))
    }

    @Test func aDatasetWithoutRowsIsNotFresh() {
        var memory = FreshnessMemory()
        #expect(judge(&memory, [:]) == .degraded("quotes has no rows"))
    }
}
