import Connections
import Ledger
import SQLiteStore
import Verify

/// What was journaled, as another process than the core sees it: the core's checkpoint, and on top of it
/// what the journal has that the checkpoint has not yet. Both are read, and neither is changed.
///
/// Its thread is its own, because the journal's files block.
actor JournalView: JournaledRows {
    fileprivate struct TailEntry {
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
    /// Each row that is in the tail, as it stands at its end.
    private var newest: [RowKey: JournaledRow] = [:]
    private var isForgetting = false
    private var advancedAt: ContinuousClock.Instant?

    private static let freshness = Duration.milliseconds(50)
    /// Of what has changed, so many rows at a time, and so many entries.
    private static let changedRowsMax = 10_000
    private static let pageEntries = 2_000
    private static let pageBytes = 16 << 20
    /// About how many changes are kept for those who ask what has changed.
    private static let tailRowsMax = 100_000

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
        if !tail.isEmpty { return end }
        // Of a journal without an entry the checkpoint does not know the epoch.
        do throws(JournalError) {
            return max(end, try reader.head().sequence)
        } catch {
            throw Self.failure(error)
        }
    }

    private var end: SequenceNumber { tail.last?.sequence ?? tailStart }

    /// The last entry, by the checksum that tells it from one of another history.
    func headPlace() throws(StoreError) -> JournalPlace {
        let head = try head()
        do throws(JournalError) {
            return JournalPlace(
                journal: identity, applied: head,
                checksum: head.number == 0 ? nil : try reader.checksum(of: head)?.short)
        } catch {
            throw Self.failure(error)
        }
    }

    func digests(
        of dataset: String, asOf sequence: SequenceNumber
    ) async throws(StoreError) -> [DigestScope: Digest]? {
        let stamps = try await beforeTail { () async throws(StoreError) in
            try await checkpoint.digestsAsApplied()
        }
        try advance()
        guard stamps.applied <= sequence, sequence <= end else { return nil }
        var digests: [DigestScope: Digest] = [:]
        for stamp in stamps.digests where stamp.scope.dataset == dataset {
            digests[stamp.scope] = stamp.digest
        }
        for entry in tail[tail.partitioningIndex(after: stamps.applied)...]
        where entry.sequence <= sequence {
            for stamp in entry.digests where stamp.scope.dataset == dataset {
                digests[stamp.scope] = stamp.digest
            }
        }
        return digests
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
        var rows: [JournaledRow] = []
        for (key, found) in zip(keys, found) {
            var known: StampedRow?
            switch found {
            case .row(let stamped)?: known = stamped
            case .damaged(let damaged)?:
                throw .damaged(store: "checkpoint", problem: "\(damaged.place): \(damaged.problem)")
            case nil: known = nil
            }
            let newer = newest[key].flatMap { row in
                row.sequence ?? .none >= known?.sequence ?? .none ? row : nil
            }
            // What is in neither was gone when the tail began.
            rows.append(
                JournaledRow(
                    key: key, row: newer == nil ? known?.row : newer?.row,
                    sequence: newer?.sequence ?? known?.sequence ?? tailStart, asOf: end))
        }
        return rows
    }

    func row(_ key: RowKey, putBy sequence: SequenceNumber) throws(StoreError) -> Row? {
        var found: Row?
        let before = SequenceNumber(rawValue: sequence.rawValue - 1)
        try read(after: before, through: sequence) { entry in
            found = entry.rows.first { $0.key == key }?.row
            return true
        }
        return found
    }

    /// Whether what was journaled after an entry is still there.
    func reachesBack(to sequence: SequenceNumber) throws(StoreError) -> Bool {
        do throws(JournalError) {
            _ = try reader.entries(after: sequence, limit: 1)
            return true
        } catch {
            if case .deleted = error { return false }
            throw Self.failure(error)
        }
    }

    /// Many followers ask, so what is known is good enough for a moment.
    func changes(
        after sequence: SequenceNumber, in dataset: String
    ) throws(StoreError) -> JournaledChanges {
        if advancedAt.map({ $0 + Self.freshness < .now }) ?? true { try advance() }
        return try changes(after: sequence, in: dataset, rowsMax: Self.changedRowsMax)
    }

    /// - Parameter rowsMax: with so many the rest is left for the next one.
    private func changes(
        after sequence: SequenceNumber, in dataset: String, rowsMax: Int
    ) throws(StoreError) -> JournaledChanges {
        var changes = JournaledChanges(through: max(sequence, end), rows: [:])
        var entriesLeft = rowsMax
        func take(_ entry: TailEntry) -> Bool {
            for row in entry.rows where row.key.dataset == dataset { changes.rows[row.key] = row }
            entriesLeft -= 1
            let isEnough = changes.rows.count >= rowsMax || entriesLeft <= 0
            if isEnough { changes.through = entry.sequence }
            return !isEnough
        }
        if sequence < tailStart {
            guard try read(after: sequence, through: tailStart, take) else { return changes }
        }
        for entry in tail[tail.partitioningIndex(after: sequence)...] {
            guard take(entry) else { break }
        }
        return changes
    }

    func keys(
        in dataset: String, after key: RowKey?, limit: Int
    ) async throws(StoreError) -> [RowKey] {
        guard let schema = catalogue[dataset] else { return [] }
        var query = RowQuery(dataset: dataset)
        query.afterKey = key?.values
        query.limit = limit
        return try await checkpoint.rows(query).map { $0.row.key(in: schema) }
    }

    func changesAndDigests(
        after sequence: SequenceNumber, in dataset: String
    ) async throws(StoreError) -> JournaledChanges {
        let stamps = try await beforeTail { () async throws(StoreError) in
            try await checkpoint.digestsAsApplied()
        }
        try advance()
        var changes = try changes(after: sequence, in: dataset, rowsMax: .max)
        for stamp in stamps.digests where stamp.scope.dataset == dataset {
            changes.digests[stamp.scope] = stamp.digest
        }
        for entry in tail[tail.partitioningIndex(after: stamps.applied)...] {
            for stamp in entry.digests where stamp.scope.dataset == dataset {
                changes.digests[stamp.scope] = stamp.digest
            }
        }
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
        try read(after: end, through: nil) { entry in
            tail.append(entry)
            tailRows += entry.rows.count
            for row in entry.rows { newest[row.key] = row }
            return true
        }
        advancedAt = .now
        if tailRows > Self.tailRowsMax, !isForgetting {
            isForgetting = true
            Task { await forget() }
        }
    }

    /// - Parameter take: false: no more are wanted.
    /// - Returns: whether it came to the end.
    @discardableResult
    private func read(
        after sequence: SequenceNumber, through last: SequenceNumber?, _ take: (TailEntry) -> Bool
    ) throws(StoreError) -> Bool {
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
                if let last, entry.sequence > last { return true }
                guard take(try tailEntry(entry)) else { return false }
                position = entry.sequence
            }
            if entries.isEmpty { return true }
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

    /// The older half of the tail, but nothing that the checkpoint may lack.
    private func forget() async {
        defer { isForgetting = false }
        guard let applied = try? await checkpoint.appliedSequence(), !tail.isEmpty else { return }
        let limit = min(applied, tail[tail.count / 2].sequence)
        let count = tail.partitioningIndex(after: limit)
        guard count > 0 else { return }
        tailStart = tail[count - 1].sequence
        tail.removeFirst(count)
        tailRows = tail.reduce(0) { $0 + $1.rows.count }
        newest = newest.filter { ($0.value.sequence ?? .none) > tailStart }
    }

    private static func failure(_ error: JournalError) -> StoreError {
        switch error {
        case .damaged: .damaged(store: "journal", problem: error.description)
        default: .unavailable(store: "journal", problem: error.description)
        }
    }
}

extension [JournalView.TailEntry] {
    /// Of the first entry after a sequence number; they are in order.
    fileprivate func partitioningIndex(after sequence: SequenceNumber) -> Int {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = (low + high) / 2
            if self[middle].sequence > sequence { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
