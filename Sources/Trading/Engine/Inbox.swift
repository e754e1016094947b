internal import Foundation
internal import Ledger

/// The queue between callers on any thread and the writer thread.
///
/// `@unchecked Sendable`: every stored property is touched only while `condition` is locked. The
/// lock is a condition because the writer sleeps on it; callers hold it for an append.
final class Inbox: @unchecked Sendable {
    private let condition = NSCondition()
    private var waiting: [any WaitingDecision] = []
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

    /// Blocks until there is something to decide; nil when closed and empty.
    func take(atMost limit: Int) -> [any WaitingDecision]? {
        condition.withLock {
            while waiting.isEmpty, !isClosed { condition.wait() }
            if waiting.isEmpty { return nil }
            if waiting.count <= limit {
                defer { waiting = [] }
                return waiting
            }
            let taken = Array(waiting.prefix(limit))
            waiting.removeFirst(limit)
            return taken
        }
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
