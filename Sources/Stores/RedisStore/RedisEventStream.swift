internal import Connections
public import Ledger

/// Events in a Redis Stream, with the fields that the documents' programs read: `event_type`,
/// `account_id`, `data`, `timestamp`, `event_id`.
///
/// Where the stream stands is the hash `opsd:events`, written in one transaction with the events. A
/// stream of another name begins anew.
public final class RedisEventStream: EventStream {
    private let name: String
    private let stream: String
    private let keep: Int
    private let pool: ConnectionPool<RedisConnection>

    /// Makes no connection yet; one at most.
    /// - Parameters:
    ///   - name: the store's, for errors.
    ///   - keep: about how many events the stream keeps; the oldest go.
    ///   - timeout: for a connection, and for each next byte of an answer.
    public init(
        name: String, url: RedisURL, stream: String, keep: Int, timeout: Duration = .seconds(5)
    ) {
        self.name = name
        self.stream = stream
        self.keep = keep
        let connector = RedisConnector(store: name, url: url, timeout: timeout)
        let limits = PoolLimits(min: 0, max: 1, acquireTimeout: timeout)
        pool = ConnectionPool(store: name, limits: limits) { () async throws(StoreError) in
            try await connector.open()
        }
    }

    public func close() async { await pool.close() }

    public func position() async throws(StoreError) -> EventPosition? {
        let record = EventRecord(stream: stream, store: name)
        return try await pool.with { connection async throws(StoreError) in
            try await connection.perform { connection throws(StoreError) in
                var commands = RedisCommands()
                commands.append(record.question)
                return try record.position(try connection.send(commands).first ?? .null)
            }
        }
    }

    public func append(
        _ events: [JournalEvent], at position: EventPosition?, to next: EventPosition
    ) async throws(StoreError) {
        let (record, keep) = (EventRecord(stream: stream, store: name), keep)
        try await pool.with { connection async throws(StoreError) in
            try await connection.perform { connection throws(StoreError) in
                try connection.append(events, record, at: position, to: next, keep: keep)
            }
        }
    }
}

/// The hash that says where the stream stands.
struct EventRecord: Sendable {
    static let key = "opsd:events"
    private static let fields = ["stream", "journal", "applied"]

    let stream: String
    let store: String

    /// As a command.
    var question: [String] { ["HMGET", Self.key] + Self.fields }

    func position(_ reply: RedisReply) throws(StoreError) -> EventPosition? {
        if case .error(let text) = reply {
            throw RedisProblem.error(text, store: store, key: Array(Self.key.utf8))
        }
        guard let values = reply.elements, values.count == 3, values[0].text == stream else {
            return nil
        }
        guard let journal = values[1].text, let raw = values[2].text.flatMap({ Int64($0) }),
            raw >= 0
        else {
            throw .damaged(
                store: store,
                problem: "the key '\(Self.key)' says nothing of the stream: remove it with DEL")
        }
        return EventPosition(journal: journal, applied: SequenceNumber(rawValue: raw))
    }

    func append(_ position: EventPosition, to transaction: inout RedisTransaction) {
        let words = [
            "stream", stream, "journal", position.journal, "applied",
            position.applied.description,
        ]
        transaction.append(
            "HSET", Array(Self.key.utf8), RedisArguments(words.map { Array($0.utf8) }))
    }
}

/// On the connection's own thread.
extension RedisConnection {
    fileprivate func append(
        _ events: [JournalEvent], _ record: EventRecord, at position: EventPosition?,
        to next: EventPosition, keep: Int
    ) throws(StoreError) {
        do throws(StoreError) {
            try expect(position, record)
        } catch {
            if case .unavailable = error { throw error }
            _ = try? send(RedisCommands("UNWATCH"))
            throw error
        }
        var transaction = RedisTransaction()
        let stream = Array(record.stream.utf8)
        for event in events { transaction.append("XADD", stream, event.arguments(keep)) }
        record.append(next, to: &transaction)
        let replies = try send(transaction.whole)
        let outcome: [RedisReply]?
        do throws(StoreError) {
            outcome = try transaction.outcome(replies, store: store)
        } catch {
            // A transaction goes on behind a command that failed, such as one at a stream whose ids
            // are used up.
            try putBack(record, from: next, to: position)
            throw error
        }
        guard outcome != nil else { throw .moved(store: store, applied: .none) }
    }

    /// Watches the record, so that of two publishers one goes on.
    private func expect(
        _ position: EventPosition?, _ record: EventRecord
    ) throws(StoreError) {
        var opening = RedisCommands("WATCH", EventRecord.key)
        opening.append(record.question)
        opening.append(["TYPE", record.stream])
        let replies = try send(opening)
        guard replies.count == 3 else { throw unavailable("its answers are not those asked for") }
        for reply in replies {
            if case .error(let text) = reply { throw RedisProblem.error(text, store: store) }
        }
        let found = try record.position(replies[1])
        guard found == position else {
            throw .moved(store: store, applied: found?.applied ?? .none)
        }
        guard let type = replies[2].text, ["none", "stream"].contains(type) else {
            throw .damaged(
                store: store,
                problem: "the key \(RedisProblem.shown(Array(record.stream.utf8))) is no stream: "
                    + "give events another stream, or remove it with DEL if it is nobody's")
        }
    }

    private func putBack(
        _ record: EventRecord, from next: EventPosition, to position: EventPosition?
    ) throws(StoreError) {
        var question = RedisCommands()
        question.append(record.question)
        guard try record.position(try send(question).first ?? .null) == next else { return }
        var transaction = RedisTransaction()
        if let position {
            record.append(position, to: &transaction)
        } else {
            transaction.append("DEL", Array(EventRecord.key.utf8))
        }
        _ = try results(of: transaction)
    }
}

extension JournalEvent {
    /// Of XADD, behind the key. A limit that is not exact costs the server next to nothing.
    fileprivate func arguments(_ keep: Int) -> RedisArguments {
        var words = RedisArguments(
            ["MAXLEN", "~", String(keep), "*"].map { Array($0.utf8) })
        for (name, value) in [("event_type", type), ("account_id", account)] {
            words.append(name.utf8)
            words.append(value.utf8)
        }
        words.append("data".utf8)
        words.append(data)
        for (name, value) in [("timestamp", time.description), ("event_id", id.description)] {
            words.append(name.utf8)
            words.append(value.utf8)
        }
        return words
    }
}
