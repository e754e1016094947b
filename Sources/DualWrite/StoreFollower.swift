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
    private struct Content {
        var state = FollowerState()
        var waiters = ReachWaiters()
        var wish: Wish?
        /// Where the store stood when it was found ahead, if it does not say at which entry it is.
        var aheadAt: JournalPlace?
        /// Fills that have begun: who reads meanwhile must not believe what it finds.
        var fills = 0
        var isEnded = false
        /// What the follower waits in; cancelled when there is a wish.
        var pause: Task<Void, Never>?
        /// Whether it waits there only until more has come; cancelled when somebody waits for it too.
        var isSettingApart = false
    }

    /// Somebody wants datasets filled anew; without any, that it is looked which can be filled.
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
    let journal: String
    private let feed: JournalFeed
    private let source: any CoreRows
    private let timing: Timing
    private let kept: @Sendable () async -> KeptDatasets
    private let content = Mutex(Content())
    private let logger: Logger

    /// - Parameters:
    ///   - journal: the identity of the journal, which the store remembers.
    ///   - datasets: those that the store is to have.
    ///   - kept: those of them that are not to be filled now, as long as they are not.
    public init(
        name: String, store: any ReplicaStore, journal: String, feed: JournalFeed,
        source: any CoreRows, datasets: Set<String>, timing: Timing = Timing(),
        kept: @escaping @Sendable () async -> KeptDatasets = { [:] }
    ) {
        self.name = name
        self.store = store
        self.journal = journal
        self.feed = feed
        self.source = source
        self.datasets = datasets
        self.timing = timing
        self.kept = kept
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
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let known: Bool? = content.withLock { content in
                    switch (content.state.condition, content.state.applied) {
                    case (.following, let applied?) where applied >= sequence: return true
                    case (.following, _), (.starting, _): break
                    default: return false
                    }
                    if content.isEnded || Task.isCancelled { return false }
                    // Begun under the lock: it cannot give up what is not waiting yet.
                    let timer = Task {
                        try? await Task.sleep(for: limit)
                        giveUp(id)
                    }
                    content.waiters.add(
                        .init(id: id, sequence: sequence, continuation: continuation, timer: timer))
                    if content.isSettingApart { content.pause?.cancel() }
                    return nil
                }
                if let known { continuation.resume(returning: known) }
            }
        } onCancel: {
            giveUp(id)
        }
    }

    private func giveUp(_ id: Int) { content.withLock { $0.waiters.take(id) }?.end(false) }

    /// Who waits for a store that is not following hears of it.
    private func giveUpAll() {
        for waiter in content.withLock({ $0.waiters.takeAll() }) { waiter.end(false) }
    }

    /// Of those that wait in `reach`.
    var waiterCount: Int { content.withLock { $0.waiters.waiting.count } }

    /// Empties datasets in the store and fills them from the core's rows, whatever is there: also where
    /// the store is ahead of the journal or the copy of another one. All that the store should have,
    /// when none are named. Returns when they are filled; what is journaled meanwhile follows.
    public func rebuild(_ datasets: Set<String> = []) async throws(StoreError) {
        let wanted = datasets.isEmpty ? self.datasets : datasets
        if let stranger = wanted.subtracting(self.datasets).min() {
            throw .refused(store: name, problem: "no route brings '\(stranger)' here")
        }
        try await wish(for: wanted)
    }

    /// Looks again whether datasets can be filled that could not, because rows lay there that nobody had
    /// journaled. Returns when those are filled whose rows the core has by now.
    public func lookAgain() async throws(StoreError) {
        try await wish(for: [])
    }

    private func wish(for wanted: Set<String>) async throws(StoreError) {
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
        giveUpAll()
    }

    private var stopping: StoreError {
        .unavailable(store: name, problem: "the core is stopping")
    }

    private func follow(_ madeProgress: () -> Void) async throws(StoreError) {
        // Nil until the store has been asked.
        var position: StorePosition?
        var pace = BatchPace(timing)
        while !Task.isCancelled {
            if let wish = takeWish() { position = try await fulfil(wish) }
            guard let current = position else {
                let found = try await store.position()
                if try await isOurs(found) {
                    position = try await settle(found)
                } else {
                    await rest(for: timing.retryLast)
                }
                continue
            }
            if let next = try await step(current, &pace) {
                position?.place = next
            } else {
                position = try await fill(current.datasets, at: .empty, from: current)
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
        let wasAhead = content.withLock { $0.aheadAt == position.place }
        if !wasAhead, try await feed.hasJournaled(position.place) { return true }
        content.withLock { $0.aheadAt = position.place.checksum == nil ? position.place : nil }
        stop(.ahead(of: feed.head), position)
        return false
    }

    /// Fills what the store should have and does not; what it has and should not any more is left as it
    /// is, and no longer counts as whole.
    private func settle(_ position: StorePosition) async throws(StoreError) -> StorePosition {
        var position = position
        if position.journal != nil, !position.datasets.isSubset(of: datasets) {
            let found = position
            position.datasets.formIntersection(datasets)
            try await store.finish(position, from: found, digests: [])
        }
        let (whole, missing) = (position.datasets, datasets.subtracting(position.datasets))
        if !missing.isEmpty { try await source.reach(feed.head) }
        let kept = await kept().filter { missing.contains($0.key) }
        let check = try await FillCheck(missing.subtracting(kept.keys), in: store, core: source)
        let unmigrated = check.unmigrated.merging(kept) { found, _ in found }
        note(unmigrated, besides: whole)
        let wanted = missing.subtracting(unmigrated.keys)
        // A store that is to be filled with nothing yet says all the same whose copy it is.
        if wanted.isEmpty, position.journal != nil { return position }
        return try await fill(wanted, at: position, from: position, over: check.known)
    }

    private func note(_ unmigrated: [String: String], besides whole: Set<String>) {
        let news = content.withLock { content in
            defer {
                content.state.wholeDatasets = whole
                content.state.unmigrated = unmigrated
            }
            return unmigrated.filter { content.state.unmigrated[$0.key] == nil }
        }
        for (dataset, why) in news.sorted(by: { $0.key < $1.key }) {
            logger.critical(
                "the dataset is not written here until it is migrated, or the store rebuilt",
                metadata: ["dataset": "\(dataset)", "problem": "\(why)"])
        }
    }

    /// Brings the store what comes after a sequence number, or waits for it. Nil when the journal does
    /// not reach back so far.
    private func step(
        _ position: StorePosition, _ pace: inout BatchPace
    ) async throws(StoreError) -> JournalPlace? {
        let applied = position.applied
        await setApart(pace)
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
            if feed.head > applied || hasWish { return position.place }
            // In a quiet hour too, one wants to know that the store is there and as it was left.
            try await store.position().expect(position, of: name)
            return position.place
        }
        content.withLock { $0.state.behindSince = first.time }
        let batch = StoreBatch(net: [run], after: position.place) {
            position.datasets.contains($0)
        }
        pace.begins(run.changes.count, at: .now)
        try await store.apply(batch)
        advanced(to: last, batch.changes.count)
        return batch.through
    }

    // MARK: Filling

    private var hasWish: Bool { content.withLock { $0.wish != nil } }

    private func takeWish() -> Wish? {
        content.withLock { content in
            defer { content.wish = nil }
            return content.wish
        }
    }

    private func fulfil(_ wish: Wish) async throws(StoreError) -> StorePosition {
        do throws(StoreError) {
            // Where it is not known what the rest is a copy of, that is filled too, after the named ones.
            let settled = try await settle(
                wish.datasets.isEmpty ? try await ownPosition() : try await rebuilt(wish.datasets))
            wish.end(nil)
            return settled
        } catch {
            wish.end(error)
            throw error
        }
    }

    private func ownPosition() async throws(StoreError) -> StorePosition {
        let position = try await store.position()
        guard try await isOurs(position) else {
            throw .refused(store: name, problem: "it \(state.condition.words)")
        }
        return position
    }

    private func rebuilt(_ wanted: Set<String>) async throws(StoreError) -> StorePosition {
        var position = StorePosition.empty
        // Nil where it cannot be read.
        var found: StorePosition?
        do throws(StoreError) {
            // It may have been emptied or restored since it was looked at.
            position = try await store.position()
            found = position
        } catch {
            guard case .damaged = error else { throw error }
        }
        return try await fill(
            wanted, at: try await isOurs(position) ? position : .empty, from: found)
    }

    /// Copies datasets from the core's rows. The copy may be newer than the sequence number it is said
    /// to be of: what follows in the journal brings every row to where it belongs.
    /// - Parameters:
    ///   - position: what may be built upon; `empty` where nothing may.
    ///   - found: what the store said it has; nil when that could not be read.
    ///   - known: those of them whose rows stay where they lie, and get stamps.
    private func fill(
        _ wanted: Set<String>, at position: StorePosition, from found: StorePosition?,
        over known: Set<String> = []
    ) async throws(StoreError) -> StorePosition {
        let others = position.datasets.intersection(datasets).subtracting(wanted)
        let place =
            others.isEmpty
            ? try await feed.place(at: feed.head, of: journal) : position.place
        let filled = StorePosition(place, datasets: others.union(wanted))
        logger.notice(
            "filling datasets from the core's rows",
            metadata: ["datasets": "\(wanted.sorted().joined(separator: " "))"])
        try await source.reach(filled.applied)
        var copy = try await DatasetCopy(wanted, from: source, to: store, rowsMax: timing.fillRows)
        content.withLock { content in
            content.fills += 1
            content.state.condition = .filling(copy.progress)
        }
        // Says whose it is and what of it holds, so that an emptied store shows before it is called whole.
        // No other fill has this mark, also none of a copy of this journal.
        let nothing = JournalPlace(
            journal: journal, applied: .none,
            checksum: String(UInt64.random(in: 0 ... .max), radix: 16))
        let begun = StorePosition(others.isEmpty ? nothing : place, datasets: others)
        try await store.begin(wanted.subtracting(known), from: found, as: begun)
        for dataset in wanted.sorted() {
            let isWhole = try await copy.run(dataset, at: begun) { progress in
                content.withLock { $0.state.condition = .filling(progress) }
            }
            guard isWhole else { throw .moved(store: name, applied: begun.applied) }
        }
        let digests = try await source.store.digests().filter { wanted.contains($0.scope.dataset) }
        try await store.finish(filled, from: begun, digests: digests)
        content.withLock { $0.aheadAt = nil }
        logger.notice("filled", metadata: ["rows": "\(copy.progress.rows)"])
        content.withLock { content in
            content.state.wholeDatasets = filled.datasets
            for dataset in wanted { content.state.unmigrated[dataset] = nil }
        }
        advanced(to: filled.applied, copy.progress.rows)
        return filled
    }

    // MARK: What others see

    private func report(_ error: StoreError) {
        let isNews = content.withLock { content in
            defer {
                content.state.condition = .failing(error)
                content.state.failingSince = content.state.failingSince ?? .now()
            }
            return content.state.condition != .failing(error)
        }
        giveUpAll()
        if isNews { logger.error("the store is not written", metadata: ["problem": "\(error)"]) }
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
        giveUpAll()
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
            return (isNews, content.waiters.take(upTo: sequence))
        }
        if isNews {
            logger.notice("the store follows", metadata: ["applied": "\(sequence)"])
        }
        for waiter in reached { waiter.end(true) }
    }

    /// Until the next batch may begin.
    private func setApart(_ pace: BatchPace) async {
        while !Task.isCancelled, !hasWish {
            let isAwaited = waiterCount > 0
            guard let pause = pace.pause(at: .now, isAwaited: isAwaited) else { return }
            await rest(for: pause, orUntilAwaited: !isAwaited)
        }
    }

    /// Until the time is over, there are newer entries, somebody waits for the store or has a wish, or the
    /// task is cancelled.
    private func rest(
        for limit: Duration, orUntilBeyond sequence: SequenceNumber? = nil,
        orUntilAwaited endsWhenAwaited: Bool = false
    ) async {
        let pause = Task { [feed] in
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await Task.sleep(for: limit) }
                if let sequence { group.addTask { await feed.wait(beyond: sequence) } }
                await group.next()
                group.cancelAll()
            }
        }
        let isWanted = content.withLock { content in
            content.pause = pause
            content.isSettingApart = endsWhenAwaited
            return content.wish != nil || endsWhenAwaited && !content.waiters.waiting.isEmpty
        }
        if isWanted { pause.cancel() }
        await withTaskCancellationHandler {
            await pause.value
        } onCancel: {
            pause.cancel()
        }
    }
}
