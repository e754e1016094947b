internal import Ledger

/// Commands between MULTI and EXEC: the server carries all of them out with nobody's in between.
///
/// Redis does not take back what was done when one of them fails, for example at a key of another
/// type: whoever writes looks at every reply before counting on any of them.
struct RedisTransaction: Sendable {
    private static let beginning = RedisCommands("MULTI")
    private(set) var commands = beginning
    /// Of each command, for errors.
    private var keys: [[UInt8]] = []

    init() {}

    mutating func reserve(_ capacity: Int) { commands.reserve(capacity) }

    mutating func append(_ name: String, _ key: [UInt8], _ rest: [UInt8]...) {
        append(name, key, RedisArguments(rest))
    }

    mutating func append(_ name: String, _ key: [UInt8], _ rest: RedisArguments) {
        commands.append(name, key, rest)
        keys.append(key)
    }

    var isEmpty: Bool { keys.isEmpty }
    var isOneCommand: Bool { keys.count == 1 }

    /// The commands by themselves.
    var bare: RedisCommands { commands.dropping(Self.beginning) }

    /// With EXEC at the end.
    var whole: RedisCommands {
        var commands = commands
        commands.append(["EXEC"])
        return commands
    }

    /// The replies of the commands; nil when a watched key has changed and nothing was done.
    /// - Parameter replies: those of `whole`.
    func outcome(
        _ replies: some Sequence<RedisReply>, store: String
    ) throws(StoreError) -> [RedisReply]? {
        try answers(replies, store: store).map { results throws(StoreError) in
            try checked(results, store: store)
        }
    }

    /// The same, with what a command failed at among the replies.
    func answers(
        _ replies: some Sequence<RedisReply>, store: String
    ) throws(StoreError) -> [RedisReply]? {
        var last = RedisReply.null
        for (index, reply) in replies.enumerated() {
            last = reply
            // The first answers MULTI, the last EXEC.
            let key = index > 0 && index <= keys.count ? keys[index - 1] : nil
            if case .error(let text) = reply {
                throw RedisProblem.error(text, store: store, key: key)
            }
        }
        guard let results = last.elements else { return nil }
        guard results.count == keys.count else {
            throw .unavailable(
                store: store, problem: "\(results.count) replies to \(keys.count) commands")
        }
        return results
    }

    /// The replies of `bare`, or those that EXEC gives.
    func checked(_ results: [RedisReply], store: String) throws(StoreError) -> [RedisReply] {
        for (result, key) in zip(results, keys) {
            if case .error(let text) = result {
                throw RedisProblem.error(text, store: store, key: key)
            }
        }
        return results
    }
}

extension RedisConnection {
    /// Nil when a watched key has changed.
    func execute(_ transaction: RedisTransaction) throws(StoreError) -> [RedisReply]? {
        try transaction.outcome(try send(transaction.whole), store: store)
    }

    /// Commands that only read; what one of them failed at is among the replies. A server whose memory is
    /// full queues no command at all, and reading must go on: then nobody writes rows, and they need no
    /// transaction.
    func answers(toReading transaction: RedisTransaction) throws(StoreError) -> [RedisReply] {
        if !transaction.isOneCommand {
            do throws(StoreError) {
                let replies = try send(transaction.whole)
                guard let answers = try transaction.answers(replies, store: store) else {
                    throw unavailable("it did not carry out the transaction")
                }
                return answers
            } catch .unavailable(_, let problem) where problem.hasPrefix("OOM") {
                // As below.
            } catch {
                throw error
            }
        }
        return try send(transaction.bare)
    }

    /// The same, where every command must succeed.
    func results(ofReading transaction: RedisTransaction) throws(StoreError) -> [RedisReply] {
        try transaction.checked(try answers(toReading: transaction), store: store)
    }

    /// A transaction without a watch.
    func results(of transaction: RedisTransaction) throws(StoreError) -> [RedisReply] {
        guard let results = try execute(transaction) else {
            throw unavailable("it did not carry out the transaction")
        }
        return results
    }
}
