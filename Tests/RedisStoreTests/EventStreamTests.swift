import Foundation
import Ledger
import TestSupport
import Testing

@testable import RedisStore

@Suite(
    .serialized, .timeLimit(.minutes(1)),
    .enabled(if: RedisServer.isWanted, "redis-server is not installed"))
struct EventStreamTests {
    private func stream(
        _ redis: Redis, _ name: String = "trading_events", keep: Int = 100_000
    ) -> RedisEventStream {
        RedisEventStream(
            name: "hot", url: redis.socket, stream: name, keep: keep, timeout: .seconds(2))
    }

    private func event(_ number: Int64) -> JournalEvent {
        JournalEvent(
            id: Rows.at(number), type: "order.accepted", account: "A",
            data: Array("{\"n\":\(number)}".utf8),
            time: Timestamp(microseconds: 1_700_000_000_250_000))
    }

    private func position(_ number: Int64) -> EventPosition {
        EventPosition(journal: "j", applied: Rows.at(number))
    }

    private func ids(_ redis: Redis, _ name: String = "trading_events") async throws -> [Int64] {
        try await redis.run("XRANGE", name, "-", "+").elements?.compactMap { entry in
            entry.elements?[1].pairs.first { $0.field == Array("event_id".utf8) }
                .flatMap { Int64(String(decoding: $0.value, as: UTF8.self)) }
                .map { SequenceNumber(rawValue: $0).number }
        } ?? []
    }

    @Test func anEventHasTheDocumentsFieldsAndNoOthers() async throws {
        let redis = try await Redis()
        let stream = stream(redis)
        #expect(try await stream.position() == nil)
        try await stream.append([event(1)], at: nil, to: position(1))
        let entries = try #require(
            try await redis.run("XRANGE", "trading_events", "-", "+").elements)
        let words = entries.first?.elements?[1].elements?.compactMap(\.text)
        #expect(
            words == [
                "event_type", "order.accepted", "account_id", "A", "data", "{\"n\":1}",
                "timestamp", "2023-11-14T22:13:20.25Z", "event_id", "\(Rows.at(1))",
            ])
        #expect(try await stream.position() == position(1))
        await stream.close()
    }

    @Test func whatStandsElsewhereGetsNothing() async throws {
        let redis = try await Redis()
        let stream = stream(redis)
        try await stream.append([event(1), event(2)], at: nil, to: position(2))
        for wrong in [nil, position(1), EventPosition(journal: "other", applied: Rows.at(2))] {
            let error = await storeError {
                try await stream.append([event(3)], at: wrong, to: position(3))
            }
            #expect(
                error == .moved(store: "hot", applied: Rows.at(2)), "\(String(describing: wrong))")
        }
        #expect(try await ids(redis) == [1, 2])
        // A stream of another name is another one, and begins anew.
        let other = self.stream(redis, "others")
        #expect(try await other.position() == nil)
        try await other.append([event(2)], at: nil, to: position(2))
        #expect(try await ids(redis, "others") == [2])
        await stream.close()
        await other.close()
    }

    @Test func ofTwoPublishersOneGoesOn() async throws {
        let redis = try await Redis()
        try await stream(redis).append([event(1)], at: nil, to: position(1))
        let outcomes = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    await storeError {
                        try await stream(redis).append(
                            [event(2)], at: position(1), to: position(2))
                    } == nil
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 }.count == 1)
        #expect(try await ids(redis) == [1, 2])
    }

    @Test func theOldestGo() async throws {
        let redis = try await Redis(["stream-node-max-entries 10"])
        let stream = stream(redis, keep: 50)
        for number in 0..<20 {
            let first = Int64(number) * 20
            try await stream.append(
                (1...20).map { event(first + $0) },
                at: number == 0 ? nil : position(first), to: position(first + 20))
        }
        let kept = try await ids(redis)
        #expect(kept.last == 400 && (50...60).contains(kept.count), "\(kept.count)")
    }

    @Test func aForeignKeyInItsPlaceIsDamageAndTheSequenceStays() async throws {
        let redis = try await Redis()
        let stream = stream(redis)
        try await stream.append([event(1)], at: nil, to: position(1))
        try await redis.run("DEL", "trading_events")
        try await redis.run("SET", "trading_events", "x")
        let error = await storeError {
            try await stream.append([event(2)], at: position(1), to: position(2))
        }
        guard case .damaged(_, let problem)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.contains("no stream"))
        #expect(try await stream.position() == position(1))
        // Ids that are used up fail within the transaction, behind which Redis goes on.
        try await redis.run("DEL", "trading_events")
        try await redis.run(
            "XADD", "trading_events", "18446744073709551615-18446744073709551615", "a", "b")
        #expect(
            await storeError {
                try await stream.append([event(2)], at: position(1), to: position(2))
            } != nil)
        #expect(try await stream.position() == position(1))
        try await redis.run("DEL", "trading_events")
        try await stream.append([event(2)], at: position(1), to: position(2))
        #expect(try await ids(redis) == [2])
    }

    @Test func aServerKilledInMidWriteHasEventsAndPositionTogether() async throws {
        let redis = try await Redis(["appendonly yes", "appendfsync everysec"])
        let stream = stream(redis)
        let killing = Task {
            try await Task.sleep(for: .milliseconds(300))
            redis.server.kill()
        }
        var sent: Int64 = 0
        let error = await storeError {
            while true {
                try await stream.append(
                    (1...7).map { event(sent + $0) }, at: sent == 0 ? nil : position(sent),
                    to: position(sent + 7))
                sent += 7
            }
        }
        guard case .unavailable = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        try await killing.value
        try await redis.server.start()
        let admin = try await Redis.connect(redis.server)
        let found = try #require(try await stream.position())
        let reply = try await admin.command("XLEN", "trading_events")
        #expect(found.applied.number == sent || found.applied.number == sent + 7)
        #expect(reply.integer == found.applied.number)
        await stream.close()
    }
}
