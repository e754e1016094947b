internal import Foundation
internal import Ledger
internal import Logging
internal import Metrics

/// What the writer thread does; everything here happens on that thread alone.
///
/// `@unchecked Sendable`: it is handed to the thread once, at its start, and never used elsewhere.
final class EngineWriter: @unchecked Sendable {
    private var state: TradingState
    private let batchMax: Int
    private let inbox: Inbox
    private let published: PublishedState
    private let orders: OrderQueue
    private let checkpoint: Checkpoint
    private let effects: @Sendable ([Effect]) -> Void
    private let logger = Logger(label: "engine")
    private let commitDuration = Timer(label: "opsd_journal_commit_duration_seconds")

    init(
        state: TradingState, batchMax: Int, inbox: Inbox, published: PublishedState,
        orders: OrderQueue, checkpoint: Checkpoint,
        effects: @escaping @Sendable ([Effect]) -> Void
    ) {
        self.state = state
        self.batchMax = batchMax
        self.inbox = inbox
        self.published = published
        self.orders = orders
        self.checkpoint = checkpoint
        self.effects = effects
    }

    func run(_ openJournal: () throws(JournalError) -> any Journal) {
        do {
            try work(openJournal)
            inbox.stopped(because: nil)
        } catch {
            logger.critical("the journal failed; the core stops", metadata: ["error": "\(error)"])
            inbox.stopped(because: error)
        }
    }

    /// The journal is closed when this returns, so that who waits for the end finds it at rest.
    private func work(
        _ openJournal: () throws(JournalError) -> any Journal
    ) throws(JournalError) {
        let journal = try openJournal()
        while let batch = inbox.take(atMost: batchMax) { try process(batch, journal) }
    }

    private func process(
        _ batch: [any WaitingDecision], _ journal: any Journal
    ) throws(JournalError) {
        let now = Timestamp.now()
        for decision in batch { decision.decide(&state, at: now) }
        do {
            try write(journal)
        } catch .diskFull(let path) {
            // Definite: SQLite has taken the whole transaction back, and so do we.
            state.rollback()
            let error = JournalError.diskFull(path: path)
            logger.error("the journal is full", metadata: ["path": "\(path)"])
            for decision in batch { decision.fail(.journalFull(error.description)) }
            return
        } catch {
            for decision in batch { decision.fail(.unknown(error.description)) }
            throw error
        }
        finish(batch)
    }

    private func write(_ journal: any Journal) throws(JournalError) {
        if state.uncommitted.drafts.isEmpty { return }
        let start = DispatchTime.now().uptimeNanoseconds
        try journal.append(state.uncommitted.drafts)
        commitDuration.recordNanoseconds(
            Int64(DispatchTime.now().uptimeNanoseconds - start))
    }

    private func finish(_ batch: [any WaitingDecision]) {
        let committed = state.commit()
        if !committed.drafts.isEmpty {
            published.publish(committed, head: state.lastSequence)
            checkpoint.add(committed)
        }
        // Before the answers: who hears that an order is accepted can also withdraw it.
        for case .dispatch(let orderID) in committed.effects { orders.add(orderID) }
        if !committed.effects.isEmpty { effects(committed.effects) }
        for decision in batch { decision.succeed() }
        let (through, ended) = checkpoint.takeEnded()
        if !ended.isEmpty {
            state.evictEnded(through: through, orderIDs: ended)
            published.evict(state, orderIDs: ended)
        }
    }
}
