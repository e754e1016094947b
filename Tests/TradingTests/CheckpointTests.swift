import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Trading

/// Rows in memory, and as many failures as a test wants.
final class FlakyStore: RowStore {
    struct Content {
        var rows: [RowKey: StampedRow] = [:]
        var digests: [DigestScope: Digest] = [:]
        var applied = SequenceNumber.none
        var failures = 0
        var attempts = 0
    }

    let content = Mutex(Content())

    init(failures: Int = 0) {
        content.withLock { $0.failures = failures }
    }

    func appliedSequence() async throws(StoreError) -> SequenceNumber {
        content.withLock { $0.applied }
    }

    func apply(_ batch: StoreBatch) async throws(StoreError) {
        let isFailing = content.withLock { content in
            content.attempts += 1
            if content.failures > 0 {
                content.failures -= 1
                return true
            }
            guard batch.through.applied > content.applied else { return false }
            for change in batch.changes {
                content.rows[change.key] = change.row.map {
                    StampedRow(row: $0, sequence: change.sequence)
                }
            }
            for stamp in batch.digests { content.digests[stamp.scope] = stamp.digest }
            content.applied = batch.through.applied
            return false
        }
        if isFailing { throw .unavailable(store: "flaky", problem: "as the test wants") }
    }

    func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        content.withLock { $0.rows[key] }
    }

    func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        content.withLock { $0.rows.values.filter { $0.row.dataset == query.dataset } }
    }

    func count(_ query: RowQuery) async throws(StoreError) -> Int {
        try await rows(query).count
    }

    func digests() async throws(StoreError) -> [DigestStamp] {
        content.withLock { $0.digests.map { DigestStamp(scope: $0.key, digest: $0.value) } }
    }
}

@Suite(.timeLimit(.minutes(1))) struct CheckpointTests {
    @Test func nothingIsLostWhileAStoreFails() async throws {
        let store = FlakyStore(failures: 2)
        let checkpoint = Checkpoint(store: store, applied: .none, interval: .zero)
        var fixture = try StateFixture.opened(
            rules: AccountRules(accountID: "A", maxConcurrentOrders: 100))
        async let running: Void = checkpoint.run()
        defer { checkpoint.stop() }
        var ended: [String] = []
        for number in 1...30 {
            let order = try fixture.place(limit(.buy, "\(number)", at: "5"))
            if number % 2 == 0 {
                _ = try fixture.state.cancel(
                    order.orderID, isWithdrawn: true, at: fixture.clock, by: "x")
                ended.append(order.orderID)
            }
            checkpoint.add(fixture.commit())
            await Task.yield()
        }
        // While the store fails, whoever waits is told so; afterwards it is reached.
        while (try? await checkpoint.reach(fixture.state.lastSequence)) == nil {
            await Task.yield()
        }
        #expect(checkpoint.appliedSequence == fixture.state.lastSequence)
        #expect(checkpoint.failure == nil)
        #expect(checkpoint.waitingRows == 0)
        checkpoint.stop()
        await running
        let stored = store.content.withLock { $0 }
        #expect(stored.attempts > 2)
        for (key, row) in fixture.rows where key.dataset == "orders" {
            #expect(stored.rows[key]?.row == row)
        }
        for (scope, digest) in stored.digests where scope.dataset == "orders" {
            #expect(digest == fixture.digestsOfRows[scope])
        }
        #expect(Set(checkpoint.takeEnded().1) == Set(ended))
        #expect(checkpoint.takeEnded().1.isEmpty)
    }

    @Test func cancellationWritesWhatWasCommittedAndLeavesNobodyWaiting() async throws {
        let store = FlakyStore()
        let checkpoint = Checkpoint(store: store, applied: .none, interval: .zero)
        let running = Task { await checkpoint.run() }
        running.cancel()
        var fixture = try StateFixture.opened()
        _ = try fixture.place(limit(.buy, "1", at: "5"))
        checkpoint.add(fixture.commit())
        try await checkpoint.reach(fixture.state.lastSequence)
        _ = try fixture.place(limit(.buy, "2", at: "5"))
        checkpoint.add(fixture.commit())
        checkpoint.stop()
        await running.value
        #expect(store.content.withLock { $0.applied } == fixture.state.lastSequence)
        await #expect(throws: StoreError.self) {
            try await checkpoint.reach(SequenceNumber(epoch: 9, number: 9))
        }
    }

    @Test func whatIsThereAlreadyIsReachedAtOnce() async throws {
        let applied = SequenceNumber(epoch: 1, number: 5)
        let checkpoint = Checkpoint(store: FlakyStore(), applied: applied)
        try await checkpoint.reach(applied)
        try await checkpoint.reach(.none)
    }

    @Test func theAgeOfTheOldestMissingEntryIsKnownUntilItIsWritten() async throws {
        let checkpoint = Checkpoint(store: FlakyStore(), applied: .none, interval: .zero)
        #expect(checkpoint.behindSince == nil)
        var fixture = try StateFixture.opened()
        _ = try fixture.place(limit(.buy, "1", at: "5"))
        let first = fixture.commit()
        checkpoint.add(first)
        fixture.clock = fixture.clock.advanced(bySeconds: 60)
        _ = try fixture.place(limit(.buy, "2", at: "5"))
        checkpoint.add(fixture.commit())
        #expect(checkpoint.behindSince == first.drafts.first?.time)
        let running = Task { await checkpoint.run() }
        try await checkpoint.reach(fixture.state.lastSequence)
        #expect(checkpoint.behindSince == nil)
        checkpoint.stop()
        await running.value
    }
}
