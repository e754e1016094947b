internal import Synchronization

/// Orders that are accepted and wait for a worker, in the order of their acceptance.
///
/// The lock makes taking and withdrawing an order exclusive: an order is either withdrawn here, and
/// was never sent, or taken by a worker. It is held for an append or a removal.
public final class OrderQueue: Sendable {
    private struct Content {
        var waiting: [(orderID: String, ticket: Int)] = []
        var first = 0
        /// The ticket under which each waiting order stands; an older ticket is of an order that was
        /// withdrawn and came back.
        var present: [String: Int] = [:]
        var lastTicket = 0
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
            if content.present[orderID] != nil { return nil }
            content.lastTicket += 1
            content.present[orderID] = content.lastTicket
            content.waiting.append((orderID, content.lastTicket))
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
            content.present.removeValue(forKey: orderID) != nil
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
            let (orderID, ticket) = content.waiting[content.first]
            content.first += 1
            if content.first > 1_024, content.first * 2 > content.waiting.count {
                content.waiting.removeFirst(content.first)
                content.first = 0
            }
            if content.present[orderID] == ticket {
                content.present[orderID] = nil
                return orderID
            }
        }
        return nil
    }
}
