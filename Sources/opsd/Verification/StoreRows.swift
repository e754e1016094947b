import Ledger
import Verify

/// The rows of a dataset in a store as one side of a pair: of its fields those that are compared, under the
/// pair's own key.
struct StoreRows: ComparedRows {
    private let store: any ScannableStore
    private let source: Schema
    private let schema: Schema
    /// Of each of the pair's fields, its place in the store's rows.
    private let places: [Int]
    /// Of each of the store's key fields, its place in the pair's key.
    private let keyPlaces: [Int]

    /// Refused: keys that are not the dataset's, by which alone its rows are found.
    init(
        _ store: any ScannableStore, named name: String, _ source: Schema, as schema: Schema
    ) throws(StoreError) {
        self.store = store
        self.source = source
        self.schema = schema
        places = schema.fields.compactMap { source.index(of: $0.name) }
        let keys = schema.keyFields.map(\.name)
        keyPlaces = source.keyFields.compactMap { field in keys.firstIndex(of: field.name) }
        guard keyPlaces.count == keys.count, keys.count == source.keyCount,
            places.count == schema.fields.count
        else {
            throw .refused(
                store: name,
                problem: "its rows are told apart by "
                    + source.keyFields.map(\.name).joined(separator: ", ")
                    + ": write the same under keys, or leave keys out")
        }
    }

    func scan(
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        try await store.scan(source.dataset, account: nil) { found async throws(StoreError) in
            try await consume(found.map(compared))
        }
    }

    func find(_ keys: [RowKey]) async throws(StoreError) -> [[FoundRow]] {
        var wanted: [RowKey] = []
        var indices: [Int] = []
        for (index, key) in keys.enumerated() {
            // What a field cannot have is not there.
            guard let key = own(key) else { continue }
            wanted.append(key)
            indices.append(index)
        }
        var all = [[FoundRow]](repeating: [], count: keys.count)
        if wanted.isEmpty { return all }
        for (index, found) in zip(indices, try await store.find(wanted)) {
            if let found { all[index] = [compared(found)] }
        }
        return all
    }

    private func compared(_ found: FoundRow) -> FoundRow {
        switch found {
        case .row(let stamped):
            let row = source.completed(stamped.row)
            let values = zip(places, schema.fields).map { place, field in
                row.values[place].widened(to: field.type)
            }
            return .row(
                StampedRow(row: Row(dataset: schema.dataset, values: values), sequence: .none))
        case .damaged(let damage):
            return .damaged(
                DamagedRow(
                    key: damage.key.map(compared), place: damage.place, problem: damage.problem))
        }
    }

    private func compared(_ key: RowKey) -> RowKey {
        RowKey(
            dataset: schema.dataset,
            values: zip(places, schema.keyFields).map { place, field in
                key.values[place].widened(to: field.type)
            })
    }

    private func own(_ key: RowKey) -> RowKey? {
        var values: [Value] = []
        for (place, field) in zip(keyPlaces, source.keyFields) {
            guard let value = key.values[place].narrowed(to: field.type) else { return nil }
            values.append(value)
        }
        return RowKey(dataset: source.dataset, values: values)
    }
}

extension Value {
    /// A whole number as a decimal, where that is what it is compared as.
    fileprivate func widened(to type: FieldType) -> Value {
        guard type == .decimal, case .integer(let number) = self else { return self }
        return ExactDecimal("\(number)").map(Value.decimal) ?? self
    }

    /// Nil for what a field of the type cannot have.
    fileprivate func narrowed(to type: FieldType) -> Value? {
        guard type == .integer, case .decimal(let number) = self else {
            return self.type == type ? self : nil
        }
        guard number.scale == 0 else { return nil }
        return Int64(exactly: number.coefficient).map(Value.integer)
    }
}
