import Ledger
import Synchronization
import TestSupport

@testable import Verify

/// A copy in memory whose rows can be put right. Around everything that is asked of it others are at work,
/// and the process that asks may die.
final class MemoryRepairable: RepairableStore, Sendable {
    let copy: MemoryCopy
    private let others: @Sendable () throws(StoreError) -> Void
    /// What an image stands for.
    private let images = Mutex<[RowImage: FoundRow?]>([:])

    init(_ copy: MemoryCopy, others: @escaping @Sendable () throws(StoreError) -> Void = {}) {
        self.copy = copy
        self.others = others
    }

    func image(_ found: FoundRow?) -> RowImage {
        let image = RowImage(bytes: Array("\(String(describing: found))".utf8))
        images.withLock { $0[image] = .some(found) }
        return image
    }

    func images(_ keys: [RowKey]) async throws(StoreError) -> [RowImage] {
        try others()
        let images = copy.content.withLock { content in keys.map { content.found[$0] } }.map(image)
        try others()
        return images
    }

    func replace(_ replacements: [RowReplacement]) async throws(StoreError) -> [RowImage?] {
        try others()
        var results: [RowImage?] = []
        for replacement in replacements {
            let new: FoundRow? =
                switch replacement.content {
                case .row(let stamped): .row(stamped)
                case .nothing: nil
                case .image(let image): images.withLock { $0[image] } ?? nil
                }
            let isDone = copy.content.withLock { content in
                guard image(content.found[replacement.key]) == replacement.expected else {
                    return false
                }
                content.found[replacement.key] = new
                return true
            }
            results.append(isDone ? image(new) : nil)
            try others()
        }
        return results
    }

    func position() async throws(StoreError) -> StorePosition {
        try others()
        return try await copy.position()
    }
    func find(_ keys: [RowKey]) async throws(StoreError) -> [FoundRow?] {
        try others()
        return try await copy.find(keys)
    }
    func scan(
        _ dataset: String, account: String?,
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        try await copy.scan(dataset, account: account, consume)
    }

    // Nothing else is asked of it.

    func appliedSequence() async throws(StoreError) -> SequenceNumber {
        try await copy.appliedSequence()
    }
    func apply(_ batch: StoreBatch) async throws(StoreError) { try await copy.apply(batch) }
    func row(_ key: RowKey) async throws(StoreError) -> StampedRow? { try await copy.row(key) }
    func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        try await copy.rows(query)
    }
    func count(_ query: RowQuery) async throws(StoreError) -> Int { try await copy.count(query) }
    func digests() async throws(StoreError) -> [DigestStamp] { try await copy.digests() }
    func begin(
        _ datasets: Set<String>, from found: StorePosition?, as begun: StorePosition
    ) async throws(StoreError) { try await copy.begin(datasets, from: found, as: begun) }
    func fill(_ rows: [StampedRow], at begun: StorePosition?) async throws(StoreError) {
        try await copy.fill(rows, at: begun)
    }
    func finish(
        _ position: StorePosition, from begun: StorePosition?, digests: [DigestStamp]
    ) async throws(StoreError) { try await copy.finish(position, from: begun, digests: digests) }
}

/// A receipt that outlives whoever writes it.
final class MemoryNotes: RepairNotes, Sendable {
    struct Content: Sendable {
        var outcomes: [Int: NotedOutcome] = [:]
        var images: [Int: NotedImage] = [:]
    }

    let content = Mutex(Content())
    private let others: @Sendable () throws(StoreError) -> Void

    init(others: @escaping @Sendable () throws(StoreError) -> Void = {}) {
        self.others = others
    }

    func outcomes() async throws -> [Int: NotedOutcome] { content.withLock { $0.outcomes } }
    func images(of rows: Range<Int>) async throws -> [Int: NotedImage] {
        content.withLock { $0.images.filter { rows.contains($0.key) } }
    }
    func note(_ images: [Int: NotedImage]) async throws {
        try others()
        content.withLock { $0.images.merge(images) { $1 } }
        try others()
    }
    func note(_ outcomes: [Int: NotedOutcome]) async throws {
        try others()
        content.withLock { $0.outcomes.merge(outcomes) { $1 } }
        try others()
    }
}

/// Rows that are adopted become the memory journal's.
struct MemoryAdoption: RowAdoption {
    let journal: MemoryJournal

    func adopt(_ row: Row, over sequence: SequenceNumber?) async throws -> Bool {
        journal.put(row, if: { $0?.sequence == sequence }, row)
    }

    func disown(_ row: Row, before: Row?) async throws -> Bool {
        let key = row.key(in: MemoryJournal.schema)
        if journal.content.withLock({ $0.rows[key]?.row }) == before { return true }
        return journal.put(row, if: { $0?.row == row }, before)
    }
}

extension MemoryJournal {
    /// Journals a row in the place of another one where that is so.
    fileprivate func put(
        _ row: Row, if condition: (StampedRow?) -> Bool, _ new: Row?
    ) -> Bool {
        let key = row.key(in: Self.schema)
        guard condition(content.withLock { $0.rows[key] }) else { return false }
        put(key, new)
        return true
    }
}
