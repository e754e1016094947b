import Testing

@testable import DualWrite

struct BatchPaceTests {
    private var timing: StoreFollower.Timing {
        var timing = StoreFollower.Timing()
        timing.batchRows = 100
        timing.batchRowsMax = 350
        timing.batchEvery = .milliseconds(40)
        return timing
    }

    @Test func aStoreThatIsBehindGetsMoreAtOnceUpToALimit() {
        var pace = BatchPace(timing)
        var sizes: [Int] = []
        // A run may be somewhat longer than what was asked for.
        for rows in [100, 230, 350, 350, 349, 20] {
            sizes.append(pace.rowsMax)
            pace.begins(rows)
        }
        #expect(sizes == [100, 200, 350, 350, 350, 100])
    }

    @Test func batchesOfAStoreThatKeepsUpAreSetApart() async {
        var pace = BatchPace(timing)
        let start = ContinuousClock.now
        await pace.wait()
        #expect(start.duration(to: .now) < .milliseconds(30), "the first goes at once")
        pace.begins(3)
        await pace.wait()
        #expect(start.duration(to: .now) >= .milliseconds(40))
    }

    @Test func aStoreThatIsBehindDoesNotWait() async {
        var timing = timing
        timing.batchEvery = .seconds(60)
        var pace = BatchPace(timing)
        pace.begins(100)
        let start = ContinuousClock.now
        await pace.wait()
        #expect(start.duration(to: .now) < .seconds(10))
    }
}
