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
        var batches: [CommittedBatch] = []
        var waitingRows = 0
        var through = SequenceNumber.none
        var applied = SequenceNumber.none
        /// The time of the oldest entry that the store does not have yet.
        var behindSince: Timestamp?
        /// Orders that ended and are in the store: memory may let go of them.
        var evictable: [String] = []
        var failure: StoreError?
        var waiters:
            [(sequence: SequenceNumber, continuation: CheckedContinuation<StoreError?, Never>)] =
                []
        var isStopping = false

        var isUrgent: Bool { !waiters.isEmpty || isStopping }
    }

    public let store: any RowStore
    private let content: Mutex<Content>
    private let wake: AsyncStream<Void>
    private let wakeUp: AsyncStream<Void>.Continuation
    private let interval: Duration
    private let logger = Logger(label: "checkpoint")

    /// - Parameter interval: rows are gathered for this long before they are written.
    public init(
        store: any RowStore, applied: SequenceNumber, interval: Duration = .milliseconds(500)
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
    /// The time of the oldest entry that the store does not have; nil when it has them all.
    public var behindSince: Timestamp? { content.withLock { $0.behindSince } }
    /// Rows that wait to be written.
    public var waitingRows: Int { content.withLock { $0.waitingRows } }
    public var failure: StoreError? { content.withLock { $0.failure } }

    func add(_ batch: CommittedBatch) {
        let isFirst = content.withLock { content in
            let isFirst = content.batches.isEmpty
            content.batches.append(batch)
            content.waitingRows += batch.changes.count
            content.through = batch.drafts.last?.sequence ?? content.through
            content.behindSince = content.behindSince ?? batch.drafts.first?.time
            return isFirst
        }
        if isFirst { wakeUp.yield() }
    }

    /// Orders that ended and are in the store now; each is handed out once.
    func takeEnded() -> (SequenceNumber, [String]) {
        content.withLock { content in
            defer { content.evictable = [] }
            return (content.applied, content.evictable)
        }
    }

    /// Returns once everything up to a sequence number is in the store, so that a query sees it.
    /// Throws when the store cannot be written at present.
    public func reach(_ sequence: SequenceNumber) async throws(StoreError) {
        let failure = await withCheckedContinuation { continuation in
            let known: StoreError?? = content.withLock { content in
                if content.applied >= sequence { return .some(nil) }
                if let failure = content.failure { return .some(failure) }
                if content.isStopping { return .some(Self.stopping) }
                content.waiters.append((sequence, continuation))
                return nil
            }
            if let known { continuation.resume(returning: known) }
        }
        if let failure { throw failure }
    }

    /// Writes rounds until `stop`; a store that fails is tried again, and nothing is let go of.
    /// Cancellation does not end it: until `stop` there may be more to write, and someone waiting.
    public func run() async {
        await Task { await self.work() }.value
    }

    private func work() async {
        for await _ in wake {
            while await round() {}
            if content.withLock({ $0.isStopping }) { break }
        }
        let waiters = content.withLock { content in
            defer { content.waiters = [] }
            return content.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: Self.stopping) }
    }

    /// For who waits for rows that are not written any more by this process.
    private static let stopping = StoreError.unavailable(
        store: "checkpoint", problem: "the core is stopping")

    /// Has everything written, and ends `run`.
    public func stop() {
        content.withLock { $0.isStopping = true }
        wakeUp.yield()
    }

    /// True when there may be more to write.
    private func round() async -> Bool {
        if content.withLock({ $0.through == $0.applied }) { return false }
        await gather()
        do throws(StoreError) {
            try await write()
        } catch {
            logger.error("the checkpoint was not written", metadata: ["error": "\(error)"])
            if content.withLock({ $0.isStopping }) { return false }
            try? await Task.sleep(for: .seconds(1))
        }
        return true
    }

    /// Writes what waits as one round. By one caller at a time: by a recovery before `run`, then by
    /// `run` alone.
    func write() async throws(StoreError) {
        let batches = takeBatches()
        if batches.isEmpty { return }
        let round = CheckpointRound(batches)
        do throws(StoreError) {
            try await store.apply(round.batch)
        } catch {
            putBack(batches, error)
            throw error
        }
        finish(round)
    }

    /// Lets rows come together for one interval, or until somebody waits for them: few large rounds
    /// cost the journal, which shares the disk, far less than many small ones.
    private func gather() async {
        let end = ContinuousClock.now + interval
        while ContinuousClock.now < end, !content.withLock({ $0.isUrgent }) {
            do {
                try await Task.sleep(for: Self.lookEvery)
            } catch {
                return
            }
        }
    }

    private static let lookEvery = Duration.milliseconds(5)

    private func takeBatches() -> [CommittedBatch] {
        content.withLock { content in
            defer {
                content.batches = []
                content.waitingRows = 0
            }
            return content.batches
        }
    }

    private func putBack(_ batches: [CommittedBatch], _ error: StoreError) {
        let waiters = content.withLock { content in
            content.failure = error
            content.batches = batches + content.batches
            content.waitingRows += batches.reduce(0) { $0 + $1.changes.count }
            defer { content.waiters = [] }
            return content.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: error) }
    }

    private func finish(_ round: CheckpointRound) {
        let applied = round.batch.through.applied
        let reached = content.withLock { content in
            content.applied = applied
            content.failure = nil
            content.behindSince = content.batches.lazy.compactMap { $0.drafts.first?.time }.first
            content.evictable += round.endedOrders
            let reached = content.waiters.filter { $0.sequence <= applied }
            content.waiters.removeAll { $0.sequence <= applied }
            return reached
        }
        for waiter in reached { waiter.continuation.resume(returning: nil) }
    }
}

/// Several committed batches as one for the store: the last version of each row and digest.
private struct CheckpointRound: Sendable {
    let batch: StoreBatch
    let endedOrders: [String]

    init(_ batches: [CommittedBatch]) {
        batch = StoreBatch(net: batches.map(\.run))
        endedOrders = batch.changes.compactMap(Self.endedOrder)
    }

    private static func endedOrder(_ change: StoreBatch.Change) -> String? {
        guard change.key.dataset == "orders", let row = change.row, isEnded(row) else { return nil }
        return change.key.values.first?.text
    }

    private static let statusField = Datasets.orders.index(of: "status") ?? 0

    private static func isEnded(_ row: Row) -> Bool {
        row.values[statusField].text.flatMap(OrderStatus.init(rawValue:))?.isTerminal ?? false
    }
}
