public import Ledger

/// What a cache needs beside rows: to tell others of a new value, and to take away what lies in its
/// place and is none.
extension RedisStore {
    /// One message of a channel.
    public struct Message: Sendable, Hashable {
        public var channel: String
        public var payload: [UInt8]

        public init(channel: String, payload: [UInt8]) {
            self.channel = channel
            self.payload = payload
        }
    }

    /// To those who listen now; nobody else will ever know.
    public func publish(_ messages: [Message]) async throws(StoreError) {
        guard !messages.isEmpty else { return }
        try await perform { connection throws(StoreError) in
            var commands = RedisCommands()
            for message in messages {
                commands.append("PUBLISH", Array(message.channel.utf8), message.payload)
            }
            for reply in try connection.send(commands) {
                if case .error(let text) = reply {
                    throw RedisProblem.error(text, store: connection.store)
                }
            }
        }
    }

    /// Takes the keys of rows away, of whatever type they are. Only of layouts with a key a row.
    public func remove(_ keys: [RowKey]) async throws(StoreError) {
        var transaction = RedisTransaction()
        for key in keys {
            let coding = try coding(key.dataset)
            guard coding.isOneRowAKey, !coding.needsIndex else { continue }
            let dataKey = coding.dataKey(key.values)
            transaction.append("UNLINK", dataKey, coding.stampKey(dataKey))
        }
        guard !transaction.isEmpty else { return }
        let whole = transaction
        try await perform { connection throws(StoreError) in
            _ = try connection.results(of: whole)
        }
    }
}
