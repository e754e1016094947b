internal import Ledger

/// What lies at a row's place.
enum RowContent {
    /// A JSON object, or one text.
    case payload([UInt8])
    /// A row's own hash.
    case fields([[UInt8]: [UInt8]])
}

extension RowCoding {
    /// Puts a row together again. One without a stamp, which no entry has put there, has the sequence
    /// `none`, and null where nothing tells its value.
    /// - Parameter keyValues: what the key tells; nil for one that the layout does not write.
    func found(
        _ content: RowContent, key: [UInt8], tells keyValues: [(index: Int, value: Value)]?,
        field: [UInt8]?, stamp bytes: [UInt8]?
    ) -> FoundRow {
        var values = [Value](repeating: .null, count: schema.fields.count)
        do throws(Damage) {
            guard let keyValues else {
                throw Damage(problem: "the key is not one that the layout writes")
            }
            for (index, value) in keyValues { values[index] = value }
            guard let found = fieldValues(field ?? []) else {
                throw Damage(problem: "the field is not one that the layout writes")
            }
            for (index, value) in found { values[index] = value }
            guard let stamp = stamp(bytes) else {
                throw Damage(
                    problem: "its stamp at \(RedisProblem.shown(stampKey(key))) is none of opsd's")
            }
            switch content {
            case .payload(let payload): try take(payload, into: &values, besides: stamp)
            case .fields(let fields): try take(fields, into: &values, besides: stamp)
            }
            for index in hidden {
                values[index] = stamp.values[index] ?? .null
                guard bytes == nil || schema.fields[index].isOptional || values[index] != .null
                else {
                    throw Damage(
                        problem: "its stamp at \(RedisProblem.shown(stampKey(key))) lacks "
                            + schema.fields[index].name)
                }
            }
            return .row(
                StampedRow(
                    row: Row(dataset: schema.dataset, values: values), sequence: stamp.sequence))
        } catch {
            return .damaged(
                DamagedRow(
                    key: rowKey(keyValues, field), place: Self.place(key, field),
                    problem: error.problem))
        }
    }

    /// The same for whoever cannot go on without it.
    func row(
        _ content: RowContent, key: [UInt8], tells keyValues: [(index: Int, value: Value)]?,
        field: [UInt8]?, stamp bytes: [UInt8]?, store: String
    ) throws(StoreError) -> StampedRow {
        switch found(content, key: key, tells: keyValues, field: field, stamp: bytes) {
        case .row(let row): return row
        case .damaged(let damage):
            throw .damaged(store: store, problem: "\(damage.place): \(damage.problem)")
        }
    }

    /// Which row would lie there; nil where the names do not tell.
    func rowKey(_ keyValues: [(index: Int, value: Value)]?, _ field: [UInt8]?) -> RowKey? {
        guard let keyValues, let fieldValues = fieldValues(field ?? []) else { return nil }
        var values = [Value](repeating: .null, count: schema.fields.count)
        for (index, value) in keyValues + fieldValues { values[index] = value }
        return RowKey(dataset: schema.dataset, values: Array(values.prefix(schema.keyCount)))
    }

    static func place(_ key: [UInt8], _ field: [UInt8]? = nil) -> String {
        let place = field.map { "the field \(RedisProblem.shown($0)) of " } ?? ""
        return "\(place)the key \(RedisProblem.shown(key))"
    }
}

/// Where the rows that a query may find can be.
enum RowReach: Sendable {
    case everything
    case keys([[UInt8]])
    case cells([(key: [UInt8], fields: [[UInt8]])])
}

extension RowCoding {
    /// More than so many combinations are not tried one by one.
    private static let combinationsMax = 10_000

    func reach(of query: RowQuery) -> RowReach {
        guard let keys = combinations(key, query) else { return .everything }
        guard let field, let fields = combinations(field, query),
            keys.count * fields.count <= Self.combinationsMax
        else { return .keys(keys) }
        return .cells(fields.isEmpty ? [] : keys.map { ($0, fields) })
    }

    /// The texts that the query leaves for a template; nil when it does not fix each of its fields.
    private func combinations(_ template: KeyTemplate, _ query: RowQuery) -> [[UInt8]]? {
        var texts: [[String: String]] = [[:]]
        for name in template.fields {
            guard let wanted = query.matching.first(where: { $0.field == name }) else { return nil }
            let values = Set(wanted.anyOf).compactMap(\.plainText)
            guard texts.count * values.count <= Self.combinationsMax else { return nil }
            texts = texts.flatMap { known in
                values.map { known.merging([name: $0]) { first, _ in first } }
            }
        }
        // Two values of different types may have one text.
        return Array(Set(texts.map { text in Array(template.rendered { text[$0] ?? "" }.utf8) }))
    }

    /// Whether every row within reach is found, so that they need not be looked at to be counted.
    func findsAll(_ query: RowQuery, within reach: RowReach) -> Bool {
        if case .everything = reach, !query.matching.isEmpty { return false }
        return query.present.isEmpty && query.range == nil && query.afterKey == nil
            && Set(query.matching.map(\.field)).count == query.matching.count
            && query.matching.allSatisfy { matching in
                key.fields.contains(matching.field)
                    && matching.anyOf.allSatisfy { value in
                        schema.index(of: matching.field).map {
                            schema.fields[$0].type == value.type
                        } ?? false
                    }
            }
    }
}
