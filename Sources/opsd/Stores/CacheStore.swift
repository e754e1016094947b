import Connections
import Ledger
import Logging
import RedisStore
import Synchronization

/// Rows in a Redis that may vanish. Reading waits for a moment at most; writing happens behind whoever
/// writes, a batch at a time, and what could not be written is dropped. A server that fails is left
/// alone for a while.
///
/// The lock guards what waits to be written and what is known of the server; it is held to look it up
/// or to put something down. A lock and not an actor, because who writes must not wait for a turn.
final class CacheStore: Sendable {
    struct Failure: Sendable, Equatable {
        var error: StoreError
        var since: Timestamp
    }

    private struct Content {
        var breaker = CacheBreaker()
        var failure: Failure?
        /// The newest of each key.
        var waiting: [RowKey: Row] = [:]
        var messages: [RedisStore.Message] = []
    }

    /// About what a broker takes: to wait for longer would win nothing.
    static let readLimit = Duration.milliseconds(50)
    private static let connectionsMax = 8
    private static let waitingMax = 20_000
    private static let maintainEvery = Duration.seconds(10)

    let name: String
    private let schemas: SchemaCatalogue
    private let store: RedisStore
    private let content = Mutex(Content())
    private let work = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    private let logger = Logger(label: "cache")

    /// Makes no connection yet.
    /// - Parameter timeout: of a connection and of an answer, for writing.
    init(
        name: String, url: RedisURL, layouts: [RedisLayout], timeout: Duration
    ) throws(StoreError) {
        self.name = name
        schemas = SchemaCatalogue(layouts.map(\.schema))
        store = try RedisStore(
            name: name, url: url, layouts: layouts,
            limits: PoolLimits(
                min: 1, max: Self.connectionsMax, acquireTimeout: min(timeout, .seconds(1))),
            timeout: min(timeout, .seconds(1)))
    }

    /// Why it is not asked at present.
    var failure: Failure? { content.withLock { $0.failure } }

    // MARK: Reading

    /// Nil when there is none, when it does not read, and when the server does not say so in time.
    func row(_ key: RowKey) async -> Row? {
        guard content.withLock({ $0.breaker.mayAsk(at: .now) }) else { return nil }
        let answer = await WaitLimit.within(Self.readLimit) { [store] in
            do throws(StoreError) {
                return Result<Row?, StoreError>.success(try await store.row(key)?.row)
            } catch {
                return .failure(error)
            }
        }
        switch answer {
        case .success(let row)?:
            note(nil)
            return row
        case .failure(.damaged)?:
            // The server is well; what lies there is somebody else's, and is written over.
            note(nil)
            return nil
        case .failure(let error)?: note(error)
        case nil:
            note(.unavailable(store: name, problem: "it said nothing within \(Self.readLimit)"))
        }
        return nil
    }

    /// - Parameter error: nil when all went well.
    private func note(_ error: StoreError?) {
        let change = content.withLock { content -> (was: Bool, isNow: Bool) in
            let was = content.failure != nil
            if let error {
                content.breaker.failed(at: .now)
                content.failure = Failure(
                    error: error, since: content.failure?.since ?? .now())
                // What waits would be old by the time that it could be written.
                content.waiting = [:]
                content.messages = []
            } else {
                content.breaker.succeeded()
                content.failure = nil
            }
            return (was, error != nil)
        }
        if let error, !change.was {
            logger.warning(
                "the cache is left alone for a while", metadata: ["problem": "\(error)"])
        } else if change.was, !change.isNow {
            logger.notice("the cache is back", metadata: ["store": "\(name)"])
        }
    }

    // MARK: Writing

    /// Returns at once.
    func put(_ rows: [Row], _ messages: [RedisStore.Message] = []) {
        content.withLock { content in
            for row in rows {
                guard let schema = schemas[row.dataset],
                    content.waiting.count < Self.waitingMax
                else { continue }
                content.waiting[row.key(in: schema)] = row
            }
            if content.messages.count < Self.waitingMax { content.messages += messages }
        }
        work.continuation.yield()
    }

    /// Writes what is put down, until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.maintain() }
            for await _ in work.stream { await write() }
            group.cancelAll()
        }
        await store.close()
    }

    private func maintain() async {
        while !Task.isCancelled {
            await store.maintain()
            try? await Task.sleep(for: Self.maintainEvery)
        }
    }

    private func write() async {
        let (rows, messages) = content.withLock { content in
            defer {
                content.waiting = [:]
                content.messages = []
            }
            guard content.breaker.mayAsk(at: .now) else { return ([Row](), [RedisStore.Message]()) }
            return (Array(content.waiting.values), content.messages)
        }
        guard !rows.isEmpty || !messages.isEmpty else { return }
        let stamped = rows.map { StampedRow(row: $0, sequence: .none) }
        do throws(StoreError) {
            do throws(StoreError) {
                try await store.fill(stamped, at: nil)
            } catch .damaged {
                // A key of another type is in the way.
                try await store.remove(keys(of: rows))
                try await store.fill(stamped, at: nil)
            } catch {
                throw error
            }
            try await store.publish(messages)
            note(nil)
        } catch {
            note(error)
        }
    }

    private func keys(of rows: [Row]) -> [RowKey] {
        rows.compactMap { row in schemas[row.dataset].map { row.key(in: $0) } }
    }
}
