internal import Foundation
internal import Ledger

/// The same work on many files, several at a time: a disk flushes several in little more than the time that
/// it takes for one.
///
/// The caller's thread works too, and waits for the others: it is a store's own, none of the cooperative
/// pool.
///
/// `@unchecked Sendable`: the lock (a condition) guards what is left to do; it is held to take one item, and
/// while one waits for the last.
final class Abreast<Item: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
    private let items: [Item]
    private let work: @Sendable (Item) throws(StoreError) -> Void
    private var next = 0
    private var running: Int
    private var error: StoreError?

    /// More bring little, and each is a thread.
    private static var threadsMax: Int { 8 }

    /// Returns when all is done. Throws the first error; what has begun by then is carried out.
    static func forEach(
        _ items: [Item], _ work: @escaping @Sendable (Item) throws(StoreError) -> Void
    ) throws(StoreError) {
        try Abreast(items, work).run()
    }

    private init(
        _ items: [Item], _ work: @escaping @Sendable (Item) throws(StoreError) -> Void
    ) {
        self.items = items
        self.work = work
        running = min(Self.threadsMax, items.count)
    }

    private func run() throws(StoreError) {
        for _ in 1..<max(1, running) {
            let thread = Thread { self.takeAll() }
            thread.name = "files-flush"
            thread.stackSize = 512 * 1_024
            thread.start()
        }
        if !items.isEmpty { takeAll() }
        let error = condition.withLock {
            while running > 0 { condition.wait() }
            return self.error
        }
        if let error { throw error }
    }

    private func takeAll() {
        while let item = take() {
            do throws(StoreError) {
                try work(item)
            } catch {
                condition.withLock { self.error = self.error ?? error }
            }
        }
        condition.withLock {
            running -= 1
            condition.signal()
        }
    }

    private func take() -> Item? {
        condition.withLock {
            guard error == nil, next < items.count else { return nil }
            defer { next += 1 }
            return items[next]
        }
    }
}
