import Ledger
import TestSupport
import Testing

@testable import DualWrite

/// A store that fails at every step at random, is emptied, set back to an older copy, replaced by the copy
/// of another history and used by another desk. When that ends, it equals the journal, or the follower says
/// why not, and a rebuild mends it.
@Suite(.timeLimit(.minutes(3))) struct StoreSimulationTests {
    private static let datasets: Set<String> = ["samples", "others"]

    private static func follower(
        _ ledger: MemoryLedger, _ store: MemoryStore, _ journal: String
    ) -> StoreFollower {
        var timing = StoreFollower.Timing()
        timing.retryFirst = .microseconds(10)
        timing.retryLast = .microseconds(200)
        timing.batchEvery = .zero
        timing.lookEvery = .microseconds(200)
        timing.batchRows = 6
        timing.fillRows = 3
        return StoreFollower(
            name: "memory", store: store, journal: journal, feed: ledger.feed, source: ledger,
            datasets: datasets, timing: timing)
    }

    /// What a store lacks to be a copy of a journal; nil when it is one.
    private static func difference(
        _ store: MemoryStore.Content, _ ledger: MemoryLedger, _ journal: String
    ) -> String? {
        let wanted = ledger.whole(of: journal)
        if store.position != wanted.position { return "it is at \(store.position)" }
        if store.rows != wanted.rows { return "its rows are others" }
        let digests = store.digests.filter { datasets.contains($0.key.dataset) }
        return digests == wanted.digests ? nil : "its digests are others"
    }

    /// Why a store is not written, where that is true; nil where it should be.
    private static func reason(
        _ follower: StoreFollower, _ store: MemoryStore.Content, _ ledger: MemoryLedger
    ) async throws -> String? {
        let place = store.position.place
        switch follower.state.condition {
        case .foreign(let other): return other == place.journal ? "foreign" : nil
        case .ahead:
            guard place.journal == follower.journal, place.applied.number > 0 else { return nil }
            let known = try await ledger.feed.checksum(of: place.applied)?.short
            return known == nil || known != place.checksum ? "ahead" : nil
        default: return nil
        }
    }

    private struct Run {
        let seed: UInt64
        var generator: SeededGenerator
        let ledger: MemoryLedger
        let other: MemoryLedger
        let store = MemoryStore()
        var copies: [MemoryStore.Content] = [MemoryStore.Content()]

        init(seed: UInt64) {
            self.seed = seed
            generator = SeededGenerator(seed: seed)
            ledger = MemoryLedger(seed: seed &* 3 &+ 1)
            other = MemoryLedger(seed: seed &* 3 &+ 2)
        }

        mutating func random(_ range: Range<Int>) -> Int {
            Int.random(in: range, using: &generator)
        }

        mutating func meddle(_ follower: StoreFollower) {
            switch random(0..<12) {
            case 0: store.change { $0 = MemoryStore.Content() }
            case 1, 2: copies.append(store.present)
            case 3:
                let copy = copies[random(0..<copies.count)]
                store.restart(with: copy)
            case 4:
                // The same journal by its name, and another history.
                let fork = MemoryLedger(seed: seed &+ 77)
                fork.change(entries: random(1..<50))
                store.change { $0 = fork.whole(of: "ours") }
            case 5: Task { try? await follower.rebuild() }
            case 6: store.fail(oneIn: random(2..<8), seed: seed)
            case 7: store.heal()
            default: ledger.change(entries: random(1..<6))
            }
        }
    }

    private static func simulate(_ seed: UInt64) async throws -> String? {
        var run = Run(seed: seed)
        run.ledger.change(entries: run.random(1..<30))
        run.other.change(entries: run.random(1..<30))
        let (ledger, other, store) = (run.ledger, run.other, run.store)
        let ours = follower(ledger, store, "ours")
        let hasOther = run.random(0..<3) == 0
        let theirs = follower(other, store, "theirs")
        let tasks =
            [Task { await ours.run() }] + (hasOther ? [Task { await theirs.run() }] : [])
        store.fail(oneIn: run.random(2..<8), seed: seed)
        for _ in 0..<run.random(3..<11) {
            run.meddle(ours)
            if hasOther, run.random(0..<3) == 0 { other.change(entries: 1) }
            if run.random(0..<2) == 0 {
                try await Task.sleep(for: .microseconds(run.random(1..<300)))
            } else {
                await Task.yield()
            }
        }
        store.heal()
        var problem = await settle(ours, ledger, store)
        if problem == nil, case .following = ours.state.condition {
        } else if problem == nil {
            // A person has it rebuilt; the other desk may be in the way until it has looked.
            problem = "it was not rebuilt"
            for _ in 0..<200 where problem != nil {
                try? await ours.rebuild()
                problem = difference(store.present, ledger, "ours")
                if problem != nil { try await Task.sleep(for: .milliseconds(1)) }
            }
        }
        ledger.change(entries: 3)
        if problem == nil { problem = await settle(ours, ledger, store) }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        if ours.waiterCount > 0 { problem = "somebody still waits" }
        return problem.map { "seed \(seed): \($0); \(ours.state.condition)" }
    }

    /// Nil as soon as the store is a copy, or it is said why it is not.
    private static func settle(
        _ follower: StoreFollower, _ ledger: MemoryLedger, _ store: MemoryStore
    ) async -> String? {
        var problem: String?
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            let content = store.present
            problem = difference(content, ledger, "ours")
            if problem == nil, follower.state.isFollowing { return nil }
            if let said = try? await reason(follower, content, ledger), !said.isEmpty { return nil }
            try? await Task.sleep(for: .microseconds(200))
        }
        return problem ?? "it equals the journal, and the follower does not follow"
    }

    @Test func afterAnyFaultsItIsACopyOrSaysWhyNot() async throws {
        let problems = await withTaskGroup(of: String?.self) { group in
            var next: UInt64 = 0
            var problems: [String] = []
            func add() {
                let seed = next
                next += 1
                group.addTask {
                    do { return try await Self.simulate(seed) } catch {
                        return "seed \(seed): \(error)"
                    }
                }
            }
            for _ in 0..<16 { add() }
            while let problem = await group.next() {
                if let problem { problems.append(problem) }
                if next < 2_000, problems.count < 5 { add() }
            }
            return problems
        }
        #expect(problems == [])
    }
}
