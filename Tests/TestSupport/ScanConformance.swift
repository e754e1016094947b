public import Ledger
import Synchronization

/// What every store that can be scanned must do alike, beside `ReplicaConformance`.
public struct ScanConformance: Sendable, CustomStringConvertible {
    public typealias MakeStore = @Sendable () async throws -> any ScannableStore

    public let description: String
    /// Whether it takes tens of thousands of rows.
    public var isLarge: Bool { description.hasPrefix("one account may have") }
    let body: @Sendable (any ScannableStore) async throws -> Void

    /// - Parameter makeStore: an empty store that knows `RowStoreConformance.catalogue`.
    public func run(_ makeStore: MakeStore) async throws {
        try await body(try await makeStore())
    }

    /// Everything that a scan gives.
    public static func scan(
        _ store: any ScannableStore, _ dataset: String, account: String? = nil
    ) async throws -> [FoundRow] {
        let basket = Basket()
        try await store.scan(dataset, account: account) { found throws(StoreError) in
            await basket.take(found)
        }
        return await basket.found
    }

    private actor Basket {
        var found: [FoundRow] = []
        func take(_ more: [FoundRow]) { found += more }
    }

    /// That a scan gives these rows, each once, and nothing else.
    public static func expect(
        _ wanted: [StampedRow], in store: any ScannableStore, _ dataset: String,
        account: String? = nil
    ) async throws {
        let found = try await scan(store, dataset, account: account)
        let place = "\(dataset) of \(account ?? "all")"
        for case .damaged(let damage) in found {
            throw ConformanceFailure(
                description: "\(place): \(damage.place): \(damage.problem)")
        }
        try expectEqual(found.count, wanted.count, "the number of rows in \(place)")
        let missing = Set(wanted.map(FoundRow.row)).subtracting(found)
        try TestSupport.expect(missing.isEmpty, "\(place) lacks \(missing.first.debugDescription)")
        if account == nil { try await expectHashes(of: wanted, in: store, dataset) }
    }

    /// That the hashes are those of the rows' canonical encodings, and that rows beyond the sequence that was
    /// asked for are strange, and no others.
    private static func expectHashes(
        of wanted: [StampedRow], in store: any ScannableStore, _ dataset: String
    ) async throws {
        guard let schema = RowStoreConformance.catalogue[dataset] else { return }
        let key = SipHashKey(low: 3, high: 14)
        let applied = wanted.map(\.sequence).max().map {
            SequenceNumber(rawValue: $0.rawValue - 1)
        }
        let basket = HashBasket()
        let hashing = RowHashing(schema, key, applied: applied ?? .none)
        try await store.scanHashes(dataset, hashing) { found throws(StoreError) in
            await basket.take(found)
        }
        let found = await basket.rows
        try expectEqual(
            found.sorted(),
            wanted.map { stamped in
                let row = stamped.row
                return [
                    "\(key.keyHash(row.key(in: schema)))",
                    "\(key.hash(row.encoded(keyCount: schema.keyCount)))", row.account(in: schema),
                ].joined(separator: " ")
            }.sorted(), "the hashes of \(dataset)")
        let late = wanted.filter { $0.sequence == .none || $0.sequence > applied ?? .none }
        try expectEqual(
            await Set(basket.strange), Set(late.map(FoundRow.row)), "the strange rows of \(dataset)"
        )
    }

    private actor HashBasket {
        var rows: [String] = []
        var strange: [FoundRow] = []

        func take(_ found: HashedRows) {
            rows += found.rows.map {
                "\($0.key) \($0.row) \(found.accounts[Int($0.account)])"
            }
            strange += found.strange
        }
    }

    private static func at(_ number: Int64) -> SequenceNumber {
        SequenceNumber(epoch: 1, number: number)
    }

    private static func stamped(_ rows: [Row], at number: Int64 = 3) -> [StampedRow] {
        rows.map { StampedRow(row: $0, sequence: at(number)) }
    }

    /// Names that mean something in one store or another, and such that look alike.
    static let awkward = [
        "", " ", "a b", "%", "%41", ":", "a:b", "a/b", "..", ".a", "*", "?", "[a]", "\\", "'", "\"",
        "a,b", "a\nb", "\r", "\t", "\u{1}", "\u{7F}", "é", "e\u{301}", "漢😀", "{a}", "None", "null",
        "0", "-1", "'; DROP TABLE samples; --", "$1", "A", "a",
    ]

