import AlpacaBroker
import Ledger
import Testing

@Suite struct RequestBucketTests {
    let start = Timestamp(microseconds: 1_000_000_000)

    private func drain(
        _ bucket: inout RequestBucket, _ priority: RequestBucket.Priority, at time: Timestamp
    ) -> Int {
        var count = 0
        while bucket.take(priority, now: time) == .granted { count += 1 }
        return count
    }

    @Test func readsLeaveTheLastThirtyPerCentToOrders() {
        var bucket = RequestBucket(requestsPerMinute: 200, now: start)
        #expect(drain(&bucket, .read, at: start) == 140)
        #expect(drain(&bucket, .order, at: start) == 60)
    }

    @Test func refillsEvenlyAndTellsHowLongToWait() {
        var bucket = RequestBucket(requestsPerMinute: 60, now: start)
        #expect(drain(&bucket, .order, at: start) == 60)
        #expect(bucket.take(.order, now: start) == .wait(microseconds: 1_000_000))
        let almost = Timestamp(microseconds: start.microseconds + 999_999)
        #expect(bucket.take(.order, now: almost) == .wait(microseconds: 1))
        #expect(bucket.take(.order, now: start.advanced(bySeconds: 1)) == .granted)
        // A read waits until the reserve for orders is there as well.
        #expect(
            bucket.take(.read, now: start.advanced(bySeconds: 1))
                == .wait(microseconds: 19_000_000))
    }

    @Test func neverHoldsMoreThanAMinute() {
        var bucket = RequestBucket(requestsPerMinute: 10, now: start)
        #expect(drain(&bucket, .order, at: start.advanced(bySeconds: 86_400)) == 10)
    }

    @Test func aClockThatStepsBackGivesNothing() {
        var bucket = RequestBucket(requestsPerMinute: 10, now: start)
        _ = drain(&bucket, .order, at: start)
        #expect(bucket.take(.order, now: start.advanced(bySeconds: -50)) != .granted)
    }

    @Test func theBrokersCountersCorrectDownwardsOnly() {
        var bucket = RequestBucket(requestsPerMinute: 100, now: start)
        bucket.observe(remaining: 5, resetsAt: nil, now: start)
        bucket.observe(remaining: 90, resetsAt: nil, now: start)
        #expect(drain(&bucket, .order, at: start) == 5)
    }

    @Test func nothingRemainingBlocksUntilTheReset() {
        var bucket = RequestBucket(requestsPerMinute: 60, now: start)
        bucket.observe(remaining: 0, resetsAt: start.advanced(bySeconds: 30), now: start)
        let later = start.advanced(bySeconds: 20)
        #expect(bucket.take(.order, now: later) == .wait(microseconds: 10_000_000))
        #expect(bucket.take(.order, now: start.advanced(bySeconds: 30)) == .granted)
    }

    @Test func anAbsurdResetBlocksForAMinuteAtMost() {
        var bucket = RequestBucket(requestsPerMinute: 60, now: start)
        bucket.block(until: start.advanced(bySeconds: 1_000_000), now: start)
        #expect(bucket.take(.order, now: start) == .wait(microseconds: 60_000_000))
    }

    @Test func aSmallLimitStillServesReads() {
        var bucket = RequestBucket(requestsPerMinute: 1, now: start)
        #expect(bucket.take(.read, now: start) == .granted)
    }
}
