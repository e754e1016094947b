public import Ledger
import Synchronization

/// What every store whose rows can be put right must do alike, beside `ScanConformance`.
public struct RepairConformance: Sendable, CustomStringConvertible {
    public struct Bench: Sendable {
        public let store: any RepairableStore
        /// Everything that lies there, in another client's words; not the store's record of its position.
        public let raw: @Sendable () async throws -> String

        public init(
            _ store: any RepairableStore, raw: @escaping @Sendable () async throws -> String
        ) {
            self.store = store
            self.raw = raw
        }
    }

    public let description: String
    /// Whether it takes thousands of rows.
    public var isLarge: Bool { description.hasPrefix("thousands") }
    let body: @Sendable (Bench) async throws -> Void

    /// - Parameter makeBench: an empty store that knows `RowStoreConformance.catalogue`.
    public func run(_ makeBench: @Sendable () async throws -> Bench) async throws {
        try await body(try await makeBench())
    }

    /// What is to lie there: a row, or nothing.
    public typealias Truth = (key: RowKey, row: StampedRow?)

    /// Puts rows right, looks whether they are, undoes it, and looks whether all is as it was.
    public static func repairAndUndo(_ truth: [Truth], in bench: Bench) async throws {
        let (store, keys) = (bench.store, truth.map(\.key))
        let (before, rawBefore) = (try await store.images(keys), try await bench.raw())
        try expectEqual(try await store.images(keys), before, "the images of the same")
        let repaired = try await store.replace(
            zip(truth, before).map { truth, image in
                RowReplacement(
                    key: truth.key, expected: image,
                    content: truth.row.map { .row($0) } ?? .nothing)
            })
        let after = repaired.compactMap(\.self)
        try expectEqual(after.count, keys.count, "the number of rows that were replaced")
        try expectEqual(try await store.images(keys), after, "the images of what was replaced")
        try expectEqual(
            try await store.find(keys), truth.map { $0.row.map(FoundRow.row) }, "the rows")
        let undone = try await store.replace(
            zip(keys, zip(before, after)).map { key, images in
                RowReplacement(key: key, expected: images.1, content: .image(images.0))
            })
        let different = zip(undone, before).filter { $0 != $1 }
        try TestSupport.expect(
            different.isEmpty,
            "\(different.count) rows are not as they were: "
                + String(
                    decoding: different.first?.0?.bytes ?? [], as: UTF8.self) + " not "
                + String(decoding: different.first?.1.bytes ?? [], as: UTF8.self))
        try expectEqual(try await store.images(keys), before, "the images of what was undone")
        try expectEqual(try await bench.raw(), rawBefore, "what lies there")
    }

    private static func at(_ number: Int64) -> SequenceNumber {
        SequenceNumber(epoch: 1, number: number)
    }

    private static func stamped(_ row: Row, at number: Int64 = 3) -> StampedRow {
        StampedRow(row: row, sequence: at(number))
    }

    private static func key(_ row: Row) -> RowKey {
        RowStoreConformance.catalogue[row.dataset].map(row.key(in:))
            ?? RowKey(dataset: row.dataset, values: [])
    }

    private static func replacements(
        _ rows: [StampedRow], over images: [RowImage]
    ) -> [RowReplacement] {
        zip(rows, images).map {
            RowReplacement(key: key($0.row), expected: $1, content: .row($0))
        }
    }

