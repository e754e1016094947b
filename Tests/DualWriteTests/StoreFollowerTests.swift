import Foundation
import Ledger
import SQLiteStore
import TestSupport
import Testing

@testable import DualWrite

@Suite(.timeLimit(.minutes(2))) struct StoreFollowerTests {
    private static let timing: StoreFollower.Timing = {
        var timing = StoreFollower.Timing()
        timing.retryFirst = .milliseconds(2)
        timing.retryLast = .milliseconds(20)
        timing.lookEvery = .milliseconds(50)
        timing.batchRows = 50
        timing.fillRows = 30
        return timing
    }()

    private func follower(
        _ ledger: TestLedger, _ store: any ReplicaStore, name: String = "far",
        datasets: Set<String> = ["samples", "others"], journal: String? = nil
    ) -> StoreFollower {
        StoreFollower(
            name: name, store: store, journal: journal ?? ledger.identity, feed: ledger.feed,
            source: ledger.core, datasets: datasets, timing: Self.timing)
    }

    /// Runs followers while `body` does, and ends them.
    private func running(
        _ followers: StoreFollower..., body: () async throws -> Void
    ) async throws {
        let tasks = followers.map { follower in Task { await follower.run() } }
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        try outcome.get()
    }

    private func expectEqual(
        _ ledger: TestLedger, _ store: any ReplicaStore,
        datasets: Set<String> = ["samples", "others"],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        var difference: String?
        for _ in 0..<2_000 {
            difference = try? await ledger.difference(store, in: datasets)
            if difference == nil { break }
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(
            try await ledger.difference(store, in: datasets) == nil, "\(difference ?? "")",
            sourceLocation: sourceLocation)
    }

    private func eventually(_ condition: () async throws -> Bool) async throws {
        while try await !condition() { try await Task.sleep(for: .milliseconds(2)) }
    }

    @Test func aNewStoreIsFilledAndFollows() async throws {
        let ledger = try TestLedger()
        try await ledger.change(entries: 300)
        let store = try ledger.makeStore("far")
        let follower = follower(ledger, store)
        try await running(follower) {
            try await expectEqual(ledger, store)
            try await ledger.change(entries: 200)
            #expect(await follower.reach(ledger.head, within: .seconds(20)))
            try await expectEqual(ledger, store)
            let state = follower.state
            #expect(state.condition == .following && state.lagEntries == 0, "\(state)")
            #expect(state.behindSince == nil && state.applied == ledger.feed.head)
        }
    }

    @Test func itGoesOnWhereItStoodAlsoFromOlderFiles() async throws {
        let ledger = try TestLedger(feedRows: 40)
        let store = try ledger.makeStore("far")
        try await running(follower(ledger, store)) {
            try await ledger.change(entries: 100)
            try await expectEqual(ledger, store)
        }
        // Memory has forgotten most of these.
        try await ledger.change(entries: 400)
        let line = UnreliableStore(store)
        try await running(follower(ledger, line)) { try await expectEqual(ledger, store) }
        // Batch by batch: it was not filled anew.
        #expect(line.writeCalls > 5)
        #expect(try await store.position().datasets.count == 2)
    }

    @Test func aStoreIsFilledWhileRowsChange() async throws {
        let ledger = try TestLedger()
        try await ledger.change(entries: 300)
        let store = try ledger.makeStore("far")
        let line = UnreliableStore(store)
        line.set(.slow(.milliseconds(3)))
        try await running(follower(ledger, line)) {
            try await ledger.change(entries: 500)
            try await expectEqual(ledger, store)
        }
    }

    @Test func aDeadStoreHoldsUpNothingAndCatchesUp() async throws {
        let ledger = try TestLedger()
        let (dead, live) = (
            UnreliableStore(try ledger.makeStore("dead")), try ledger.makeStore("live")
        )
        let (one, other) = (follower(ledger, dead), follower(ledger, live, name: "live"))
        try await running(one, other) {
            try await ledger.change(entries: 50)
            try await expectEqual(ledger, dead)
            dead.set(.cut)
            try await ledger.change(entries: 200)
            #expect(await other.reach(ledger.head, within: .seconds(20)))
            try await expectEqual(ledger, live)
            try await eventually { !one.state.isFollowing }
            #expect(await !one.reach(ledger.head, within: .seconds(20)), "it knows better")
            let state = one.state
            #expect(state.lagEntries == 200 && state.behindSince != nil, "\(state)")
            #expect("\(state.condition)".contains("the line is cut"))
            dead.set(.good)
            try await expectEqual(ledger, dead)
        }
    }

    @Test func lostAnswersLoseNothing() async throws {
        let ledger = try TestLedger(feedRows: 100)
        let store = try ledger.makeStore("far")
        let line = UnreliableStore(store)
        line.set(.failing(oneIn: 6))
        for _ in 0..<6 {
            try await running(follower(ledger, line)) {
                try await ledger.change(entries: 60)
                try await Task.sleep(for: .milliseconds(Int.random(in: 0...60)))
            }
        }
        try await running(follower(ledger, line)) {
            try await ledger.change(entries: 30)
            try await expectEqual(ledger, store)
        }
    }

    @Test func aStoreThatWasEmptiedIsFilledAgain() async throws {
        let ledger = try TestLedger()
        let store = try ledger.makeStore("far")
        try await running(follower(ledger, store)) {
            try await ledger.change(entries: 200)
            try await expectEqual(ledger, store)
            try await store.begin(["samples", "others"])
            try await store.finish(.empty, digests: [])
            // In a quiet hour it is seen too.
            try await expectEqual(ledger, store)
        }
    }

    /// The person is quicker than the follower.
    @Test func aStoreThatWasEmptiedCanBeRebuiltAtOnce() async throws {
        let ledger = try TestLedger()
        let store = try ledger.makeStore("far")
        let follower = follower(ledger, store)
        try await running(follower) {
            try await ledger.change(entries: 50)
            try await expectEqual(ledger, store)
            for _ in 0..<5 {
                try await store.begin(["samples", "others"])
                try await store.finish(.empty, digests: [])
                // Of one dataset, too: the other was emptied with it.
                try await follower.rebuild(Bool.random() ? [] : ["others"])
                try await expectEqual(ledger, store)
            }
        }
    }

    /// As by FLUSHALL: what was written before it is gone, and no call has failed.
    @Test func aStoreThatIsEmptiedWhileItIsFilledIsNotCalledWhole() async throws {
        let ledger = try TestLedger()
        try await ledger.change(entries: 400)
        let store = try ledger.makeStore("far")
        let line = UnreliableStore(store)
        line.set(.slow(.milliseconds(10)))
        let follower = follower(ledger, line)
        try await running(follower) {
            try await eventually {
                if case .filling(let progress) = follower.state.condition {
                    return progress.rows > 30
                }
                return false
            }
            try await store.begin(["samples", "others"])
            try await store.finish(.empty, digests: [])
            line.set(.good)
            try await expectEqual(ledger, store)
        }
    }

    @Test func aStoreThatWasAheadStaysSoWhenTheJournalHasGrownPastIt() async throws {
        let ledger = try TestLedger()
        try await ledger.change(entries: 20)
        let store = try ledger.makeStore("far")
        try await store.finish(
            StorePosition(
                journal: ledger.identity, applied: SequenceNumber(epoch: 1, number: 40),
                datasets: ["samples", "others"]), digests: [])
        let follower = follower(ledger, store)
        try await running(follower) {
            try await eventually { follower.state.condition == .ahead(of: ledger.feed.head) }
            try await ledger.change(entries: 60)
            try await Task.sleep(for: .milliseconds(200))
            #expect(follower.state.condition.name == "ahead")
            try await follower.rebuild(["others"])
            try await expectEqual(ledger, store)
        }
    }

    @Test func aStoreThatWasSetBackIsBroughtForward() async throws {
        let ledger = try TestLedger()
        let store = try ledger.makeStore("far")
        let old = try ledger.makeStore("old")
        try await running(follower(ledger, store), follower(ledger, old, name: "old")) {
            try await ledger.change(entries: 100)
            try await expectEqual(ledger, old)
        }
        try await running(follower(ledger, store)) {
            try await ledger.change(entries: 100)
            try await expectEqual(ledger, store)
        }
        // As if an older dump of the store had been restored.
        try await running(follower(ledger, old)) { try await expectEqual(ledger, old) }
    }

    @Test func aStoreAheadOfTheJournalIsNotWrittenUntilItIsRebuilt() async throws {
        let ledger = try TestLedger()
        try await ledger.change(entries: 20)
        let store = try ledger.makeStore("far")
        let beyond = SequenceNumber(epoch: 1, number: 5_000)
        try await store.finish(
            StorePosition(
                journal: ledger.identity, applied: beyond, datasets: ["samples", "others"]),
            digests: [])
        let line = UnreliableStore(store)
        let follower = follower(ledger, line)
        try await running(follower) {
            try await eventually { follower.state.condition == .ahead(of: ledger.feed.head) }
            try await ledger.change(entries: 10)
            try await Task.sleep(for: .milliseconds(80))
            #expect(line.writeCalls == 0 && follower.state.applied == beyond)
            #expect(await !follower.reach(ledger.head, within: .seconds(5)))
            try await follower.rebuild()
            try await expectEqual(ledger, store)
            try await ledger.change(entries: 10)
            try await expectEqual(ledger, store)
        }
    }

    /// A number that is in the past and that this journal never gave to an entry: the journal was
    /// restored from before it, and goes on in a later epoch.
    @Test func aStoreOfALostPastIsAheadToo() async throws {
        let ledger = try TestLedger(epoch: 4)
        try await ledger.change(entries: 20)
        let store = try ledger.makeStore("far")
        try await store.finish(
            StorePosition(
                journal: ledger.identity, applied: SequenceNumber(epoch: 3, number: 77),
                datasets: ["samples", "others"]), digests: [])
        let follower = follower(ledger, store)
        try await running(follower) {
            try await eventually { follower.state.condition == .ahead(of: ledger.feed.head) }
            try await follower.rebuild(["others"])
            try await expectEqual(ledger, store)
        }
    }

    @Test func theCopyOfAnotherJournalIsNotTouched() async throws {
        let ledger = try TestLedger()
        try await ledger.change(entries: 20)
        let store = try ledger.makeStore("far")
        try await running(follower(ledger, store, journal: "production")) {
            try await eventually { try await store.position().journal == "production" }
        }
        let line = UnreliableStore(store)
        let follower = follower(ledger, line)
        try await running(follower) {
            try await eventually { follower.state.condition == .foreign(journal: "production") }
            #expect(line.writeCalls == 0)
            try await follower.rebuild()
            try await expectEqual(ledger, store)
        }
    }

    @Test func datasetsComeAndGoWithTheConfiguration() async throws {
        let ledger = try TestLedger()
        let store = try ledger.makeStore("far")
        try await running(follower(ledger, store, datasets: ["samples"])) {
            try await ledger.change(entries: 60)
            try await expectEqual(ledger, store, datasets: ["samples"])
            #expect(try await store.count(RowQuery(dataset: "others")) == 0)
        }
        try await running(follower(ledger, store)) {
            try await ledger.change(entries: 60)
            try await expectEqual(ledger, store)
        }
        try await running(follower(ledger, store, datasets: ["others"])) {
            try await ledger.change(entries: 60)
            try await expectEqual(ledger, store, datasets: ["others"])
            #expect(try await store.count(RowQuery(dataset: "samples")) > 0, "it is left alone")
        }
        try await running(follower(ledger, store)) { try await expectEqual(ledger, store) }
    }

    @Test func rebuildingUnderLoadLosesNothing() async throws {
        let ledger = try TestLedger()
        try await ledger.change(entries: 200)
        let store = try ledger.makeStore("far")
        let follower = follower(ledger, store)
        try await running(follower) {
            try await expectEqual(ledger, store)
            async let load: Void = ledger.change(entries: 400)
            for _ in 0..<3 { try await follower.rebuild() }
            try await follower.rebuild(["others"])
            try await load
            try await expectEqual(ledger, store)
            await #expect(throws: StoreError.self) { try await follower.rebuild(["strangers"]) }
        }
    }

    /// FLUSHALL, and at once `opsd rebuild`: also where that names one dataset, all are there again.
    @Test(arguments: [[], ["samples"]] as [Set<String>])
    func aStoreThatWasEmptiedUnnoticedIsRebuilt(_ datasets: Set<String>) async throws {
        let ledger = try TestLedger()
        try await ledger.change(entries: 100)
        let store = try ledger.makeStore("far")
        let follower = follower(ledger, store)
        try await running(follower) {
            for round in 0..<20 {
                try await expectEqual(ledger, store)
                try await store.begin(["samples", "others"])
                try await store.finish(.empty, digests: [])
                if round % 2 == 0 { try await ledger.change(entries: 1) }
                try await follower.rebuild(datasets)
                try await expectEqual(ledger, store)
            }
        }
    }

    @Test func aRebuildThatFailsSaysSo() async throws {
        let ledger = try TestLedger()
        try await ledger.change(entries: 20)
        let line = UnreliableStore(try ledger.makeStore("far"))
        let follower = follower(ledger, line)
        try await running(follower) {
            try await expectEqual(ledger, line)
            line.set(.refusing)
            await #expect(throws: StoreError.self) { try await follower.rebuild() }
            line.set(.good)
            try await expectEqual(ledger, line)
        }
    }

    @Test func whereTheJournalDoesNotReachBackTheStoreIsFilled() async throws {
        let ledger = try TestLedger(feedRows: 40, rollAtBytes: 20_000)
        let store = try ledger.makeStore("far")
        try await running(follower(ledger, store)) {
            try await ledger.change(entries: 50)
            try await expectEqual(ledger, store)
        }
        try await ledger.change(entries: 800)
        let folder = ledger.folder.path("journal")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder)
            .filter { $0.hasSuffix(".sqlite") }.sorted()
        try #require(files.count > 2, "the journal has rolled")
        for file in files.prefix(files.count - 1) {
            for suffix in ["", "-wal", "-shm"] {
                try? FileManager.default.removeItem(atPath: folder + "/" + file + suffix)
            }
        }
        try await running(follower(ledger, store)) { try await expectEqual(ledger, store) }
    }
}
