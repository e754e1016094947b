extension RowQuery {
    /// Answers the query from rows at hand: for stores that cannot search by themselves.
    /// - Parameter rows: every row that may be asked for, in any order.
    public func page(
        of rows: [StampedRow], in schema: Schema, store: String
    ) throws(StoreError) -> [StampedRow] {
        let order = try order.map { order throws(StoreError) in
            (index: try place(order.field, schema, store), isDescending: order.descending)
        }
        let found = try matches(among: rows, in: schema, store: store)
            .sorted { left, right in
                let isDescending = order?.isDescending ?? false
                if let order {
                    let (one, other) = (left.row.values[order.index], right.row.values[order.index])
                    if one != other { return one.precedes(other) != isDescending }
                }
                let keys = (
                    left.row.values.prefix(schema.keyCount),
                    right.row.values.prefix(schema.keyCount)
                )
                return isDescending
                    ? Value.precede(keys.1, keys.0) : Value.precede(keys.0, keys.1)
            }
        return Array(found.dropFirst(offset).prefix(limit))
    }

    /// Every row that the query finds, without its limit, offset and order.
    public func matches(
        among rows: [StampedRow], in schema: Schema, store: String
    ) throws(StoreError) -> [StampedRow] {
        var wanted: [(index: Int, values: Set<Value>)] = []
        for (field, values) in matching {
            wanted.append((try place(field, schema, store), Set(values)))
        }
        var neededIndexes: [Int] = []
        for field in present { neededIndexes.append(try place(field, schema, store)) }
        let range = try range.map { range throws(StoreError) in
            (index: try place(range.field, schema, store), from: range.from, before: range.before)
        }
        return rows.filter { stamped in
            let values = stamped.row.values
            if let afterKey, !Value.precede(afterKey, values.prefix(schema.keyCount)) {
                return false
            }
            if let range {
                let value = values[range.index]
                if value == .null { return false }
                if let from = range.from, value.precedes(from) { return false }
                if let before = range.before, !value.precedes(before) { return false }
            }
            return wanted.allSatisfy { $0.values.contains(values[$0.index]) }
                && neededIndexes.allSatisfy { values[$0] != .null }
        }
    }

    private func place(
        _ field: String, _ schema: Schema, _ store: String
    ) throws(StoreError) -> Int {
        guard let index = schema.index(of: field) else {
            throw .refused(store: store, problem: "\(dataset) has no field '\(field)'")
        }
        return index
    }
}

extension Value {
    /// The order of keys: by the first field that differs.
    public static func precede(
        _ left: some Sequence<Value>, _ right: some Sequence<Value>
    ) -> Bool {
        for (one, other) in zip(left, right) where one != other { return one.precedes(other) }
        return false
    }

    /// The order of one field's values: null first, numbers and times by size, texts by bytes.
    fileprivate func precedes(_ other: Value) -> Bool {
        switch (self, other) {
        case (.null, .null): false
        case (.null, _): true
        case (_, .null): false
        case (.integer(let left), .integer(let right)): left < right
        case (.decimal(let left), .decimal(let right)): left < right
        case (.timestamp(let left), .timestamp(let right)): left < right
        case (.boolean(let left), .boolean(let right)): !left && right
        case (.text(let left), .text(let right)): left.utf8.lexicographicallyPrecedes(right.utf8)
        case (.json(let left), .json(let right)):
            left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
        default: false
        }
    }
}
