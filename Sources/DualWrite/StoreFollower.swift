public import Ledger
internal import Logging
internal import Synchronization

/// Keeps one store a copy of the journal: brings it what it lacks, in order, batch by batch, from
/// wherever it stands. Each store has its own, so that one that is dead or slow holds up nothing else.
///
///     look where it stands → fill what it never had → take entries → write → take entries → …
///
/// The lock guards what others look at or ask for; it is held to copy it.
public final class StoreFollower: Sendable {
    public struct Timing: Sendable {
        public var retryFirst = Duration.milliseconds(50)
        public var retryLast = Duration.seconds(5)
        /// Changes of rows that are taken at once; a store that stays behind gets up to `batchRowsMax`.
        public var batchRows = 4_000
        public var batchRowsMax = 32_000
        /// From the beginning of one batch to that of the next, for a store that keeps up.
        public var batchEvery = Duration.milliseconds(5)
        /// Rows that are copied at once when a dataset is filled.
        public var fillRows = 2_000
        /// How often a store that has nothing to do is asked where it stands.
        public var lookEvery = Duration.seconds(5)

        public init() {}
    }

    private struct Content {
        var state = FollowerState()
        var waiters: [Waiter] = []
        var wish: Wish?
        /// Where the store stood when it was found ahead.
        var aheadAt: SequenceNumber?
        /// Fills that have begun: who reads meanwhile must not believe what it finds.
        var fills = 0
        var isEnded = false
        /// What the follower waits in; cancelled when there is a wish.
        var pause: Task<Void, Never>?
    }

    private struct Waiter {
        let id: Int
        let sequence: SequenceNumber
        let continuation: CheckedContinuation<Bool, Never>
    }

    /// Somebody wants datasets filled anew.
    private struct Wish {
        var datasets: Set<String>
        var continuations: [CheckedContinuation<StoreError?, Never>]

        func end(_ error: StoreError?) {
            for continuation in continuations { continuation.resume(returning: error) }
        }
    }

    public let name: String
    public let datasets: Set<String>
    public let store: any ReplicaStore
    private let journal: String
    private let feed: JournalFeed
    private let source: any CoreRows
    private let timing: Timing
    private let content = Mutex(Content())
    private let logger: Logger

    /// - Parameters:
    ///   - journal: the identity of the journal, which the store remembers.
    ///   - datasets: those that the store is to have.
    public init(
        name: String, store: any ReplicaStore, journal: String, feed: JournalFeed,
        source: any CoreRows, datasets: Set<String>, timing: Timing = Timing()
    ) {
        self.name = name
        self.store = store
        self.journal = journal
        self.feed = feed
        self.source = source
        self.datasets = datasets
        self.timing = timing
        var logger = Logger(label: "dual-write")
        logger[metadataKey: "store"] = "\(name)"
        self.logger = logger
    }

    /// As of now; the lag is measured against the journal's head.
    public var state: FollowerState {
        var state = content.withLock { $0.state }
        let head = feed.head
        if let applied = state.applied, applied.epoch == head.epoch {
            state.lagEntries = max(0, head.number - applied.number)
            if state.lagEntries == 0 { state.behindSince = nil }
        }
        return state
    }

    /// Fills that have begun so far.
    public var fills: Int { content.withLock { $0.fills } }

    // MARK: Wishes of others

    /// Returns once the store has everything up to a sequence number. False when it does not within the
    /// limit, or is not following: then it is not known when it will.
    public func reach(_ sequence: SequenceNumber, within limit: Duration) async -> Bool {
        let id = Int.random(in: 0 ... .max)
        let timer = Task {
            try? await Task.sleep(for: limit)
            giveUp(id)
        }
        defer { timer.cancel() }
        return await withCheckedContinuation { continuation in
            let known: Bool? = content.withLock { content in
                switch (content.state.condition, content.state.applied) {
                case (.following, let applied?) where applied >= sequence: return true
                case (.following, _), (.starting, _): break
                default: return false
                }
                content.waiters.append(
                    Waiter(id: id, sequence: sequence, continuation: continuation))
                return nil
            }
            if let known { continuation.resume(returning: known) }
        }
    }

    private func giveUp(_ id: Int) {
        let waiter = content.withLock { content in
            content.waiters.firstIndex { $0.id == id }.map { content.waiters.remove(at: $0) }
        }
        waiter?.continuation.resume(returning: false)
    }

    /// Empties datasets in the store and fills them from the core's rows, whatever is there: also where
    /// the store is ahead of the journal or the copy of another one. All that the store should have,
    /// when none are named. Returns when they are filled; what is journaled meanwhile follows.
    public func rebuild(_ datasets: Set<String> = []) async throws(StoreError) {
        let wanted = datasets.isEmpty ? self.datasets : datasets
        if let stranger = wanted.subtracting(self.datasets).min() {
            throw .refused(store: name, problem: "no route brings '\(stranger)' here")
        }
        let error = await withCheckedContinuation { continuation in
            let (pause, isEnded) = content.withLock { content in
                if !content.isEnded {
                    content.wish = Wish(
                        datasets: wanted.union(content.wish?.datasets ?? []),
                        continuations: (content.wish?.continuations ?? []) + [continuation])
                }
                return (content.pause, content.isEnded)
            }
            if isEnded { continuation.resume(returning: stopping) }
            pause?.cancel()
        }
        if let error { throw error }
    }

