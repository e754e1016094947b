import Ledger
import SQLiteStore
import Synchronization
import TestSupport
import Testing

@testable import DualWrite

@Suite(.timeLimit(.minutes(2))) struct HybridReaderTests {
    /// A desk with a new and an old store behind lines that a test can cut.
    private struct Desk {
        let ledger: TestLedger
        let new: UnreliableStore
        let old: UnreliableStore
        let dualWrite: DualWrite
        let reader: HybridReader
        let record = MemoryRecord()

        init(_ stage: Stage) throws {
            ledger = try TestLedger()
            new = UnreliableStore(try ledger.makeStore("new"))
            old = UnreliableStore(try ledger.makeStore("old"))
            let route = Route(old: "old", new: "new", stage: stage)
            var timing = StoreFollower.Timing()
            timing.retryFirst = .milliseconds(2)
            timing.retryLast = .milliseconds(20)
            timing.lookEvery = .milliseconds(20)
            dualWrite = DualWrite(
                routes: RouteTable(["samples": route, "others": route]),
                stores: ["new": new, "old": old], journal: ledger.identity, feed: ledger.feed,
                source: ledger.core, timing: timing)
            var reading = HybridReader.Timing()
            reading.patience = .milliseconds(500)
            reading.returnEvery = .milliseconds(5)
            reader = HybridReader(
                dualWrite, feed: ledger.feed, core: ledger.core, record: record, timing: reading)
        }

        /// The reader of a core that was started again.
        func readerAgain() -> HybridReader {
            HybridReader(dualWrite, feed: ledger.feed, core: ledger.core, record: record)
        }

        func run(_ body: () async throws -> Void) async throws {
            let tasks = [Task { await dualWrite.run() }, Task { await reader.run() }]
            let outcome: Result<Void, any Error>
            do {
                try await eventually { dualWrite.followers.allSatisfy(\.state.isFollowing) }
                outcome = .success(try await body())
            } catch { outcome = .failure(error) }
            for task in tasks { task.cancel() }
            for task in tasks { await task.value }
            try outcome.get()
        }

        /// What the reader says is what the core has.
        func expectTruth(sourceLocation: SourceLocation = #_sourceLocation) async throws {
            for dataset in ["samples", "others"] {
                var query = RowQuery(dataset: dataset)
                query.limit = .max
                let (total, rows) = try await reader.page(query)
                let wanted = try await ledger.core.rows.rows(query)
                #expect(rows == wanted && total == wanted.count, sourceLocation: sourceLocation)
                if let key = wanted.last.map({
                    RowKey(dataset: dataset, values: ledger.core.key(of: $0.row))
                }) {
                    #expect(
                        try await reader.row(key) == wanted.last, sourceLocation: sourceLocation)
                }
            }
        }

        func eventually(_ condition: () async throws -> Bool) async throws {
            while try await !condition() { try await Task.sleep(for: .milliseconds(2)) }
        }
    }

    @Test(arguments: Stage.allCases)
    func everyStageAnswersWithWhatIsDurable(_ stage: Stage) async throws {
        let desk = try Desk(stage)
        try await desk.run {
            for _ in 0..<5 {
                try await desk.ledger.change(entries: 20)
                try await desk.expectTruth()
            }
            #expect(desk.reader.degradations == [])
            #expect((desk.new.writeCalls > 0) == (stage != .old))
            #expect((desk.old.writeCalls > 0) == (stage != .full))
        }
    }

    @Test func theNewStoreIsReadAndTheOldOneWhereItFails() async throws {
        let desk = try Desk(.read)
        try await desk.run {
            try await desk.ledger.change(entries: 50)
            try await desk.expectTruth()
            let readsOfOld = desk.old.readCalls
            try await desk.expectTruth()
            #expect(desk.old.readCalls == readsOfOld)
            desk.new.set(.cut)
            try await desk.ledger.change(entries: 10)
            try await desk.expectTruth()
            let degradations = desk.reader.degradations
            #expect(degradations.map(\.dataset) == ["others", "samples"])
            #expect(degradations.allSatisfy { $0.store == "new" }, "\(degradations)")
            #expect(desk.old.readCalls > readsOfOld)
            // Both are gone: the core itself answers.
            desk.old.set(.cut)
            try await desk.ledger.change(entries: 10)
            try await desk.expectTruth()
            desk.old.set(.good)
            desk.new.set(.good)
            try await desk.eventually { desk.reader.degradations.isEmpty }
            let reads = desk.new.readCalls
            try await desk.expectTruth()
            #expect(desk.new.readCalls > reads)
        }
    }

    @Test func itDoesNotReturnToAStoreThatDoesNotAgree() async throws {
        let desk = try Desk(.read)
        try await desk.run {
            try await desk.ledger.change(entries: 60)
            try await desk.expectTruth()
            desk.new.set(.cut)
            try await desk.ledger.change(entries: 5)
            try await desk.expectTruth()
            // Somebody changes a row there meanwhile: same key, same stamp, other bytes.
            var query = RowQuery(dataset: "samples")
            query.limit = 1
            let good = try #require(try await desk.ledger.core.rows.rows(query).first)
            var values = good.row.values
            values[2] = .text("forged")
            let forged = Row(dataset: "samples", values: values)
            try await desk.new.real.fill([StampedRow(row: forged, sequence: good.sequence)])
            desk.new.set(.good)
            try await desk.eventually {
                desk.reader.degradations.map(\.dataset) == ["samples"]
            }
            // A core that starts again does not believe the store either.
            let again = desk.readerAgain()
            #expect(again.degradations.map(\.dataset) == ["samples"])
            #expect(again.degradations.first?.since == desk.reader.degradations.first?.since)
            #expect(try await again.row(good.row.key(in: RowStoreConformance.schema)) == good)
            try await Task.sleep(for: .milliseconds(600))
            #expect(desk.reader.degradations.map(\.dataset) == ["samples"])
            try await desk.expectTruth()
            try await desk.new.real.fill([good])
            try await desk.eventually { desk.reader.degradations.isEmpty }
            try await desk.expectTruth()
            try await desk.eventually { desk.readerAgain().degradations.isEmpty }
        }
    }

    /// Nobody knows any more what was degraded: then everything is compared first.
    @Test func withoutARecordNoStoreIsBelieved() async throws {
        let desk = try Desk(.read)
        desk.record.fail(true)
        try await desk.run {
            try await desk.ledger.change(entries: 10)
            try await desk.expectTruth()
            let again = desk.readerAgain()
            #expect(again.degradations.map(\.dataset) == ["others", "samples"])
            #expect(again.degradations.allSatisfy { $0.store == "new" })
            // What cannot be kept is kept as soon as it can.
            desk.new.set(.cut)
            try await desk.ledger.change(entries: 1)
            try await desk.expectTruth()
            #expect(desk.reader.degradations.count == 2)
            desk.record.fail(false)
            try await desk.eventually { desk.readerAgain().degradations.count == 2 }
            desk.new.set(.good)
            try await desk.eventually { desk.readerAgain().degradations.isEmpty }
        }
    }

    @Test func aCacheIsNeitherFilledNorRead() async throws {
        let ledger = try TestLedger()
        let cache = Schema(
            dataset: "quotes", kind: .cache, key: [Field("symbol", .text)],
            fields: [Field("price", .decimal)])
        let core = CacheRows(
            rows: ledger.core.rows,
            catalogue: SchemaCatalogue(TestLedger.catalogue.schemas + [cache]))
        let route = Route(old: "old", new: nil, stage: .old)
        let dualWrite = DualWrite(
            routes: RouteTable(["samples": route, "quotes": route]),
            stores: ["old": try ledger.makeStore("old")], journal: "j", feed: ledger.feed,
            source: core)
        #expect(dualWrite["old"]?.datasets == ["samples"])
        let reader = HybridReader(
            dualWrite, feed: ledger.feed, core: core, record: MemoryRecord())
        #expect(reader.isRouted("samples") && !reader.isRouted("quotes"))
    }

    @Test func aRowThatNobodyJournaledIsADifference() async throws {
        let desk = try Desk(.read)
        try await desk.run {
            try await desk.ledger.change(entries: 30)
            try await desk.expectTruth()
            let rogue = Row(dataset: "others", values: [.text("zzz"), .text("rogue")])
            try await desk.new.real.fill([StampedRow(row: rogue, sequence: .none)])
            let follower = try #require(desk.dualWrite["new"])
            let agreement = Agreement(
                follower: follower, core: desk.ledger.core, feed: desk.ledger.feed)
            #expect(
                try await agreement.difference(in: "others")
                    == RowKey(dataset: "others", values: [.text("zzz")]))
            #expect(try await agreement.difference(in: "samples") == nil)
        }
    }

    @Test func readsUnderWritesAndFaultsAreNeverOld() async throws {
        let desk = try Desk(.read)
        try await desk.run {
            try await desk.ledger.change(entries: 20)
            for round in 0..<30 {
                desk.new.set([.good, .cut, .failing(oneIn: 3), .slow(.milliseconds(2))][round % 4])
                try await desk.ledger.change(entries: 3)
                try await desk.expectTruth()
            }
            desk.new.set(.good)
            try await desk.eventually { desk.reader.degradations.isEmpty }
        }
    }

    @Test func aWrongQuestionIsNoDegradation() async throws {
        let desk = try Desk(.read)
        try await desk.run {
            try await desk.ledger.change(entries: 5)
            try await desk.expectTruth()
            var query = RowQuery(dataset: "samples")
            query.matching = [("nothing", [.text("x")])]
            let wrong = query
            await #expect(throws: StoreError.self) { try await desk.reader.rows(wrong) }
            #expect(desk.reader.degradations == [])
        }
    }
}

/// What a reader keeps, while it can.
final class MemoryRecord: DegradationRecord {
    private let content = Mutex<(kept: [HybridReader.Degradation], isFailing: Bool)>(([], false))

    func fail(_ isFailing: Bool) { content.withLock { $0.isFailing = isFailing } }

    func kept() throws(StoreError) -> [HybridReader.Degradation] {
        let (kept, isFailing) = content.withLock { $0 }
        if isFailing { throw .damaged(store: "record", problem: "as the test wants") }
        return kept
    }

    func keep(
        _ present: @escaping @Sendable () -> [HybridReader.Degradation]
    ) async throws(StoreError) {
        let isFailing = content.withLock { content in
            if !content.isFailing { content.kept = present() }
            return content.isFailing
        }
        if isFailing { throw .unavailable(store: "record", problem: "as the test wants") }
    }
}

private struct CacheRows: CoreRows {
    let rows: SQLiteStore
    let catalogue: SchemaCatalogue
    var store: any RowStore { rows }
    func reach(_ sequence: SequenceNumber) async throws(StoreError) {}
}
