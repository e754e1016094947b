import Ledger
import TestSupport
import Testing

@testable import DualWrite

/// Those who wait for an entry are always told, once, however short their patience is and whoever gives
/// them up. Told twice they would end the process, and never, the test.
@Suite(.timeLimit(.minutes(1))) struct WaitingTests {
    private static func follower(_ ledger: MemoryLedger, _ store: MemoryStore) -> StoreFollower {
        var timing = StoreFollower.Timing()
        timing.retryFirst = .microseconds(100)
        timing.retryLast = .milliseconds(1)
        timing.batchEvery = .zero
        timing.lookEvery = .milliseconds(1)
        return StoreFollower(
            name: "memory", store: store, journal: "ours", feed: ledger.feed, source: ledger,
            datasets: ["samples", "others"], timing: timing)
    }

    /// The time may be over before one waits.
    @Test func whoHasNoPatienceDoesNotWait() async {
        let ledger = MemoryLedger(seed: 1)
        let follower = Self.follower(ledger, MemoryStore())
        await withTaskGroup(of: Bool.self) { group in
            for number in 0..<4_000 {
                group.addTask {
                    await follower.reach(
                        SequenceNumber(epoch: 1, number: 5),
                        within: .nanoseconds(number % 3 * 1_000))
                }
            }
            for await isThere in group { #expect(!isThere) }
        }
        #expect(follower.waiterCount == 0)
    }

    @Test func waitersAreToldOnceUnderRandomFaultsAndCancellations() async throws {
        let ledger = MemoryLedger(seed: 2)
        let store = MemoryStore()
        let follower = Self.follower(ledger, store)
        let following = Task { await follower.run() }
        let writing = Task {
            for number in 0..<400 {
                ledger.change(entries: 1)
                if number % 20 == 0 { store.fail(oneIn: 3, seed: UInt64(number)) }
                if number % 20 == 10 { store.heal() }
                if number % 100 == 50 { Task { try? await follower.rebuild() } }
                try? await Task.sleep(for: .milliseconds(1))
            }
            store.heal()
        }
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<6 {
                group.addTask {
                    var generator = SeededGenerator(seed: UInt64(worker))
                    while !Task.isCancelled {
                        let wanted = SequenceNumber(
                            epoch: 1,
                            number: ledger.head.number + Int64.random(in: -1...3, using: &generator)
                        )
                        let patience = Duration.microseconds(
                            Int.random(in: 0...3_000, using: &generator))
                        let waiting = Task {
                            if worker % 3 == 0 {
                                await ledger.feed.wait(beyond: wanted)
                            } else {
                                _ = await follower.reach(wanted, within: patience)
                            }
                        }
                        if Int.random(in: 0..<2, using: &generator) == 0 {
                            try? await Task.sleep(
                                for: .microseconds(Int.random(in: 0...500, using: &generator)))
                            waiting.cancel()
                        }
                        // What nobody writes any more is waited for until somebody gives it up.
                        if worker % 3 == 0 { waiting.cancel() }
                        await waiting.value
                    }
                }
            }
            await writing.value
            group.cancelAll()
        }
        #expect(await follower.reach(ledger.head, within: .seconds(20)))
        // The core stops: nobody is left waiting, and who comes later does not wait.
        let late = Task {
            await follower.reach(SequenceNumber(epoch: 1, number: 1_000_000), within: .seconds(600))
        }
        while follower.waiterCount == 0 { try await Task.sleep(for: .milliseconds(1)) }
        following.cancel()
        await following.value
        #expect(await !late.value)
        #expect(
            await !follower.reach(
                SequenceNumber(epoch: 1, number: 1_000_000), within: .seconds(600)))
        #expect(follower.waiterCount == 0)
    }
}
