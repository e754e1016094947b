import Connections
import Ledger
import SQLiteStore
import Verify

/// What was journaled, as another process than the core sees it: the core's checkpoint, and on top of it
/// what the journal has that the checkpoint has not yet. Both are read, and neither is changed.
///
/// Its thread is its own, because the journal's files block.
actor JournalView: JournaledRows {
    private struct TailEntry {
        let sequence: SequenceNumber
        let rows: [JournaledRow]
        let digests: [DigestStamp]
    }

    private let thread = ThreadExecutor(name: "journal-view")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    nonisolated let catalogue: SchemaCatalogue
    nonisolated let digestKey: SipHashKey
    private let checkpoint: SQLiteStore
    private let reader: JournalReader
    /// The newest entries, none left out; `tailStart` is the entry before them.
    private var tail: [TailEntry] = []
    private var tailStart: SequenceNumber
    private var tailRows = 0

    private static let pageEntries = 2_000
    private static let pageBytes = 16 << 20
    /// About how many changes are kept for those who ask what has changed.
    private static let tailRowsMax = 400_000

    /// Throws `unavailable` while there is no journal, or no checkpoint yet.
    init(_ layout: DataLayout, _ catalogue: SchemaCatalogue) async throws(StoreError) {
        self.catalogue = catalogue
        do {
            reader = try JournalReader(directory: layout.journal)
            digestKey = try reader.digestKey()
        } catch {
            throw Self.failure(error)
        }
        checkpoint = try SQLiteStore(reading: layout.checkpoint, schemas: catalogue)
        tailStart = try await checkpoint.appliedSequence()
    }

    deinit { thread.stop() }

    // MARK: JournaledRows

    func head() throws(StoreError) -> SequenceNumber {
        try advance()
        return tail.last?.sequence ?? tailStart
    }

    func has(_ place: JournalPlace) throws(StoreError) -> Bool {
        // An epoch's entry 0 stands for its beginning.
        if place.applied.number == 0 { return try place.applied <= head() }
        do throws(JournalError) {
            guard let checksum = try reader.checksum(of: place.applied) else { return false }
            return place.checksum == nil || place.checksum == checksum.short
        } catch {
            // Before the oldest file: nobody can say any more.
            if case .deleted = error { return true }
            throw Self.failure(error)
        }
    }

    func rows(_ keys: [RowKey]) async throws(StoreError) -> [JournaledRow] {
        // The checkpoint first, so that the journal has everything that it lacks.
        let found = try await beforeTail { () async throws(StoreError) in
            try await checkpoint.find(keys)
        }
        try advance()
        let asOf = tail.last?.sequence ?? tailStart
        let wanted = Set(keys)
        var newest: [RowKey: JournaledRow] = [:]
        for entry in tail {
            for row in entry.rows where wanted.contains(row.key) { newest[row.key] = row }
        }
        var rows: [JournaledRow] = []
        for (key, found) in zip(keys, found) {
            var known: StampedRow?
            switch found {
            case .row(let stamped)?: known = stamped
            case .damaged(let damaged)?:
                throw .damaged(store: "checkpoint", problem: "\(damaged.place): \(damaged.problem)")
            case nil: known = nil
            }
            if let newer = newest[key], newer.sequence ?? .none >= known?.sequence ?? .none {
                rows.append(
                    JournaledRow(key: key, row: newer.row, sequence: newer.sequence, asOf: asOf))
            } else {
                rows.append(
                    JournaledRow(key: key, row: known?.row, sequence: known?.sequence, asOf: asOf))
            }
        }
        return rows
    }

    func changes(
        after sequence: SequenceNumber, in dataset: String
    ) async throws(StoreError) -> JournaledChanges {
        let stamps = try await beforeTail { () async throws(StoreError) in
            try await checkpoint.stampedDigests()
        }
        try advance()
        var changes = JournaledChanges(
            through: tail.last?.sequence ?? tailStart, rows: [:], digests: [:])
        for stamp in stamps.digests where stamp.scope.dataset == dataset {
            changes.digests[stamp.scope] = stamp.digest
        }
        func take(_ entry: TailEntry) {
            if entry.sequence > stamps.applied {
                for stamp in entry.digests where stamp.scope.dataset == dataset {
                    changes.digests[stamp.scope] = stamp.digest
                }
            }
            guard entry.sequence > sequence else { return }
            for row in entry.rows where row.key.dataset == dataset { changes.rows[row.key] = row }
        }
        if sequence < tailStart { try older(after: sequence, take) }
        for entry in tail { take(entry) }
        return changes
    }

    func scan(
        _ dataset: String, _ consume: @Sendable ([StampedRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) -> SequenceNumber {
        let applied = try await checkpoint.appliedSequence()
        try await checkpoint.scan(dataset, account: nil) { found async throws(StoreError) in
            var rows: [StampedRow] = []
            for row in found {
                switch row {
                case .row(let stamped): rows.append(stamped)
                case .damaged(let damaged):
                    throw .damaged(
                        store: "checkpoint", problem: "\(damaged.place): \(damaged.problem)")
                }
            }
            try await consume(rows)
        }
        return applied
    }

    // MARK: The journal

    /// What the checkpoint says, when the tail still begins where it did: otherwise entries between the two
    /// may be gone from it.
    private func beforeTail<Found: Sendable>(
        _ ask: () async throws(StoreError) -> Found
    ) async throws(StoreError) -> Found {
        while true {
            let start = tailStart
            let found = try await ask()
            if tailStart == start { return found }
        }
    }

    /// Takes in what has become durable.
    private func advance() throws(StoreError) {
        var end = tail.last?.sequence ?? tailStart
        try read(after: end, through: nil) { entry in
            tail.append(entry)
            tailRows += entry.rows.count
            end = entry.sequence
        }
        if tailRows > Self.tailRowsMax { forget() }
    }

    /// What the tail does not have any more.
    private func older(
        after sequence: SequenceNumber, _ take: (TailEntry) -> Void
    ) throws(StoreError) {
        try read(after: sequence, through: tailStart, take)
    }

    private func read(
        after sequence: SequenceNumber, through last: SequenceNumber?, _ take: (TailEntry) -> Void
    ) throws(StoreError) {
        var position = sequence
        while true {
            let entries: [Entry]
            do {
                entries = try reader.entries(
                    after: position, limit: Self.pageEntries, bytesMax: Self.pageBytes)
            } catch {
                throw Self.failure(error)
            }
            for entry in entries {
                if let last, entry.sequence > last { return }
                take(try tailEntry(entry))
                position = entry.sequence
            }
            if entries.isEmpty { return }
        }
    }

    private func tailEntry(_ entry: Entry) throws(StoreError) -> TailEntry {
        var rows: [JournaledRow] = []
        for change in entry.changes {
            do {
                let decoded = try change.storeChange(at: entry.sequence, in: catalogue)
                rows.append(
                    JournaledRow(
                        key: decoded.key, row: decoded.row, sequence: entry.sequence,
                        asOf: entry.sequence))
            } catch {
                throw .damaged(
                    store: "journal",
                    problem: "a row of entry \(entry.sequence) cannot be decoded: \(error)")
            }
        }
        return TailEntry(sequence: entry.sequence, rows: rows, digests: entry.draft.digests)
    }

    /// Half of the tail, but nothing that the checkpoint may lack.
    private func forget() {
        guard let middle = tail[safe: tail.count / 2] else { return }
        Task { await forget(through: middle.sequence) }
    }

    private func forget(through sequence: SequenceNumber) async {
        guard let applied = try? await checkpoint.appliedSequence() else { return }
        let limit = min(applied, sequence)
        let count = tail.prefix { $0.sequence <= limit }.count
        guard count > 0 else { return }
        tailStart = tail[count - 1].sequence
        tail.removeFirst(count)
        tailRows = tail.reduce(0) { $0 + $1.rows.count }
    }

    private static func failure(_ error: JournalError) -> StoreError {
        switch error {
        case .damaged: .damaged(store: "journal", problem: error.description)
        default: .unavailable(store: "journal", problem: error.description)
        }
    }
}

extension Array {
    fileprivate subscript(safe index: Int) -> Element? {
        indices.contains(index) ? self[index] : nil
    }
}
