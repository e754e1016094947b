internal import CHiredis
public import Connections
internal import Foundation
internal import Ledger

/// One connection to a server, over the blocking C library and on a thread of its own.
///
/// After a time-out or a broken pipe it stays closed: replies that are still on their way would be
/// taken for those of a later command.
public actor RedisConnection: PooledConnection {
    private let thread = ThreadExecutor(name: "redis")
    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        thread.asUnownedSerialExecutor()
    }

    /// The store's name, for errors.
    let store: String
    private var handle: ConnectionHandle?
    private var context: UnsafeMutablePointer<redisContext>? { handle?.context }
    /// Replies that were not read yet.
    private var awaited = 0

    init(store: String) {
        self.store = store
    }

    // Not isolated: the executor would go with the connection while it is running the deinit.
    deinit {
        thread.stop()
    }

    /// - Parameter timeout: how long to wait for the connection, and later for each next byte.
    func connect(to address: RedisURL.Address, timeout: Duration) throws(StoreError) {
        keepBrokenPipesFromEndingTheProcess()
        try take(
            redisConnectWithTimeout(address.host, Int32(address.port), timeval(timeout)),
            "\(address)", timeout: timeout)
        if let context { redisEnableKeepAlive(context) }
    }

    func connect(toSocket path: String, timeout: Duration) throws(StoreError) {
        keepBrokenPipesFromEndingTheProcess()
        try take(redisConnectUnixWithTimeout(path, timeval(timeout)), path, timeout: timeout)
    }

    private func take(
        _ new: UnsafeMutablePointer<redisContext>?, _ place: String, timeout: Duration
    ) throws(StoreError) {
        disconnect()
        guard let new else { throw unavailable("no memory for a connection") }
        guard new.pointee.err == 0 else {
            let problem = String(cString: opsd_redis_problem(new))
            redisFree(new)
            throw unavailable("\(place): \(problem)")
        }
        redisSetTimeout(new, timeval(timeout))
        // What this process starts must not hold the connection open.
        _ = fcntl(new.pointee.fd, F_SETFD, FD_CLOEXEC)
        handle = ConnectionHandle(new)
    }

    func disconnect() {
        handle = nil
        awaited = 0
    }

    public func close() {
        disconnect()
        thread.stop()
    }

    public func isAlive() -> Bool {
        (try? send(RedisCommands("PING"))) == [.status("PONG")]
    }

    /// Runs several exchanges on the connection's thread, with nobody else's in between.
    func perform<Result: Sendable>(
        _ body: @Sendable (isolated RedisConnection) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        // What is left unread would be taken for the next caller's.
        defer { if awaited > 0 { disconnect() } }
        return try body(self)
    }

    // MARK: - Exchanges

    /// Sends the commands at once, and reads their replies. Refusals are among the replies.
    func send(_ commands: RedisCommands) throws(StoreError) -> [RedisReply] {
        try write(commands)
        return try read(commands.count)
    }

    /// Sends one command; a refusal is thrown.
    func command(_ words: String...) throws(StoreError) -> RedisReply {
        var commands = RedisCommands()
        commands.append(words)
        let reply = try send(commands).first ?? .null
        if case .error(let text) = reply { throw RedisProblem.error(text, store: store) }
        return reply
    }

    /// Sends without waiting for the replies.
    func write(_ commands: RedisCommands) throws(StoreError) {
        guard let context else { throw unavailable("the connection is closed") }
        let code = commands.bytes.withUnsafeBufferPointer { buffer in
            buffer.withMemoryRebound(to: CChar.self) {
                redisAppendFormattedCommand(context, $0.baseAddress, $0.count)
            }
        }
        guard code == REDIS_OK else { throw broken(context) }
        var isDone: Int32 = 0
        while isDone == 0 {
            guard redisBufferWrite(context, &isDone) == REDIS_OK else { throw broken(context) }
        }
        awaited += commands.count
    }

    func read(_ count: Int) throws(StoreError) -> [RedisReply] {
        var replies: [RedisReply] = []
        replies.reserveCapacity(count)
        for _ in 0..<count {
            guard let context else { throw unavailable("the connection is closed") }
            var reply: UnsafeMutableRawPointer?
            guard redisGetReply(context, &reply) == REDIS_OK, let reply else {
                throw broken(context)
            }
            replies.append(RedisReply(reply.assumingMemoryBound(to: redisReply.self)))
            freeReplyObject(reply)
            awaited -= 1
        }
        return replies
    }

    /// The same, for whoever looks at each reply once.
    func read(_ count: Int, into replies: FlatReplies) throws(StoreError) {
        guard let context else { throw unavailable("the connection is closed") }
        guard replies.read(count, from: context) else { throw broken(context) }
        awaited -= count
    }

    private func broken(_ context: UnsafeMutablePointer<redisContext>) -> StoreError {
        let problem = String(cString: opsd_redis_problem(context))
        disconnect()
        let isLate = problem == String(cString: strerror(EAGAIN))
        return unavailable(isLate ? "it said nothing within the time-out" : problem)
    }

    nonisolated func unavailable(_ problem: String) -> StoreError {
        .unavailable(store: store, problem: problem)
    }

    /// The C library writes to a closed socket without forbidding the signal: this thread does.
    private func keepBrokenPipesFromEndingTheProcess() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }
}

/// Owns the C library's connection, which ends with it.
private final class ConnectionHandle {
    let context: UnsafeMutablePointer<redisContext>

    init(_ context: UnsafeMutablePointer<redisContext>) {
        self.context = context
    }

    deinit {
        redisFree(context)
    }
}

private func timeval(_ duration: Duration) -> timeval {
    let (seconds, attoseconds) = duration.components
    return Foundation.timeval(
        tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
}
