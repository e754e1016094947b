public import Ledger

/// What every store must do alike; each store's tests run all of it against a store of its own.
///
///     for check in RowStoreConformance.checks { try await check.run { try makeEmptyStore() } }
public struct RowStoreConformance: Sendable, CustomStringConvertible {
    public typealias MakeStore = @Sendable () async throws -> any RowStore

    public let description: String
    let body: @Sendable (any RowStore) async throws -> Void

    /// - Parameter makeStore: an empty store that knows `RowStoreConformance.catalogue`.
    public func run(_ makeStore: MakeStore) async throws {
        try await body(try await makeStore())
    }

    public static let schema = Schema(
        dataset: "samples", kind: .fact,
        key: [Field("group", .text), Field("number", .integer)],
        fields: [
            Field("note", .text, optional: true),
            Field("amount", .decimal, optional: true),
            Field("time", .timestamp, optional: true),
            Field("flag", .boolean, optional: true),
            Field("detail", .json, optional: true),
            Field("weight", .integer, optional: true),
            Field("account_id", .text),
        ],
        accountField: "account_id", indexes: [Index("note", present: "note")])

    public static let other = Schema(
        dataset: "others", kind: .declared, key: [Field("id", .text)],
        fields: [Field("text \"quoted\"", .text)])

    /// A key with a field of every type that a key may have.
    public static let keyed = Schema(
        dataset: "keyed", kind: .declared,
        key: [
            Field("flag", .boolean), Field("amount", .decimal), Field("at", .timestamp),
            Field("number", .integer), Field("name", .text),
        ],
        fields: [Field("note", .text, optional: true)])

    public static let catalogue = SchemaCatalogue([schema, other, keyed])

    public static let checks: [RowStoreConformance] =
        writing + queries
}

/// A promise of `RowStore` that a store does not keep.
public struct ConformanceFailure: Error, CustomStringConvertible {
    public let description: String
}

func expect(
    _ condition: Bool, _ promise: @autoclosure () -> String
) throws(ConformanceFailure) {
    if !condition { throw ConformanceFailure(description: promise()) }
}

func expectEqual<Thing: Equatable>(
    _ found: Thing, _ wanted: Thing, _ promise: String
) throws(ConformanceFailure) {
    try expect(found == wanted, "\(promise): \(found), not \(wanted)")
}

// MARK: - Samples

enum Sample {
    static let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)

    static func row(
        _ group: String, _ number: Int64, note: String? = nil, amount: String? = nil,
        time: Int64? = nil, flag: Bool? = nil, detail: String? = nil, weight: Int64? = nil,
        account: String = "A"
    ) throws -> Row {
        let values: [Value] = [
            .text(group), .integer(number), .optional(note),
            .optional(amount.flatMap { ExactDecimal($0) }),
            .optional(time.map(Timestamp.init(microseconds:))), flag.map(Value.boolean) ?? .null,
            try detail.map { .json(try CanonicalJSON(parsing: $0)) } ?? .null,
            weight.map(Value.integer) ?? .null, .text(account),
        ]
        return Row(dataset: "samples", values: values)
    }

    static func key(_ group: String, _ number: Int64) -> RowKey {
        RowKey(dataset: "samples", values: [.text(group), .integer(number)])
    }

    static func put(_ rows: [Row], at number: Int64) -> StoreBatch {
        let sequence = SequenceNumber(epoch: 1, number: number)
        return StoreBatch(
            changes: rows.map { row in
                let schema = RowStoreConformance.catalogue[row.dataset]
                let key = schema.map(row.key(in:)) ?? RowKey(dataset: row.dataset, values: [])
                return StoreBatch.Change(key: key, row: row, sequence: sequence)
            },
            digests: [], through: sequence)
    }

    static func numbers(_ rows: [StampedRow]) -> [Int64] {
        rows.compactMap { $0.row.values[1].integer }
    }
}

// MARK: - Writing

