internal import Foundation
internal import Ledger
internal import Logging
internal import Metrics

/// A batch on its way to the disk, with those who wait for it.
struct Flush {
    let batch: CommittedBatch
    let decisions: [any WaitingDecision]
    let head: SequenceNumber
}

/// Flushes one batch at a time, publishes it and answers it: on a thread of its own, or on the
/// caller's.
///
/// `@unchecked Sendable`: the journal is used by one thread at a time, because a flush begins only
/// after `outcome` was taken from the one before. The lock (a condition) orders the two threads; it is held
/// to put a flush down or pick it up.
final class Committer: @unchecked Sendable {
    enum Outcome {
        case durable
        /// Nothing of the batch was written, and its decisions were told so.
        case diskFull
        case failed(JournalError)
    }

    private let published: PublishedState
    private let orders: OrderQueue
    private let checkpoint: Checkpoint
    private let effects: @Sendable ([Effect]) -> Void
    private let logger = Logger(label: "engine")
    private let commitDuration = Timer(label: "opsd_journal_commit_duration_seconds")

    private let condition = NSCondition()
    private var journal: (any Journal)?
    private var waiting: Flush?
    private var isBusy = false
    private var isStopped = false
    private var finished: Outcome?

    init(
        published: PublishedState, orders: OrderQueue, checkpoint: Checkpoint,
        effects: @escaping @Sendable ([Effect]) -> Void
    ) {
        self.published = published
        self.orders = orders
        self.checkpoint = checkpoint
        self.effects = effects
    }

    func start(with journal: any Journal) {
        self.journal = journal
        let thread = Thread { self.work() }
        thread.name = "journal"
        thread.start()
    }

    /// Closes the journal, so that who waits for the stop can open it. No flush is under way.
    func stop() {
        condition.withLock {
            isStopped = true
            journal = nil
            condition.broadcast()
        }
    }

    /// What became of the last flush; waits for it. Nil when there was none since the last call.
    func outcome() -> Outcome? {
        condition.withLock {
            while isBusy { condition.wait() }
            defer { finished = nil }
            return finished
        }
    }

    func flushElsewhere(_ flush: Flush) {
        condition.withLock {
            waiting = flush
            isBusy = true
            condition.broadcast()
        }
    }

    func flushHere(_ flush: Flush) {
        finished = perform(flush)
    }

    private func work() {
        while let flush = next() {
            let outcome = perform(flush)
            condition.withLock {
                finished = outcome
                isBusy = false
                condition.broadcast()
            }
        }
    }

    private func next() -> Flush? {
        condition.withLock {
            while waiting == nil, !isStopped { condition.wait() }
            defer { waiting = nil }
            return waiting
        }
    }

    private func perform(_ flush: Flush) -> Outcome {
        do {
            try write(flush.batch.drafts)
        } catch .diskFull(let path) {
            // Definite: SQLite has taken the whole transaction back.
            let error = JournalError.diskFull(path: path)
            logger.error("the journal is full", metadata: ["path": "\(path)"])
            for decision in flush.decisions { decision.fail(.journalFull(error.description)) }
            return .diskFull
        } catch {
            for decision in flush.decisions { decision.fail(.unknown(error.description)) }
            return .failed(error)
        }
        finish(flush)
        return .durable
    }

    private func write(_ drafts: [EntryDraft]) throws(JournalError) {
        guard !drafts.isEmpty, let journal else { return }
        let start = DispatchTime.now().uptimeNanoseconds
        try journal.append(drafts)
        commitDuration.recordNanoseconds(Int64(DispatchTime.now().uptimeNanoseconds - start))
    }

    private func finish(_ flush: Flush) {
        let batch = flush.batch
        if !batch.drafts.isEmpty {
            published.publish(batch, head: flush.head)
            checkpoint.add(batch)
        }
        // Before the answers: who hears that an order is accepted can also withdraw it.
        for case .dispatch(let orderID) in batch.effects { orders.add(orderID) }
        if !batch.effects.isEmpty { effects(batch.effects) }
        for decision in flush.decisions { decision.succeed() }
    }
}
