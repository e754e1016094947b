import Ledger
import Synchronization

@testable import Verify

/// A copy in memory that follows a `MemoryJournal` when it is told to, also while it is scanned.
final class MemoryCopy: ScannableStore, Sendable {
    struct Content: Sendable {
        var position: StorePosition
        var found: [RowKey: FoundRow] = [:]
        /// Something that is no row of any key.
        var litter: [DamagedRow] = []
        var failure: StoreError?
        /// Rows that lie there once more.
        var doubles: [StampedRow] = []
        /// What it says its rows add up to; nil: what they do at its position.
        var digests: [DigestStamp]?
    }

    let journal: MemoryJournal
    let content: Mutex<Content>
    /// Called between two pages of a scan.
    private let between: @Sendable (MemoryCopy) -> Void

    init(_ journal: MemoryJournal, between: @escaping @Sendable (MemoryCopy) -> Void = { _ in }) {
        self.journal = journal
        self.between = between
        content = Mutex(
            Content(
                position: StorePosition(
                    journal: journal.identity, applied: SequenceNumber(epoch: 1, number: 0),
                    datasets: ["held"])))
    }

    /// Applies so many entries. Rows go before the position, as in Redis.
    func follow(_ count: Int = .max, isHalf: Bool = false) {
        let applied = content.withLock { $0.position.applied }
        let due = journal.content.withLock { content in
            Array(content.entries.filter { ($0.sequence ?? .none) > applied }.prefix(count))
        }
        content.withLock { content in
            for entry in due {
                content.found[entry.key] = entry.row.map {
                    .row(StampedRow(row: $0, sequence: entry.sequence ?? .none))
                }
            }
            if let last = due.last?.sequence, !isHalf { content.position.applied = last }
        }
    }

    /// Entries that it has.
    var appliedCount: Int { Int(content.withLock { $0.position.applied.number }) }

    func change(_ body: (inout Content) -> Void) { content.withLock { body(&$0) } }

    private func present() throws(StoreError) -> Content {
        let present = content.withLock { $0 }
        if let failure = present.failure { throw failure }
        return present
    }

    func position() async throws(StoreError) -> StorePosition { try present().position }

    func scan(
        _ dataset: String, account: String?,
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        let keys = try present().found.keys.sorted { "\($0)" < "\($1)" }
        for start in stride(from: 0, to: keys.count, by: 10) {
            let now = try present()
            try await consume(
                keys[start..<min(start + 10, keys.count)].compactMap { now.found[$0] })
            between(self)
        }
        let rest = try present()
        try await consume(rest.litter.map(FoundRow.damaged) + rest.doubles.map(FoundRow.row))
    }

    func find(_ keys: [RowKey]) async throws(StoreError) -> [FoundRow?] {
        let present = try present()
        return keys.map { present.found[$0] }
    }

    func digests() async throws(StoreError) -> [DigestStamp] {
        let present = try present()
        if let digests = present.digests { return digests }
        let journaled = try await journal.digests(of: "held", asOf: present.position.applied)
        return (journaled ?? [:]).map { DigestStamp(scope: $0.key, digest: $0.value) }
    }

    // Nothing else is asked of it.

    func appliedSequence() async throws(StoreError) -> SequenceNumber {
        try present().position.applied
    }
    func apply(_ batch: StoreBatch) async throws(StoreError) { throw Self.unused }
    func row(_ key: RowKey) async throws(StoreError) -> StampedRow? { throw Self.unused }
    func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] { throw Self.unused }
    func count(_ query: RowQuery) async throws(StoreError) -> Int { throw Self.unused }
    func begin(
        _ datasets: Set<String>, from found: StorePosition?, as begun: StorePosition
    ) async throws(StoreError) { throw Self.unused }
    func fill(_ rows: [StampedRow], at begun: StorePosition?) async throws(StoreError) {
        throw Self.unused
    }
    func finish(
        _ position: StorePosition, from begun: StorePosition?, digests: [DigestStamp]
    ) async throws(StoreError) { throw Self.unused }

    private static let unused = StoreError.refused(store: "memory", problem: "who verifies reads")
}
