internal import Ledger

/// A consumer on one connection, until it breaks or the consumer is to stop.
struct ConsumerSession: Sendable {
    private typealias Entry = StreamConsumer.Entry

    private let consumer: StreamConsumer
    private let connection: RedisConnection
    private var options: StreamConsumer.Options { consumer.options }

    init(consumer: StreamConsumer, connection: RedisConnection) {
        self.consumer = consumer
        self.connection = connection
    }

    func run(_ handler: StreamConsumer.Handler) async throws(StoreError) {
        try await makeGroup()
        consumer.count { $0.problem = nil }
        // What this consumer had when its process or its connection ended comes first.
        try await takeOwn(handler)
        var claimed = ContinuousClock.now - options.claimAfter
        while !consumer.hasToStop {
            if ContinuousClock.now - claimed >= options.claimAfter / 2 {
                try await claim(handler)
                claimed = .now
            }
            let entries = try await read(
                from: ">", atMost: options.batch, waiting: options.block)
            try await handle(entries ?? [], handler)
        }
    }

    private func makeGroup() async throws(StoreError) {
        let reply = try await send([
            "XGROUP", "CREATE", consumer.stream, consumer.group, options.start.rawValue, "MKSTREAM",
        ])
        guard case .error(let text) = reply, !text.hasPrefix("BUSYGROUP") else { return }
        throw problem(text)
    }

    // MARK: Taking

    /// One at a time: the server counts a delivery of every entry that it gives out again, and of those
    /// behind one that kills its consumers none has been tried.
    private func takeOwn(_ handler: StreamConsumer.Handler) async throws(StoreError) {
        while !consumer.hasToStop,
            let entries = try await read(from: "0", atMost: 1, waiting: nil)
        {
            try await handle(entries, handler)
        }
    }

    /// What others took and left; one at a time, as above.
    private func claim(_ handler: StreamConsumer.Handler) async throws(StoreError) {
        var cursor = "0-0"
        repeat {
            let reply = try await checked([
                "XAUTOCLAIM", consumer.stream, consumer.group, consumer.consumer,
                milliseconds(options.claimAfter), cursor, "COUNT", "1",
            ])
            guard let parts = reply.elements, parts.count >= 2, let next = parts[0].text else {
                throw unexpected("XAUTOCLAIM")
            }
            cursor = next
            if parts.count > 2 {
                let lost = parts[2].elements?.count ?? 0
                if lost > 0 { consumer.count { $0.lost += lost } }
            }
            try await handle(try await entries(of: parts[1]), handler)
        } while cursor != "0-0" && !consumer.hasToStop
    }

    /// Nil when the server has none. Empty: it had some, and they are trimmed off.
    private func read(
        from start: String, atMost count: Int, waiting: Duration?
    ) async throws(StoreError) -> [Entry]? {
        var words = [
            "XREADGROUP", "GROUP", consumer.group, consumer.consumer, "COUNT", String(count),
        ]
        if let waiting { words += ["BLOCK", milliseconds(waiting)] }
        let reply = try await checked(words + ["STREAMS", consumer.stream, start])
        guard let streams = reply.elements, let first = streams.first?.elements, first.count == 2,
            first[1].elements?.isEmpty == false
        else { return nil }
        return try await entries(of: first[1])
    }

    /// With the server's count of their deliveries. What was trimmed off meanwhile is let go.
    private func entries(of reply: RedisReply) async throws(StoreError) -> [Entry] {
        var entries: [Entry] = []
        var gone: [String] = []
        for element in reply.elements ?? [] {
            // Before Redis 7 a claimed entry that was trimmed off is null.
            guard let parts = element.elements, parts.count == 2, let id = parts[0].text else {
                continue
            }
            guard parts[1] != .null else {
                gone.append(id)
                continue
            }
            let fields = parts[1].pairs.map {
                Entry.Field(name: String(decoding: $0.field, as: UTF8.self), value: $0.value)
            }
            entries.append(Entry(id: id, fields: fields, deliveries: 1))
        }
        if !gone.isEmpty {
            _ = try await checked(["XACK", consumer.stream, consumer.group] + gone)
            let count = gone.count
            consumer.count { $0.lost += count }
        }
        return try await withDeliveries(entries)
    }

