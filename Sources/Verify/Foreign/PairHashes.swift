internal import Ledger

/// What is kept of one reading of one side: the hashes of its rows, the values of fields that may be apart,
/// and what was strange. Memory is bounded: see `RowHashes`.
actor PairHashes {
    private let judge: PairJudge
    private let hashKey: SipHashKey
    private let strangeMax: Int
    private let exact: RowHashes
    /// By the field's place: its values as numbers, under their rows' keys.
    private let tolerant: [Int: RowHashes]
    /// Rows that are none, though they have a key.
    private(set) var suspects: Set<RowKey> = []
    /// What lies there and is no row of any key, by its place.
    private(set) var litter: [String: DamagedRow] = [:]
    private(set) var unexamined = 0

    init(_ judge: PairJudge, _ hashKey: SipHashKey, _ limits: StoreCheck.Limits) {
        self.judge = judge
        self.hashKey = hashKey
        strangeMax = limits.examinedMax
        // Of both sides together no more than one check may keep.
        let memoryMax = limits.memoryRowsMax / (2 * (1 + judge.tolerance.count))
        func hashes() -> RowHashes {
            RowHashes(directory: limits.directory, memoryMax: memoryMax)
        }
        exact = hashes()
        tolerant = judge.tolerance.mapValues { _ in hashes() }
    }

    var count: Int {
        get async { await exact.count }
    }

    /// As an engine has hashed them.
    func take(_ hashed: [(key: UInt64, row: UInt64)]) async throws(StoreError) {
        try await exact.append(
            hashed.map { HashedRow(key: $0.key, row: UInt128($0.row), account: 0) })
    }

    func take(_ found: [FoundRow]) async throws(StoreError) {
        let schema = judge.schema
        var entries: [HashedRow] = []
        entries.reserveCapacity(found.count)
        var numbers: [Int: [HashedRow]] = [:]
        for found in found {
            switch found {
            case .row(let stamped):
                var row = stamped.row
                let key = hashKey.keyHash(row.key(in: schema))
                if !tolerant.isEmpty {
                    var values = row.values
                    for index in tolerant.keys {
                        numbers[index, default: []].append(number(values[index], key))
                        values[index] = .null
                    }
                    row = Row(dataset: row.dataset, values: values)
                }
                entries.append(
                    HashedRow(
                        key: key, row: hashKey.hash(row.encoded(keyCount: schema.keyCount)),
                        account: 0))
            case .damaged(let damaged): take(damaged)
            }
        }
        try await exact.append(entries)
        for (index, entries) in numbers { try await tolerant[index]?.append(entries) }
    }

    func take(_ damaged: DamagedRow) {
        if suspects.count + litter.count >= strangeMax {
            unexamined += 1
        } else if let key = damaged.key {
            suspects.insert(key)
        } else {
            litter[damaged.place] = damaged
        }
    }

    // MARK: Values that may be apart

    private enum Form: Int32 {
        case number, null
        /// Too long for a number here; then any other value is looked at.
        case other
    }

    private func number(_ value: Value, _ key: UInt64) -> HashedRow {
        func entry(_ form: Form, _ bits: UInt128) -> HashedRow {
            HashedRow(key: key, row: bits, account: form.rawValue)
        }
        switch value {
        case .null: return entry(.null, 0)
        case .timestamp(let time):
            return entry(.number, UInt128(truncatingIfNeeded: time.microseconds))
        case .integer(let number): return entry(.number, UInt128(truncatingIfNeeded: number))
        case .decimal(let number):
            if let scaled = Self.scaled(number) {
                return entry(.number, UInt128(truncatingIfNeeded: scaled))
            }
        default: break
        }
        return entry(.other, hashKey.hash(Array(value.description.utf8)))
    }

    /// In units of 10^-18, the smallest that there are; nil when it has more digits than fit.
    private static func scaled(_ number: ExactDecimal) -> Int128? {
        var scaled = number.coefficient
        for _ in number.scale..<ExactDecimal.scaleMax {
            let (tenfold, isTooMuch) = scaled.multipliedReportingOverflow(by: 10)
            if isTooMuch { return nil }
            scaled = tenfold
        }
        return scaled
    }

    private static func most(_ tolerance: PairTolerance, _ type: FieldType) -> UInt128 {
        switch tolerance {
        case .microseconds(let most): UInt128(most)
        case .number(let most):
            // What a whole number may be apart is counted in ones.
            type == .integer
                ? UInt128((try? Self.whole(most)) ?? Int128.max)
                : scaled(most).map { $0.magnitude } ?? .max
        }
    }

    private static func whole(_ number: ExactDecimal) throws -> Int128 {
        var whole = number.coefficient
        for _ in 0..<number.scale { whole /= 10 }
        return whole
    }

    // MARK: Two sides

    /// The hashes of keys in one part under which the two sides may have other rows; and those of them under
    /// which one side has several.
    static func differing(
        _ left: PairHashes, _ right: PairHashes, part: Int
    ) async throws(StoreError) -> (hashes: Set<UInt64>, repeated: Set<UInt64>) {
        let sides = [try await left.exact.part(part), try await right.exact.part(part)]
        var differing = DifferenceSearch.difference(sides[0], sides[1])
        try await differing.formUnion(apart(left, right, part: part))
        var repeated: Set<UInt64> = []
        for side in sides {
            var seen: Set<UInt64> = []
            for entry in side where differing.contains(entry.key) {
                if !seen.insert(entry.key).inserted { repeated.insert(entry.key) }
            }
        }
        return (differing, repeated)
    }

    /// Under which values are further apart than they may be.
    private static func apart(
        _ left: PairHashes, _ right: PairHashes, part: Int
    ) async throws(StoreError) -> Set<UInt64> {
        var differing: Set<UInt64> = []
        for (index, tolerance) in left.judge.tolerance {
            guard let lefts = left.tolerant[index], let rights = right.tolerant[index] else {
                continue
            }
            let most = most(tolerance, left.judge.schema.fields[index].type)
            var values: [UInt64: HashedRow] = [:]
            for entry in try await lefts.part(part) {
                // Of several rows of one key it is not told here which belongs to which.
                if values.updateValue(entry, forKey: entry.key) != nil {
                    differing.insert(entry.key)
                }
            }
            for entry in try await rights.part(part) {
                guard let other = values.removeValue(forKey: entry.key) else {
                    differing.insert(entry.key)
                    continue
                }
                if !isNear(entry, other, most) { differing.insert(entry.key) }
            }
            differing.formUnion(values.keys)
        }
        return differing
    }

    private static func isNear(
        _ one: HashedRow, _ other: HashedRow, _ most: UInt128
    ) -> Bool {
        if one.row == other.row, one.account == other.account { return true }
        guard one.account == Form.number.rawValue, other.account == Form.number.rawValue else {
            return false
        }
        let (apart, isTooMuch) = Int128(truncatingIfNeeded: one.row)
            .subtractingReportingOverflow(Int128(truncatingIfNeeded: other.row))
        return !isTooMuch && apart.magnitude <= most
    }
}
