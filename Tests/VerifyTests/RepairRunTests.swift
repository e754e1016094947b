import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Verify

/// A repair and its undo while others write, and while the process dies at any step.
@Suite struct RepairRunTests {
    @Test(arguments: [RepairPolicy.Conflict.journal, .store])
    func noUpdateIsLostWhoeverWritesAndWhateverDies(_ conflict: RepairPolicy.Conflict) async throws
    {
        var sum: [RepairOutcome: Int] = [:]
        for seed in UInt64(0)..<150 {
            let world = await RepairWorld(seed: seed)
            for (outcome, count) in try await world.run(conflict) {
                sum[outcome, default: 0] += count
            }
        }
        // Each of them was met, or the test would show nothing.
        #expect(sum[.repaired, default: 0] > 40, "\(sum)")
        #expect(sum[.overtaken, default: 0] > 40, "\(sum)")
        #expect(sum[.undone, default: 0] > 40, "\(sum)")
        #expect(sum[.newer, default: 0] > 5, "\(sum)")
        if conflict == .store { #expect(sum[.adopted, default: 0] > 40, "\(sum)") }
    }

    /// To the copy, nothing changes when a row that is missing there is deleted: no image tells it.
    @Test func aMissingRowThatIsDeletedMeanwhileDoesNotComeBack() async throws {
        let (journal, copy) = await RepairPlanTests.world()
        let key = MemoryJournal.key(3)
        copy.change { $0.found[key] = nil }
        let plan = try #require(try await RepairPlanTests.plan(journal, copy))
        let notes = MemoryNotes()
        let isDeleted = Atomic(false)
        let store = MemoryRepairable(copy) {
            let isAboutToBeWritten = notes.content.withLock { !$0.images.isEmpty }
            guard isAboutToBeWritten,
                isDeleted.compareExchange(
                    expected: false, desired: true, ordering: .relaxed
                ).exchanged
            else { return }
            journal.put(key, nil)
            copy.follow()
        }
        let run = try RepairRun(
            plan, schema: MemoryJournal.schema, in: store, against: journal, notes: notes,
            adoption: MemoryAdoption(journal: journal))
        #expect(try await run.apply() == [.overtaken: 1])
        let wasDeleted = isDeleted.load(ordering: .relaxed)
        #expect(wasDeleted)
        #expect(copy.content.withLock { $0.found[key] } == nil)
    }

    @Test func whatIsAdoptedIsJournaledAndTakenBack() async throws {
        let (journal, copy) = await RepairPlanTests.world()
        let (known, rogue) = (MemoryJournal.key(3), MemoryJournal.key(700))
        let stamp = journal.content.withLock { $0.rows[known]?.sequence ?? .none }
        copy.change { content in
            // A program that knows of no stamps leaves them as they are.
            content.found[known] = RepairPlanTests.row(known, days: 5, stamp)
            content.found[rogue] = RepairPlanTests.row(rogue, days: 6, .none)
        }
        let policy = RepairPolicy(conflict: .store)
        let plan = try #require(try await RepairPlanTests.plan(journal, copy, policy: policy))
        let run = try RepairRun(
            plan, schema: MemoryJournal.schema, in: MemoryRepairable(copy), against: journal,
            notes: MemoryNotes(), adoption: MemoryAdoption(journal: journal))
        func days(_ key: RowKey) -> Int64? {
            journal.content.withLock { $0.rows[key]?.row.values[2].integer }
        }
        #expect(try await run.apply() == [.adopted: 2])
        #expect(days(known) == 5 && days(rogue) == 6)
        #expect(try await run.apply() == [.adopted: 2])
        #expect(try await run.undo() == [.undone: 2])
        #expect(days(known) == 1 && days(rogue) == nil)
        #expect(try await run.undo() == [.undone: 2])
        copy.follow()
        #expect(try await RepairPlanTests.plan(journal, copy) == nil)
    }

    @Test func aPlanOfAnotherJournalOrSchemaIsRefused() async throws {
        let (journal, copy) = await RepairPlanTests.world()
        copy.change { $0.found[MemoryJournal.key(0)] = nil }
        var plan = try #require(try await RepairPlanTests.plan(journal, copy))
        func run() throws(StoreError) -> RepairRun {
            try RepairRun(
                plan, schema: MemoryJournal.schema, in: MemoryRepairable(copy), against: journal,
                notes: MemoryNotes(), adoption: MemoryAdoption(journal: journal))
        }
        let outcome = try await run().apply()
        #expect(outcome == [.repaired: 1])
        plan.rows += plan.rows
        #expect(throws: StoreError.self) { try run() }
        plan.rows.removeLast()
        plan.head.journal = "another"
        #expect(throws: StoreError.self) { try run() }
    }

    /// A row that lags is none of a repair's: the store comes to it by itself.
    @Test func whatIsNotDueIsLeftAlone() async throws {
        let (journal, copy) = await RepairPlanTests.world()
        let key = MemoryJournal.key(0)
        copy.change { $0.found[key] = nil }
        let plan = try #require(try await RepairPlanTests.plan(journal, copy))
        copy.change { $0.position.applied = SequenceNumber(epoch: 1, number: 0) }
        let run = try RepairRun(
            plan, schema: MemoryJournal.schema, in: MemoryRepairable(copy), against: journal,
            notes: MemoryNotes(), adoption: MemoryAdoption(journal: journal))
        #expect(try await run.apply() == [.overtaken: 1])
        #expect(copy.content.withLock { $0.found[key] } == nil)
    }
}

/// A journal, a copy of it with faults, and others who write both while it is repaired.
private final class RepairWorld: Sendable {
    private struct Content: Sendable {
        var generator: SeededGenerator
        /// What another program has written, and no journaled change has overwritten since.
        var foreign: [RowKey: FoundRow?] = [:]
        var isCalm = true
        var deaths = 0
    }

