import DualWrite
import Ledger
import Synchronization
import TestSupport

/// A journal in memory with its feed and the core's rows, for thousands of runs a second.
final class MemoryLedger: CoreRows, Sendable {
    fileprivate struct Content {
        var generator: SeededGenerator
        var head = SequenceNumber(epoch: 1, number: 0)
        var checksum = Checksum.origin
    }

    let feed: JournalFeed
    let copy = MemoryStore()
    private let content: Mutex<Content>

    var store: any RowStore { copy }
    var catalogue: SchemaCatalogue { RowStoreConformance.catalogue }

    init(seed: UInt64) {
        content = Mutex(Content(generator: SeededGenerator(seed: seed)))
        feed = JournalFeed(
            directory: "/nonexistent", head: SequenceNumber(epoch: 1, number: 0),
            rowsMax: 1_000_000, schemas: RowStoreConformance.catalogue)
    }

    func reach(_ sequence: SequenceNumber) async throws(StoreError) {}

    var head: SequenceNumber { content.withLock { $0.head } }

    /// Journals entries, each of a few changes.
    func change(entries count: Int) {
        for _ in 0..<count {
            let run = content.withLock { $0.next() }
            copy.change { content in
                for change in run.changes { content.take(change) }
                for stamp in run.drafts[0].digests { content.digests[stamp.scope] = stamp.digest }
                content.position.place = JournalPlace(
                    applied: run.drafts[0].sequence, checksum: run.checksums[0].short)
            }
            feed.add(run)
        }
    }

    /// A store that has all of it.
    func whole(of journal: String) -> MemoryStore.Content {
        var content = copy.present
        content.position.place.journal = journal
        content.position.datasets = ["samples", "others"]
        return content
    }
}

extension MemoryLedger.Content {
    fileprivate mutating func next() -> JournalRun {
        head = head.next
        checksum =
            Checksum(
                stored: (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
            ?? .origin
        var changes: [RowKey: StoreBatch.Change] = [:]
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            let number = Int64.random(in: 0..<12, using: &generator)
            let text = Value.text("t\(Int.random(in: 0..<1_000, using: &generator))")
            let isOther = number < 3
            let key = RowKey(
                dataset: isOther ? "others" : "samples",
                values: isOther ? [.text("o\(number)")] : [.text("g"), .integer(number)])
            let nulls = [Value](repeating: .null, count: 5)
            let values = isOther ? [text] : [text] + nulls + [.text("A")]
            let isGone = Int.random(in: 0..<4, using: &generator) == 0
            changes[key] = StoreBatch.Change(
                key: key,
                row: isGone ? nil : Row(dataset: key.dataset, values: key.values + values),
                sequence: head)
        }
        // What stands for a digest is new with every entry.
        let stamps = Set(changes.keys.map(\.dataset)).map { dataset in
            DigestStamp(
                scope: DigestScope(dataset: dataset, account: dataset == "samples" ? "A" : ""),
                digest: Digest(sum: UInt128(generator.next()), count: 1))
        }
        let draft = EntryDraft(
            sequence: head, time: Timestamp(microseconds: head.number), kind: "test", changes: [],
            digests: stamps)
        return JournalRun(
            drafts: [draft], changes: Array(changes.values), checksums: [checksum])
    }
}

/// Rows in memory that fail at any step: before it, in the middle of it, after it.
///
/// As with files and Redis, rows may lead the position and never trail it.
final class MemoryStore: ReplicaStore, Sendable {
    struct Content: Sendable {
        var position = StorePosition.empty
        var rows: [RowKey: StampedRow] = [:]
        var digests: [DigestScope: Digest] = [:]

        mutating func take(_ change: StoreBatch.Change) {
            rows[change.key] = change.row.map { StampedRow(row: $0, sequence: change.sequence) }
        }
    }

    private struct Faults {
        var generator = SeededGenerator(seed: 0)
        /// One step in so many fails; none when 0.
        var oneIn = 0

        mutating func strikes() -> Bool {
            oneIn > 0 && Int.random(in: 0..<oneIn, using: &generator) == 0
        }
    }

    private let content = Mutex(Content())
    private let faults = Mutex(Faults())
    private let isCut = Mutex(false)

    func fail(oneIn: Int, seed: UInt64) {
        faults.withLock { $0 = Faults(generator: SeededGenerator(seed: seed), oneIn: oneIn) }
    }

    func heal() { faults.withLock { $0.oneIn = 0 } }
    func change(_ body: (inout Content) -> Void) { content.withLock { body(&$0) } }

