import ExactJSON
import Ledger
import Synchronization
import TestSupport
import Testing

@testable import DualWrite

@Suite(.timeLimit(.minutes(1))) struct EventPublisherTests {
    private static let timing: EventPublisher.Timing = {
        var timing = EventPublisher.Timing()
        timing.retryFirst = .milliseconds(2)
        timing.retryLast = .milliseconds(20)
        timing.lookEvery = .milliseconds(20)
        timing.batchRows = 20
        return timing
    }()

    private func publisher(
        _ ledger: TestLedger, _ stream: TestStream, keep: Int = 100_000, journal: String? = nil
    ) -> EventPublisher {
        EventPublisher(
            name: "far/events", stream: stream, keep: keep, journal: journal ?? ledger.identity,
            feed: ledger.feed, catalogue: TestLedger.catalogue, timing: Self.timing)
    }

    private func running(
        _ publisher: EventPublisher, body: () async throws -> Void
    ) async throws {
        let task = Task { await publisher.run() }
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        task.cancel()
        await task.value
        try outcome.get()
    }

    private func eventually(_ condition: () async throws -> Bool) async throws {
        while try await !condition() { try await Task.sleep(for: .milliseconds(2)) }
    }

    private func numbers(_ events: [JournalEvent]) -> [Int64] { events.map(\.id.number) }

    // MARK: What is sent

    @Test func everyEntryIsOneEventInOrder() async throws {
        let ledger = try TestLedger(feedRows: 40)
        try await ledger.change(entries: 200)
        let stream = TestStream()
        let publisher = publisher(ledger, stream)
        try await running(publisher) {
            try await ledger.change(entries: 100)
            try await eventually { stream.events.count == 300 }
            try await eventually { publisher.state.lagEntries == 0 }
        }
        #expect(numbers(stream.events) == Array(1...300))
        #expect(publisher.state.condition == .following && publisher.state.behindSince == nil)
        #expect(publisher.counts.sent == ["test": 300] && publisher.counts.failed.isEmpty)
    }

    @Test func anEventShowsItsRowsByName() throws {
        let schema = Schema(
            dataset: "orders", kind: .fact, key: [Field("order_id", .text)],
            fields: [
                Field("account_id", .text), Field("qty", .decimal),
                Field("note", .text, optional: true), Field("at", .timestamp),
            ], accountField: "account_id")
        let risk = Schema(
            dataset: "risk", kind: .derived, key: [Field("master_account", .text)],
            fields: [Field("loss", .decimal)], accountField: "master_account")
        let tokens = Schema(
            dataset: "tokens", kind: .fact, key: [Field("token", .text)], fields: [])
        let at = SequenceNumber(epoch: 1, number: 7)
        let half = try #require(ExactDecimal("1.50"))
        let order = Row(
            dataset: "orders",
            values: [
                .text("o1"), .text("A"), .decimal(half), .null,
                .timestamp(Timestamp(microseconds: 1_000_000)),
            ])
        let loss = Row(dataset: "risk", values: [.text("M"), .decimal(half)])
        let token = RowKey(dataset: "tokens", values: [.text("t\"")])
        func event(_ changes: [StoreBatch.Change], actor: String = "") -> JournalEvent? {
            let draft = EntryDraft(
                sequence: at, time: Timestamp(microseconds: 2_000_000), kind: "order.filled",
                actor: actor, changes: [], digests: [])
            return JournalEvents.events(
                of: JournalRun(drafts: [draft], changes: changes),
                SchemaCatalogue([schema, risk, tokens])
            ).first
        }
        let put = StoreBatch.Change(key: order.key(in: schema), row: order, sequence: at)
        let master = StoreBatch.Change(key: loss.key(in: risk), row: loss, sequence: at)
        let gone = StoreBatch.Change(key: token, row: nil, sequence: at)
        let whole = try #require(event([master, put, gone], actor: "lin"))
        #expect(
            String(decoding: whole.data, as: UTF8.self) == """
                {"actor":"lin","changes":[\
                {"dataset":"risk","row":{"master_account":"M","loss":"1.5"}},\
                {"dataset":"orders","row":{"order_id":"o1","account_id":"A","qty":"1.5",\
                "note":null,"at":"1970-01-01T00:00:01Z"}},\
                {"dataset":"tokens","deleted":{"token":"t\\""}}]}
                """)
        #expect((try? JSONValue(parsing: whole.data)) != nil)
        #expect(whole.type == "order.filled" && whole.id == at)
        #expect(whole.time == Timestamp(microseconds: 2_000_000))
        // The account whose order it is, not its master; a master's own where there is no other.
        #expect(whole.account == "A")
        #expect(event([master])?.account == "M")
        #expect(event([gone])?.account == "")
        #expect(event([])?.data.isEmpty == false)
        // Of a row that is gone its key tells the account, if it has it.
        let account = RowKey(dataset: "risk", values: [.text("M")])
        #expect(event([.init(key: account, row: nil, sequence: at)])?.account == "M")
    }

    // MARK: What goes wrong

    @Test func aStreamThatFailsGetsEverythingLaterAndNothingTwice() async throws {
        let ledger = try TestLedger()
        let stream = TestStream()
        let publisher = publisher(ledger, stream)
        try await running(publisher) {
            try await ledger.change(entries: 20)
            try await eventually { stream.events.count == 20 }
            stream.set(.cut)
            try await ledger.change(entries: 50)
            try await eventually {
                if case .failing = publisher.state.condition { true } else { false }
            }
            try await eventually { publisher.state.behindSince != nil }
            #expect(publisher.state.lagEntries == 50)
            stream.set(.failing(oneIn: 2))
            try await ledger.change(entries: 50)
            try await eventually { stream.events.count >= 120 }
            stream.set(.good)
            try await eventually { publisher.state.lagEntries == 0 }
        }
        // Half of the failures came after the events were in: the position shows which.
        #expect(numbers(stream.events) == Array(1...120))
        #expect((1...120).contains(publisher.counts.failed["test"] ?? 0))
        // Nobody can say of a lost answer that the events were sent.
        #expect((publisher.counts.sent["test"] ?? 0) <= 120)
    }

    @Test func anEmptiedStreamGetsWhatItWouldHold() async throws {
        let ledger = try TestLedger()
        let stream = TestStream()
        try await running(publisher(ledger, stream, keep: 30)) {
            try await ledger.change(entries: 100)
            try await eventually { stream.events.last?.id.number == 100 }
            stream.empty()
            // In a quiet hour, without a new entry.
            try await eventually { stream.events.last?.id.number == 100 }
            #expect(numbers(stream.events) == Array(71...100))
            stream.empty()
            try await ledger.change(entries: 1)
            try await eventually { stream.events.last?.id.number == 101 }
            #expect(numbers(stream.events).suffix(30) == Array(72...101)[...])
        }
    }

    @Test func aStreamThatLostItsLastSecondGetsItAgain() async throws {
        let ledger = try TestLedger()
        let stream = TestStream()
        try await running(publisher(ledger, stream)) {
            try await ledger.change(entries: 60)
            try await eventually { stream.events.count == 60 }
            stream.goBack(to: 40, of: ledger.identity)
            try await eventually { stream.events.count == 60 }
        }
        #expect(numbers(stream.events) == Array(1...60))
    }

    @Test func aStreamOfAnotherJournalIsLeftAlone() async throws {
        let ledger = try TestLedger()
        try await ledger.change(entries: 10)
        for (journal, number) in [("another", Int64(3)), (ledger.identity, 15)] {
            let stream = TestStream()
            stream.goBack(to: number, of: journal)
            let publisher = publisher(ledger, stream)
            try await running(publisher) {
                try await eventually {
                    switch publisher.state.condition {
                    case .foreign(journal: "another"): journal == "another"
                    case .ahead: journal == ledger.identity
                    default: false
                    }
                }
                #expect(stream.events.isEmpty)
                // The journal grows past it with other entries than those that were sent.
                if journal == ledger.identity { try await ledger.change(entries: 10) }
                try await Task.sleep(for: .milliseconds(60))
                #expect(stream.events.isEmpty)
                // A person takes the position away.
                stream.empty()
                let head = await ledger.head
                try await eventually { stream.events.count == head.number }
            }
        }
    }
}

