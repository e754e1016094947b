import Foundation
import Ledger
import TestSupport
import Testing

@testable import Verify

/// What a plan is made of, and what may be done without a person: plain values.
@Suite struct RepairPlanTests {
    static func world(_ rows: Int = 50) async -> (MemoryJournal, MemoryCopy) {
        let journal = MemoryJournal(seed: 7, keysMax: rows)
        for number in 0..<rows {
            let key = MemoryJournal.key(number)
            journal.put(key, Row(dataset: "held", values: key.values + [.integer(1), .null]))
        }
        let copy = MemoryCopy(journal)
        copy.follow()
        return (journal, copy)
    }

    static func plan(
        _ journal: MemoryJournal, _ store: any ScannableStore, policy: RepairPolicy = .init()
    ) async throws -> RepairPlan? {
        var limits = StoreCheck.Limits()
        limits.deadline = .zero
        let check = StoreCheck(
            MemoryJournal.schema, in: "hot", store, against: journal, limits: limits)
        let report = await check.full()
        return RepairPlan(
            report, id: "held@hot-1", check: "held", policy: policy, schema: MemoryJournal.schema,
            digestKey: journal.digestKey, datasetRows: 50, madeAt: Timestamp(microseconds: 0))
    }

    static func row(_ key: RowKey, days: Int64, _ sequence: SequenceNumber) -> FoundRow {
        let row = Row(dataset: "held", values: key.values + [.integer(days), .null])
        return .row(StampedRow(row: row, sequence: sequence))
    }

    @Test func aPlanHasWhatWasFoundAndWhatWasJournaled() async throws {
        let (journal, copy) = await Self.world()
        let keys = (0..<6).map(MemoryJournal.key)
        let later = SequenceNumber(epoch: 9, number: 1)
        let rogue = MemoryJournal.key(900)
        copy.change { content in
            content.found[keys[0]] = nil
            content.found[keys[1]] = Self.row(keys[1], days: 2, .none)
            content.found[keys[2]] = .damaged(
                DamagedRow(key: keys[2], place: "hash x", problem: "it will expire in 17 s"))
            content.found[rogue] = Self.row(rogue, days: 3, .none)
            content.found[keys[3]] = Self.row(keys[3], days: 4, later)
            content.litter = [DamagedRow(key: nil, place: "file y", problem: "is no row")]
        }
        let plan = try #require(try await Self.plan(journal, copy))
        let byKey = Dictionary(uniqueKeysWithValues: plan.rows.map { ($0.key, $0) })
        #expect(plan.rows.count == 4 && plan.head.rows == 4)
        let missing = try #require(byKey[keys[0].description])
        #expect(missing.verdict == "missing" && missing.found == nil)
        #expect(missing.journaled?.sequence == SequenceNumber(epoch: 1, number: 1))
        let other = try #require(byKey[keys[1].description])
        #expect(other.verdict == "corrupt" && other.found?.sequence == SequenceNumber.none)
        #expect(other.fields == [.init(field: "days", journaled: "1", found: "2")])
        #expect(other.isForeignWrite && !missing.isForeignWrite)
        let damaged = try #require(byKey[keys[2].description])
        #expect(damaged.found?.damage == "hash x: it will expire in … s")
        #expect(byKey[rogue.description]?.journaled == nil)
        #expect(byKey[keys[3].description] == nil, "rows that are ahead are for a person")
        #expect(plan.head.doubts == ["1 are of entries that the journal does not have"])
        #expect(plan.head.left == ["file y: is no row"])
        for row in plan.rows {
            #expect(row.rowKey(in: MemoryJournal.schema)?.description == row.key)
            let coded = try JSONEncoder().encode(row)
            #expect(try JSONDecoder().decode(PlannedRow.self, from: coded) == row)
        }
        let head = try JSONEncoder().encode(plan.head)
        #expect(try JSONDecoder().decode(RepairPlan.Head.self, from: head) == plan.head)
    }