    public static let checks: [ScanConformance] = [
        .init(description: "an empty dataset has nothing") { store in
            for schema in RowStoreConformance.catalogue.schemas {
                try await expect([], in: store, schema.dataset)
                try await expect([], in: store, schema.dataset, account: "A")
            }
            try expectEqual(try await store.find([]), [], "no keys")
            try expectEqual(
                try await store.find([Sample.key("g", 1), Sample.key("", 0)]), [nil, nil],
                "two keys")
        },
        .init(description: "rows come as they were put, whatever is in them") { store in
            var rows = try awkward.map { try Sample.row($0, 1, note: $0) }
            rows += [
                try Sample.row("g", .max), try Sample.row("g", .min),
                try Sample.row(
                    "g", 1, note: "n", amount: "-0.000000000000000001", time: -1, flag: true,
                    detail: #"{"b":[1,null],"a":"ü"}"#, weight: -1),
                try Sample.row(
                    "g", 2, note: "", amount: "99999999999999999999999999999999999999", time: .max,
                    flag: false, detail: "null", weight: .min),
                try Sample.row("g", 4, time: -62_190_000_000_000_000, detail: Sample.deep),
            ]
            let others = awkward.map {
                Row(dataset: "others", values: [.text($0), .text($0)])
            }
            let keyed = try awkward.map { name in
                try RowStoreConformance.keyed.row([
                    .boolean(true), .decimal(ExactDecimal(5)),
                    .timestamp(Timestamp(microseconds: 7)),
                    .integer(-3), .text(name), .null,
                ])
            }
            try await store.fill(stamped(rows + others + keyed), at: nil)
            try await expect(stamped(rows), in: store, "samples")
            try await expect(stamped(rows), in: store, "samples", account: "A")
            try await expect([], in: store, "samples", account: "B")
            try await expect(stamped(others), in: store, "others")
            try await expect(stamped(keyed), in: store, "keyed")
            for rows in [rows, others, keyed] {
                let keys = rows.compactMap { row in
                    RowStoreConformance.catalogue[row.dataset].map(row.key(in:))
                }
                try expectEqual(
                    try await store.find(keys), stamped(rows).map(FoundRow.row), "the rows found")
            }
        },
        .init(description: "one account may have tens of thousands of rows") { store in
            let rows = try (0..<30_000).map {
                try Sample.row("g", Int64($0), note: "n\($0)", amount: "\($0).5")
            }
            try await store.fill(stamped(rows), at: nil)
            try await expect(stamped(rows), in: store, "samples")
            try await expect(stamped(rows), in: store, "samples", account: "A")
            let keys = (0..<2_500).map { Sample.key("g", Int64($0) * 20) }
            let found = try await store.find(keys)
            let wanted = (0..<2_500).map { $0 < 1_500 ? FoundRow.row(stamped(rows)[$0 * 20]) : nil }
            try expectEqual(found, wanted, "the rows found")
        },
        .init(description: "many accounts, and one of them") { store in
            let names = awkward.filter { !$0.isEmpty } + (0..<150).map { "T\($0)" }
            let rows = try names.enumerated().flatMap { index, name in
                try (0..<3).map {
                    try Sample.row("g\($0)", Int64(index), note: name, account: name)
                }
            }
            try await store.fill(stamped(rows), at: nil)
            try await expect(stamped(rows), in: store, "samples")
            for name in names.prefix(30) {
                let own = rows.filter { $0.values[8] == .text(name) }
                try await expect(stamped(own), in: store, "samples", account: name)
            }
            try await expect([], in: store, "samples", account: "T150")
        },
        .init(description: "keys are found in their order, and nil where nothing is") { store in
            let rows = try (0..<200).map { try Sample.row("g\($0 % 7)", Int64($0)) }
            try await store.fill(stamped(rows), at: nil)
            let keys = (0..<300).reversed().map { Sample.key("g\($0 % 7)", Int64($0)) }
            let wanted = (0..<300).reversed().map {
                $0 < 200 ? FoundRow.row(stamped(rows)[$0]) : nil
            }
            try expectEqual(try await store.find(keys), wanted, "the rows found")
            try expectEqual(
                try await store.find([keys[299], keys[0], keys[299]]),
                [wanted[299], nil, wanted[299]], "a key twice")
        },
        .init(description: "a row that no entry has put is of no entry") { store in
            let row = StampedRow(row: try Sample.row("g", 1, note: "n"), sequence: .none)
            try await store.fill([row], at: nil)
            try await expect([row], in: store, "samples")
            try expectEqual(try await store.find([Sample.key("g", 1)]), [.row(row)], "the row")
        },
        .init(description: "what is put and deleted meanwhile does no harm to the rest") { store in
            let rows = try (0..<3_000).map {
                try Sample.row("g\($0 % 3)", Int64($0), account: "A\($0 % 5)")
            }
            try await store.fill(stamped(rows), at: nil)
            let isOver = Mutex(false)
            let writing = Task {
                var number: Int64 = 3
                while !isOver.withLock({ $0 }) {
                    number += 1
                    let guests = try (0..<300).map {
                        try Sample.row("guest", $0, weight: number, account: "A\($0 % 6)")
                    }
                    try await store.apply(Sample.put(guests, at: number))
                    number += 1
                    let gone = guests.map {
                        StoreBatch.Change(
                            key: $0.key(in: RowStoreConformance.schema), row: nil,
                            sequence: at(number))
                    }
                    try await store.apply(
                        StoreBatch(changes: gone, digests: [], through: at(number)))
                }
            }
            for _ in 0..<3 {
                let found = try await scan(store, "samples")
                try TestSupport.expect(
                    Set(found).isSuperset(of: stamped(rows).map(FoundRow.row)), "a row is lacking")
                var keys: Set<RowKey> = []
                for found in found {
                    guard case .row(let row) = found else {
                        throw ConformanceFailure(description: "\(found)")
                    }
                    let key = row.row.key(in: RowStoreConformance.schema)
                    try TestSupport.expect(keys.insert(key).inserted, "\(key) came twice")
                }
            }
            isOver.withLock { $0 = true }
            try await writing.value
        },
        .init(description: "who takes the rows may stop, and the store goes on") { store in
            try await store.fill(stamped(try (0..<10).map { try Sample.row("g", $0) }), at: nil)
            let stop = StoreError.refused(store: "the reader", problem: "enough")
            do {
                try await store.scan("samples", account: nil) { _ throws(StoreError) in throw stop }
                throw ConformanceFailure(description: "the reader's error got lost")
            } catch let error as StoreError {
                try expectEqual(error, stop, "the error")
            }
            try expectEqual(try await scan(store, "samples").count, 10, "the rows")
        },
        .init(description: "an unknown dataset cannot be scanned") { store in
            try await RowStoreConformance.expectRefused { _ = try await scan(store, "strangers") }
            try await RowStoreConformance.expectRefused {
                _ = try await store.find([RowKey(dataset: "strangers", values: [.text("1")])])
            }
        },
    ]
}
