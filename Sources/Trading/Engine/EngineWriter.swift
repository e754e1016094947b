internal import Foundation
internal import Ledger
internal import Logging

/// What the writer thread does: it decides a batch while the one before it is being flushed.
///
///     decide batch 2 ─┐          ┌ decide batch 3 …
///                     └ wait for 1
///     flush batch 1, answer it ──┘ flush batch 2 …
///
/// A single decision that nobody waits behind is flushed on this very thread, which saves a lone
/// client the way to the second one. When a flush fails, the batch that was decided upon it is taken back too.
///
/// `@unchecked Sendable`: it is handed to the thread once, at its start, and never used elsewhere.
final class EngineWriter: @unchecked Sendable {
    private var state: TradingState
    private let batchMax: Int
    private let inbox: Inbox
    private let published: PublishedState
    private let checkpoint: Checkpoint
    private let committer: Committer
    private let logger = Logger(label: "engine")

    init(
        state: TradingState, batchMax: Int, inbox: Inbox, published: PublishedState,
        orders: OrderQueue, checkpoint: Checkpoint,
        effects: @escaping @Sendable ([Effect]) -> Void
    ) {
        self.state = state
        self.batchMax = batchMax
        self.inbox = inbox
        self.published = published
        self.checkpoint = checkpoint
        committer = Committer(
            published: published, orders: orders, checkpoint: checkpoint, effects: effects)
    }

    func run(_ openJournal: () throws(JournalError) -> any Journal) {
        do {
            committer.start(with: try openJournal())
            while let batch = inbox.take(atMost: batchMax) {
                try process(batch)
            }
            try settleFlush()
            committer.stop()
            inbox.stopped(because: nil)
        } catch {
            logger.critical("the journal failed; the core stops", metadata: ["error": "\(error)"])
            committer.stop()
            inbox.stopped(because: error)
        }
    }

    private func process(_ decisions: [any WaitingDecision]) throws(JournalError) {
        let now = Timestamp.now()
        for decision in decisions { decision.decide(&state, at: now) }
        do {
            try settleFlush()
        } catch {
            for decision in decisions { decision.fail(.unknown(error.description)) }
            throw error
        }
        guard isIntact else {
            takeBack()
            for decision in decisions { decision.fail(.journalFull("the journal is full")) }
            return
        }
        evictEnded()
        let flush = Flush(
            batch: state.takeUncommitted(), decisions: decisions, head: state.lastSequence)
        guard decisions.count == 1, inbox.count == 0 else {
            committer.flushElsewhere(flush)
            return
        }
        committer.flushHere(flush)
        try settleFlush()
        if !isIntact { takeBack() }
    }

    private func takeBack() {
        isIntact = true
        state.rollback()
    }

    /// False when the last flush was refused by a full disk and what followed must go, too.
    private var isIntact = true

    /// Waits until the flush under way is over, and takes its outcome into the state.
    private func settleFlush() throws(JournalError) {
        switch committer.outcome() {
        case .none: break
        case .durable: state.settle()
        case .diskFull: isIntact = false
        case .failed(let error): throw error
        }
    }

    private func evictEnded() {
        let (through, ended) = checkpoint.takeEnded()
        if ended.isEmpty { return }
        state.evictEnded(through: through, orderIDs: ended)
        published.evict(state, orderIDs: ended)
    }
}