    private static let died = StoreError.unavailable(store: "hot", problem: "killed")

    private let journal: MemoryJournal
    private let copy: MemoryCopy
    private let content: Mutex<Content>
    private let keys = 30

    init(seed: UInt64) async {
        (journal, copy) = await RepairPlanTests.world(30)
        content = Mutex(Content(generator: SeededGenerator(seed: seed)))
    }

    private func random(_ count: Int) -> Int {
        content.withLock { Int.random(in: 0..<count, using: &$0.generator) }
    }

    /// What happens between two steps of the repair. Throws where its process dies.
    private func others() throws(StoreError) {
        if content.withLock({ $0.isCalm }) { return }
        switch random(24) {
        case 0: change()
        case 1: follow()
        case 2: writeByForce(MemoryJournal.key(random(keys)))
        case 3 where content.withLock({ $0.deaths }) < 20:
            content.withLock { $0.deaths += 1 }
            throw Self.died
        default: break
        }
    }

    /// A client writes or deletes a row.
    private func change() {
        let key = MemoryJournal.key(random(keys))
        let days = Int64(random(1_000_000))
        let isGone = random(3) == 0
        journal.put(
            key, isGone ? nil : Row(dataset: "held", values: key.values + [.integer(days), .null]))
    }

    /// The follower brings the copy one entry.
    private func follow() {
        let applied = copy.content.withLock { $0.position.applied }
        let next = journal.content.withLock { content in
            content.entries.first { ($0.sequence ?? .none) > applied }
        }
        copy.follow(1)
        if let next { content.withLock { $0.foreign[next.key] = nil } }
    }

    private func writeByForce(_ key: RowKey) {
        let number = random(1_000_000)
        let found: FoundRow? =
            switch random(4) {
            // What is gone is as gone as before: nobody can tell one deletion from another.
            case 0 where content.withLock({ $0.isCalm }): nil
            case 1: .damaged(DamagedRow(key: key, place: "x", problem: "\(number) is no row"))
            default: RepairPlanTests.row(key, days: Int64(number), .none)
            }
        // What was so already is no write that could be lost.
        if copy.content.withLock({ $0.found[key] }) == found { return }
        copy.change { $0.found[key] = found }
        content.withLock { $0.foreign[key] = .some(found) }
    }

