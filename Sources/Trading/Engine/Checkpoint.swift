public import Ledger
internal import Logging
internal import Synchronization

/// Carries committed rows into the core's own store, which answers for everything that memory has
/// let go of, and from which a restart begins.
///
/// Rows that change often are written once a round. The lock is between the writer thread, which
/// only appends, and the task that writes the store.
public final class Checkpoint: Sendable {
    private struct Content {
        var changes: [RowKey: StoreBatch.Change] = [:]
        var digests: [DigestScope: Digest] = [:]
        var through = SequenceNumber.none
        var applied = SequenceNumber.none
        /// Orders that ended, and the sequence at which they did; they leave memory when applied.
        var ended: [(orderID: String, sequence: SequenceNumber)] = []
        var evictable: [String] = []
        var failure: StoreError?
        var waiters: [(sequence: SequenceNumber, continuation: CheckedContinuation<Void, Never>)] =
            []
        var isStopping = false
    }

    private let store: any RowStore
    private let content: Mutex<Content>
    private let wake: AsyncStream<Void>
    private let wakeUp: AsyncStream<Void>.Continuation
    private let interval: Duration
    private let logger = Logger(label: "checkpoint")

    /// - Parameter interval: rows are gathered for this long before they are written.
    public init(
        store: any RowStore, applied: SequenceNumber, interval: Duration = .milliseconds(10)
    ) {
        self.store = store
        self.interval = interval
        var initial = Content()
        initial.applied = applied
        initial.through = applied
        content = Mutex(initial)
        (wake, wakeUp) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    public var appliedSequence: SequenceNumber { content.withLock { $0.applied } }
    /// Rows that wait to be written.
    public var waitingRows: Int { content.withLock { $0.changes.count } }
    public var failure: StoreError? { content.withLock { $0.failure } }

    func add(_ batch: CommittedBatch) {
        content.withLock { content in
            for change in batch.changes {
                content.changes[change.key] = change
                if change.key.dataset == "orders", let row = change.row, Self.isEnded(row),
                    let orderID = change.key.values.first?.text
                {
                    content.ended.append((orderID, change.sequence))
                }
            }
            for draft in batch.drafts {
                for stamp in draft.digests { content.digests[stamp.scope] = stamp.digest }
                content.through = draft.sequence
            }
        }
        wakeUp.yield()
    }

    private static let statusField = Datasets.orders.index(of: "status") ?? 0

    private static func isEnded(_ row: Row) -> Bool {
        guard let status = row.values[statusField].text.flatMap(OrderStatus.init(rawValue:)) else {
            return false
        }
        return status.isTerminal
    }

    /// Orders that ended and are in the store now; each is handed out once.
    func takeEnded() -> (SequenceNumber, [String]) {
        content.withLock { content in
            defer { content.evictable = [] }
            return (content.applied, content.evictable)
        }
    }

    /// Returns once everything up to a sequence number is in the store, so that a query sees it.
    public func reach(_ sequence: SequenceNumber) async {
        await withCheckedContinuation { continuation in
            let isThere = content.withLock { content in
                if content.applied >= sequence || content.isStopping { return true }
                content.waiters.append((sequence, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    /// Writes rounds until `stop`; a store that fails is tried again, and nothing is let go of.
    public func run() async {
        for await _ in wake {
            while await round() {}
            if content.withLock({ $0.isStopping }) { break }
        }
        let waiters = content.withLock { content in
            defer { content.waiters = [] }
            return content.waiters
        }
        for waiter in waiters { waiter.continuation.resume() }
    }

    /// Has everything written, and ends `run`.
    public func stop() {
        content.withLock { $0.isStopping = true }
        wakeUp.yield()
    }

    /// True when there may be more to write.
    private func round() async -> Bool {
        let (isUrgent, isEmpty) = content.withLock {
            (!$0.waiters.isEmpty || $0.isStopping, $0.through == $0.applied)
        }
        if isEmpty { return false }
        if !isUrgent { try? await Task.sleep(for: interval) }
        let (batch, taken) = takeBatch()
        do throws(StoreError) {
            // A task of its own, so that the last round at the end is not cancelled with the rest.
            let store = store
            let writing = Task { () -> Result<Void, StoreError> in
                do throws(StoreError) {
                    return .success(try await store.apply(batch))
                } catch {
                    return .failure(error)
                }
            }
            try await writing.value.get()
        } catch {
            logger.error("the checkpoint was not written", metadata: ["error": "\(error)"])
            putBack(batch, taken, error)
            if content.withLock({ $0.isStopping }) { return false }
            try? await Task.sleep(for: .seconds(1))
            return true
        }
        finish(batch, taken)
        return true
    }

    private typealias Ended = [(orderID: String, sequence: SequenceNumber)]

    private func takeBatch() -> (StoreBatch, Ended) {
        content.withLock { content in
            defer {
                content.changes = [:]
                content.digests = [:]
                content.ended = []
            }
            let batch = StoreBatch(
                changes: Array(content.changes.values),
                digests: content.digests.map { DigestStamp(scope: $0.key, digest: $0.value) },
                through: content.through)
            return (batch, content.ended)
        }
    }

    private func putBack(_ batch: StoreBatch, _ ended: Ended, _ error: StoreError) {
        content.withLock { content in
            content.failure = error
            content.ended = ended + content.ended
            for change in batch.changes where content.changes[change.key] == nil {
                content.changes[change.key] = change
            }
            for stamp in batch.digests where content.digests[stamp.scope] == nil {
                content.digests[stamp.scope] = stamp.digest
            }
        }
    }

    private func finish(_ batch: StoreBatch, _ ended: Ended) {
        let reached = content.withLock { content in
            content.applied = batch.through
            content.failure = nil
            content.evictable += ended.map(\.orderID)
            let reached = content.waiters.filter { $0.sequence <= batch.through }
            content.waiters.removeAll { $0.sequence <= batch.through }
            return reached
        }
        for waiter in reached { waiter.continuation.resume() }
    }
}
