import Connections
import Ledger
import Synchronization
import Testing

/// A connection on a thread of its own that counts what becomes of it.
private actor Link: PooledConnection {
    private let thread = ThreadExecutor(name: "link")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    let number: Int
    private let log: Log
    private var isDead = false

    init(_ number: Int, _ log: Log) {
        self.number = number
        self.log = log
    }

    func isAlive() -> Bool {
        log.add("test \(number)")
        return !isDead
    }

    func die() {
        isDead = true
    }

    func close() {
        log.add("close \(number)")
        thread.stop()
    }
}

/// Under a lock: connections write from their threads, the test reads.
private final class Log: Sendable {
    private let content = Mutex<(opened: Int, lines: [String])>((0, []))

    var lines: [String] { content.withLock { $0.lines } }
    func add(_ line: String) { content.withLock { $0.lines.append(line) } }
    func open() -> Link {
        Link(
            content.withLock { content in
                content.opened += 1
                return content.opened
            }, self)
    }
}

/// Under a lock: many tasks go in and out.
private final class Level: Sendable {
    private let content = Mutex((now: 0, most: 0))

    var most: Int { content.withLock { $0.most } }
    func rise() {
        content.withLock {
            $0.now += 1
            $0.most = max($0.most, $0.now)
        }
    }
    func fall() { content.withLock { $0.now -= 1 } }
}

@Suite(.timeLimit(.minutes(1))) struct ConnectionPoolTests {
    private let log = Log()

    private func pool(
        min: Int = 0, max: Int = 2, wait: Duration = .seconds(5), testAfter: Duration = .seconds(5),
        idle: Duration = .seconds(300)
    ) -> ConnectionPool<Link> {
        var limits = PoolLimits(min: min, max: max, acquireTimeout: wait)
        limits.testAfter = testAfter
        limits.idleTimeout = idle
        return ConnectionPool(store: "hot", limits: limits) { [log] () throws(StoreError) in
            log.open()
        }
    }

    private func number(_ pool: ConnectionPool<Link>) async throws -> Int {
        try await pool.with { link throws(StoreError) in link.number }
    }

    @Test func oneConnectionServesOneCallerAfterTheOther() async throws {
        let pool = pool()
        for _ in 0..<5 { #expect(try await number(pool) == 1) }
        #expect(await pool.use == PoolUse(lent: 0, idle: 1, max: 2, waiting: 0))
        await pool.close()
        #expect(log.lines == ["close 1"])
        await #expect(throws: StoreError.self) { try await number(pool) }
    }

    @Test func neverMoreThanTheLimitAndEveryoneIsServed() async throws {
        let pool = pool(max: 3, wait: .seconds(50))
        let level = Level()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<60 {
                group.addTask {
                    try await pool.with { _ throws(StoreError) in
                        level.rise()
                        try? await Task.sleep(for: .milliseconds(1))
                        level.fall()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(level.most == 3)
        #expect(await pool.use == PoolUse(lent: 0, idle: 3, max: 3, waiting: 0))
        await pool.close()
    }

    @Test func whoWaitsTooLongIsToldSo() async throws {
        let pool = pool(max: 1, wait: .milliseconds(50))
        try await pool.with { _ throws(StoreError) in
            do throws(StoreError) {
                try await pool.with { _ throws(StoreError) in }
                Issue.record("two had the one connection")
            } catch {
                #expect("\(error)".contains("all 1 connections were in use"), "\(error)")
            }
        }
        #expect(try await number(pool) == 1)
        await pool.close()
    }

    @Test func aConnectionThatFailedIsNotLentAgainAndRoomIsHandedOn() async throws {
        let pool = pool(max: 1)
        let first = Task {
            try await pool.with { link throws(StoreError) in
                try? await Task.sleep(for: .milliseconds(20))
                throw StoreError.unavailable(store: "hot", problem: "gone \(link.number)")
            }
        }
        await #expect(throws: StoreError.self) { try await first.value }
        #expect(try await number(pool) == 2)
        await #expect(throws: StoreError.self) {
            try await pool.with { _ throws(StoreError) in
                throw StoreError.refused(store: "hot", problem: "WRONGTYPE")
            }
        }
        #expect(try await number(pool) == 2)
        await pool.close()
    }

    @Test func oneThatWasIdleIsTestedBeforeItIsLent() async throws {
        let pool = pool(testAfter: .zero)
        try await pool.with { link throws(StoreError) in await link.die() }
        #expect(try await number(pool) == 2)
        #expect(log.lines == ["test 1", "close 1"])
        await pool.close()
    }

    @Test func maintenanceKeepsTheLeastAndClosesTheIdle() async throws {
        let pool = pool(min: 2, max: 8, idle: .zero)
        await pool.maintain()
        #expect(await pool.use == PoolUse(lent: 0, idle: 2, max: 8, waiting: 0))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    try await pool.with { _ throws(StoreError) in
                        try? await Task.sleep(for: .milliseconds(10))
                    }
                }
            }
            try await group.waitForAll()
        }
        await pool.maintain()
        #expect(await pool.use == PoolUse(lent: 0, idle: 2, max: 8, waiting: 0))
        await pool.close()
    }

    @Test func aThreadRunsOneJobAtATimeAndEndsWhenAsked() async {
        let log = Log()
        let link = Link(9, log)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<1_000 { group.addTask { _ = await link.isAlive() } }
        }
        #expect(log.lines.count == 1_000)
        await link.close()
        // It still answers, on the caller's thread.
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<1_000 { group.addTask { _ = await link.isAlive() } }
        }
        #expect(log.lines.count == 2_001)
    }
}
