import Ledger
import Synchronization
import TestSupport
import Testing

@testable import FileStore

@Suite(.timeLimit(.minutes(1))) struct AbreastTests {
    @Test(arguments: [0, 1, 2, 8, 1_000])
    func eachItemIsDoneOnce(_ count: Int) throws {
        let done = Mutex<[Int]>([])
        try Abreast.forEach(Array(0..<count)) { item throws(StoreError) in
            done.withLock { $0.append(item) }
        }
        #expect(done.withLock { $0.sorted() } == Array(0..<count))
    }

    /// One by one, this would never end.
    @Test func severalAreUnderWayAtATime() throws {
        let begun = Mutex(0)
        try Abreast.forEach([1, 2]) { _ throws(StoreError) in
            begun.withLock { $0 += 1 }
            while begun.withLock({ $0 }) < 2 {}
        }
        #expect(begun.withLock { $0 } == 2)
    }

    @Test func theFirstErrorEndsIt() {
        let done = Mutex(0)
        let failure = StoreError.unavailable(store: "files", problem: "3")
        #expect(throws: failure) {
            try Abreast.forEach(Array(0..<10_000)) { item throws(StoreError) in
                if item == 3 { throw failure }
                done.withLock { $0 += 1 }
            }
        }
        #expect(done.withLock { $0 } < 9_999)
    }
}
