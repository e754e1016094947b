import Ledger
import SQLiteStore
import Synchronization
import TestSupport
import Testing

@testable import DualWrite

/// A store in which another program has rows: they are nowhere else, so nothing takes them out unasked.
@Suite(.timeLimit(.minutes(2))) struct UnmigratedTests {
    private static let timing: StoreFollower.Timing = {
        var timing = StoreFollower.Timing()
        timing.retryFirst = .milliseconds(2)
        timing.retryLast = .milliseconds(20)
        timing.lookEvery = .milliseconds(20)
        timing.fillRows = 30
        return timing
    }()

    private let ledger: TestLedger
    private let store: UnreliableStore

    init() throws {
        ledger = try TestLedger()
        store = UnreliableStore(try ledger.makeStore("far"))
    }

    private func running(
        kept: @escaping @Sendable () async -> KeptDatasets = { [:] },
        _ body: (StoreFollower) async throws -> Void
    ) async throws {
        let follower = StoreFollower(
            name: "far", store: store, journal: ledger.identity, feed: ledger.feed,
            source: ledger.core, datasets: ["samples", "others"], timing: Self.timing, kept: kept)
        let task = Task { await follower.run() }
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body(follower)) } catch { outcome = .failure(error) }
        task.cancel()
        await task.value
        try outcome.get()
    }

    private func eventually(_ condition: () async throws -> Bool) async throws {
        while try await !condition() { try await Task.sleep(for: .milliseconds(2)) }
    }

    private static let mine = Row(dataset: "others", values: [.text("mine"), .text("theirs")])

    private func others() async throws -> [StampedRow] {
        var query = RowQuery(dataset: "others")
        query.limit = .max
        return try await store.rows(query)
    }

    @Test func aRowThatNobodyJournaledIsLeftWhereItLies() async throws {
        try await ledger.change(entries: 100)
        let found = StampedRow(row: Self.mine, sequence: .none)
        try await store.fill([found])
        try await running { follower in
            try await eventually { follower.state.isFollowing }
            #expect(follower.state.unmigrated["others"]?.contains("others/mine") == true)
            #expect(follower.state.wholeDatasets == ["samples"])
            // The other dataset follows, and this one stays as it was found.
            try await ledger.change(entries: 100)
            #expect(await follower.reach(ledger.head, within: .seconds(20)))
            #expect(try await ledger.difference(store, in: ["samples"]) == nil)
            #expect(try await others() == [found])
            try await follower.lookAgain()
            #expect(try await others() == [found])
        }
        // So it is after a restart, also where the journal does not reach back.
        try await running { follower in
            try await eventually { follower.state.isFollowing }
            #expect(try await others() == [found])
            // What an operator says is done.
            try await follower.rebuild(["others"])
            #expect(follower.state.unmigrated.isEmpty)
            #expect(try await ledger.difference(store) == nil)
        }
    }

    @Test func aRebuildOfOneDatasetLeavesAnothersRowsAlone() async throws {
        try await ledger.change(entries: 50)
        let found = StampedRow(row: Self.mine, sequence: .none)
        try await store.fill([found])
        try await store.finish(
            StorePosition(journal: "another", applied: .none, datasets: []), digests: [])
        try await running { follower in
            try await eventually {
                if case .foreign = follower.state.condition { true } else { false }
            }
            try await follower.rebuild(["samples"])
            #expect(try await ledger.difference(store, in: ["samples"]) == nil)
            #expect(try await others() == [found])
            #expect(follower.state.unmigrated.keys.sorted() == ["others"])
        }
    }

    @Test func whatTheCoreHasTooGetsStampsWhereItLies() async throws {
        try await ledger.change(entries: 200)
        var query = RowQuery(dataset: "others")
        query.limit = .max
        let rows = try await ledger.core.rows.rows(query).map(\.row)
        #expect(rows.count > 10)
        try await store.fill(rows.map { StampedRow(row: $0, sequence: .none) })
        let extra = StampedRow(row: Self.mine, sequence: .none)
        try await store.fill([extra])
        try await running { follower in
            try await eventually { follower.state.isFollowing }
            #expect(follower.state.unmigrated.keys.sorted() == ["others"])
            // As a migration would, but from the other side: the row that only stood there is gone.
            try await store.apply(
                StoreBatch(
                    changes: [
                        .init(
                            key: extra.row.key(in: RowStoreConformance.other), row: nil,
                            sequence: .none)
                    ],
                    digests: [], through: try await store.appliedSequence().next))
            try await store.finish(
                StorePosition(
                    journal: ledger.identity, applied: ledger.head, datasets: ["samples"]),
                digests: [])
            let begun = store.begun
            try await follower.lookAgain()
            #expect(try await ledger.difference(store) == nil)
            #expect(store.begun.subtracting(begun).isEmpty, "nothing was emptied")
        }
    }

    /// As long as a migration may take its rows back.
    @Test func whatTheCoreHasTooIsLeftAloneAsLongAsItIsKept() async throws {
        try await ledger.change(entries: 100)
        var query = RowQuery(dataset: "others")
        query.limit = .max
        let found = try await ledger.core.rows.rows(query)
            .map { StampedRow(row: $0.row, sequence: .none) }
        try await store.fill(found)
        let kept = Mutex<KeptDatasets>(["others": "a migration is not over", "far": "no dataset"])
        try await running(kept: { kept.withLock { $0 } }) { follower in
            try await eventually { follower.state.isFollowing }
            #expect(follower.state.unmigrated == ["others": "a migration is not over"])
            #expect(follower.state.wholeDatasets == ["samples"])
            try await follower.lookAgain()
            #expect(try await others() == found)
        }
        try await running(kept: { kept.withLock { $0 } }) { follower in
            try await eventually { follower.state.isFollowing }
            #expect(try await others() == found)
            kept.withLock { $0 = [:] }
            try await follower.lookAgain()
            #expect(follower.state.wholeDatasets == ["samples", "others"])
            #expect(try await ledger.difference(store) == nil)
            // What opsd writes already it goes on writing.
            kept.withLock { $0 = ["others": "a migration is not over"] }
            try await follower.lookAgain()
            try await ledger.change(entries: 50)
            #expect(await follower.reach(ledger.head, within: .seconds(20)))
            #expect(try await ledger.difference(store) == nil)
        }
    }

    @Test func whatCannotBeReadIsNotEmptied() async throws {
        try await ledger.change(entries: 20)
        let damaged = DamagedStore(real: store)
        let follower = StoreFollower(
            name: "far", store: damaged, journal: ledger.identity, feed: ledger.feed,
            source: ledger.core, datasets: ["samples", "others"], timing: Self.timing)
        let task = Task { await follower.run() }
        try await eventually { follower.state.isFollowing }
        #expect(follower.state.unmigrated["others"]?.contains("no JSON") == true)
        #expect(!store.begun.contains("others") && store.begun.contains("samples"))
        task.cancel()
        await task.value
    }

    @Test func aReaderDoesNotTakeThemForTheTruth() async throws {
        try await ledger.change(entries: 50)
        try await store.fill([StampedRow(row: Self.mine, sequence: .none)])
        let route = Route(old: "far", new: nil, stage: .old)
        let dualWrite = DualWrite(
            routes: RouteTable(["samples": route, "others": route]), stores: ["far": store],
            journal: ledger.identity, feed: ledger.feed, source: ledger.core, timing: Self.timing)
        let reader = HybridReader(
            dualWrite, feed: ledger.feed, core: ledger.core, record: MemoryRecord())
        let task = Task { await dualWrite.run() }
        try await eventually { dualWrite.followers.allSatisfy(\.state.isFollowing) }
        #expect(try await reader.row(Self.mine.key(in: RowStoreConformance.other)) == nil)
        #expect(reader.degradations.map(\.dataset) == ["others"])
        task.cancel()
        await task.value
    }
}

