internal import Ledger

/// Finds the rows because of which a sum differs: part by part the hashes of both sides are compared, then
/// the keys are looked up whose hashes differ.
struct DifferenceSearch {
    let check: StoreCheck
    /// Of the store.
    let scan: StoreScan
    /// Where the store stood before it was read.
    let since: SequenceNumber

    struct Found {
        var keys: Set<RowKey> = []
        var unexamined = 0
    }

    /// - Parameter accounts: those whose rows are searched.
    func keys(in accounts: Set<String>) async throws(StoreError) -> Found {
        let journaled = JournaledHashes(check)
        let asOf = try await journaled.run(accounts)
        let changes = try await check.journaled.changesAndDigests(
            after: min(asOf, since), in: check.schema.dataset)
        let key = check.journaled.digestKey
        let moved = Set(changes.rows.keys.map { key.keyHash($0) })
        var differing: Set<UInt64> = []
        var found = Found()
        try await journaled.expectWhole(accounts, against: changes)
        let numbers = await scan.numbers(of: accounts)
        for part in 0..<RowHashes.partCount {
            let lies = try await scan.hashes.part(part).filter { numbers.contains($0.account) }
            for hash in Self.difference(lies, try await journaled.hashes.part(part))
            where !moved.contains(hash) {
                if differing.count < check.limits.examinedMax {
                    differing.insert(hash)
                } else {
                    found.unexamined += 1
                }
            }
        }
        found.keys = try await keys(of: differing).union(changes.rows.keys)
        return found
    }

    /// The keys' hashes under which the two do not have the same rows.
    static func difference(
        _ one: [HashedRow], _ other: [HashedRow]
    ) -> Set<UInt64> {
        var sums: [UInt64: Digest] = [:]
        sums.reserveCapacity(one.count)
        for entry in one { sums[entry.key, default: .empty].add(entry.row) }
        for entry in other { sums[entry.key, default: .empty].remove(entry.row) }
        return Set(sums.filter { $0.value != .empty }.keys)
    }

    /// From both sides, since each may have what the other lacks.
    private func keys(of hashes: Set<UInt64>) async throws(StoreError) -> Set<RowKey> {
        if hashes.isEmpty { return [] }
        let (schema, digestKey) = (check.schema, check.journaled.digestKey)
        let found = KeySet(hashes)
        _ = try await check.journaled.scan(schema.dataset) { rows async throws(StoreError) in
            await found.take(rows.map { $0.row.key(in: schema) }, digestKey)
        }
        if await found.isComplete { return await found.keys }
        try await check.store.scan(schema.dataset, account: nil) {
            rows async throws(StoreError) in
            let keys = rows.compactMap { row in
                if case .row(let stamped) = row { return stamped.row.key(in: schema) }
                return nil
            }
            await found.take(keys, digestKey)
        }
        return await found.keys
    }
}

/// The hashes of rows as they were journaled.
actor JournaledHashes {
    private let check: StoreCheck
    let hashes: RowHashes
    private var accounts = AccountNumbers()

    init(_ check: StoreCheck) {
        self.check = check
        hashes = RowHashes(
            directory: check.limits.directory, memoryMax: check.limits.memoryRowsMax)
    }

    func run(_ accounts: Set<String>) async throws(StoreError) -> SequenceNumber {
        let (schema, key, hashes) = (check.schema, check.journaled.digestKey, hashes)
        return try await check.journaled.scan(schema.dataset) { rows async throws(StoreError) in
            var entries: [HashedRow] = []
            for stamped in rows where accounts.contains(stamped.row.account(in: schema)) {
                entries.append(
                    HashedRow(
                        key: key.keyHash(stamped.row.key(in: schema)),
                        row: key.hash(stamped.row.encoded(keyCount: schema.keyCount)),
                        account: await self.number(of: stamped.row.account(in: schema))))
            }
            try await hashes.append(entries)
        }
    }

    private func number(of account: String) -> Int32 { accounts.number(of: account) }

    /// The rows that a store is compared with must themselves add up, or a store would be found guilty of
    /// what is wrong with them.
    func expectWhole(
        _ wanted: Set<String>, against changes: JournaledChanges
    ) async throws(StoreError) {
        let (expected, moved) = changes.resting(check.schema, check.journaled.digestKey)
        var sums = [Digest](repeating: .empty, count: accounts.names.count)
        for part in 0..<RowHashes.partCount {
            for entry in try await hashes.part(part) where !moved.contains(entry.key) {
                sums[Int(entry.account)].add(entry.row)
            }
        }
        let found = Dictionary(zip(accounts.names, sums), uniquingKeysWith: { $1 })
        for account in wanted.sorted()
        where found[account, default: .empty] != expected[account, default: .empty] {
            throw .damaged(
                store: "checkpoint",
                problem:
                    "its \(check.schema.dataset) of account '\(account)' are not those that the "
                    + "journal's digests tell, so the store cannot be compared with them")
        }
    }
}

/// Keys, looked for by their hashes.
private actor KeySet {
    private let wanted: Set<UInt64>
    private var missing: Set<UInt64>
    private(set) var keys: Set<RowKey> = []

    init(_ wanted: Set<UInt64>) {
        self.wanted = wanted
        missing = wanted
    }

    var isComplete: Bool { missing.isEmpty }

    func take(_ candidates: [RowKey], _ digestKey: SipHashKey) {
        for key in candidates {
            let hash = digestKey.keyHash(key)
            guard wanted.contains(hash) else { continue }
            keys.insert(key)
            missing.remove(hash)
        }
    }
}
