internal import Synchronization

/// Orders that are accepted and wait for a worker, in the order of their acceptance.
///
/// The lock makes taking and withdrawing an order exclusive: an order is either withdrawn here, and
/// was never sent, or taken by a worker. It is held for an append or a removal.
public final class OrderQueue: Sendable {
    private struct Content {
        var waiting: [String] = []
        var first = 0
        var withdrawn: Set<String> = []
        var present: Set<String> = []
        var workers: [CheckedContinuation<String?, Never>] = []
        var isClosed = false
    }

    public let capacity: Int
    private let content = Mutex(Content())

    init(capacity: Int) {
        self.capacity = capacity
    }

    public var count: Int { content.withLock { $0.present.count } }

    /// Never refuses: what is durable must be carried out. The bound is kept before acceptance.
    public func add(_ orderID: String) {
        let worker: CheckedContinuation<String?, Never>? = content.withLock { content in
            if let worker = content.workers.popLast() { return worker }
            guard content.present.insert(orderID).inserted else { return nil }
            content.waiting.append(orderID)
            return nil
        }
        worker?.resume(returning: orderID)
    }

    /// The next order; nil when the queue is closed.
    public func next() async -> String? {
        await withCheckedContinuation { continuation in
            let answer: String?? = content.withLock { content in
                if content.isClosed { return .some(nil) }
                if let orderID = Self.pop(&content) { return orderID }
                content.workers.append(continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    /// True when the order was still waiting, and now never goes out.
    public func withdraw(_ orderID: String) -> Bool {
        content.withLock { content in
            guard content.present.remove(orderID) != nil else { return false }
            content.withdrawn.insert(orderID)
            return true
        }
    }

    /// Workers that wait go home, and those that come later too.
    public func close() {
        let workers = content.withLock { content in
            content.isClosed = true
            defer { content.workers = [] }
            return content.workers
        }
        for worker in workers { worker.resume(returning: nil) }
    }

    private static func pop(_ content: inout Content) -> String? {
        while content.first < content.waiting.count {
            let orderID = content.waiting[content.first]
            content.first += 1
            if content.first > 1_024, content.first * 2 > content.waiting.count {
                content.waiting.removeFirst(content.first)
                content.first = 0
            }
            if content.withdrawn.remove(orderID) == nil {
                content.present.remove(orderID)
                return orderID
            }
        }
        return nil
    }
}
