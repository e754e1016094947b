public import Ledger
internal import Logging
internal import Synchronization

/// Sends every journal entry to a stream as an event: in order, at least once, and by itself, so that a
/// stream that is down holds up nothing.
///
/// Where it stands is kept with the stream and nowhere else. So what was lost with the stream's last
/// second is sent again, and a stream that is new or was emptied gets what it would hold: the newest
/// `keep` entries.
///
/// The lock guards what others look at; it is held to copy it.
public final class EventPublisher: Sendable {
    public struct Timing: Sendable {
        public var retryFirst = Duration.milliseconds(50)
        public var retryLast = Duration.seconds(5)
        /// Changes of rows whose events are sent at once.
        public var batchRows = 1_000
        /// How often a stream that has nothing to do is asked where it stands.
        public var lookEvery = Duration.seconds(1)

        public init() {}
    }

    /// By type, since the start.
    public struct Counts: Sendable, Hashable {
        public var sent: [String: Int] = [:]
        /// Events whose first try failed. They are sent later all the same.
        public var failed: [String: Int] = [:]
    }

    private struct Content {
        var state = FollowerState()
        var counts = Counts()
        /// Where the stream stood when it was found ahead.
        var aheadAt: SequenceNumber?
        /// Up to here, failures have been counted.
        var failedThrough = SequenceNumber.none
    }

    /// `STORE/STREAM`, beside the names of stores, which have no slash.
    public let name: String
    private let stream: any EventStream
    private let journal: String
    private let feed: JournalFeed
    private let catalogue: SchemaCatalogue
    private let keep: Int
    private let timing: Timing
    private let content = Mutex(Content())
    private let logger: Logger

    /// - Parameters:
    ///   - journal: the identity of the journal, which the stream remembers.
    ///   - keep: about how many events the stream holds.
    public init(
        name: String, stream: any EventStream, keep: Int, journal: String, feed: JournalFeed,
        catalogue: SchemaCatalogue, timing: Timing = Timing()
    ) {
        self.name = name
        self.stream = stream
        self.keep = keep
        self.journal = journal
        self.feed = feed
        self.catalogue = catalogue
        self.timing = timing
        var logger = Logger(label: "events")
        logger[metadataKey: "stream"] = "\(name)"
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

    public var counts: Counts { content.withLock { $0.counts } }

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
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, timing.retryLast)
            }
        }
    }

    /// Returns when the stream must be looked at anew.
    private func follow(_ madeProgress: () -> Void) async throws(StoreError) {
        var position = try await stream.position()
        guard var cursor = try await start(at: position) else {
            try? await Task.sleep(for: timing.retryLast)
            return
        }
        while !Task.isCancelled {
            let run = try await entries(after: cursor)
            guard let first = run.drafts.first, let last = run.last else {
                advanced(to: cursor)
                madeProgress()
                await rest(beyond: cursor)
                if feed.head > cursor { continue }
                // Emptied, or put back to an earlier state, in a quiet hour.
                if try await stream.position() != position { return }
                continue
            }
            content.withLock { $0.state.behindSince = first.time }
            let events = JournalEvents.events(of: run, catalogue)
            let next = EventPosition(journal: journal, applied: last)
            do throws(StoreError) {
                try await stream.append(events, at: position, to: next)
            } catch {
                countFailures(events)
                throw error
            }
            (position, cursor) = (next, last)
            count(events)
            advanced(to: last)
            madeProgress()
        }
    }

    /// The entry after which the next event comes; nil when a person has to look first.
    private func start(at position: EventPosition?) async throws(StoreError) -> SequenceNumber? {
        guard let position else {
            let first = oldestKept
            logger.notice("the stream begins", metadata: ["after": "\(first)"])
            return first
        }
        if position.journal != journal {
            stop(.foreign(journal: position.journal), position)
            return nil
        }
        // One that was ahead stays so: the journal has grown past it meanwhile, with other entries.
        let wasAhead = content.withLock { $0.aheadAt == position.applied }
        if !wasAhead, try await feed.hasJournaled(JournalPlace(applied: position.applied)) {
            return position.applied
        }
        content.withLock { $0.aheadAt = position.applied }
        stop(.ahead(of: feed.head), position)
        return nil
    }

    /// So that the newest `keep` entries come; all that there are when the epoch has fewer.
    private var oldestKept: SequenceNumber {
        let head = feed.head
        if head.number <= keep { return .none }
        return SequenceNumber(epoch: head.epoch, number: head.number - Int64(keep))
    }

    private func entries(after sequence: SequenceNumber) async throws(StoreError) -> JournalRun {
        var sequence = sequence
        while true {
            do {
                return try await feed.run(after: sequence, rowsMax: timing.batchRows)
            } catch JournalError.deleted(_, _, let through) where through > sequence {
                logger.error(
                    "entries are not in the journal any more: their events are missing",
                    metadata: ["after": "\(sequence)", "through": "\(through)"])
                sequence = through
            } catch {
                throw .unavailable(store: "journal", problem: error.description)
            }
        }
    }

    private func rest(beyond sequence: SequenceNumber) async {
        await withTaskGroup(of: Void.self) { [feed, timing] group in
            group.addTask { try? await Task.sleep(for: timing.lookEvery) }
            group.addTask { await feed.wait(beyond: sequence) }
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: What others see

    private func advanced(to sequence: SequenceNumber) {
        let isNews = content.withLock { content in
            let isNews = !content.state.isFollowing
            content.state.condition = .following
            content.state.failingSince = nil
            content.state.applied = sequence
            return isNews
        }
        if isNews { logger.notice("events are sent", metadata: ["applied": "\(sequence)"]) }
    }

    private func count(_ events: [JournalEvent]) {
        content.withLock { content in
            for event in events { content.counts.sent[event.type, default: 0] += 1 }
        }
    }

    private func countFailures(_ events: [JournalEvent]) {
        content.withLock { content in
            for event in events where event.id > content.failedThrough {
                content.counts.failed[event.type, default: 0] += 1
                content.failedThrough = event.id
            }
        }
    }

    private func report(_ error: StoreError) {
        let isNews = content.withLock { content in
            defer {
                content.state.condition = .failing(error)
                content.state.failingSince = content.state.failingSince ?? .now()
            }
            return content.state.condition != .failing(error)
        }
        if isNews { logger.error("events are not sent", metadata: ["problem": "\(error)"]) }
    }

    /// From when on a stream that fails is behind.
    private func noteLag() async {
        let state = state
        guard let applied = state.applied, state.lagEntries ?? 0 > 0, state.behindSince == nil,
            let first = try? await feed.run(after: applied, rowsMax: 1).drafts.first
        else { return }
        content.withLock { $0.state.behindSince = first.time }
    }

    private func stop(_ condition: FollowerState.Condition, _ position: EventPosition) {
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
            "no event is sent until a person resolves it",
            metadata: ["state": "\(condition)", "applied": "\(position.applied)"])
    }
}
