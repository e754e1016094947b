import Ledger
import Synchronization
import TestSupport

@testable import Verify

/// A journal in memory: entries of one change each, over three accounts.
final class MemoryJournal: JournaledRows, Sendable {
    static let schema = Schema(
        dataset: "held", kind: .declared,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [Field("days", .integer), Field("price", .decimal, optional: true)],
        accountField: "account_id")
    static let accounts = ["A", "B", "C"]

    struct Content: Sendable {
        var head = SequenceNumber(epoch: 1, number: 0)
        var rows: [RowKey: StampedRow] = [:]
        var entries: [JournaledRow] = []
        var digests: [DigestScope: Digest] = [:]
        var generator: SeededGenerator
    }

    let digestKey = SipHashKey(low: 1, high: 2)
    let catalogue = SchemaCatalogue([schema])
    let content: Mutex<Content>
    private let keysMax: Int
    /// Of what has changed, so many entries at a time.
    private let pageEntries: Int

    init(seed: UInt64, keysMax: Int = 200, pageEntries: Int = .max) {
        self.pageEntries = pageEntries
        content = Mutex(Content(generator: SeededGenerator(seed: seed)))
        self.keysMax = keysMax
    }

    static func key(_ number: Int) -> RowKey {
        RowKey(
            dataset: "held",
            values: [.text(accounts[number % accounts.count]), .text("S\(number)")])
    }

    /// Journals so many changes.
    func change(_ count: Int) {
        content.withLock { content in
            for _ in 0..<count {
                let key = Self.key(Int.random(in: 0..<keysMax, using: &content.generator))
                let days = Int64.random(in: 0..<1_000_000, using: &content.generator)
                let isGone = Int.random(in: 0..<6, using: &content.generator) == 0
                let row =
                    isGone
                    ? nil : Row(dataset: "held", values: key.values + [.integer(days), .null])
                content.put(key, row, digestKey)
            }
        }
    }

    func put(_ key: RowKey, _ row: Row?) { content.withLock { $0.put(key, row, digestKey) } }

    // MARK: JournaledRows

    func head() async throws(StoreError) -> SequenceNumber { content.withLock { $0.head } }

    func has(_ place: JournalPlace) async throws(StoreError) -> Bool {
        content.withLock { place.applied <= $0.head }
    }

    func rows(_ keys: [RowKey]) async throws(StoreError) -> [JournaledRow] {
        content.withLock { content in
            keys.map { key in
                JournaledRow(
                    key: key, row: content.rows[key]?.row,
                    sequence: content.entries.last { $0.key == key }?.sequence, asOf: content.head)
            }
        }
    }

    func changes(
        after sequence: SequenceNumber, in dataset: String
    ) async throws(StoreError) -> JournaledChanges {
        content.withLock { content in
            var rows: [RowKey: JournaledRow] = [:]
            let entries = content.entries.filter { ($0.sequence ?? .none) > sequence }
            for entry in entries.prefix(pageEntries) { rows[entry.key] = entry }
            let through = entries.count > pageEntries ? entries[pageEntries - 1].sequence : nil
            return JournaledChanges(through: through ?? content.head, rows: rows)
        }
    }

    func changesAndDigests(
        after sequence: SequenceNumber, in dataset: String
    ) async throws(StoreError) -> JournaledChanges {
        content.withLock { content in
            var rows: [RowKey: JournaledRow] = [:]
            for entry in content.entries where (entry.sequence ?? .none) > sequence {
                rows[entry.key] = entry
            }
            return JournaledChanges(through: content.head, rows: rows, digests: content.digests)
        }
    }

    func digests(
        of dataset: String, asOf sequence: SequenceNumber
    ) async throws(StoreError) -> [DigestScope: Digest]? {
        content.withLock { content in
            var last: [RowKey: Row] = [:]
            for entry in content.entries where entry.sequence ?? .none <= sequence {
                last[entry.key] = entry.row
            }
            var digests: [DigestScope: Digest] = [:]
            for row in last.values {
                guard let schema = catalogue[row.dataset] else { continue }
                let scope = DigestScope(dataset: dataset, account: row.account(in: schema))
                digests[scope, default: .empty].add(
                    digestKey.hash(row.encoded(keyCount: schema.keyCount)))
            }
            return digests
        }
    }

    func keys(
        in dataset: String, after key: RowKey?, limit: Int
    ) async throws(StoreError) -> [RowKey] {
        let keys = content.withLock { Array($0.rows.keys) }.sorted { "\($0)" < "\($1)" }
        let rest = keys.drop { candidate in key.map { "\(candidate)" <= "\($0)" } ?? false }
        return Array(rest.prefix(limit))
    }

    func row(_ key: RowKey, putBy sequence: SequenceNumber) async throws(StoreError) -> Row? {
        content.withLock { content in
            content.entries.first { $0.sequence == sequence && $0.key == key }?.row
        }
    }

    func scan(
        _ dataset: String, _ consume: @Sendable ([StampedRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) -> SequenceNumber {
        let (rows, head) = content.withLock { (Array($0.rows.values), $0.head) }
        for row in rows { try await consume([row]) }
        return head
    }
}

extension MemoryJournal.Content {
    fileprivate mutating func put(_ key: RowKey, _ row: Row?, _ digestKey: SipHashKey) {
        head = head.next
        let scope = DigestScope(dataset: "held", account: key.values[0].text ?? "")
        var digest = digests[scope] ?? .empty
        if let old = rows[key] { digest.remove(digestKey.hash(old.row.encoded(keyCount: 2))) }
        if let row { digest.add(digestKey.hash(row.encoded(keyCount: 2))) }
        digests[scope] = digest
        rows[key] = row.map { StampedRow(row: $0, sequence: head) }
        entries.append(JournaledRow(key: key, row: row, sequence: head, asOf: head))
    }
}
