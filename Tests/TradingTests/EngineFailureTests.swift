import Foundation
import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Trading

/// A journal in memory that fails when it is told to.
private final class FailingJournal: Journal {
    let digestKey = StateFixture.key
    private(set) var head = JournalHead(
        sequence: SequenceNumber(epoch: 1, number: 0), checksum: .origin)
    private let failures: Failures

    init(_ failures: Failures) {
        self.failures = failures
    }

    func keepReserve() throws(JournalError) {
        if failures.isReserveWanted { throw .diskFull(path: "/reserve") }
    }

    func append(_ drafts: [EntryDraft]) throws(JournalError) -> [Checksum] {
        if let error = failures.next() { throw error }
        guard let first = drafts.first, first.sequence == head.sequence.next,
            let last = drafts.last
        else { throw .outOfOrder(head: head.sequence, found: .none) }
        head = JournalHead(sequence: last.sequence, checksum: .origin)
        failures.appended(drafts)
        return []
    }

    func entries(after: SequenceNumber, limit: Int) throws(JournalError) -> [Entry] { [] }
}

private final class Failures: Sendable {
    private let waiting = Mutex<[JournalError]>([])
    private let journaled = Mutex<[EntryDraft]>([])

    var drafts: [EntryDraft] { journaled.withLock { $0 } }
    func add(_ error: JournalError) { waiting.withLock { $0.append(error) } }
    /// The next append waits for `condition`, on the writer's thread, before it fails.
    func add(_ error: JournalError, once condition: @escaping @Sendable () -> Bool) {
        gate.withLock { $0 = condition }
        add(error)
    }

    func next() -> JournalError? {
        let condition = gate.withLock { gate in
            defer { gate = nil }
            return gate
        }
        while condition?() == false { sched_yield() }
        return waiting.withLock { $0.isEmpty ? nil : $0.removeFirst() }
    }

    private let gate = Mutex<(@Sendable () -> Bool)?>(nil)
    private let reserveWanted = Mutex(false)
    var isReserveWanted: Bool { reserveWanted.withLock { $0 } }
    func keepReserve(_ isWanted: Bool) { reserveWanted.withLock { $0 = isWanted } }
    func appended(_ drafts: [EntryDraft]) { journaled.withLock { $0 += drafts } }
}

