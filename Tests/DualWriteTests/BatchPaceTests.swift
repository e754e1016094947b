import Ledger
import TestSupport
import Testing

@testable import DualWrite

struct BatchPaceTests {
    private var timing: StoreFollower.Timing {
        var timing = StoreFollower.Timing()
        timing.batchRows = 100
        timing.batchRowsMax = 350
        timing.batchEvery = .milliseconds(40)
        timing.batchEveryAwaited = .milliseconds(10)
        return timing
    }

    @Test func aStoreThatIsBehindGetsMoreAtOnceUpToALimit() {
        var pace = BatchPace(timing)
        var sizes: [Int] = []
        // A run may be somewhat longer than what was asked for.
        for rows in [100, 230, 350, 350, 349, 20] {
            sizes.append(pace.rowsMax)
            pace.begins(rows, at: .now)
        }
        #expect(sizes == [100, 200, 350, 350, 350, 100])
    }

    @Test func batchesOfAStoreThatKeepsUpAreSetApartLessWhereSomebodyWaits() {
        var pace = BatchPace(timing)
        let start = ContinuousClock.now
        #expect(pace.pause(at: start, isAwaited: false) == nil, "the first goes at once")
        pace.begins(3, at: start)
        let later = start + .milliseconds(4)
        #expect(pace.pause(at: later, isAwaited: false) == .milliseconds(36))
        #expect(pace.pause(at: later, isAwaited: true) == .milliseconds(6))
        #expect(pace.pause(at: start + .milliseconds(10), isAwaited: true) == nil)
        #expect(pace.pause(at: start + .milliseconds(40), isAwaited: false) == nil)
    }

    @Test func aStoreThatIsBehindDoesNotWait() {
        var pace = BatchPace(timing)
        let start = ContinuousClock.now
        pace.begins(100, at: start)
        #expect(pace.pause(at: start, isAwaited: false) == nil)
    }

    /// Who begins to wait while changes are gathered is not kept for as long as nobody would be.
    @Test(.timeLimit(.minutes(1))) func whoBeginsToWaitEndsTheGathering() async throws {
        let ledger = MemoryLedger(seed: 3)
        var timing = StoreFollower.Timing()
        timing.batchEvery = .seconds(3_600)
        timing.batchEveryAwaited = .zero
        let follower = StoreFollower(
            name: "memory", store: MemoryStore(), journal: "ours", feed: ledger.feed,
            source: ledger, datasets: ["samples", "others"], timing: timing)
        let following = Task { await follower.run() }
        for _ in 0..<3 {
            ledger.change(entries: 1)
            while !(await follower.reach(ledger.head, within: .seconds(5))) {}
        }
        // It gathers now, and nobody waits.
        ledger.change(entries: 1)
        let head = ledger.head
        try await Task.sleep(for: .milliseconds(100))
        #expect(follower.state.applied != head)
        #expect(await follower.reach(head, within: .seconds(20)))
        following.cancel()
        await following.value
    }
}
