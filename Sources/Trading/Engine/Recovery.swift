internal import Dispatch
public import Ledger

/// Rebuilds the trading state from the checkpoint and the journal after it.
public enum Recovery {
    public struct Outcome: Sendable {
        public let state: TradingState
        public let checkpoint: Checkpoint
        /// Entries read from the journal because the checkpoint did not have them.
        public let replayedEntries: Int
    }

    public enum Failure: Error, Sendable, CustomStringConvertible {
        /// The checkpoint has entries that the journal lacks: the journal was damaged, or is an
        /// older copy. Nothing is written until a person resolves it.
        case storeAhead(store: SequenceNumber, journal: SequenceNumber)
        case journal(JournalError)
        case store(StoreError)
        case row(String)

        public var description: String {
            switch self {
            case .storeAhead(let store, let journal):
                """
                the checkpoint is at entry \(store), ahead of the journal, which ends at \
                \(journal): entries are missing from the journal. Nothing is written until the \
                journal's files are put back (or, to begin anew from the broker's word, the \
                checkpoint is moved away as well)
                """
            case .journal(let error): error.description
            case .store(let error): error.description
            case .row(let problem): "a row does not fit: \(problem)"
            }
        }
    }

    private static let pageSize = 2_000
    /// A page of batches of declared rows may be far larger than one of orders.
    private static let pageBytesMax = 16 << 20
    private static let unwrittenBytesMax = 256 << 20

    /// Reads, and hands what the checkpoint lacks to it. Time grows with the live orders and with
    /// the entries after the checkpoint, not with the past.
    /// - Parameter unwrittenPagesMax: pages of entries that may wait in memory for the checkpoint
    ///   while it is far behind, or gone.
    public static func run(
        rules: [AccountRules], journal: JournalReader, store: any RowStore,
        declared: DeclaredRows = DeclaredRows(), at now: Timestamp = .now(),
        unwrittenPagesMax: Int = 200
    ) async throws(Failure) -> Outcome {
        do {
            let head = try journal.head()
            let stored = try await store.appliedSequence()
            guard stored <= head.sequence else {
                throw Failure.storeAhead(store: stored, journal: head.sequence)
            }
            var state = TradingState(
                rules: rules, digestKey: try journal.digestKey(), sequence: stored,
                declared: declared)
            try await load(store, at: now, into: &state)
            // Where nothing follows what is stored, the store has all there is, although a new
            // journal's head (an epoch's entry 0) has a higher number.
            let isCurrent = try journal.entries(after: stored, limit: 1).isEmpty
            let checkpoint = Checkpoint(store: store, applied: isCurrent ? head.sequence : stored)
            let replayed = try await replay(
                journal, after: stored, into: &state, checkpoint, unwrittenPagesMax)
            state.resume(at: head.sequence)
            return Outcome(state: state, checkpoint: checkpoint, replayedEntries: replayed)
        } catch let error as Failure {
            throw error
        } catch let error as StoreError {
            throw .store(error)
        } catch let error as JournalError {
            throw .journal(error)
        } catch {
            throw .row("\(error)")
        }
    }

    /// Everything that can still change, and the digests.
    private static func load(
        _ store: any RowStore, at now: Timestamp, into state: inout TradingState
    ) async throws {
        let stamps = try await store.digests()
        let declared = state.declared.catalogue.schemas.map(\.dataset)
        for dataset in ["balances", "positions", "accounts", "risk", "repairs"] + declared {
            try await loadWhole(dataset, store, stamps, into: &state)
        }
        var live = RowQuery(dataset: "orders")
        live.present = ["compensation"]
        var revocations = RowQuery(dataset: "revocations")
        revocations.range = RowQuery.Range(field: "expires_at", from: .timestamp(now), before: nil)
        for var query in [live, revocations] {
            query.limit = .max
            for row in try await store.rows(query) { try state.restore(row) }
        }
        for stamp in stamps { state.restore(stamp) }
    }

    /// A dataset of which every row is read, so that the rows must give the digests that stand
    /// beside them: a row that somebody changed there is never taken for the truth.
    private static func loadWhole(
        _ dataset: String, _ store: any RowStore, _ stamps: [DigestStamp],
        into state: inout TradingState
    ) async throws {
        var query = RowQuery(dataset: dataset)
        query.limit = .max
        var found: [DigestScope: Digest] = [:]
        for row in try await store.rows(query) {
            guard let (scope, hash) = try state.restore(row) else { continue }
            found[scope, default: .empty].add(hash)
        }
        if let scope = difference(between: found, and: stamps, in: dataset) { throw damaged(scope) }
    }

    /// A scope whose rows do not give the digest that stands beside them.
    private static func difference(
        between found: [DigestScope: Digest], and stamps: [DigestStamp], in dataset: String
    ) -> DigestScope? {
        var found = found
        let expected = stamps.filter { $0.scope.dataset == dataset && $0.digest != .empty }
        for stamp in expected where found.removeValue(forKey: stamp.scope) != stamp.digest {
            return stamp.scope
        }
        return found.keys.first
    }

    private static func damaged(_ scope: DigestScope) -> StoreError {
        .damaged(
            store: "checkpoint",
            problem: """
                the rows of \(scope.dataset) of '\(scope.account)' are not those that were written \
                (their digest differs); move the files state.sqlite* away, and they are made \
                again from the journal
                """)
    }

    /// Replays page after page; the next one is read and verified while this one is taken in.
    private static func replay(
        _ journal: JournalReader, after start: SequenceNumber, into state: inout TradingState,
        _ checkpoint: Checkpoint, _ unwrittenPagesMax: Int
    ) async throws -> Int {
        let pages = JournalPages(journal, size: pageSize, bytesMax: pageBytesMax)
        var count = 0
        var unwritten = (entries: 0, bytes: 0)
        var writing: Task<Void, any Error>?
        var page = try await pages.page(after: start).get()
        while let last = page.last {
            async let next = pages.page(after: last.sequence)
            var batch = CommittedBatch()
            for entry in page {
                batch.changes += try state.replay(entry)
                batch.drafts.append(entry.draft)
            }
            checkpoint.add(batch)
            count += page.count
            unwritten.entries += page.count
            unwritten.bytes += batch.drafts.reduce(0) { $0 + $1.bytes }
            if unwritten.entries >= unwrittenPagesMax * pageSize
                || unwritten.bytes >= unwrittenBytesMax
            {
                unwritten = (0, 0)
                try await writing?.value
                let (through, ended) = checkpoint.takeEnded()
                state.evictEnded(through: through, orderIDs: ended)
                // On the store's own thread, beside the replay.
                writing = Task { try await checkpoint.write() }
            }
            page = try await next.get()
        }
        try await writing?.value
        return count
    }
}

/// Reads the journal on a queue of its own, because reading blocks.
///
/// `@unchecked Sendable`: the reader is used on the serial queue alone.
private final class JournalPages: @unchecked Sendable {
    private let reader: JournalReader
    private let size: Int
    private let bytesMax: Int
    private let queue = DispatchQueue(label: "journal-pages")

    init(_ reader: JournalReader, size: Int, bytesMax: Int) {
        self.reader = reader
        self.size = size
        self.bytesMax = bytesMax
    }

    func page(after sequence: SequenceNumber) async -> Result<[Entry], JournalError> {
        await withCheckedContinuation { continuation in
            queue.async {
                do throws(JournalError) {
                    continuation.resume(
                        returning: .success(
                            try self.reader.entries(
                                after: sequence, limit: self.size, bytesMax: self.bytesMax)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
    }
}
