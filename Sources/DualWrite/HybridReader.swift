public import Ledger
internal import Logging
internal import Synchronization

/// Reads rows where the route says: from the preferred store, and from the next one where that fails.
///
/// A store is read only when it has everything that was durable when it was asked. One that fails, or
/// is behind for longer than is waited for, is left out for the dataset from then on: the dataset is
/// *degraded*, which is logged and shown. The way back is `run`'s: it compares, row by row, and returns
/// only to a store that has caught up and agrees. Where every store fails, the core's own rows answer.
///
/// The lock guards what is degraded; it is held to look it up.
public final class HybridReader: Sendable {
    public struct Timing: Sendable {
        /// How long a store may be behind what was durable at the question.
        public var patience = Duration.milliseconds(250)
        /// How often it is tried whether a degraded dataset can go back.
        public var returnEvery = Duration.seconds(1)

        public init() {}
    }

    public struct Degradation: Sendable, Hashable {
        public var dataset: String
        /// The store that should be read and is not.
        public var store: String
        public var since: Timestamp
        public var problem: String
        /// The row that the store had other than the core when they were compared last.
        public var difference: RowKey?

        public init(dataset: String, store: String, since: Timestamp, problem: String) {
            self.dataset = dataset
            self.store = store
            self.since = since
            self.problem = problem
        }
    }

    private let dualWrite: DualWrite
    private let feed: JournalFeed
    private let core: any CoreRows
    private let timing: Timing
    private let record: any DegradationRecord
    private let degraded: Mutex<[String: Degradation]>
    /// Whether the record has what is degraded. Under a lock of its own, for the same short look.
    private let isKept = Mutex(true)
    private let logger = Logger(label: "hybrid-reader")

    /// - Parameter record: read at once. Where it cannot be, every store is compared before it is read.
    public init(
        _ dualWrite: DualWrite, feed: JournalFeed, core: any CoreRows,
        record: any DegradationRecord, timing: Timing = Timing()
    ) {
        self.record = record
        var known: [Degradation]
        do throws(StoreError) {
            known = try record.kept()
        } catch {
            logger.error(
                "every store is compared before it is read", metadata: ["problem": "\(error)"])
            known = dualWrite.routes.routes.compactMap { dataset, route in
                route.reads.first.map {
                    Degradation(
                        dataset: dataset, store: $0, since: .now(),
                        problem: "whether it was degraded is not known: \(error)")
                }
            }
        }
        degraded = Mutex(
            Dictionary(known.map { ($0.dataset, $0) }, uniquingKeysWith: { first, _ in first }))
        self.dualWrite = dualWrite
        self.feed = feed
        self.core = core
        self.timing = timing
    }

    /// By dataset.
    public var degradations: [Degradation] {
        degraded.withLock { $0.values.sorted { $0.dataset < $1.dataset } }
    }

    public func isRouted(_ dataset: String) -> Bool {
        !(dualWrite.routes[dataset]?.reads.isEmpty ?? true)
    }