    /// As a server that starts again from a copy: every connection to it is lost, and the next call notices.
    func restart(with copy: Content) {
        content.withLock { $0 = copy }
        isCut.withLock { $0 = true }
    }
    var present: Content { content.withLock { $0 } }

    private func strike(_ where: String) throws(StoreError) {
        let isCut = isCut.withLock { isCut in
            defer { isCut = false }
            return isCut
        }
        if isCut || faults.withLock({ $0.strikes() }) {
            throw .unavailable(store: "memory", problem: `where`)
        }
    }

    /// One step of a write; what is wrong, where it is not done.
    private typealias Step = (inout Content) -> StoreError?

    private static func problem(_ body: () throws(StoreError) -> Void) -> StoreError? {
        do throws(StoreError) {
            try body()
            return nil
        } catch {
            return error
        }
    }

    /// The lock is let go of between the steps, as other writers would come in between there.
    private func steps(_ steps: [Step]) async throws(StoreError) {
        try strike("before")
        for (place, step) in steps.enumerated() {
            if place > 0 {
                await Task.yield()
                try strike("in the middle")
            }
            if let error = content.withLock({ step(&$0) }) { throw error }
        }
        try strike("after")
    }

    // MARK: ReplicaStore

    func position() async throws(StoreError) -> StorePosition {
        try strike("position")
        return present.position
    }

    func apply(_ batch: StoreBatch) async throws(StoreError) {
        guard try batch.isDue(at: present.position.place, of: "memory") else { return }
        let half = batch.changes.count / 2
        // Whoever comes in between is seen by each step.
        func step(_ change: @escaping (inout Content) -> Void) -> Step {
            { content in
                let place = content.position.place
                if let error = Self.problem({ () throws(StoreError) in
                    _ = try batch.isDue(at: place, of: "memory")
                }) {
                    return error
                }
                change(&content)
                return nil
            }
        }
        try await steps([
            step { content in for change in batch.changes[..<half] { content.take(change) } },
            step { content in for change in batch.changes[half...] { content.take(change) } },
            step { content in
                for stamp in batch.digests { content.digests[stamp.scope] = stamp.digest }
                content.position.place.applied = batch.through.applied
                content.position.place.checksum = batch.through.checksum
            },
        ])
    }

    private func step(
        at wanted: StorePosition?, _ change: @escaping (inout Content) -> Void
    ) -> Step {
        { content in
            let position = content.position
            if let error = Self.problem({ () throws(StoreError) in
                try position.expect(wanted, of: "memory")
            }) {
                return error
            }
            change(&content)
            return nil
        }
    }

    func begin(
        _ datasets: Set<String>, from found: StorePosition?, as begun: StorePosition
    ) async throws(StoreError) {
        try await steps([
            step(at: found) { content in
                content.position = begun
                content.digests = content.digests.filter { !datasets.contains($0.key.dataset) }
            },
            step(at: begun) { content in
                content.rows = content.rows.filter { !datasets.contains($0.key.dataset) }
            },
        ])
    }

    func fill(_ rows: [StampedRow], at begun: StorePosition?) async throws(StoreError) {
        let changes = rows.compactMap { stamped in
            RowStoreConformance.catalogue[stamped.row.dataset].map {
                StoreBatch.Change(
                    key: stamped.row.key(in: $0), row: stamped.row, sequence: stamped.sequence)
            }
        }
        let half = changes.count / 2
        try await steps([
            step(at: begun) { content in for change in changes[..<half] { content.take(change) } },
            step(at: begun) { content in for change in changes[half...] { content.take(change) } },
        ])
    }

    func finish(
        _ position: StorePosition, from begun: StorePosition?, digests: [DigestStamp]
    ) async throws(StoreError) {
        try await steps([
            step(at: begun) { content in
                content.position = position
                for stamp in digests { content.digests[stamp.scope] = stamp.digest }
            }
        ])
    }

    // MARK: RowStore

    func appliedSequence() async throws(StoreError) -> SequenceNumber {
        try await position().applied
    }

    func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        try strike("row")
        return present.rows[key]
    }

    func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        try strike("rows")
        guard let schema = RowStoreConformance.catalogue[query.dataset] else { return [] }
        return try query.page(of: Array(present.of(query.dataset)), in: schema, store: "memory")
    }

    func count(_ query: RowQuery) async throws(StoreError) -> Int {
        try strike("count")
        return present.of(query.dataset).count
    }

    func digests() async throws(StoreError) -> [DigestStamp] {
        try strike("digests")
        return present.digests.map { DigestStamp(scope: $0.key, digest: $0.value) }
    }
}

extension MemoryStore.Content {
    fileprivate func of(_ dataset: String) -> [StampedRow] {
        rows.values.filter { $0.row.dataset == dataset }
    }
}