    @Test func withoutAnythingToPutRightThereIsNoPlan() async throws {
        let (journal, copy) = await Self.world()
        #expect(try await Self.plan(journal, copy) == nil)
        copy.change { content in
            content.litter = [DamagedRow(key: nil, place: "file y", problem: "is no row")]
        }
        #expect(try await Self.plan(journal, copy) == nil)
    }

    @Test func theBudgetIsExact() async throws {
        let (journal, copy) = await Self.world()
        copy.change { $0.found[MemoryJournal.key(0)] = nil }
        var plan = try #require(try await Self.plan(journal, copy))
        let row = plan.rows[0]
        func objections(
            _ rows: Int, of compared: Int, max: Int = 100, ratio: String = "0.01", undone: Int = 0
        ) -> [String] {
            plan.rows = Array(repeating: row, count: rows)
            plan.head.comparedRows = compared
            return RepairPolicy(rowsMax: max, ratioMax: ExactDecimal(ratio) ?? .zero)
                .objections(to: plan, undone: undone)
        }
        #expect(objections(1, of: 100).isEmpty)
        #expect(objections(2, of: 199) == ["2 of 199 rows differ, and the budget is 0.01"])
        #expect(objections(2, of: 200).isEmpty)
        #expect(objections(100, of: 10_000).isEmpty)
        #expect(objections(101, of: 1_000_000) == ["101 rows differ, and the budget is 100"])
        // A third is not 0.333333333333333333, and no binary fraction either.
        #expect(objections(1, of: 3, ratio: "0.333333333333333333").count == 1)
        #expect(objections(3, of: 10, ratio: "0.3").isEmpty)
        #expect(objections(7, of: 7, ratio: "1").isEmpty)
        #expect(objections(1, of: 1_000_000, ratio: "0").count == 1)
        #expect(objections(1, of: 100, max: 0).count == 1)
        #expect(objections(1, of: 100, undone: 1).count == 1)
        let policy = RepairPolicy()
        plan.rows = Array(repeating: row, count: 5)
        plan.head.comparedRows = 1_000_000
        #expect(policy.objections(to: plan, undone: 0, recent: 95).isEmpty)
        #expect(policy.objections(to: plan, undone: 0, recent: 96).count == 1)
        plan.head.doubts = ["3 could not be read"]
        #expect(objections(1, of: 100) == ["3 could not be read"])
    }

    @Test func conflictsAreDecidedAsTheCheckSays() async throws {
        let (journal, copy) = await Self.world()
        let key = MemoryJournal.key(4)
        copy.change { $0.found[key] = Self.row(key, days: 9, .none) }
        let foreign = try #require(try await Self.plan(journal, copy))
        copy.change { $0.found[key] = nil }
        let missing = try #require(try await Self.plan(journal, copy))
        func objections(_ conflict: RepairPolicy.Conflict, _ plan: RepairPlan) -> Int {
            RepairPolicy(conflict: conflict, ratioMax: ExactDecimal(1))
                .objections(to: plan, undone: 0).count
        }
        #expect(objections(.journal, foreign) == 0 && objections(.journal, missing) == 0)
        #expect(objections(.review, foreign) == 1 && objections(.review, missing) == 1)
        #expect(objections(.store, foreign) == 0 && objections(.store, missing) == 1)
    }

    @Test func anIDIsTheNameOfAFolder() {
        let time = Timestamp("2026-11-21T03:15:00Z") ?? .now()
        let id = RepairPlan.id(check: "positions", store: "hot", at: time, number: 1)
        #expect(id == "positions@hot-20261121T031500-1")
        #expect(RepairPlan.isID(id))
        let odd = RepairPlan.id(check: "a/../b c", store: "ü", at: time, number: 2)
        #expect(odd == "a_.._b_c@_-20261121T031500-2")
        for text in ["", ".", "..", "a/b", "../x", "a\u{0}", ".hidden"] {
            #expect(!RepairPlan.isID(text))
        }
    }
}
