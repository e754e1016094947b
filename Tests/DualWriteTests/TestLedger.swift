import DualWrite
import Ledger
import SQLiteStore
import Synchronization
import TestSupport
import Testing

/// A journal with its feed and the core's own rows, all real, and somebody who changes rows.
actor TestLedger {
    static let catalogue = SchemaCatalogue([
        RowStoreConformance.schema, RowStoreConformance.other,
    ])
    static let accounts = ["A", "B", "C"]

    let folder: TemporaryDirectory
    nonisolated let feed: JournalFeed
    nonisolated let core: TestCoreRows
    nonisolated let identity = "the-journal"
    private let journal: SQLiteJournal
    private var digests: [DigestScope: Digest] = [:]
    private var rows: [RowKey: Row] = [:]
    private var generator = SeededGenerator(seed: 11)

    /// - Parameter feedRows: how many changes the feed keeps in memory.
    init(feedRows: Int = 50_000, epoch: Int64 = 0, rollAtBytes: Int = 256 << 20) throws {
        folder = try TemporaryDirectory("dual")
        var options = SQLiteJournal.Options()
        options.rollAtBytes = rollAtBytes
        journal = try SQLiteJournal(
            directory: folder.path("journal"), options: options, epochAbove: epoch)
        feed = JournalFeed(
            directory: folder.path("journal"), head: journal.head.sequence, rowsMax: feedRows,
            schemas: Self.catalogue)
        core = TestCoreRows(
            try SQLiteStore(path: folder.path("core.sqlite"), schemas: Self.catalogue))
    }

    /// A store of its own.
    nonisolated func makeStore(_ name: String) throws -> SQLiteStore {
        try SQLiteStore(path: folder.path(name + ".sqlite"), schemas: Self.catalogue)
    }

    /// Changes rows at random, in as many entries.
    func change(entries count: Int) async throws {
        for _ in 0..<count {
            try await append(
                (0..<Int.random(in: 1...4, using: &generator)).map { _ in try random() })
        }
    }

    private func random() throws -> StoreBatch.Change {
        let sequence = journal.head.sequence.next
        let schema: Schema
        let row: Row
        if Int.random(in: 0..<5, using: &generator) == 0 {
            schema = RowStoreConformance.other
            row = Row(
                dataset: schema.dataset,
                values: [
                    .text("o\(Int.random(in: 0..<40, using: &generator))"),
                    .text("t\(Int.random(in: 0..<1_000, using: &generator))"),
                ])
        } else {
            schema = RowStoreConformance.schema
            let number = Int64.random(in: 0..<200, using: &generator)
            row = Row(
                dataset: schema.dataset,
                values: [
                    .text("g\(number % 5)"), .integer(number), .text("n"),
                    .decimal(ExactDecimal(Int.random(in: 0..<9_999, using: &generator))), .null,
                    .null, .null, .null, .text(Self.accounts[Int(number) % 3]),
                ])
        }
        let isDeleted = Int.random(in: 0..<8, using: &generator) == 0
        return StoreBatch.Change(
            key: row.key(in: schema), row: isDeleted ? nil : row, sequence: sequence)
    }

    private func append(_ changes: [StoreBatch.Change]) async throws {
        var scopes: Set<DigestScope> = []
        var net: [RowKey: StoreBatch.Change] = [:]
        for change in changes { net[change.key] = change }
        for change in net.values {
            guard let schema = Self.catalogue[change.key.dataset] else { continue }
            let old = rows[change.key]
            rows[change.key] = change.row
            for (row, isOld) in [(old, true), (change.row, false)] {
                guard let row else { continue }
                let scope = DigestScope(
                    dataset: row.dataset, account: row.account(in: schema))
                let hash = journal.digestKey.hash(row.encoded(keyCount: schema.keyCount))
                if isOld {
                    digests[scope, default: .empty].remove(hash)
                } else {
                    digests[scope, default: .empty].add(hash)
                }
                scopes.insert(scope)
            }
        }
        let draft = EntryDraft(
            sequence: journal.head.sequence.next, time: .now(), kind: "test",
            changes: net.values.map { change in
                change.row.flatMap { row in
                    Self.catalogue[row.dataset].map { .put(row, keyCount: $0.keyCount) }
                } ?? .delete(change.key)
            },
            digests: scopes.map { DigestStamp(scope: $0, digest: digests[$0] ?? .empty) })
        try journal.append([draft])
        let run = JournalRun(drafts: [draft], changes: Array(net.values))
        try await core.rows.apply(StoreBatch(net: [run]))
        feed.add(run)
    }

    /// What is wrong with a store that should have all of some datasets; nil when nothing is.
    func difference(
        _ store: any ReplicaStore, in datasets: Set<String> = ["samples", "others"]
    ) async throws -> String? {
        let head = journal.head.sequence
        let position = try await store.position()
        if position.applied != head { return "it is at \(position.applied), not \(head)" }
        if position.journal != identity { return "it is of \(position.journal ?? "nothing")" }
        if position.datasets != datasets { return "it has \(position.datasets)" }
        for dataset in datasets.sorted() {
            var query = RowQuery(dataset: dataset)
            query.limit = .max
            let (found, wanted) = (
                try await store.rows(query), try await core.rows.rows(query)
            )
            if found != wanted {
                return "\(dataset): \(Set(found).symmetricDifference(wanted).prefix(4))"
            }
        }
        let wanted = digests.filter { datasets.contains($0.key.dataset) }
        let found = Dictionary(
            try await store.digests().filter { datasets.contains($0.scope.dataset) }
                .map { ($0.scope, $0.digest) }, uniquingKeysWith: { first, _ in first })
        return found.filter { $0.value != .empty } == wanted.filter { $0.value != .empty }
            ? nil : "its digests are \(found), not \(wanted)"
    }

    var head: SequenceNumber { journal.head.sequence }
}