    // MARK: Following

    /// Until the task is cancelled.
    public func run() async {
        var pause = timing.retryFirst
        while !Task.isCancelled {
            do throws(StoreError) {
                try await follow { pause = timing.retryFirst }
            } catch {
                if Task.isCancelled { break }
                report(error)
                await noteLag()
                // One that was emptied can be filled: the next look finds the wish.
                if case .moved = error {} else { takeWish()?.end(error) }
                await rest(for: pause)
                pause = min(pause * 2, timing.retryLast)
            }
        }
        content.withLock { $0.isEnded = true }
        takeWish()?.end(stopping)
    }

    private var stopping: StoreError {
        .unavailable(store: name, problem: "the core is stopping")
    }

    private func follow(_ madeProgress: () -> Void) async throws(StoreError) {
        // Nil until the store has been asked.
        var position: StorePosition?
        var pace = BatchPace(timing)
        while !Task.isCancelled {
            if let wish = takeWish() { position = try await settle(try await fulfil(wish)) }
            guard let current = position else {
                let found = try await store.position()
                if try await isOurs(found) {
                    position = try await settle(found)
                } else {
                    await rest(for: timing.retryLast)
                }
                continue
            }
            if let next = try await step(current.applied, &pace) {
                position?.applied = next
            } else {
                position = try await fill(datasets, at: .empty)
            }
            madeProgress()
        }
    }

    /// Whether the store is a copy of this journal, and not of a longer one.
    private func isOurs(_ position: StorePosition) async throws(StoreError) -> Bool {
        if let other = position.journal, other != journal {
            stop(.foreign(journal: other), position)
            return false
        }
        if position.journal == nil { return true }
        // One that was ahead stays so: the journal has grown past it meanwhile, with other entries.
        let wasAhead = content.withLock { $0.aheadAt == position.applied }
        if !wasAhead, try await feed.hasJournaled(position.applied) { return true }
        content.withLock { $0.aheadAt = position.applied }
        stop(.ahead(of: feed.head), position)
        return false
    }

    /// Fills what the store should have and does not; what it has and should not any more is left as it
    /// is, and no longer counts as whole.
    private func settle(_ position: StorePosition) async throws(StoreError) -> StorePosition {
        var position = position
        if position.journal != nil, !position.datasets.isSubset(of: datasets) {
            position.datasets.formIntersection(datasets)
            try await store.finish(position, digests: [])
        }
        let (whole, missing) = (position.datasets, datasets.subtracting(position.datasets))
        content.withLock { $0.state.wholeDatasets = whole }
        if missing.isEmpty { return position }
        return try await fill(missing, at: position)
    }

    /// Brings the store what comes after a sequence number, or waits for it. Nil when the journal does
    /// not reach back so far.
    private func step(
        _ applied: SequenceNumber, _ pace: inout BatchPace
    ) async throws(StoreError) -> SequenceNumber? {
        await pace.wait()
        let run: JournalRun
        do {
            run = try await feed.run(after: applied, rowsMax: pace.rowsMax)
        } catch JournalError.deleted {
            return nil
        } catch {
            throw .unavailable(store: "journal", problem: error.description)
        }
        guard let first = run.drafts.first, let last = run.last else {
            caughtUp(applied)
            await rest(for: timing.lookEvery, orUntilBeyond: applied)
            if feed.head > applied || hasWish { return applied }
            // In a quiet hour too, one wants to know that the store is there and as it was left.
            let found = try await store.appliedSequence()
            if found != applied { throw .moved(store: name, applied: found) }
            return applied
        }
        content.withLock { $0.state.behindSince = first.time }
        let batch = StoreBatch(net: [run], after: applied) {
            datasets.contains($0)
        }
        pace.begins(run.changes.count)
        try await store.apply(batch)
        advanced(to: last, batch.changes.count)
        return last
    }

    // MARK: Filling

    private var hasWish: Bool { content.withLock { $0.wish != nil } }

    private func takeWish() -> Wish? {
        content.withLock { content in
            defer { content.wish = nil }
            return content.wish
        }
    }

    /// Everything is filled where it is not known what the rest is a copy of.
    private func fulfil(_ wish: Wish) async throws(StoreError) -> StorePosition {
        do throws(StoreError) {
            var wanted = wish.datasets
            var position = StorePosition.empty
            do throws(StoreError) {
                // It may have been emptied or restored since it was looked at.
                position = try await store.position()
            } catch {
                guard case .damaged = error else { throw error }
            }
            let isOurs = try await isOurs(position)
            if position.journal == nil || !isOurs { wanted = datasets }
            let filled = try await fill(wanted, at: isOurs ? position : .empty)
            wish.end(nil)
            return filled
        } catch {
            wish.end(error)
            throw error
        }
    }