extension RowStoreConformance {
    static let writing: [RowStoreConformance] = [
        .init(description: "an empty store has nothing") { store in
            try expectEqual(try await store.appliedSequence(), .none, "the applied sequence")
            try expectEqual(try await store.digests(), [], "the digests")
            try expectEqual(try await store.row(Sample.key("g", 1)), nil, "a row")
            try expectEqual(try await store.count(RowQuery(dataset: "samples")), 0, "the count")
        },
        .init(description: "rows of all types come back as they were put") { store in
            var rows = [
                try Sample.row("", 0), try Sample.row("g", .max), try Sample.row("g", .min),
                try Sample.row(
                    "g", 1, note: "é \"'; DROP TABLE samples; -- 漢😀\n",
                    amount: "-0.000000000000000001",
                    time: -1, flag: true, detail: #"{"b":[1,null],"a":"ü"}"#, weight: -1),
                try Sample.row(
                    "g", 2, note: "", amount: "99999999999999999999999999999999999999", time: .max,
                    flag: false, detail: "null", weight: .min),
                try Sample.row("\u{e9}", 1), try Sample.row("e\u{301}", 1),
                try Sample.row("g", 3, note: "12", amount: "12", detail: "12"),
                // In the years -1 and 10000; nested as deep as JSON may be here.
                try Sample.row("g", 4, time: -62_190_000_000_000_000, detail: Sample.deep),
                try Sample.row("g", 5, time: 253_402_300_800_000_000, detail: "\"null\""),
                try Sample.row("g", 6, note: "None", detail: "[null]"),
            ]
            rows.append(Row(dataset: "others", values: [.text("1"), .text("2")]))
            try await store.apply(Sample.put(rows, at: 7))
            for row in rows {
                guard let schema = catalogue[row.dataset] else { continue }
                let found = try await store.row(row.key(in: schema))
                try expectEqual(found?.row, row, "the row")
                try expectEqual(found?.sequence, SequenceNumber(epoch: 1, number: 7), "its stamp")
            }
            try expectEqual(try await store.count(RowQuery(dataset: "samples")), 11, "the count")
        },
        .init(description: "a row is put, replaced, deleted and put again") { store in
            let (first, second) = (
                try Sample.row("g", 1, note: "a", weight: 1), try Sample.row("g", 1, amount: "2")
            )
            try await store.apply(Sample.put([first], at: 1))
            try await store.apply(Sample.put([second], at: 2))
            try expectEqual(try await store.row(Sample.key("g", 1))?.row, second, "the replacement")
            let third = SequenceNumber(epoch: 1, number: 3)
            let gone = [Sample.key("g", 1), Sample.key("never", 1)].map {
                StoreBatch.Change(key: $0, row: nil, sequence: third)
            }
            try await store.apply(StoreBatch(changes: gone, digests: [], through: third))
            try expectEqual(try await store.row(Sample.key("g", 1)), nil, "the deleted row")
            try await store.apply(Sample.put([first], at: 4))
            try expectEqual(try await store.row(Sample.key("g", 1))?.row, first, "the row again")
        },
        .init(description: "a batch that is there already changes nothing") { store in
            let old = try Sample.row("g", 1, note: "old")
            let new = try Sample.row("g", 1, note: "new")
            try await store.apply(Sample.put([old], at: 5))
            for number: Int64 in [1, 4, 5] { try await store.apply(Sample.put([new], at: number)) }
            try expectEqual(try await store.row(Sample.key("g", 1))?.row, old, "the row")
            let applied = try await store.appliedSequence()
            try expectEqual(applied, SequenceNumber(epoch: 1, number: 5), "the applied sequence")
            try await store.apply(Sample.put([new], at: 6))
            try expectEqual(try await store.row(Sample.key("g", 1))?.row, new, "the row after")
        },
        .init(description: "a batch without changes moves the applied sequence") { store in
            try await store.apply(Sample.put([], at: 9))
            let applied = try await store.appliedSequence()
            try expectEqual(applied, SequenceNumber(epoch: 1, number: 9), "the applied sequence")
        },
        .init(description: "digests are kept whole, the latest of each scope") { store in
            let scopes = ["A", "", "é"].map { DigestScope(dataset: "samples", account: $0) }
            func batch(_ sums: [UInt128], at number: Int64) -> StoreBatch {
                let stamps = zip(scopes, sums).map {
                    DigestStamp(scope: $0, digest: Digest(sum: $1, count: number))
                }
                return StoreBatch(
                    changes: [], digests: stamps,
                    through: SequenceNumber(epoch: 1, number: number))
            }
            try await store.apply(batch([1, .max, 3], at: 1))
            try await store.apply(batch([UInt128(1) << 127], at: 2))
            let digests = try await store.digests().sorted { $0.scope < $1.scope }
            try expectEqual(digests.map(\.digest.sum), [.max, UInt128(1) << 127, 3], "the sums")
            try expectEqual(digests.map(\.digest.count), [1, 2, 1], "the counts")
        },
        .init(description: "an unknown dataset is refused, and the batch with it") { store in
            let stranger = Row(dataset: "strangers", values: [.text("1")])
            for batch in [
                Sample.put([try Sample.row("g", 1), stranger], at: 1),
                Sample.put(
                    [try Sample.row("g", 1), Row(dataset: "others", values: [.text("1")])], at: 1),
            ] {
                try await expectRefused { try await store.apply(batch) }
            }
            try expectEqual(try await store.row(Sample.key("g", 1)), nil, "half of a batch")
            try expectEqual(try await store.appliedSequence(), .none, "the applied sequence")
            try await expectRefused { _ = try await store.rows(RowQuery(dataset: "strangers")) }
            try await expectRefused { _ = try await store.count(RowQuery(dataset: "strangers")) }
            try await expectRefused {
                _ = try await store.row(RowKey(dataset: "strangers", values: [.text("1")]))
            }
        },
        .init(description: "reads beside writes see whole batches") { store in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for number in 1...60 {
                        let rows = try (0..<8).map {
                            try Sample.row("g", $0, weight: Int64(number))
                        }
                        try await store.apply(Sample.put(rows, at: Int64(number)))
                    }
                }
                for _ in 0..<4 {
                    group.addTask {
                        for _ in 0..<60 {
                            let rows = try await store.rows(RowQuery(dataset: "samples"))
                            let weights = Set(rows.map { $0.row.values[7] })
                            try expect(weights.count <= 1, "half of a batch was seen: \(weights)")
                            try expect(rows.isEmpty || rows.count == 8, "half of a batch was seen")
                        }
                    }
                }
                try await group.waitForAll()
            }
        },
    ]

    static func expectRefused(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch StoreError.refused {
            return
        }
        throw ConformanceFailure(description: "what cannot be done was not refused")
    }
}