    private static func full(_ group: String, _ number: Int64) throws -> Row {
        try Sample.row(
            group, number, note: "n", amount: "1.5", time: 1_700_000_000_123_456, flag: true,
            detail: #"{"a":[1,null]}"#, weight: .max)
    }

    public static let checks: [RepairConformance] = [
        .init(description: "every kind of wrong row is put right, and is as it was again") {
            bench in
            let truths = try (0..<9).map { stamped(try full("g", $0)) }
            let rows = truths.map(\.row)
            try await bench.store.apply(
                StoreBatch(
                    changes: [],
                    digests: [
                        DigestStamp(
                            scope: DigestScope(dataset: "samples", account: "A"),
                            digest: Digest(sum: 5, count: 9))
                    ], through: at(4)))
            try await bench.store.fill(
                [
                    stamped(try Sample.row("g", 0, note: "other", amount: "1.25")),
                    stamped(try Sample.row("g", 1), at: 2),
                    stamped(rows[2], at: 9),
                    StampedRow(row: rows[3], sequence: .none),
                    // The fifth is missing; the sixth is of another account.
                    stamped(try Sample.row("g", 5, account: "B")),
                    stamped(rows[6]), stamped(rows[7]), stamped(rows[8]),
                ], at: nil)
            var truth = truths.map { Truth(key(($0).row), $0) }
            // Nobody journaled these.
            truth[6].row = nil
            truth[8].row = nil
            try await repairAndUndo(truth, in: bench)
            try expectEqual(try await bench.store.appliedSequence(), at(4), "the position")
            try expectEqual(
                try await bench.store.digests().map(\.digest.count), [9], "the digests")
        },
        .init(description: "whatever is in keys and fields") { bench in
            var truths: [StampedRow] = []
            for name in ScanConformance.awkward {
                truths.append(
                    stamped(try Sample.row(name, 1, note: name, detail: "null", account: "A")))
            }
            truths += try [
                Sample.row("g", .max), Sample.row("g", .min, note: "", flag: false),
                Sample.row("h", 1, amount: "-0.000000000000000001", time: -1),
                Sample.row("h", 2, amount: "99999999999999999999999999999999999999"),
                Sample.row("h", 3, time: 0, detail: Sample.deep),
            ].map { stamped($0) }
            let wrong = try truths.map { truth in
                stamped(
                    try RowStoreConformance.schema.row(
                        truth.row.values.prefix(2) + [
                            .text("wrong"), .null, .null, .null, .null, .null, .text("A"),
                        ]), at: 1)
            }
            try await bench.store.fill(wrong, at: nil)
            try await repairAndUndo(truths.map { (key($0.row), $0) }, in: bench)
            let others = ScanConformance.awkward.map { name in
                stamped(Row(dataset: "others", values: [.text(name), .text(name)]))
            }
            try await repairAndUndo(others.map { (key($0.row), $0) }, in: bench)
            let keyed = try ScanConformance.awkward.map { name in
                stamped(
                    try RowStoreConformance.keyed.row([
                        .boolean(true), .decimal(ExactDecimal(5)),
                        .timestamp(Timestamp(microseconds: 7)), .integer(-3), .text(name), .null,
                    ]))
            }
            try await bench.store.fill(keyed, at: nil)
            try await repairAndUndo(keyed.map { (key($0.row), nil) }, in: bench)
        },
        .init(description: "what was written meanwhile stays") { bench in
            let store = bench.store
            let rows = try (0..<5).map { try Sample.row("g", $0, note: "old") }
            try await store.fill(rows.dropLast().map { stamped($0) }, at: nil)
            let keys = rows.map(key)
            let before = try await store.images(keys)
            let newer = try [0, 4].map { try Sample.row("g", $0, note: "newer") }
            let changes =
                newer.map { StoreBatch.Change(key: key($0), row: $0, sequence: at(7)) }
                + [StoreBatch.Change(key: keys[1], row: nil, sequence: at(7))]
            try await store.apply(StoreBatch(changes: changes, digests: [], through: at(7)))
            let truths = try (0..<5).map { stamped(try full("g", $0), at: 6) }
            let replaced = try await store.replace(replacements(truths, over: before))
            try expectEqual(
                replaced.map { $0 == nil }, [true, true, false, false, true], "what was left")
            try expectEqual(
                try await store.find(keys),
                [
                    .row(stamped(newer[0], at: 7)), nil, .row(truths[2]), .row(truths[3]),
                    .row(stamped(newer[1], at: 7)),
                ], "the rows")
            try await store.apply(Sample.put([rows[2]], at: 8))
            let undone = try await store.replace(
                [2, 3].map { index in
                    RowReplacement(
                        key: keys[index], expected: replaced[index] ?? before[index],
                        content: .image(before[index]))
                })
            try expectEqual(undone.map { $0 == nil }, [true, false], "what was left of the undo")
            try expectEqual(
                try await store.find([keys[2], keys[3]]),
                [.row(stamped(rows[2], at: 8)), .row(stamped(rows[3]))], "the rows after the undo")
        },
        .init(description: "of two who replace the same rows one wins each") { bench in
            let store = bench.store
            let rows = try (0..<800).map { try Sample.row("g\($0 % 5)", $0) }
            // Half of them are missing.
            try await store.fill(rows.prefix(400).map { stamped($0) }, at: nil)
            let keys = rows.map(key)
            let before = try await store.images(keys)
            let sides = try ["one", "two"].map { note in
                try (0..<800).map { stamped(try Sample.row("g\($0 % 5)", $0, note: note)) }
            }
            async let first = store.replace(replacements(sides[0], over: before))
            async let second = store.replace(replacements(sides[1], over: before).reversed())
            let (one, two) = (try await first, Array(try await second.reversed()))
            let found = try await store.find(keys)
            for index in keys.indices {
                try TestSupport.expect(
                    (one[index] == nil) != (two[index] == nil), "both or none has \(keys[index])")
                let winner = sides[one[index] == nil ? 1 : 0][index]
                try expectEqual(found[index], .row(winner), "the row")
            }
        },
        .init(description: "a row that comes twice is replaced once") { bench in
            let row = stamped(try full("g", 1))
            let nothing = try await bench.store.images([key(row.row)])
            let replaced = try await bench.store.replace(
                replacements([row, stamped(row.row, at: 5)], over: nothing + nothing))
            try expectEqual(replaced.map { $0 == nil }, [false, true], "which were replaced")
            try expectEqual(try await bench.store.find([key(row.row)]), [.row(row)], "the row")
        },
        .init(description: "who writes beside does no harm") { bench in
            let store = bench.store
            let rows = try (0..<1_500).map { try Sample.row("g", $0) }
            try await store.fill(rows.map { stamped($0) }, at: nil)
            let isOver = Mutex(false)
            let writing = Task {
                var number: Int64 = 3
                while !isOver.withLock({ $0 }) {
                    number += 1
                    let guests = try (0..<50).map {
                        try Sample.row("g", 5_000 + $0, weight: number)
                    }
                    try await store.apply(Sample.put(guests, at: number))
                }
                return number
            }
            let keys = rows.map(key)
            let before = try await store.images(keys)
            let truths = try (0..<1_500).map { stamped(try full("g", $0)) }
            let replaced = try await store.replace(replacements(truths, over: before))
            isOver.withLock { $0 = true }
            let last = try await writing.value
            try TestSupport.expect(!replaced.contains(nil), "a row was not replaced")
            try expectEqual(
                try await store.find(keys), truths.map(FoundRow.row), "the rows")
            try expectEqual(
                try await store.find([Sample.key("g", 5_000)]),
                [.row(stamped(try Sample.row("g", 5_000, weight: last), at: last))], "a guest")
        },
        .init(description: "thousands of rows in one call") { bench in
            let truths = try (0..<5_000).map { number in
                stamped(try full("g\(number % 3)", number))
            }
            let wrong = try (0..<4_000).map { number in
                stamped(try Sample.row("g\(number % 3)", number, amount: "7"), at: 2)
            }
            try await bench.store.fill(wrong, at: nil)
            try await repairAndUndo(truths.map { (key($0.row), $0) }, in: bench)
        },
        .init(description: "nothing to replace, unknown datasets and images of others") { bench in
            let store = bench.store
            try expectEqual(try await store.images([]), [], "no images")
            try expectEqual(try await store.replace([]), [], "nothing")
            let stranger = RowKey(dataset: "strangers", values: [.text("1")])
            try await RowStoreConformance.expectRefused { _ = try await store.images([stranger]) }
            let key = Sample.key("g", 1)
            let nothing = try await store.images([key])
            for image in ["", "9", "{\"version\":9}"].map({ RowImage(bytes: Array($0.utf8)) }) {
                try await RowStoreConformance.expectRefused {
                    _ = try await store.replace([
                        RowReplacement(key: key, expected: nothing[0], content: .image(image))
                    ])
                }
            }
            try await RowStoreConformance.expectRefused {
                _ = try await store.replace([
                    RowReplacement(
                        key: key, expected: nothing[0], content: .row(stamped(try full("g", 2))))
                ])
            }
            try expectEqual(try await store.find([key]), [nil], "the row")
        },
    ]
}