    public func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        try await read(key.dataset) { store throws(StoreError) in try await store.row(key) }
    }

    /// One page of the rows that a query asks for.
    public func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        try await read(query.dataset) { store throws(StoreError) in try await store.rows(query) }
    }

    /// One page, and how many rows there are.
    public func page(
        _ query: RowQuery
    ) async throws(StoreError) -> (total: Int, rows: [StampedRow]) {
        try await read(query.dataset) { store throws(StoreError) in
            (try await store.count(query), try await store.rows(query))
        }
    }

    private func read<Result: Sendable>(
        _ dataset: String, _ ask: (any RowStore) async throws(StoreError) -> Result
    ) async throws(StoreError) -> Result {
        let head = feed.head
        // Whether the question or the store is wrong, the next one that is asked shows.
        var refusal: (store: String, problem: String)?
        for (place, name) in (dualWrite.routes[dataset]?.reads ?? []).enumerated() {
            if place == 0, degraded.withLock({ $0[dataset]?.store }) == name { continue }
            guard let follower = dualWrite[name] else { continue }
            do throws(StoreError) {
                let result = try await read(dataset, from: follower, head, ask)
                if let refusal { await degrade(dataset, refusal.store, refusal.problem) }
                return result
            } catch {
                guard place == 0 else { continue }
                if case .refused = error {
                    refusal = (name, error.description)
                } else {
                    await degrade(dataset, name, error.description)
                }
            }
        }
        try await core.reach(head)
        let result = try await ask(core.store)
        if let refusal { await degrade(dataset, refusal.store, refusal.problem) }
        return result
    }

    /// Asks a store that has what was durable, and still had it when it answered: it may be emptied,
    /// restored or filled anew meanwhile.
    private func read<Result: Sendable>(
        _ dataset: String, from follower: StoreFollower, _ head: SequenceNumber,
        _ ask: (any RowStore) async throws(StoreError) -> Result
    ) async throws(StoreError) -> Result {
        guard await follower.reach(head, within: timing.patience) else {
            throw .unavailable(
                store: follower.name,
                problem: "it is behind: it \(follower.state.condition.words)")
        }
        if let why = follower.state.unmigrated[dataset] {
            throw .unavailable(store: follower.name, problem: "it is not filled yet: \(why)")
        }
        let fills = follower.fills
        let result = try await ask(follower.store)
        let place = try await follower.store.position().place
        guard place.journal == follower.journal, place.applied >= head, follower.fills == fills
        else { throw .moved(store: follower.name, applied: place.applied) }
        return result
    }

    private func isNews(_ difference: RowKey, _ dataset: String) -> Bool {
        degraded.withLock { degraded in
            defer { degraded[dataset]?.difference = difference }
            return degraded[dataset]?.difference != difference
        }
    }

    private func degrade(_ dataset: String, _ store: String, _ problem: String) async {
        let isNews = degraded.withLock { degraded in
            guard degraded[dataset] == nil else { return false }
            degraded[dataset] = Degradation(
                dataset: dataset, store: store, since: .now(), problem: problem)
            return true
        }
        guard isNews else { return }
        logger.error(
            "the dataset is degraded: it is read elsewhere",
            metadata: ["dataset": "\(dataset)", "store": "\(store)", "problem": "\(problem)"])
        await keep()
    }

    /// What cannot be kept now is tried again by `run`.
    private func keep() async {
        do throws(StoreError) {
            try await record.keep { self.degradations }
            isKept.withLock { $0 = true }
        } catch {
            guard
                isKept.withLock({ isKept in
                    defer { isKept = false }
                    return isKept
                })
            else { return }
            logger.error(
                "what is degraded would be forgotten by a restart",
                metadata: ["problem": "\(error)"])
        }
    }

    /// A row that a store does not have as the core has it; nil when it has them all, and nothing else.
    /// Both may be written meanwhile.
    public func difference(
        in dataset: String, of store: String
    ) async throws(StoreError) -> RowKey? {
        guard let follower = dualWrite[store] else {
            throw .refused(store: store, problem: "no route brings '\(dataset)' here")
        }
        return try await Agreement(follower: follower, core: core, feed: feed)
            .difference(in: dataset)
    }

    // MARK: The way back

    /// Until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            for degradation in degradations { await tryToReturn(degradation) }
            if !isKept.withLock({ $0 }) { await keep() }
            try? await Task.sleep(for: timing.returnEvery)
        }
    }

    private func tryToReturn(_ degradation: Degradation) async {
        let (dataset, store) = (degradation.dataset, degradation.store)
        guard dualWrite.routes[dataset]?.reads.first == store, let follower = dualWrite[store]
        else {
            // The route has changed meanwhile.
            degraded.withLock { $0[dataset] = nil }
            return await keep()
        }
        guard await follower.reach(feed.head, within: timing.patience) else { return }
        let agreement = Agreement(follower: follower, core: core, feed: feed)
        do throws(StoreError) {
            if let difference = try await agreement.difference(in: dataset) {
                guard isNews(difference, dataset) else { return }
                return logger.warning(
                    "the dataset stays degraded: the store does not agree",
                    metadata: [
                        "dataset": "\(dataset)", "store": "\(store)", "row": "\(difference)",
                    ])
            }
        } catch {
            return
        }
        degraded.withLock { $0[dataset] = nil }
        await keep()
        logger.notice(
            "the dataset is read again where it should be",
            metadata: ["dataset": "\(dataset)", "store": "\(store)"])
    }
}
