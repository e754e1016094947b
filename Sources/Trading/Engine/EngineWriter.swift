internal import Foundation
internal import Ledger
internal import Logging

/// What the writer thread does: it decides batches, hands them to the flusher, and answers those
/// that have become durable. While one batch is being flushed the next is decided upon it; when a
/// flush fails, everything that was decided upon it is taken back too.
///
///     writer    decide 2 │ answer 1, decide 3 │ answer 2, …
///     flusher   flush 1  │ flush 2            │ flush 3, …
///
/// A single decision that nobody waits behind is flushed on this very thread, which saves a lone
/// client the way to the other one and back.
///
/// `@unchecked Sendable`: it is handed to the thread once, at its start, and never used elsewhere.
final class EngineWriter: @unchecked Sendable {
    private var state: TradingState
    private let batchMax: Int
    private let inbox: Inbox
    private let published: PublishedState
    private let orders: OrderQueue
    private let checkpoint: Checkpoint
    private let feed: JournalFeed
    private let effects: @Sendable ([Effect]) -> Void
    private let flusher: Flusher
    /// Decisions that are handed on and not answered yet.
    private var underWay = 0
    private let logger = Logger(label: "engine")

    init(
        state: TradingState, batchMax: Int, inbox: Inbox, published: PublishedState,
        orders: OrderQueue, checkpoint: Checkpoint, feed: JournalFeed,
        effects: @escaping @Sendable ([Effect]) -> Void
    ) {
        self.state = state
        self.batchMax = batchMax
        self.inbox = inbox
        self.published = published
        self.orders = orders
        self.checkpoint = checkpoint
        self.feed = feed
        self.effects = effects
        flusher = Flusher(whenFlushed: { inbox.flushed($0) })
    }

    func run(_ openJournal: () throws(JournalError) -> any Journal) {
        do {
            flusher.start(with: try openJournal())
            while let work = inbox.take(atMost: batchMax - underWay, awaitsFlush: underWay > 0) {
                try take(work)
            }
            flusher.stop()
            inbox.stopped(because: nil)
        } catch {
            logger.critical("the journal failed; the core stops", metadata: ["error": "\(error)"])
            for flush in flusher.takeBack() { flush.fail(.unknown(error.description)) }
            flusher.stop()
            inbox.stopped(because: error)
        }
    }

    private func take(_ work: Inbox.Work) throws(JournalError) {
        do throws(JournalError) {
            for flushed in work.flushed { try take(flushed) }
        } catch {
            // They came with the bad news and are not decided any more.
            for decision in work.decisions { decision.fail(.stopped) }
            throw error
        }
        decide(work.decisions)
    }

    private func decide(_ decisions: [any WaitingDecision], mayUseReserve: Bool = false) {
        if decisions.isEmpty { return }
        let now = Timestamp.now()
        for decision in decisions { decision.decide(&state, at: now) }
        let flush = Flush(
            batch: state.takeUncommitted(), decisions: decisions, mayUseReserve: mayUseReserve)
        underWay += decisions.count
        if underWay == 1, inbox.isEmpty {
            flusher.flushHere(flush)
        } else {
            flusher.flushElsewhere(flush)
        }
    }

    private func take(_ flushed: Flushed) throws(JournalError) {
        switch flushed.outcome {
        case .success(let checksums):
            var rest = checksums[...]
            for flush in flushed.flushes {
                let count = flush.batch.drafts.count
                answer(flush, Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
        case .failure(.diskFull(let path)):
            takeBack(flushed.flushes, because: .diskFull(path: path))
        case .failure(let error):
            for flush in flushed.flushes { flush.fail(.unknown(error.description)) }
            throw error
        }
    }

    /// Definite: SQLite has taken the whole transaction back, and so do we, with all that was
    /// decided upon it. What operators want is decided again, alone, and may use the reserve.
    private func takeBack(_ flushes: [Flush], because error: JournalError) {
        if !published.isJournalFull {
            logger.error("orders are refused", metadata: ["problem": "\(error)"])
            published.setJournalFull(true)
        }
        state.rollback()
        var control: [any WaitingDecision] = []
        for flush in flushes + flusher.takeBack() {
            underWay -= flush.decisions.count
            for decision in flush.decisions {
                if decision.isControl, !flush.mayUseReserve {
                    control.append(decision)
                } else {
                    decision.fail(.journalFull(error.description))
                }
            }
        }
        decide(control, mayUseReserve: true)
    }

    /// - Parameter checksums: of the entries.
    private func answer(_ flush: Flush, _ checksums: [Checksum]) {
        if published.isJournalFull, !flush.mayUseReserve {
            logger.notice("there is room for the journal again")
            published.setJournalFull(false)
        }
        state.settle(flush.batch)
        underWay -= flush.decisions.count
        let batch = flush.batch
        // Not the state's own sequence: an epoch that was begun without an entry is not durable, and no
        // store will ever reach it.
        if let head = batch.drafts.last?.sequence {
            published.publish(batch, head: head)
            checkpoint.add(batch)
            var run = batch.run
            run.checksums = checksums
            feed.add(run)
        }
        // Before the answers: who hears that an order is accepted can also withdraw it.
        for case .dispatch(let orderID) in batch.effects { orders.add(orderID) }
        if !batch.effects.isEmpty { effects(batch.effects) }
        for decision in flush.decisions { decision.succeed() }
        evictEnded()
    }

    private func evictEnded() {
        let (through, ended) = checkpoint.takeEnded()
        if ended.isEmpty { return }
        state.evictEnded(through: through, orderIDs: ended)
        published.evict(state, orderIDs: ended)
    }
}
