internal import Foundation
internal import Ledger
internal import Metrics

/// A batch on its way to the disk, with those who wait for it.
struct Flush {
    let batch: CommittedBatch
    let decisions: [any WaitingDecision]
    /// Operators' acts alone: room that the journal keeps for them may be used.
    let mayUseReserve: Bool

    func fail(_ error: EngineError) {
        for decision in decisions { decision.fail(error) }
    }
}

/// Batches that went to the disk together, and how that ended: with the checksums of their entries.
struct Flushed {
    let flushes: [Flush]
    let outcome: Result<[Checksum], JournalError>
}

/// Puts batches on disk, all that wait with one flush: on a thread of its own, or on the caller's.
///
/// After a failure it takes nothing up until `takeBack`, because what waits was decided upon what
/// failed.
///
/// `@unchecked Sendable`: the journal is used by one thread at a time: by the caller's only while
/// nothing is under way here. The lock (a condition) guards the waiting batches; it is held to put
/// one down or to pick them up.
final class Flusher: @unchecked Sendable {
    private let whenFlushed: (Flushed) -> Void
    private let commitDuration = Timer(label: "opsd_journal_commit_duration_seconds")
    private let condition = NSCondition()
    private var journal: (any Journal)?
    private var waiting: [Flush] = []
    private var isBusy = false
    private var isHeld = false
    private var isStopped = false
    /// What is left of the journal is kept for operators; until it is not, every batch asks again,
    /// an empty one too. Used where the journal is.
    private var isFull = false

    init(whenFlushed: @escaping (Flushed) -> Void) {
        self.whenFlushed = whenFlushed
    }

    func start(with journal: any Journal) {
        self.journal = journal
        let thread = Thread { self.work() }
        thread.name = "journal"
        thread.start()
    }

    /// Closes the journal, so that who waits for the stop can open it. Waits for a flush under way.
    func stop() {
        condition.withLock {
            while isBusy { condition.wait() }
            isStopped = true
            journal = nil
            condition.broadcast()
        }
    }

    func flushElsewhere(_ flush: Flush) {
        condition.withLock {
            waiting.append(flush)
            condition.broadcast()
        }
    }

    /// Only when nothing is under way.
    func flushHere(_ flush: Flush) {
        perform([flush])
    }

    /// What waits and has not been written; afterwards new batches are taken up again.
    func takeBack() -> [Flush] {
        condition.withLock {
            isHeld = false
            defer { waiting = [] }
            return waiting
        }
    }

    private func work() {
        while let flushes = next() {
            perform(flushes)
            condition.withLock {
                isBusy = false
                condition.broadcast()
            }
        }
    }

    private func next() -> [Flush]? {
        condition.withLock {
            while (waiting.isEmpty || isHeld) && !isStopped { condition.wait() }
            if isStopped { return nil }
            isBusy = true
            defer { waiting = [] }
            return waiting
        }
    }

    private func perform(_ flushes: [Flush]) {
        let outcome: Result<[Checksum], JournalError>
        do throws(JournalError) {
            outcome = .success(try write(flushes))
        } catch {
            condition.withLock { isHeld = true }
            outcome = .failure(error)
        }
        whenFlushed(Flushed(flushes: flushes, outcome: outcome))
    }

    private func write(_ flushes: [Flush]) throws(JournalError) -> [Checksum] {
        guard let journal else { return [] }
        let drafts = flushes.flatMap(\.batch.drafts)
        if !flushes.allSatisfy(\.mayUseReserve), isFull || !drafts.isEmpty {
            isFull = true
            try journal.keepReserve()
            isFull = false
        }
        if drafts.isEmpty { return [] }
        let start = DispatchTime.now().uptimeNanoseconds
        let checksums = try journal.append(drafts)
        commitDuration.recordNanoseconds(Int64(DispatchTime.now().uptimeNanoseconds - start))
        return checksums
    }
}