/// A stream in memory behind a line that a test can cut or make unreliable.
///
/// Under a lock: the test looks while the publisher works.
private final class TestStream: EventStream {
    enum Line { case good, cut, failing(oneIn: Int) }

    private struct Content {
        var events: [JournalEvent] = []
        var position: EventPosition?
        var line = Line.good
    }

    private let content = Mutex(Content())

    var events: [JournalEvent] { content.withLock { $0.events } }
    func set(_ line: Line) { content.withLock { $0.line = line } }
    func empty() {
        content.withLock { $0 = Content(line: $0.line) }
    }
    func goBack(to number: Int64, of journal: String) {
        let applied = SequenceNumber(epoch: 1, number: number)
        content.withLock { content in
            content.events.removeAll { $0.id > applied }
            content.position = EventPosition(journal: journal, applied: applied)
        }
    }

    private func pass<Answer>(
        _ body: (inout Content) throws(StoreError) -> Answer
    ) throws(StoreError) -> Answer {
        let outcome: Result<Answer, StoreError> = content.withLock { content in
            do throws(StoreError) {
                switch content.line {
                case .good: return .success(try body(&content))
                case .cut: break
                case .failing(let oneIn):
                    if Int.random(in: 0..<oneIn) > 0 { return .success(try body(&content)) }
                    if Bool.random() { _ = try body(&content) }
                }
                return .failure(.unavailable(store: "far", problem: "the line is cut"))
            } catch {
                return .failure(error)
            }
        }
        return try outcome.get()
    }

    func position() async throws(StoreError) -> EventPosition? {
        try pass { $0.position }
    }

    func append(
        _ events: [JournalEvent], at position: EventPosition?, to next: EventPosition
    ) async throws(StoreError) {
        try pass { content throws(StoreError) in
            guard content.position == position else {
                throw .moved(store: "far", applied: content.position?.applied ?? .none)
            }
            content.events += events
            content.position = next
        }
    }
}
