import Foundation
import Ledger
import Synchronization
import TestSupport
import Testing

@testable import RedisStore

@Suite(
    .serialized, .timeLimit(.minutes(2)),
    .enabled(if: RedisServer.isWanted, "redis-server is not installed"))
struct StreamConsumerTests {
    private struct Refused: Error {}

    /// What handlers saw. Behind a lock, since consumers run side by side.
    private final class Seen: Sendable {
        private let content = Mutex<[String]>([])
        func add(_ text: String) { content.withLock { $0.append(text) } }
        var all: [String] { content.withLock { $0 } }
    }

    private func consumer(
        _ redis: Redis, _ name: String, _ change: (inout StreamConsumer.Options) -> Void = { _ in }
    ) -> StreamConsumer {
        var options = StreamConsumer.Options()
        options.block = .milliseconds(50)
        options.pause = .milliseconds(5)
        options.claimAfter = .seconds(30)
        change(&options)
        return StreamConsumer(
            name: "hot", url: redis.socket, stream: "s", group: "g", consumer: name,
            options: options, timeout: .seconds(2))
    }

    private func add(_ redis: Redis, _ numbers: ClosedRange<Int>) async throws {
        for number in numbers { try await redis.run("XADD", "s", "*", "n", "\(number)") }
    }

    private func running(
        _ consumer: StreamConsumer, _ handler: @escaping StreamConsumer.Handler,
        body: () async throws -> Void
    ) async throws {
        let task = Task { await consumer.run(handler) }
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        consumer.stop()
        await task.value
        try outcome.get()
    }

    private func pending(_ redis: Redis) async throws -> Int64? {
        try await redis.run("XPENDING", "s", "g").elements?.first?.integer
    }

    @Test func entriesAreHandledInOrderAndAcknowledged() async throws {
        let redis = try await Redis()
        try await add(redis, 1...25)
        let seen = Seen()
        let consumer = consumer(redis, "a")
        try await running(consumer, { seen.add($0["n"] ?? "") }) {
            try await eventually { seen.all.count == 25 }
            try await add(redis, 26...60)
            try await eventually { consumer.counts.handled == 60 }
        }
        #expect(seen.all == (1...60).map(String.init))
        #expect(try await pending(redis) == 0)
        let groups = try await RedisQuestions(name: "hot", url: redis.socket)
            .groups(of: "s", upTo: 10)
        #expect(groups == [.init(name: "g", waiting: 0)])
    }

    @Test func aGroupMayBeginAtTheEnd() async throws {
        let redis = try await Redis()
        try await add(redis, 1...5)
        let seen = Seen()
        let consumer = consumer(redis, "a") { $0.start = .newest }
        try await running(consumer, { seen.add($0["n"] ?? "") }) {
            try await eventually {
                let groups = try await redis.run("XINFO", "GROUPS", "s").elements
                return groups?.count == 1
            }
            try await add(redis, 6...9)
            try await eventually { seen.all.count == 4 }
        }
        #expect(seen.all == ["6", "7", "8", "9"])
    }

    @Test func aConsumerMakesTheStreamAndItsGroupAlsoAfterTheyWereEmptied() async throws {
        let redis = try await Redis()
        let seen = Seen()
        try await running(consumer(redis, "a"), { seen.add($0["n"] ?? "") }) {
            try await eventually { try await redis.run("EXISTS", "s") == .integer(1) }
            try await add(redis, 1...3)
            try await eventually { seen.all.count == 3 }
            try await redis.run("FLUSHALL")
            try await add(redis, 4...6)
            try await eventually { seen.all.count == 6 }
        }
        #expect(seen.all == (1...6).map(String.init))
    }

    @Test func aPoisonousEntryGoesToTheDeadLettersAndTheOthersInOrder() async throws {
        let redis = try await Redis()
        try await add(redis, 1...6)
        let (seen, tried) = (Seen(), Seen())
        let consumer = consumer(redis, "a") { $0.triesMax = 3 }
        try await running(
            consumer,
            { entry in
                if entry["n"] == "3" {
                    tried.add("\(entry.deliveries)")
                    throw Refused()
                }
                seen.add(entry["n"] ?? "")
            }
        ) {
            try await eventually { consumer.counts.handled == 5 }
        }
        #expect(seen.all == ["1", "2", "4", "5", "6"])
        #expect(tried.all == ["1", "2", "3"])
        #expect(consumer.counts.dead == 1 && consumer.counts.failedTries == 3)
        #expect(try await pending(redis) == 0)
        let dead = try await redis.run("XRANGE", "s:dead", "-", "+").elements
        let fields = dead?.first?.elements?[1].pairs.map {
            "\(String(decoding: $0.field, as: UTF8.self))=\(String(decoding: $0.value, as: UTF8.self))"
        }
        #expect(dead?.count == 1)
        #expect(fields?.first == "n=3")
        #expect(fields?.contains("dead_reason=Refused()") == true)
        #expect(fields?.contains("dead_deliveries=3") == true)
    }