@Suite(.timeLimit(.minutes(1))) struct EngineFailureTests {
    private let failures = Failures()

    private func start() async throws -> Engine {
        let rules = [AccountRules(accountID: "A", maxConcurrentOrders: 100)]
        let state = TradingState(
            rules: rules, digestKey: StateFixture.key,
            sequence: SequenceNumber(epoch: 1, number: 0))
        let checkpoint = Checkpoint(store: FlakyStore(), applied: .none)
        let failures = failures
        let engine = Engine.start(
            state: state, checkpoint: checkpoint,
            feed: JournalFeed(
                directory: "/none", head: state.lastSequence, schemas: Datasets.catalogue),
            openJournal: { () throws(JournalError) in FailingJournal(failures) },
            effects: { _ in })
        let snapshot = AccountSnapshot(
            balance: BrokerBalance(cash: decimal("1000")), positions: [], openOrders: [],
            fillCursor: nil)
        try await engine.perform { state, now throws(Refusal) in
            try state.open("A", snapshot, at: now)
        }
        return engine
    }

    private func place(_ engine: Engine, _ quantity: String = "1") async throws(EngineError) {
        let request = OrderRequest(accountID: "A", terms: limit(.buy, quantity, at: "10"))
        _ = try await engine.perform { state, now throws(Refusal) in
            try state.place(request, at: now, by: "x")
        }
    }

    @Test func aFullDiskTakesTheBatchBackAndLaterCommitsWork() async throws {
        let engine = try await start()
        try await place(engine)
        let head = engine.published.head
        for _ in 0..<3 {
            failures.add(.diskFull(path: "/full"))
            await #expect(
                throws: EngineError.journalFull(JournalError.diskFull(path: "/full").description)
            ) { try await place(engine, "50") }
            #expect(engine.published.head == head)
            #expect(engine.published.balance("A")?.frozen == decimal("10"))
        }
        #expect(engine.orders.count == 1, "what was taken back is not sent")
        // All the funds are there: what was taken back froze nothing.
        try await place(engine, "99")
        #expect(engine.published.balance("A")?.frozen == decimal("1000"))
        #expect(failures.drafts.map(\.sequence.number) == [1, 2, 3])
        await #expect(throws: EngineError.self) { try await place(engine) }
        await engine.stop()
        #expect(await engine.failure() == nil)
        await #expect(throws: EngineError.stopped) { try await place(engine) }
    }

    @Test func aFailureOfUnknownOutcomeStopsTheEngine() async throws {
        let engine = try await start()
        let error = JournalError.inputOutput(path: "/bad", problem: "EIO")
        failures.add(error)
        await #expect(throws: EngineError.unknown(error.description)) { try await place(engine) }
        #expect(await engine.failure() == error)
        await #expect(throws: EngineError.stopped) { try await place(engine) }
        #expect(engine.published.liveOrders().isEmpty)
        await engine.stop()
    }

    /// What arrives while the fatal flush is under way is told so and never left waiting.
    @Test func whoWaitsBehindAFailureOfUnknownOutcomeIsRefused() async throws {
        let engine = try await start()
        let isFlushing = Mutex(false)
        let patience = ContinuousClock.now + .seconds(30)
        failures.add(
            .inputOutput(path: "/bad", problem: "EIO"),
            once: {
                isFlushing.withLock { $0 = true }
                return engine.waitingDecisions == 3 || ContinuousClock.now > patience
            })
        let outcome: @Sendable () async -> EngineError? = {
            do throws(EngineError) {
                try await place(engine)
                return nil
            } catch {
                return error
            }
        }
        let outcomes = await withTaskGroup(of: EngineError?.self) { group in
            group.addTask(operation: outcome)
            while !isFlushing.withLock({ $0 }) { await Task.yield() }
            for _ in 0..<3 { group.addTask(operation: outcome) }
            return await group.reduce(into: [EngineError?]()) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .stopped } == 3)
        #expect(outcomes.count { if case .unknown = $0 { true } else { false } } == 1)
        #expect(await engine.failure() != nil)
    }

    @Test func operatorsUseTheReserveOfAFullJournal() async throws {
        let engine = try await start()
        failures.keepReserve(true)
        await #expect(
            throws: EngineError.journalFull(JournalError.diskFull(path: "/reserve").description)
        ) { try await place(engine) }
        #expect(engine.isJournalFull)
        let halted = try await engine.performControl { state, now throws(Refusal) in
            try state.halt("A", reason: "full", at: now, by: "lin")
        }
        #expect(halted.status == .halted)
        #expect(failures.drafts.last?.kind == "account.halted")
        #expect(engine.isJournalFull, "what an operator does leaves it full")
        #expect(engine.published.account("A")?.status == .halted)
        _ = try await engine.performControl { state, now throws(Refusal) in
            try state.resume("A", reason: "room", at: now, by: "lin")
        }
        failures.keepReserve(false)
        try await engine.perform { _, _ throws(Refusal) in }
        #expect(!engine.isJournalFull, "asked without anything to write, it finds the room")
        try await place(engine)
        #expect(failures.drafts.map(\.sequence.number) == [1, 2, 3, 4])
        await engine.stop()
    }

    @Test func manyCallersShareFlushesAndKeepTheirOrder() async throws {
        let engine = try await start()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<90 { group.addTask { try? await place(engine) } }
        }
        #expect(engine.published.liveOrders().count == 90)
        #expect(engine.published.balance("A")?.frozen == decimal("900"))
        #expect(failures.drafts.map(\.sequence.number) == Array(1...91))
        await engine.stop()
    }
}