struct TestCoreRows: CoreRows {
    let rows: SQLiteStore
    var store: any RowStore { rows }
    var catalogue: SchemaCatalogue { TestLedger.catalogue }

    init(_ rows: SQLiteStore) {
        self.rows = rows
    }

    func reach(_ sequence: SequenceNumber) async throws(StoreError) {
        // An epoch's entry 0 stands for its beginning.
        while sequence.number > 0, try await rows.appliedSequence() < sequence {
            try? await Task.sleep(for: .milliseconds(1))
        }
    }
}

/// A real store behind a line that a test can cut, slow down or make unreliable.
///
/// Under a lock: the test changes it while the follower works.
final class UnreliableStore: ReplicaStore {
    enum Line: Sendable, Equatable {
        case good
        case cut
        case slow(Duration)
        /// Fails one call in so many, half of them after the store has done what was asked.
        case failing(oneIn: Int)
        case refusing
    }

    let real: any ReplicaStore
    private let line = Mutex(Line.good)
    private let calls = Mutex(0)
    private let reads = Mutex(0)

    init(_ real: any ReplicaStore) {
        self.real = real
    }

    func set(_ new: Line) { line.withLock { $0 = new } }
    var writeCalls: Int { calls.withLock { $0 } }
    var readCalls: Int { reads.withLock { $0 } }

    private func pass<Result: Sendable>(
        _ body: () async throws(StoreError) -> Result
    ) async throws(StoreError) -> Result {
        switch line.withLock({ $0 }) {
        case .good: return try await body()
        case .cut: throw .unavailable(store: "far", problem: "the line is cut")
        case .refusing: throw .refused(store: "far", problem: "no permission")
        case .slow(let delay):
            try? await Task.sleep(for: delay)
            return try await body()
        case .failing(let oneIn):
            guard Int.random(in: 0..<oneIn) == 0 else { return try await body() }
            if Bool.random() { _ = try await body() }
            throw .unavailable(store: "far", problem: "the answer was lost")
        }
    }

    func position() async throws(StoreError) -> StorePosition {
        try await pass { () throws(StoreError) in try await real.position() }
    }
    func begin(_ datasets: Set<String>) async throws(StoreError) {
        calls.withLock { $0 += 1 }
        try await pass { () throws(StoreError) in try await real.begin(datasets) }
    }
    func fill(_ rows: [StampedRow]) async throws(StoreError) {
        calls.withLock { $0 += 1 }
        try await pass { () throws(StoreError) in try await real.fill(rows) }
    }
    func finish(_ position: StorePosition, digests: [DigestStamp]) async throws(StoreError) {
        calls.withLock { $0 += 1 }
        try await pass { () throws(StoreError) in
            try await real.finish(position, digests: digests)
        }
    }
    func appliedSequence() async throws(StoreError) -> SequenceNumber {
        try await pass { () throws(StoreError) in try await real.appliedSequence() }
    }
    func apply(_ batch: StoreBatch) async throws(StoreError) {
        calls.withLock { $0 += 1 }
        try await pass { () throws(StoreError) in try await real.apply(batch) }
    }
    func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        reads.withLock { $0 += 1 }
        return try await pass { () throws(StoreError) in try await real.row(key) }
    }
    func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        reads.withLock { $0 += 1 }
        return try await pass { () throws(StoreError) in try await real.rows(query) }
    }
    func count(_ query: RowQuery) async throws(StoreError) -> Int {
        try await pass { () throws(StoreError) in try await real.count(query) }
    }
    func digests() async throws(StoreError) -> [DigestStamp] {
        try await pass { () throws(StoreError) in try await real.digests() }
    }
}