    private func withDeliveries(_ entries: [Entry]) async throws(StoreError) -> [Entry] {
        guard let first = entries.first, let last = entries.last else { return [] }
        let reply = try await checked([
            "XPENDING", consumer.stream, consumer.group, first.id, last.id,
            String(entries.count * 2 + 100), consumer.consumer,
        ])
        var deliveries: [String: Int] = [:]
        for element in reply.elements ?? [] {
            guard let parts = element.elements, parts.count == 4, let id = parts[0].text,
                let count = parts[3].integer
            else { throw unexpected("XPENDING") }
            deliveries[id] = Int(count)
        }
        return entries.map { entry in
            var entry = entry
            entry.deliveries = deliveries[entry.id] ?? entry.deliveries
            return entry
        }
    }

    // MARK: Handling

    private func handle(
        _ entries: [Entry], _ handler: StreamConsumer.Handler
    ) async throws(StoreError) {
        for entry in entries {
            // The rest stays this consumer's; it comes first when it is back.
            if consumer.hasToStop { return }
            try await handle(entry, handler)
        }
    }

    private func handle(
        _ taken: Entry, _ handler: StreamConsumer.Handler
    ) async throws(StoreError) {
        var entry = taken
        while true {
            // Whoever had it before may have died of it.
            if entry.deliveries > options.triesMax {
                return try await bury(entry, because: "delivered \(options.triesMax) times")
            }
            var problem: String?
            do { try await handler(entry) } catch { problem = "\(error)" }
            guard let problem else {
                _ = try await checked(["XACK", consumer.stream, consumer.group, entry.id])
                return consumer.count { $0.handled += 1 }
            }
            // A handler that was cancelled says nothing of the entry.
            if Task.isCancelled { return }
            consumer.count { $0.failedTries += 1 }
            if entry.deliveries >= options.triesMax {
                return try await bury(entry, because: problem)
            }
            try? await Task.sleep(for: options.pause)
            if consumer.hasToStop { return }
            guard try await takeAgain(&entry) else { return }
        }
    }

    /// Counts one delivery more. False when the entry is another's by now, or gone.
    private func takeAgain(_ entry: inout Entry) async throws(StoreError) -> Bool {
        let pending = try await checked([
            "XPENDING", consumer.stream, consumer.group, entry.id, entry.id, "1",
            consumer.consumer,
        ])
        guard pending.elements?.isEmpty == false else { return false }
        let reply = try await checked([
            "XCLAIM", consumer.stream, consumer.group, consumer.consumer, "0", entry.id,
        ])
        guard reply.elements?.first?.elements != nil else { return false }
        entry.deliveries += 1
        return true
    }

    /// Into the dead-letter stream, and only then out of the group's hands: where the first fails, for
    /// example at a key of another type, the entry stays this consumer's.
    private func bury(_ entry: Entry, because reason: String) async throws(StoreError) {
        let dead = options.deadStream ?? consumer.stream + ":dead"
        var words = RedisArguments(["*".utf8].map(Array.init))
        for field in entry.fields {
            words.append(field.name.utf8)
            words.append(field.value)
        }
        for (name, value) in [
            ("dead_id", entry.id), ("dead_group", consumer.group),
            ("dead_consumer", consumer.consumer), ("dead_reason", String(reason.prefix(500))),
            ("dead_deliveries", String(entry.deliveries)),
        ] {
            words.append(name.utf8)
            words.append(value.utf8)
        }
        var commands = RedisCommands()
        commands.append("XADD", Array(dead.utf8), words)
        if case .error(let text) = try await send(commands) {
            throw RedisProblem.error(text, store: connection.store, key: Array(dead.utf8))
        }
        _ = try await checked(["XACK", consumer.stream, consumer.group, entry.id])
        consumer.count { $0.dead += 1 }
    }

    // MARK: Asking

    private func send(_ words: [String]) async throws(StoreError) -> RedisReply {
        var commands = RedisCommands()
        commands.append(words)
        return try await send(commands)
    }

    private func send(_ commands: RedisCommands) async throws(StoreError) -> RedisReply {
        try await connection.perform { connection throws(StoreError) in
            try connection.send(commands).first ?? .null
        }
    }

    private func checked(_ words: [String]) async throws(StoreError) -> RedisReply {
        let reply = try await send(words)
        if case .error(let text) = reply { throw problem(text) }
        return reply
    }

    private func problem(_ text: String) -> StoreError {
        // The stream was emptied, with its groups: the next session makes the group anew.
        if text.hasPrefix("NOGROUP") { return connection.unavailable(text) }
        return RedisProblem.error(
            text, store: connection.store, key: Array(consumer.stream.utf8))
    }

    private func unexpected(_ command: String) -> StoreError {
        connection.unavailable("\(command) was answered by something else")
    }

    private func milliseconds(_ duration: Duration) -> String {
        String(max(1, Int(duration / .milliseconds(1))))
    }
}
