internal import Foundation
internal import Ledger

/// The queue between callers on any thread and the writer thread.
///
/// `@unchecked Sendable`: every stored property is touched only while `condition` is locked. The
/// lock is a condition because the writer sleeps on it; callers hold it for an append.
final class Inbox: @unchecked Sendable {
    private let condition = NSCondition()
    private var waiting: [any WaitingDecision] = []
    private var flushed: [Flushed] = []
    private var isClosed = false
    private var isStopped = false
    private var failureReason: JournalError?
    private var stopContinuations: [CheckedContinuation<Void, Never>] = []
    private var failureContinuations: [CheckedContinuation<JournalError?, Never>] = []

    var count: Int {
        condition.withLock { waiting.count }
    }

    /// False when the engine takes no more.
    func add(_ decision: any WaitingDecision) -> Bool {
        condition.withLock {
            if isClosed { return false }
            waiting.append(decision)
            if waiting.count == 1 { condition.signal() }
            return true
        }
    }

    var isEmpty: Bool { condition.withLock { waiting.isEmpty } }

    /// Tells the writer what became of batches that it handed on.
    func flushed(_ flushed: Flushed) {
        condition.withLock {
            self.flushed.append(flushed)
            condition.signal()
        }
    }

    struct Work {
        var decisions: [any WaitingDecision]
        var flushed: [Flushed]
    }

    /// Blocks until there is something to do; nil when closed, empty and nothing under way.
    /// - Parameter limit: how many decisions may be taken; none when it is not positive.
    func take(atMost limit: Int, awaitsFlush: Bool) -> Work? {
        condition.withLock {
            while flushed.isEmpty, waiting.isEmpty || limit <= 0 {
                if isClosed, waiting.isEmpty, !awaitsFlush { return nil }
                condition.wait()
            }
            defer { flushed = [] }
            return Work(decisions: takeDecisions(max(0, limit)), flushed: flushed)
        }
    }

    private func takeDecisions(_ limit: Int) -> [any WaitingDecision] {
        if waiting.count <= limit {
            defer { waiting = [] }
            return waiting
        }
        defer { waiting.removeFirst(limit) }
        return Array(waiting.prefix(limit))
    }

    func close(whenStopped continuation: CheckedContinuation<Void, Never>) {
        let done = condition.withLock {
            isClosed = true
            if !isStopped { stopContinuations.append(continuation) }
            condition.broadcast()
            return isStopped
        }
        if done { continuation.resume() }
    }

    func whenFailed(_ continuation: CheckedContinuation<JournalError?, Never>) {
        let known: JournalError?? = condition.withLock {
            if isStopped { return .some(failureReason) }
            failureContinuations.append(continuation)
            return nil
        }
        if let known { continuation.resume(returning: known) }
    }

    /// The writer thread's last word. What is still waiting is refused.
    func stopped(because reason: JournalError?) {
        let (left, stops, failures) = condition.withLock {
            isClosed = true
            isStopped = true
            failureReason = reason
            defer {
                waiting = []
                stopContinuations = []
                failureContinuations = []
            }
            return (waiting, stopContinuations, failureContinuations)
        }
        for decision in left { decision.fail(.stopped) }
        for continuation in stops { continuation.resume() }
        for continuation in failures { continuation.resume(returning: reason) }
    }
}
