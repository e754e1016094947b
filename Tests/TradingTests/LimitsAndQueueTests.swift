import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Trading

@Suite struct LimitsAndQueueTests {
    private let start = Timestamp(microseconds: 1_795_253_400_000_000)

    private func later(_ microseconds: Int64) -> Timestamp {
        Timestamp(microseconds: start.microseconds + microseconds)
    }

    @Test func aBucketGivesItsCapacityThenAsTimeGoesBy() {
        var bucket = TokenBucket(count: 10, at: start)
        for _ in 0..<10 { #expect(bucket.take(at: start) == nil) }
        #expect(bucket.take(at: start) == 1)
        #expect(bucket.take(at: later(99_999)) == 1)
        #expect(bucket.take(at: later(100_000)) == nil)
        #expect(bucket.take(at: later(100_000)) == 1)
        for _ in 0..<10 { #expect(bucket.take(at: later(90_000_000)) == nil) }
        #expect(bucket.take(at: later(90_000_000)) == 1, "no more than its capacity is kept")
    }

    @Test func aBucketByTheMinuteSaysHowLongToWait() {
        var bucket = TokenBucket(count: 2, periodSeconds: 60, at: start)
        #expect(bucket.take(at: start) == nil)
        #expect(bucket.take(at: start) == nil)
        #expect(bucket.take(at: start) == 30)
        #expect(bucket.take(at: later(29_500_000)) == 1)
        #expect(bucket.take(at: later(30_000_000)) == nil)
    }

    @Test func aClockThatStepsBackGivesNothingAndBreaksNothing() {
        var bucket = TokenBucket(count: 1, at: start)
        #expect(bucket.take(at: start) == nil)
        #expect(bucket.take(at: later(-5_000_000)) == 1)
        #expect(bucket.take(at: later(-4_500_000)) == 1)
        #expect(bucket.take(at: later(-4_000_000)) == nil)
        var extreme = TokenBucket(count: .max, periodSeconds: 60, at: start)
        #expect(extreme.take(at: Timestamp(microseconds: 4_000_000_000_000_000)) == nil)
        var least = TokenBucket(count: -5, periodSeconds: 0, at: start)
        #expect(least.take(at: start) == nil)
        #expect(least.take(at: start) == 1)
    }

    @Test func neverMoreThanTheRateOverALongRun() {
        var random = SeededGenerator(seed: 41)
        var bucket = TokenBucket(count: 7, at: start)
        var (now, taken) = (Int64(0), 0)
        while now < 100_000_000 {
            now += Int64.random(in: 0...40_000, using: &random)
            if bucket.take(at: later(now)) == nil { taken += 1 }
        }
        #expect((700...708).contains(taken), "\(taken)")
    }

    @Test func eachLimitIsNamed() throws {
        let limits = RequestLimits(
            requestsPerSecond: 3, accountRequestsPerSecond: 2, ordersPerMinute: ["A": 1],
            at: start)
        for _ in 0..<3 { try limits.admitRequest(at: start) }
        #expect(
            throws: RequestLimits.Exceeded(limit: "requests_per_second", retryAfterSeconds: 1)
        ) { try limits.admitRequest(at: start) }
        for _ in 0..<2 { try limits.admitRequest(of: "A", at: start) }
        #expect(
            throws: RequestLimits.Exceeded(
                limit: "account_requests_per_second", retryAfterSeconds: 1)
        ) { try limits.admitRequest(of: "A", at: start) }
        try limits.admitRequest(of: "B", at: start)
        try limits.admitOrder(of: "A", at: start)
        #expect(
            throws: RequestLimits.Exceeded(limit: "max_orders_per_minute", retryAfterSeconds: 60)
        ) { try limits.admitOrder(of: "A", at: start) }
        for _ in 0..<100 { try limits.admitOrder(of: "unlimited", at: start) }
    }

    @Test func ordersLeaveTheQueueAsTheyCame() async {
        let queue = OrderQueue(capacity: 10)
        for id in ["1", "2", "3", "2"] { queue.add(id) }
        #expect(queue.count == 3)
        #expect(queue.withdraw("2"))
        #expect(!queue.withdraw("2"))
        #expect(await queue.next() == "1")
        #expect(await queue.next() == "3")
        #expect(!queue.withdraw("3"))
        queue.close()
        #expect(await queue.next() == nil)
    }

    @Test func anOrderThatCameBackCanBeWithdrawnAgain() async {
        let queue = OrderQueue(capacity: 10)
        queue.add("1")
        #expect(queue.withdraw("1"))
        queue.add("1")
        queue.add("2")
        #expect(queue.withdraw("1"))
        #expect(await queue.next() == "2")
        #expect(queue.count == 0)
    }

    @Test func anOrderIsTakenOrWithdrawnAndNeverBothOrLost() async {
        let queue = OrderQueue(capacity: 5_000)
        let total = 5_000
        let (taken, withdrawn) = (Names(), Names())
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    while let id = await queue.next() { taken.add(id) }
                }
            }
            await withTaskGroup(of: Void.self) { writers in
                for part in 0..<8 {
                    writers.addTask {
                        for number in stride(from: part, to: total, by: 8) {
                            queue.add("\(number)")
                            if number % 3 == 0 { await Task.yield() }
                            if number % 2 == 0, queue.withdraw("\(number)") {
                                withdrawn.add("\(number)")
                            }
                        }
                    }
                }
            }
            while queue.count > 0 { await Task.yield() }
            queue.close()
        }
        let (out, back) = (taken.all, withdrawn.all)
        #expect(out.count + back.count == total)
        #expect(Set(out).union(back).count == total)
    }
}

private final class Names: Sendable {
    private let names = Mutex<[String]>([])

    var all: [String] { names.withLock { $0 } }
    func add(_ name: String) { names.withLock { $0.append(name) } }
}
