public import Ledger

/// A connection that can be lent out again and again.
public protocol PooledConnection: AnyObject, Sendable {
    /// Asks the server. False when the connection is of no use any more.
    func isAlive() async -> Bool
    func close() async
}

public struct PoolLimits: Sendable, Hashable {
    /// Connections that are kept open although nobody needs them.
    public var min: Int
    public var max: Int
    /// One that nobody needed for so long is closed, down to `min`.
    public var idleTimeout = Duration.seconds(300)
    /// One that nobody needed for so long is asked whether it is alive before it is lent.
    public var testAfter = Duration.seconds(5)
    /// How long somebody waits for one while all are lent.
    public var acquireTimeout: Duration

    public init(min: Int = 10, max: Int = 50, acquireTimeout: Duration = .seconds(5)) {
        self.min = min
        self.max = max
        self.acquireTimeout = acquireTimeout
    }
}

public struct PoolUse: Sendable, Hashable {
    public var lent: Int
    public var idle: Int
    public var max: Int
    public var waiting: Int

    public init(lent: Int, idle: Int, max: Int, waiting: Int) {
        self.lent = lent
        self.idle = idle
        self.max = max
        self.waiting = waiting
    }
}

/// Connections of one store, lent to one caller at a time, first come, first served.
public actor ConnectionPool<Connection: PooledConnection> {
    private struct Idle {
        let connection: Connection
        let since: ContinuousClock.Instant
    }

    private struct Waiter {
        let id: Int
        let continuation: CheckedContinuation<Grant, Never>
    }

    /// What a waiter gets.
    private enum Grant: Sendable {
        case idle(Connection, since: ContinuousClock.Instant)
        /// Room to open one.
        case room
        case timedOut
        case closed
    }

    private let store: String
    private let limits: PoolLimits
    private let open: @Sendable () async throws(StoreError) -> Connection
    /// The one used last stands last, and is lent first: the others may grow old and be closed.
    private var idle: [Idle] = []
    private var lent = 0
    private var waiters: [Waiter] = []
    private var nextWaiter = 0
    private var isClosed = false

    /// - Parameters:
    ///   - store: named in errors.
    ///   - open: makes a connection that is ready for use.
    public init(
        store: String, limits: PoolLimits,
        open: @escaping @Sendable () async throws(StoreError) -> Connection
    ) {
        self.store = store
        self.limits = limits
        self.open = open
    }

    public var use: PoolUse {
        PoolUse(lent: lent, idle: idle.count, max: limits.max, waiting: waiters.count)
    }

    /// Lends a connection to `body`. One that failed to answer is closed, as are all others that are
    /// idle then: the server they were connected to is gone.
    public func with<Result: Sendable>(
        _ body: @Sendable (Connection) async throws(StoreError) -> Result
    ) async throws(StoreError) -> Result {
        let connection = try await acquire()
        do throws(StoreError) {
            let result = try await body(connection)
            await giveBack(connection)
            return result
        } catch {
            if case .unavailable = error {
                await discard(connection)
                await closeIdle(keeping: 0)
            } else {
                await giveBack(connection)
            }
            throw error
        }
    }

    /// Opens connections up to `min` and closes those that were idle too long. For a caller who does
    /// this every few seconds.
    public func maintain() async {
        let oldest = ContinuousClock.now - limits.idleTimeout
        while let first = idle.first, first.since < oldest, idle.count + lent > limits.min {
            idle.removeFirst()
            await first.connection.close()
        }
        while !isClosed, idle.count + lent < limits.min {
            lent += 1
            do throws(StoreError) {
                await giveBack(try await open())
            } catch {
                lent -= 1
                hand(.room)
                return
            }
        }
    }

    /// Closes what is idle now, and the others when they come back.
    public func close() async {
        isClosed = true
        for waiter in waiters { waiter.continuation.resume(returning: .closed) }
        waiters = []
        await closeIdle(keeping: 0)
    }

    private func acquire() async throws(StoreError) -> Connection {
        let deadline = ContinuousClock.now + limits.acquireTimeout
        while true {
            if ContinuousClock.now > deadline { throw Self.late(store, limits) }
            switch await grant(until: deadline) {
            case .idle(let connection, let since):
                if ContinuousClock.now - since < limits.testAfter { return connection }
                if await connection.isAlive() { return connection }
                // The others are to the same server, and each would cost a time-out to try.
                await discard(connection)
                await closeIdle(keeping: 0)
            case .room:
                do throws(StoreError) {
                    return try await open()
                } catch {
                    lent -= 1
                    hand(.room)
                    throw error
                }
            case .timedOut: throw Self.late(store, limits)
            case .closed: throw .unavailable(store: store, problem: "it is being closed")
            }
        }
    }

    private static func late(_ store: String, _ limits: PoolLimits) -> StoreError {
        .unavailable(
            store: store,
            problem: "all \(limits.max) connections were in use for \(limits.acquireTimeout)")
    }

    private func grant(until deadline: ContinuousClock.Instant) async -> Grant {
        if isClosed { return .closed }
        if let newest = idle.popLast() {
            lent += 1
            return .idle(newest.connection, since: newest.since)
        }
        if lent < limits.max {
            lent += 1
            return .room
        }
        let id = nextWaiter
        nextWaiter += 1
        let timer = Task {
            try? await Task.sleep(until: deadline, clock: .continuous)
            giveUp(id)
        }
        defer { timer.cancel() }
        return await withCheckedContinuation { continuation in
            waiters.append(Waiter(id: id, continuation: continuation))
        }
    }

    private func giveUp(_ id: Int) {
        guard let index = waiters.firstIndex(where: { $0.id == id }) else { return }
        waiters.remove(at: index).continuation.resume(returning: .timedOut)
    }

    private func giveBack(_ connection: Connection) async {
        lent -= 1
        if isClosed { return await connection.close() }
        if hand(.idle(connection, since: .now)) { return }
        idle.append(Idle(connection: connection, since: .now))
    }

    private func discard(_ connection: Connection) async {
        lent -= 1
        hand(.room)
        await connection.close()
    }

    /// True when somebody waited for it.
    @discardableResult
    private func hand(_ grant: Grant) -> Bool {
        if waiters.isEmpty { return false }
        lent += 1
        waiters.removeFirst().continuation.resume(returning: grant)
        return true
    }

    private func closeIdle(keeping count: Int) async {
        while idle.count > count { await idle.removeFirst().connection.close() }
    }
}