    /// Copies datasets from the core's rows. The copy may be newer than the sequence number it is said
    /// to be of: what follows in the journal brings every row to where it belongs.
    private func fill(
        _ wanted: Set<String>, at position: StorePosition
    ) async throws(StoreError) -> StorePosition {
        let others = position.datasets.intersection(datasets).subtracting(wanted)
        let filled = StorePosition(
            journal: journal, applied: others.isEmpty ? feed.head : position.applied,
            datasets: others.union(wanted))
        logger.notice(
            "filling datasets from the core's rows",
            metadata: ["datasets": "\(wanted.sorted().joined(separator: " "))"])
        try await source.reach(filled.applied)
        var progress = FollowerState.Progress(dataset: "", rows: 0, rowsTotal: 0)
        for dataset in wanted {
            progress.rowsTotal += try await source.store.count(RowQuery(dataset: dataset))
        }
        content.withLock { content in
            content.fills += 1
            content.state.condition = .filling(progress)
        }
        // Says whose it is and what of it holds, so that an emptied store shows before it is called whole.
        let begun = StorePosition(
            journal: journal, applied: others.isEmpty ? .none : position.applied, datasets: others)
        try await store.begin(wanted)
        try await store.finish(begun, digests: [])
        for dataset in wanted.sorted() {
            progress.dataset = dataset
            try await copy(dataset, &progress)
        }
        let digests = try await source.store.digests().filter { wanted.contains($0.scope.dataset) }
        let found = try await store.position()
        guard found == begun else { throw .moved(store: name, applied: found.applied) }
        try await store.finish(filled, digests: digests)
        content.withLock { $0.aheadAt = nil }
        logger.notice("filled", metadata: ["rows": "\(progress.rows)"])
        content.withLock { $0.state.wholeDatasets = filled.datasets }
        advanced(to: filled.applied, progress.rows)
        return filled
    }

    private func copy(
        _ dataset: String, _ progress: inout FollowerState.Progress
    ) async throws(StoreError) {
        var query = RowQuery(dataset: dataset)
        query.limit = timing.fillRows
        while true {
            let current = progress
            content.withLock { $0.state.condition = .filling(current) }
            let rows = try await source.store.rows(query)
            guard let last = rows.last else { return }
            try await store.fill(rows)
            progress.rows += rows.count
            query.afterKey = source.key(of: last.row)
        }
    }

    // MARK: What others see

    private func report(_ error: StoreError) {
        let (isNews, waiters) = content.withLock { content in
            defer {
                content.state.condition = .failing(error)
                content.state.failingSince = content.state.failingSince ?? .now()
                content.waiters = []
            }
            return (content.state.condition != .failing(error), content.waiters)
        }
        if isNews { logger.error("the store is not written", metadata: ["problem": "\(error)"]) }
        for waiter in waiters { waiter.continuation.resume(returning: false) }
    }

    /// From when on a store that fails is behind.
    private func noteLag() async {
        let state = state
        guard let applied = state.applied, state.lagEntries ?? 0 > 0, state.behindSince == nil,
            let first = try? await feed.run(after: applied, rowsMax: 1).drafts.first
        else { return }
        content.withLock { $0.state.behindSince = first.time }
    }

    private func stop(_ condition: FollowerState.Condition, _ position: StorePosition) {
        let isNews = content.withLock { content in
            defer {
                content.state.condition = condition
                content.state.failingSince = nil
                content.state.applied = position.applied
            }
            return content.state.condition != condition
        }
        guard isNews else { return }
        logger.critical(
            "the store is not written until a person resolves it",
            metadata: ["state": "\(condition)", "applied": "\(position.applied)"])
    }

    private func caughtUp(_ applied: SequenceNumber) {
        advanced(to: applied, 0)
        content.withLock { $0.state.behindSince = nil }
    }

    private func advanced(to sequence: SequenceNumber, _ rows: Int) {
        let (isNews, reached) = content.withLock { content in
            let isNews = !content.state.isFollowing
            content.state.condition = .following
            content.state.failingSince = nil
            content.state.applied = sequence
            content.state.rowsWritten += rows
            let reached = content.waiters.filter { $0.sequence <= sequence }
            content.waiters.removeAll { $0.sequence <= sequence }
            return (isNews, reached)
        }
        if isNews {
            logger.notice("the store follows", metadata: ["applied": "\(sequence)"])
        }
        for waiter in reached { waiter.continuation.resume(returning: true) }
    }

    /// Until the time is over, there are newer entries, somebody has a wish, or the task is cancelled.
    private func rest(
        for limit: Duration, orUntilBeyond sequence: SequenceNumber? = nil
    ) async {
        let pause = Task { [feed] in
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await Task.sleep(for: limit) }
                if let sequence { group.addTask { await feed.wait(beyond: sequence) } }
                await group.next()
                group.cancelAll()
            }
        }
        let isWished = content.withLock { content in
            content.pause = pause
            return content.wish != nil
        }
        if isWished { pause.cancel() }
        await withTaskCancellationHandler {
            await pause.value
        } onCancel: {
            pause.cancel()
        }
    }
}
