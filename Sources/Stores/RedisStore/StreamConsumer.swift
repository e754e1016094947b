public import Ledger
internal import Synchronization

/// One member of a group that reads a Redis Stream together: each entry goes to one of them, and is
/// acknowledged when its handler has returned.
///
/// - Entries of one consumer are handled in order, one at a time. One whose handler throws is tried again
///   before the next; after `triesMax` deliveries it goes to the dead-letter stream, with the reason.
/// - What a consumer took and left, because it died, is claimed by another after `claimAfter`.
/// - Nothing is missed, and an entry may come twice: a handler knows it by `event_id`.
///
/// The lock guards the counts that others look at; it is held to copy them.
public final class StreamConsumer: Sendable {
    public struct Options: Sendable {
        public enum Start: String, Sendable {
            /// What the stream holds when the group is made.
            case oldest = "0"
            /// Only what comes after.
            case newest = "$"
        }

        /// Where a group begins that is not there yet.
        public var start = Start.oldest
        /// New entries that are taken at once. Those that come again are taken one by one.
        public var batch = 10
        /// How long the server waits for an entry; also how long a stop may take.
        public var block = Duration.seconds(1)
        /// Longer than any handling: an entry that somebody took so long ago counts as left behind.
        public var claimAfter = Duration.seconds(60)
        /// Deliveries, to whomever, before an entry is given up.
        public var triesMax = 5
        /// Between two tries of one entry, and before a server that failed is asked again.
        public var pause = Duration.milliseconds(500)
        /// Where entries go that are given up; nil: the stream's name and `:dead`.
        public var deadStream: String?

        public init() {}
    }

    public struct Entry: Sendable, Hashable {
        public struct Field: Sendable, Hashable {
            public var name: String
            public var value: [UInt8]
        }

        /// The server's, as `1700000000000-0`.
        public var id: String
        /// In their order.
        public var fields: [Field]
        /// How often it has been delivered, this time included.
        public var deliveries: Int

        /// A field's text; nil when there is none, or none in UTF-8.
        public subscript(field: String) -> String? {
            fields.first { $0.name == field }.flatMap {
                String(validating: $0.value, as: UTF8.self)
            }
        }
    }

    public struct Counts: Sendable, Hashable {
        public var handled = 0
        public var failedTries = 0
        public var dead = 0
        /// Entries that were trimmed off the stream before anybody handled them.
        public var lost = 0
        /// Why the server does not answer; nil while it does.
        public var problem: StoreError?
    }

    public typealias Handler = @Sendable (Entry) async throws -> Void

    let stream: String
    let group: String
    let consumer: String
    let options: Options
    private let connector: RedisConnector
    private let counters = Mutex(Counts())
    private let isStopping = Mutex(false)

    /// - Parameters:
    ///   - name: the store's, for errors.
    ///   - consumer: unique within the group; one that comes back under its name goes on with what it had.
    ///   - timeout: for a connection, and for each next byte of an answer.
    public init(
        name: String, url: RedisURL, stream: String, group: String, consumer: String,
        options: Options = Options(), timeout: Duration = .seconds(5)
    ) {
        self.stream = stream
        self.group = group
        self.consumer = consumer
        self.options = options
        connector = RedisConnector(store: name, url: url, timeout: timeout + options.block)
    }

    public var counts: Counts { counters.withLock { $0 } }

    /// What is being handled is finished and acknowledged; then `run` returns.
    public func stop() { isStopping.withLock { $0 = true } }

    var hasToStop: Bool { Task.isCancelled || isStopping.withLock { $0 } }

    func count(_ change: (inout Counts) -> Void) { counters.withLock { change(&$0) } }

    /// Until `stop`, or until the task is cancelled. A server that is down is asked again and again.
    public func run(_ handler: @escaping Handler) async {
        while !hasToStop {
            do throws(StoreError) {
                let connection = try await connector.open()
                let session = ConsumerSession(consumer: self, connection: connection)
                do throws(StoreError) {
                    try await session.run(handler)
                } catch {
                    await connection.close()
                    throw error
                }
                await connection.close()
            } catch {
                count { $0.problem = error }
                try? await Task.sleep(for: options.pause)
            }
        }
    }
}
