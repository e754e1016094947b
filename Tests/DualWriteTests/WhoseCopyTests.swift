import Ledger
import SQLiteStore
import TestSupport
import Testing

@testable import DualWrite

/// Two journals at one store, and one journal at a store of another past.
@Suite(.timeLimit(.minutes(2))) struct WhoseCopyTests {
    private func follower(
        _ ledger: TestLedger, _ store: any ReplicaStore, journal: String? = nil
    ) -> StoreFollower {
        var timing = StoreFollower.Timing()
        timing.retryFirst = .milliseconds(1)
        timing.retryLast = .milliseconds(10)
        timing.batchEvery = .zero
        timing.lookEvery = .milliseconds(20)
        timing.batchRows = 20
        timing.fillRows = 20
        return StoreFollower(
            name: "far", store: store, journal: journal ?? ledger.identity, feed: ledger.feed,
            source: ledger.core, datasets: ["samples", "others"], timing: timing)
    }

    private func running(
        _ followers: [StoreFollower], body: () async throws -> Void
    ) async throws {
        let tasks = followers.map { follower in Task { await follower.run() } }
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        try outcome.get()
    }

    private func eventually(_ condition: () async throws -> Bool) async throws {
        while try await !condition() { try await Task.sleep(for: .milliseconds(2)) }
    }

    /// Another history under the same numbers.
    private func ledger(entries: Int, seed: UInt64) async throws -> TestLedger {
        let ledger = try TestLedger(seed: seed)
        try await ledger.change(entries: entries)
        return ledger
    }

    /// Both find it empty, and both have as many entries. Whoever is first has it to itself.
    @Test(arguments: [["one", "other"], ["the-journal", "the-journal"]])
    func ofTwoDesksAtOneStoreOneGoesOn(_ journals: [String]) async throws {
        for round in 0..<8 {
            let ledgers = [
                try await ledger(entries: 60, seed: 1), try await ledger(entries: 60, seed: 2),
            ]
            let store = try ledgers[0].makeStore("far")
            let line = UnreliableStore(store)
            if round % 2 == 1 { line.set(.slow(.milliseconds(1))) }
            let followers = zip(ledgers, journals).map { follower($0, line, journal: $1) }
            try await running(followers) {
                for _ in 0..<20 {
                    for ledger in ledgers { try await ledger.change(entries: 1) }
                }
                line.set(.good)
                try await eventually {
                    followers.contains { ["foreign", "ahead"].contains($0.state.condition.name) }
                }
                let loser = try #require(
                    followers.firstIndex {
                        ["foreign", "ahead"].contains($0.state.condition.name)
                    })
                let winner = 1 - loser
                for ledger in ledgers { try await ledger.change(entries: 5) }
                // It may be filling still.
                try await eventually {
                    try await ledgers[winner].difference(store, journal: journals[winner]) == nil
                }
                #expect(!followers[loser].state.isFollowing)
            }
        }
    }

    /// The core was restarted, and the journal has come as far as the store, or further, on another way.
    @Test(arguments: [40, 60, 150])
    func aStoreOfAnotherHistoryIsAheadWhateverItsNumber(_ entries: Int) async throws {
        let lost = try await ledger(entries: 60, seed: 1)
        let store = try lost.makeStore("far")
        try await running([follower(lost, store)]) {
            try await eventually { try await lost.difference(store) == nil }
        }
        let restored = try await ledger(entries: entries, seed: 2)
        let line = UnreliableStore(store)
        let follower = follower(restored, line)
        try await running([follower]) {
            try await eventually { follower.state.condition.name == "ahead" }
            try await restored.change(entries: 40)
            try await Task.sleep(for: .milliseconds(50))
            #expect(follower.state.condition.name == "ahead")
            #expect(line.writeCalls == 0)
            #expect(try await lost.difference(store) == nil, "it is as it was")
            try await follower.rebuild()
            try await eventually { try await restored.difference(store) == nil }
        }
    }

    /// The journal put back: what stood ahead of it is its copy again.
    @Test func theSameHistoryIsGoneOnWith() async throws {
        let ledger = try await ledger(entries: 60, seed: 1)
        let store = try ledger.makeStore("far")
        for _ in 0..<3 {
            let line = UnreliableStore(store)
            let follower = follower(ledger, line)
            try await running([follower]) {
                try await ledger.change(entries: 30)
                try await eventually { try await ledger.difference(store) == nil }
                #expect(follower.fills <= 1)
            }
        }
        #expect(try await store.position().place.checksum != nil)
    }
}