/// A store of whose one dataset nothing can be read.
private struct DamagedStore: ReplicaStore {
    let real: any ReplicaStore

    private func check(_ dataset: String) throws(StoreError) {
        if dataset == "others" { throw .damaged(store: "far", problem: "a file is no JSON") }
    }

    func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        try check(query.dataset)
        return try await real.rows(query)
    }
    func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        try check(key.dataset)
        return try await real.row(key)
    }
    func count(_ query: RowQuery) async throws(StoreError) -> Int { try await real.count(query) }
    func position() async throws(StoreError) -> StorePosition { try await real.position() }
    func begin(
        _ datasets: Set<String>, from found: StorePosition?, as begun: StorePosition
    ) async throws(StoreError) {
        try await real.begin(datasets, from: found, as: begun)
    }
    func fill(_ rows: [StampedRow], at begun: StorePosition?) async throws(StoreError) {
        try await real.fill(rows, at: begun)
    }
    func finish(
        _ position: StorePosition, from begun: StorePosition?, digests: [DigestStamp]
    ) async throws(StoreError) {
        try await real.finish(position, from: begun, digests: digests)
    }
    func appliedSequence() async throws(StoreError) -> SequenceNumber {
        try await real.appliedSequence()
    }
    func apply(_ batch: StoreBatch) async throws(StoreError) { try await real.apply(batch) }
    func digests() async throws(StoreError) -> [DigestStamp] { try await real.digests() }
}
