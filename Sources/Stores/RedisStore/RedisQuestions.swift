public import Ledger

/// Single questions to a Redis, each over a connection of its own: for those who ask rarely.
public struct RedisQuestions: Sendable {
    /// Readers of a stream who share its entries.
    public struct Group: Sendable, Hashable {
        public var name: String
        /// Entries that nobody of the group has read yet, and those that somebody has and did not
        /// acknowledge.
        public var waiting: Int
    }

    private let name: String
    let connector: RedisConnector

    /// - Parameters:
    ///   - name: the store's, for errors.
    ///   - timeout: for the connection, and for each next byte of an answer.
    public init(name: String, url: RedisURL, timeout: Duration = .seconds(5)) {
        self.name = name
        connector = RedisConnector(store: name, url: url, timeout: timeout)
    }

    public func ping() async throws(StoreError) {
        try await ask { connection throws(StoreError) in _ = try connection.command("PING") }
    }

    /// Nil when there is no such stream.
    /// - Parameter limit: a server that cannot tell how much a group has before it is counted so far.
    public func groups(
        of stream: String, upTo limit: Int
    ) async throws(StoreError) -> [Group]? {
        try await ask { connection throws(StoreError) in
            let key = Array(stream.utf8)
            let reply = try connection.send(RedisCommands("XINFO", "GROUPS", stream)).first ?? .null
            if case .error(let text) = reply {
                if text.contains("no such key") { return nil }
                throw RedisProblem.error(text, store: connection.store, key: key)
            }
            var groups: [Group] = []
            for element in reply.elements ?? [] {
                groups.append(try connection.group(element, of: stream, upTo: limit))
            }
            return groups
        }
    }

    func ask<Result: Sendable>(
        _ question: @escaping @Sendable (isolated RedisConnection) throws(StoreError) -> Result
    ) async throws(StoreError) -> Result {
        let connection = try await connector.open()
        do throws(StoreError) {
            let result = try await connection.perform(question)
            await connection.close()
            return result
        } catch {
            await connection.close()
            throw error
        }
    }
}

extension RedisConnection {
    fileprivate func group(
        _ reply: RedisReply, of stream: String, upTo limit: Int
    ) throws(StoreError) -> RedisQuestions.Group {
        let words = reply.elements ?? []
        func value(_ name: String) -> RedisReply? {
            stride(from: 0, to: words.count - 1, by: 2).first { words[$0].text == name }
                .map { words[$0 + 1] }
        }
        guard let name = value("name")?.bytes, let pending = value("pending")?.integer else {
            throw unavailable("XINFO was answered by something else")
        }
        // Before Redis 7 there is no lag, and after it none where entries were taken out.
        let unread: Int
        if let lag = value("lag")?.integer {
            unread = Int(lag)
        } else {
            let last = value("last-delivered-id")?.text ?? "0-0"
            let rest = try command(
                "XRANGE", stream, "(" + last, "+", "COUNT", String(max(1, limit)))
            unread = rest.elements?.count ?? 0
        }
        return RedisQuestions.Group(
            name: String(decoding: name, as: UTF8.self), waiting: unread + Int(pending))
    }
}
