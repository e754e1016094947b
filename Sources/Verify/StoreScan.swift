internal import Ledger

/// What is kept of one reading of a store: the hashes of its rows, and what was strange.
actor StoreScan {
    private let check: StoreCheck
    let hashes: RowHashes
    private(set) var damaged: [DamagedRow] = []
    /// Rows to be looked at whatever the sums say: damaged ones, those without a stamp.
    private(set) var suspects: Set<RowKey> = []
    /// What was strange besides, beyond the limit.
    private(set) var unexamined = 0
    private var accounts = AccountNumbers()

    init(_ check: StoreCheck) {
        self.check = check
        hashes = RowHashes(
            directory: check.limits.directory, memoryMax: check.limits.memoryRowsMax)
    }

    func run(_ progress: @escaping @Sendable (Int) async -> Void) async throws(StoreError) {
        let start = ContinuousClock.now
        let perSecond = check.limits.rowsPerSecond
        try await check.store.scan(check.schema.dataset, account: nil) {
            found async throws(StoreError) in
            try await self.take(found)
            let count = await self.hashes.count
            await progress(count)
            if let perSecond {
                let due = start + .seconds(1) * (Double(count) / Double(perSecond))
                try? await Task.sleep(until: due, clock: .continuous)
            }
        }
    }

    private func take(_ found: [FoundRow]) async throws(StoreError) {
        let (schema, key) = (check.schema, check.journaled.digestKey)
        var entries: [RowHashes.Entry] = []
        entries.reserveCapacity(found.count)
        for case .row(let stamped) in found {
            let rowKey = stamped.row.key(in: schema)
            if stamped.sequence == .none { suspect(rowKey) }
            entries.append(
                RowHashes.Entry(
                    key: key.keyHash(rowKey),
                    row: key.hash(stamped.row.encoded(keyCount: schema.keyCount)),
                    scope: accounts.number(of: stamped.row.account(in: schema))))
        }
        for case .damaged(let row) in found {
            if let key = row.key {
                suspect(key)
            } else if damaged.count < check.limits.examinedMax {
                damaged.append(row)
            } else {
                unexamined += 1
            }
        }
        try await hashes.append(entries)
    }

    private func suspect(_ key: RowKey) {
        if suspects.count < check.limits.examinedMax {
            suspects.insert(key)
        } else if !suspects.contains(key) {
            unexamined += 1
        }
    }

    /// The accounts whose rows do not add up to what was journaled of them, apart from rows that changed
    /// meanwhile.
    func scopesThatDiffer(from changes: JournaledChanges) async throws(StoreError) -> Set<String> {
        let (schema, key) = (check.schema, check.journaled.digestKey)
        var moved: Set<UInt64> = []
        var expected: [String: Digest] = [:]
        for (scope, digest) in changes.digests { expected[scope.account] = digest }
        for (rowKey, journaled) in changes.rows {
            moved.insert(key.keyHash(rowKey))
            guard let row = journaled.row else { continue }
            let hash = key.hash(row.encoded(keyCount: schema.keyCount))
            expected[row.account(in: schema), default: .empty].remove(hash)
        }
        var sums = [Digest](repeating: .empty, count: accounts.names.count)
        for part in 0..<RowHashes.partCount {
            for entry in try await hashes.part(part) where !moved.contains(entry.key) {
                sums[Int(entry.scope)].add(entry.row)
            }
        }
        let found = Dictionary(zip(accounts.names, sums), uniquingKeysWith: { $1 })
        return Set(found.keys).union(expected.keys).filter {
            found[$0, default: .empty] != expected[$0, default: .empty]
        }
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
