public import Ledger

/// What a server says of itself, as far as it lets its user know.
public struct RedisFacts: Sendable, Hashable {
    /// Who watches the master.
    public struct Watch: Sendable, Hashable {
        public var sentinels: Int
        public var quorum: Int

        public init(sentinels: Int, quorum: Int) {
            self.sentinels = sentinels
            self.quorum = quorum
        }
    }

    public var version: String?
    /// By the names of redis.conf; one that may not be read is missing.
    public var settings: [String: String]
    /// Whether anybody who reaches it gets in without a password; nil when it does not say.
    public var isOpen: Bool?
    /// Nil when it is not reached by Sentinels.
    public var watch: Watch?

    public init(
        version: String? = nil, settings: [String: String] = [:], isOpen: Bool? = nil,
        watch: Watch? = nil
    ) {
        self.version = version
        self.settings = settings
        self.isOpen = isOpen
        self.watch = watch
    }

    /// What is asked for. No passwords.
    static let names = [
        "save", "appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "port",
    ]
}

extension RedisQuestions {
    public func facts() async throws(StoreError) -> RedisFacts {
        var facts = try await ask { connection throws(StoreError) in
            var questions = RedisCommands("INFO", "server")
            questions.append(["ACL", "GETUSER", "default"])
            for name in RedisFacts.names { questions.append(["CONFIG", "GET", name]) }
            return RedisFacts(try connection.send(questions))
        }
        facts.watch = try await connector.watch()
        return facts
    }
}

extension RedisFacts {
    fileprivate init(_ replies: [RedisReply]) {
        self.init()
        var rest = replies[...]
        version = rest.popFirst()?.text?.split(whereSeparator: \.isNewline)
            .first { $0.hasPrefix("redis_version:") }.map { String($0.dropFirst(14)) }
        isOpen = rest.popFirst().flatMap(Self.isOpen)
        for reply in rest { settings.merge(reply.words) { first, _ in first } }
    }

    /// - Parameter user: the answer to `ACL GETUSER`: names and values in turn.
    private static func isOpen(_ user: RedisReply) -> Bool? {
        guard let words = user.elements,
            let place = words.firstIndex(where: { $0.text == "flags" }), place + 1 < words.count,
            let flags = words[place + 1].elements?.compactMap(\.text)
        else { return nil }
        return flags.contains("nopass") && !flags.contains("off")
    }
}
