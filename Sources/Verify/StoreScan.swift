internal import Ledger

/// What is kept of one reading of a store: the hashes of its rows, and what was strange.
actor StoreScan {
    private let check: StoreCheck
    let hashes: RowHashes
    /// What lies there and is no row of any key, by its place.
    private(set) var litter: [String: DamagedRow] = [:]
    /// Rows to be looked at whatever the sums say: damaged ones, those without a stamp, and those whose
    /// stamp is of an entry after the one at which the store stands.
    private(set) var suspects: Set<RowKey> = []
    /// What was strange besides, beyond the limit.
    private(set) var unexamined = 0
    private let applied: SequenceNumber
    private var accounts = AccountNumbers()

    /// - Parameter applied: where the store stood before.
    init(_ check: StoreCheck, applied: SequenceNumber) {
        self.check = check
        self.applied = applied
        hashes = RowHashes(
            directory: check.limits.directory, memoryMax: check.limits.memoryRowsMax)
    }

    func run(_ progress: @escaping @Sendable (Int) async -> Void) async throws(StoreError) {
        let pace = ScanPace(check.limits.rowsPerSecond)
        let hashing = RowHashing(check.schema, check.journaled.digestKey, applied: applied)
        try await check.store.scanHashes(check.schema.dataset, hashing) {
            found async throws(StoreError) in
            try await self.take(found)
            let count = await self.hashes.count
            await progress(count)
            await pace.wait(count)
        }
    }

    private func take(_ found: HashedRows) async throws(StoreError) {
        for case .row(let stamped) in found.strange { suspect(stamped.row.key(in: check.schema)) }
        for case .damaged(let row) in found.strange {
            if let key = row.key {
                suspect(key)
            } else if litter.count < check.limits.examinedMax {
                litter[row.place] = row
            } else {
                unexamined += 1
            }
        }
        let numbers = found.accounts.map { accounts.number(of: $0) }
        try await hashes.append(found.rows, numbers)
    }

    private func suspect(_ key: RowKey) {
        if suspects.count < check.limits.examinedMax {
            suspects.insert(key)
        } else if !suspects.contains(key) {
            unexamined += 1
        }
    }

    struct Sums {
        /// The accounts whose rows do not add up to what was journaled of them, apart from rows that
        /// changed meanwhile.
        var differing: Set<String> = []
        /// The hashes of keys that came more than once.
        var repeated: Set<UInt64> = []
        /// As many as there should be.
        var journaledRows = 0
    }

    func sums(against changes: JournaledChanges) async throws(StoreError) -> Sums {
        var sums = Sums()
        sums.journaledRows = changes.digests.values.reduce(0) { $0 + Int($1.count) }
        let (expected, moved) = changes.resting(check.schema, check.journaled.digestKey)
        var found = [Digest](repeating: .empty, count: accounts.names.count)
        for part in 0..<RowHashes.partCount {
            var seen: Set<UInt64> = []
            for entry in try await hashes.part(part) {
                if !seen.insert(entry.key).inserted { sums.repeated.insert(entry.key) }
                if !moved.contains(entry.key) { found[Int(entry.account)].add(entry.row) }
            }
        }
        let byAccount = Dictionary(zip(accounts.names, found), uniquingKeysWith: { $1 })
        sums.differing = Set(byAccount.keys).union(expected.keys).filter {
            byAccount[$0, default: .empty] != expected[$0, default: .empty]
        }
        return sums
    }

    /// The numbers of some accounts, as the entries have them.
    func numbers(of names: Set<String>) -> Set<Int32> {
        Set(names.map { accounts.number(of: $0) })
    }
}

/// Small numbers for the names of accounts.
struct AccountNumbers {
    private(set) var names: [String] = []
    private var numbers: [String: Int32] = [:]

    mutating func number(of name: String) -> Int32 {
        if let number = numbers[name] { return number }
        let number = Int32(names.count)
        names.append(name)
        numbers[name] = number
        return number
    }
}

/// Rows a second, from when it was made.
struct ScanPace: Sendable {
    private let start = ContinuousClock.now
    private let rowsPerSecond: Int?

    init(_ rowsPerSecond: Int?) {
        self.rowsPerSecond = rowsPerSecond
    }

    func wait(_ rows: Int) async {
        guard let rowsPerSecond else { return }
        let due = start + .seconds(1) * (Double(rows) / Double(rowsPerSecond))
        try? await Task.sleep(until: due, clock: .continuous)
    }
}