    func run(_ conflict: RepairPolicy.Conflict) async throws -> [RepairOutcome: Int] {
        let others: @Sendable () throws(StoreError) -> Void = { [self] () throws(StoreError) in
            try self.others()
        }
        // Some rows are gone, so that others can be rogue.
        for number in 20..<25 { journal.put(MemoryJournal.key(number), nil) }
        copy.follow()
        for _ in 0..<12 { writeByForce(MemoryJournal.key(random(keys))) }
        let store = MemoryRepairable(copy, others: others)
        guard
            let plan = try await RepairPlanTests.plan(
                journal, copy, policy: RepairPolicy(conflict: conflict))
        else { return [:] }
        // What the plan has seen is what it may overwrite.
        let before = copy.content.withLock { $0.found }
        content.withLock { content in
            content.foreign = [:]
            content.isCalm = false
        }
        let notes = MemoryNotes(others: others)
        let run = try RepairRun(
            plan, schema: MemoryJournal.schema, in: store, against: journal, notes: notes,
            adoption: MemoryAdoption(journal: journal))
        var counts = try await untilDone { try await run.apply() }
        content.withLock { $0.isCalm = true }
        expectNothingLost(
            "applied",
            repaired: plan.rows.indices.filter { row in
                notes.content.withLock { $0.outcomes[row]?.outcome } != .overtaken
            }.compactMap { plan.rows[$0].rowKey(in: MemoryJournal.schema) })

        content.withLock { content in
            content.isCalm = false
            content.deaths = 0
        }
        let untouched = content.withLock { $0.foreign }
        let undone = try await untilDone { try await run.undo() }
        content.withLock { $0.isCalm = true }
        for (row, planned) in plan.rows.enumerated() {
            guard let key = planned.rowKey(in: MemoryJournal.schema),
                let outcome = notes.content.withLock({ $0.outcomes[row]?.outcome })
            else { continue }
            let now = copy.content.withLock { $0.found[key] }
            let isForeign = content.withLock { $0.foreign[key] != nil }
            let isJournaled = lastChange(of: key) != planned.journaled
            let isAdopted = notes.content.withLock { $0.images[row]?.adopted != nil }
            switch outcome {
            case .undone where isAdopted: break
            case .undone where !isForeign && !isJournaled: #expect(now == before[key], "\(key)")
            case .newer: #expect(isForeign || isJournaled || untouched[key] != nil, "\(key)")
            default: break
            }
        }
        counts.merge(undone.filter { [.undone, .newer].contains($0.key) }) { $1 }
        return counts
    }

    private func lastChange(of key: RowKey) -> RowMark? {
        let row = journal.content.withLock { $0.rows[key] }
        return row.map { RowMark($0, MemoryJournal.schema, journal.digestKey) }
    }

    private func untilDone(
        _ work: () async throws -> [RepairOutcome: Int]
    ) async throws -> [RepairOutcome: Int] {
        while true {
            do {
                return try await work()
            } catch let error as StoreError where error == Self.died {
                continue
            }
        }
    }

    /// When the copy has everything, each row is as it was journaled, or as another program has written it
    /// after that.
    private func expectNothingLost(_ what: String, repaired: [RowKey]) {
        for key in repaired {
            let now = copy.content.withLock { $0.found[key] }
            if let foreign = content.withLock({ $0.foreign[key] }) {
                #expect(now == foreign, "\(what): a write into the store is lost: \(key)")
            }
        }
        let foreign = content.withLock { $0.foreign }
        for (key, written) in foreign {
            let now = copy.content.withLock { $0.found[key] }
            #expect(now == written, "\(what): a write into the store is lost: \(key)")
        }
        while copy.content.withLock({ $0.position.applied })
            < journal.content.withLock({ $0.head })
        { follow() }
        for key in repaired {
            let now = copy.content.withLock { $0.found[key] }
            if content.withLock({ $0.foreign[key] != nil }) { continue }
            let wanted = journal.content.withLock { $0.rows[key] }.map(FoundRow.row)
            #expect(now == wanted, "\(what): it is not as journaled: \(key)")
        }
        // Whatever was repaired or not: a change that was journaled since is there.
        for entry in journal.content.withLock({ $0.entries.dropFirst(35) })
        where content.withLock({ $0.foreign[entry.key] == nil }) {
            let now = copy.content.withLock { $0.found[entry.key] }
            let wanted = journal.content.withLock { $0.rows[entry.key] }.map(FoundRow.row)
            #expect(now == wanted, "\(what): an update is lost: \(entry.key)")
        }
    }
}
