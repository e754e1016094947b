import Control
import Foundation
import Ledger
import RedisStore
import TestSupport
import Testing

@testable import opsd

/// The checks of stores, asked of a real server.
@Suite(
    .serialized, .timeLimit(.minutes(1)),
    .enabled(if: RedisServer.isWanted, "redis-server is not installed"))
struct StoreProbesTests {
    private static let quotes = Schema(
        dataset: "quotes", kind: .cache, key: [Field("symbol", .text)],
        fields: [Field("last_price", .decimal, optional: true), Field("timestamp", .timestamp)])

    private func store(_ server: RedisServer) -> StoreSettings {
        StoreSettings(name: "hot", kind: .redis, url: Secret("unix://\(server.socketPath)"))
    }

    private func ask(
        _ server: RedisServer, _ question: StoreProbeSettings.Question,
        of probes: StoreProbes = StoreProbes()
    ) async -> ProbeOutcome {
        await probes.run(
            StoreProbeSettings(store: store(server), question: question), check: "x",
            timeout: .milliseconds(500))
    }

    @Test func aServerAnswersOrIsAFailure() async throws {
        let server = try await RedisServer()
        #expect(await ask(server, .answers) == .success("hot answers"))
        server.freeze()
        #expect(await ask(server, .answers).word == "failure")
        server.thaw()
        server.kill()
        #expect(await ask(server, .answers).word == "failure")
        // What opsd lacks says nothing of the server.
        let lacking = StoreError.unavailable(store: "hot", problem: "Too many open files")
        #expect(StoreProbes.judge(lacking).word == "unknown")
    }

    @Test func theBacklogIsWhatTheWorstGroupHasBeforeIt() async throws {
        let server = try await RedisServer()
        let question = StoreProbeSettings.Question.backlog(stream: "s", from: 10)
        #expect(await ask(server, question) == .failure("hot has no stream 's'"))
        let url = RedisURL(place: .socket(path: server.socketPath))
        let stream = RedisEventStream(name: "hot", url: url, stream: "s", keep: 1_000)
        func send(_ numbers: ClosedRange<Int64>, at position: EventPosition?) async throws {
            let events = numbers.map {
                JournalEvent(
                    id: SequenceNumber(epoch: 1, number: $0), type: "t", account: "", data: [],
                    time: .now())
            }
            let last = SequenceNumber(epoch: 1, number: numbers.upperBound)
            try await stream.append(
                events, at: position, to: EventPosition(journal: "j", applied: last))
        }
        try await send(1...9, at: nil)
        #expect(await ask(server, question) == .success("no group reads s"))
        var options = StreamConsumer.Options()
        options.block = .milliseconds(20)
        let consumer = StreamConsumer(
            name: "hot", url: url, stream: "s", group: "g", consumer: "a", options: options)
        let task = Task { await consumer.run { _ in } }
        while consumer.counts.handled < 9 { try await Task.sleep(for: .milliseconds(5)) }
        consumer.stop()
        await task.value
        #expect(await ask(server, question) == .success("group g of s has 0 before it"))
        try await send(
            10...21,
            at: EventPosition(journal: "j", applied: SequenceNumber(epoch: 1, number: 9)))
        #expect(
            await ask(server, question)
                == .degraded("group g of s has 12 before it, degraded from 10"))
        await stream.close()
    }

    @Test func freshnessIsByTheQuotesOwnTimeAndKnowsWhatVanished() async throws {
        let server = try await RedisServer()
        let url = RedisURL(place: .socket(path: server.socketPath))
        let layout = try RedisLayouts.standard(for: Self.quotes, cacheTimeToLive: .seconds(60))
        let quotes = try RedisStore(name: "hot", url: url, layouts: [layout])
        func put(_ symbol: String, age: Int64) async throws {
            let time = Timestamp.now().advanced(bySeconds: -age)
            try await quotes.fill([
                StampedRow(
                    row: Row(dataset: "quotes", values: [.text(symbol), .null, .timestamp(time)]),
                    sequence: .none)
            ])
        }
        let dataset = DatasetSettings(
            name: "quotes", declared: DeclaredDataset(kind: .cache, schema: Self.quotes), old: "hot"
        )
        let question = StoreProbeSettings.Question.freshness(
            dataset, staleAfter: .seconds(30), staleFrom: 2)
        let probes = StoreProbes()
        #expect(await ask(server, question, of: probes) == .degraded("quotes has no rows"))
        try await put("AAPL", age: 0)
        try await put("MSFT", age: 5)
        try await put("TSLA", age: 90)
        #expect(
            await ask(server, question, of: probes)
                == .success("1 of 3 quotes are stale, TSLA by 1 min"))
        try await quotes.begin(["quotes"])
        try await put("AAPL", age: 0)
        #expect(
            await ask(server, question, of: probes)
                == .degraded("2 of 3 quotes are stale, MSFT is gone, degraded from 2"))
        await quotes.close()
        server.kill()
        #expect(await ask(server, question, of: probes).word == "failure")
    }
}
