internal import Connections
public import Ledger

/// Everything that lies where a dataset's rows lie. What lies under a key that the layout does not write
/// is somebody else's, and passed over; so is a stamp without its row.
extension RedisStore: ScannableStore {
    public func scan(
        _ dataset: String, account: String?,
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        let coding = try coding(dataset)
        let wanted = coding.schema.accountField == nil ? nil : account
        try await pool.with { connection async throws(StoreError) in
            try await connection.scan(coding, account: wanted, consume)
        }
    }

    public func scanHashes(
        _ dataset: String, _ hashing: RowHashing,
        _ consume: @Sendable (HashedRows) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        let coding = try coding(dataset)
        try await pool.with { connection async throws(StoreError) in
            try await connection.scanHashes(coding, hashing, consume)
        }
    }

    public func find(_ keys: [RowKey]) async throws(StoreError) -> [FoundRow?] {
        guard let dataset = keys.first?.dataset else { return [] }
        let coding = try coding(dataset)
        for key in keys
        where key.dataset != dataset || key.values.count != coding.schema.keyCount {
            throw .refused(store: name, problem: "\(key) is no key of \(dataset)")
        }
        return try await perform { connection throws(StoreError) in
            try connection.find(keys, coding)
        }
    }
}

extension RedisConnection {
    private static let keysMax = 1_000

    fileprivate func scan(
        _ coding: RowCoding, account: String?,
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        if let account, let key = coding.onlyKey(of: account) {
            return try await each([key], coding, account, consume)
        }
        var walk = KeyWalk(pattern: coding.pattern)
        while let keys = try nextKeys(&walk) {
            try await each(keys.filter { coding.mayHold(account, $0) }, coding, account, consume)
        }
    }

    fileprivate func scanHashes(
        _ coding: RowCoding, _ hashing: RowHashing,
        _ consume: @Sendable (HashedRows) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        guard coding.isPlain else {
            return try await scan(coding, account: nil) { found async throws(StoreError) in
                let hasher = RowHasher(hashing)
                for row in found { hasher.append(row) }
                try await consume(hasher.take())
            }
        }
        let scan = PlainScan(coding, hashing)
        var walk = KeyWalk(pattern: coding.pattern)
        while let keys = try nextKeys(&walk) {
            let some = keys.filter { coding.mayHold(nil, $0) }
            for group in try groups(of: some, coding) {
                switch group {
                case .damaged(let found):
                    for row in found { scan.hasher.append(row) }
                case .whole(let keys): try hash(keys, scan)
                case .large(let key):
                    var walk = FieldWalk(key: key)
                    while let fields = try nextFields(&walk) {
                        for case let row? in try cells(coding, [(key, fields)]) {
                            scan.hasher.append(row)
                        }
                        try await consume(scan.hasher.take())
                    }
                }
                try await consume(scan.hasher.take())
            }
        }
    }

    private func each(
        _ keys: [[UInt8]], _ coding: RowCoding, _ account: String?,
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        func hand(_ found: [FoundRow]) async throws(StoreError) {
            let wanted = try withoutSeconds(coding, found)
                .filter { $0.mayBe(of: account, in: coding.schema) }
            if !wanted.isEmpty { try await consume(wanted) }
        }
        if coding.isOneRowAKey {
            for start in stride(from: 0, to: keys.count, by: Self.keysMax) {
                let some = Array(keys[start..<min(start + Self.keysMax, keys.count)])
                try await hand(try lone(coding, some).flatMap { $0 })
            }
            return
        }
        for group in try groups(of: keys, coding) {
            switch group {
            case .damaged(let found): try await hand(found)
            case .whole(let keys): try await hand(try whole(coding, keys))
            case .large(let key):
                var walk = FieldWalk(key: key)
                while let fields = try nextFields(&walk) {
                    try await hand(try cells(coding, [(key, fields)]).compactMap(\.self))
                }
            }
        }
    }

    /// Some of what lies in keys that hold many rows.
    private enum Group {
        case damaged([FoundRow])
        /// Keys that may be read at once.
        case whole([[UInt8]])
        /// One that is read bit by bit.
        case large([UInt8])
    }

    private func groups(
        of keys: [[UInt8]], _ coding: RowCoding
    ) throws(StoreError) -> [Group] {
        let (sizes, damage) = try sizes(coding, keys)
        var groups: [Group] = damage.isEmpty ? [] : [.damaged(damage.values.map(FoundRow.damaged))]
        var some: [[UInt8]] = []
        var count = 0
        for (key, size) in sizes {
            if size > Self.cellsMax {
                groups.append(.large(key))
                continue
            }
            if count + size > Self.cellsMax {
                groups.append(.whole(some))
                (some, count) = ([], 0)
            }
            some.append(key)
            count += size
        }
        if !some.isEmpty { groups.append(.whole(some)) }
        return groups
    }
}

extension RowCoding {
    /// The one key that an account's rows lie in; nil where there may be several.
    fileprivate func onlyKey(of account: String) -> [UInt8]? {
        guard let accountField = schema.accountField, keyIndexes == [accountField] else {
            return nil
        }
        return Array(key.rendered { _ in account }.utf8)
    }

    /// Whether a key that was found is of this layout, and may hold rows of the account.
    fileprivate func mayHold(_ account: String?, _ key: [UInt8]) -> Bool {
        guard let values = values(self.key, in: key) else { return false }
        guard let account, let told = values.first(where: { $0.index == schema.accountField })
        else { return true }
        return told.value == .text(account)
    }
}