    @Test func anEntryThatFailsAtFirstIsTriedBeforeTheNext() async throws {
        let redis = try await Redis()
        try await add(redis, 1...4)
        let seen = Seen()
        let consumer = consumer(redis, "a")
        try await running(
            consumer,
            { entry in
                seen.add(entry["n"] ?? "")
                if entry["n"] == "2", entry.deliveries < 3 { throw Refused() }
            }
        ) {
            try await eventually { consumer.counts.handled == 4 }
        }
        #expect(seen.all == ["1", "2", "2", "2", "3", "4"])
        #expect(consumer.counts.dead == 0)
    }

    @Test func whatADeadConsumerTookIsClaimedByAnother() async throws {
        let redis = try await Redis()
        try await add(redis, 1...8)
        try await redis.run("XGROUP", "CREATE", "s", "g", "0")
        // Somebody takes five, acknowledges one, and is never seen again.
        let taken = try await redis.run(
            "XREADGROUP", "GROUP", "g", "dead", "COUNT", "5", "STREAMS", "s", ">")
        let first = try #require(
            taken.elements?.first?.elements?[1].elements?.first?.elements?.first?.text)
        try await redis.run("XACK", "s", "g", first)
        let seen = Seen()
        let consumer = consumer(redis, "a") { $0.claimAfter = .milliseconds(200) }
        try await running(
            consumer, { seen.add("\($0["n"] ?? "")/\($0.deliveries)") }
        ) {
            try await eventually { consumer.counts.handled == 7 }
        }
        #expect(
            Set(seen.all) == ["2/2", "3/2", "4/2", "5/2", "6/1", "7/1", "8/1"], "\(seen.all)")
        #expect(try await pending(redis) == 0)
    }

    @Test func anEntryThatKillsItsConsumersIsGivenUp() async throws {
        let redis = try await Redis()
        try await add(redis, 1...2)
        try await redis.run("XGROUP", "CREATE", "s", "g", "0")
        // Taken by three in turn, of whom none came back.
        try await redis.run("XREADGROUP", "GROUP", "g", "x", "COUNT", "1", "STREAMS", "s", ">")
        for name in ["y", "z"] {
            try await redis.run("XAUTOCLAIM", "s", "g", name, "0", "0-0", "COUNT", "1")
        }
        let seen = Seen()
        let consumer = consumer(redis, "a") {
            $0.claimAfter = .milliseconds(50)
            $0.triesMax = 3
        }
        try await running(consumer, { seen.add($0["n"] ?? "") }) {
            try await eventually { consumer.counts.dead == 1 && consumer.counts.handled == 1 }
        }
        #expect(seen.all == ["2"])
    }

    /// As a killed process leaves it: taken, and never acknowledged.
    private func killed(
        _ consumer: StreamConsumer, at poison: String, _ handler: @escaping StreamConsumer.Handler
    ) async throws {
        let reached = Seen()
        let task = Task {
            await consumer.run { entry in
                guard entry["n"] == poison else { return try await handler(entry) }
                reached.add(poison)
                try await Task.sleep(for: .seconds(60))
            }
        }
        try await eventually { !reached.all.isEmpty || consumer.counts.dead > 0 }
        task.cancel()
        await task.value
    }

    @Test(arguments: [true, false])
    func thoseBehindAnEntryThatKillsItsConsumersAreHandled(underOneName: Bool) async throws {
        let redis = try await Redis()
        try await add(redis, 1...10)
        let seen = Seen()
        func next(_ round: Int) -> StreamConsumer {
            consumer(redis, underOneName ? "a" : "a\(round)") {
                $0.claimAfter = underOneName ? .seconds(30) : .milliseconds(30)
            }
        }
        for round in 0..<5 {
            try await killed(next(round), at: "1") { seen.add($0["n"] ?? "") }
            try await Task.sleep(for: .milliseconds(60))
        }
        let last = next(5)
        try await running(last, { seen.add($0["n"] ?? "") }) {
            try await eventually { last.counts.dead + last.counts.handled >= 10 }
        }
        #expect(seen.all == (2...10).map(String.init))
        #expect(last.counts.dead == 1)
        #expect(try await redis.run("XLEN", "s:dead") == .integer(1))
        #expect(try await pending(redis) == 0)
    }

    @Test func whatWasTrimmedOffDoesNotHideWhatWasTakenBehindIt() async throws {
        let redis = try await Redis()
        try await add(redis, 1...3)
        try await redis.run("XGROUP", "CREATE", "s", "g", "0")
        try await redis.run("XREADGROUP", "GROUP", "g", "a", "COUNT", "3", "STREAMS", "s", ">")
        try await redis.run("XTRIM", "s", "MAXLEN", "1")
        let seen = Seen()
        let consumer = consumer(redis, "a")
        try await running(consumer, { seen.add($0["n"] ?? "") }) {
            try await eventually { consumer.counts.handled == 1 }
        }
        #expect(seen.all == ["3"])
        #expect(consumer.counts.lost == 2)
        #expect(try await pending(redis) == 0)
    }

    @Test func anEntryThatCannotBeBuriedStaysWithItsConsumer() async throws {
        let redis = try await Redis()
        try await redis.run("SET", "s:dead", "somebody's")
        try await add(redis, 1...1)
        let consumer = consumer(redis, "a") { $0.triesMax = 2 }
        try await running(consumer, { _ in throw Refused() }) {
            try await eventually { consumer.counts.problem != nil }
            #expect(try await pending(redis) == 1)
            #expect(consumer.counts.dead == 0)
            try await redis.run("DEL", "s:dead")
            try await eventually { consumer.counts.dead == 1 }
        }
        #expect(try await redis.run("XLEN", "s:dead") == .integer(1))
        #expect(try await pending(redis) == 0)
    }

    @Test func aStopFinishesWhatIsBeingHandledAndTheRestComesFirstNextTime() async throws {
        let redis = try await Redis()
        try await add(redis, 1...5)
        let (seen, done) = (Seen(), Seen())
        let first = consumer(redis, "a")
        let task = Task {
            await first.run { entry in
                seen.add(entry["n"] ?? "")
                if entry["n"] == "2" { try await Task.sleep(for: .milliseconds(150)) }
                done.add(entry["n"] ?? "")
            }
        }
        try await eventually { seen.all.contains("2") }
        first.stop()
        await task.value
        #expect(seen.all == ["1", "2"] && done.all == ["1", "2"])
        #expect(try await pending(redis) == 3)
        try await add(redis, 6...7)
        let second = consumer(redis, "a")
        try await running(second, { seen.add($0["n"] ?? "") }) {
            try await eventually { second.counts.handled == 5 }
        }
        #expect(seen.all == (1...7).map(String.init))
    }

    @Test func nothingIsMissedOverKillsOfTheServer() async throws {
        let redis = try await Redis(["appendonly yes", "appendfsync always"])
        let seen = Seen()
        let (first, second) = (
            consumer(redis, "a") { $0.claimAfter = .milliseconds(500) },
            consumer(redis, "b") { $0.claimAfter = .milliseconds(500) }
        )
        let stream = RedisEventStream(
            name: "hot", url: redis.socket, stream: "s", keep: 100_000, timeout: .seconds(2))
        let handler: StreamConsumer.Handler = { seen.add($0["event_id"] ?? "") }
        try await running(first, handler) {
            try await running(second, handler) {
                var position: EventPosition?
                var killed = 0
                while (position?.applied.number ?? 0) < 400 {
                    let number = (position?.applied.number ?? 0) + 1
                    if number > Int64(killed + 1) * 100 {
                        killed += 1
                        try await redis.server.restart()
                    }
                    let next = EventPosition(journal: "j", applied: Rows.at(number))
                    let event = JournalEvent(
                        id: next.applied, type: "t", account: "", data: [], time: .now())
                    do throws(StoreError) {
                        try await stream.append([event], at: position, to: next)
                        position = next
                    } catch {
                        try await eventually {
                            guard let found = try? await stream.position() else { return false }
                            position = found
                            return true
                        }
                    }
                }
                #expect(killed == 3)
                try await eventually { Set(seen.all).count == 400 }
            }
        }
        #expect(Set(seen.all) == Set((1...400).map { "\(Rows.at(Int64($0)))" }))
        let admin = try await Redis.connect(redis.server)
        let pending = try await admin.command("XPENDING", "s", "g").elements?.first?.integer
        #expect(pending == 0)
    }
}
