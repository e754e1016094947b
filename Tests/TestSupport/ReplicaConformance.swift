public import Ledger

/// What every store that follows the journal must do alike, beside `RowStoreConformance`.
public struct ReplicaConformance: Sendable, CustomStringConvertible {
    public typealias MakeStore = @Sendable () async throws -> any ReplicaStore

    public let description: String
    let body: @Sendable (any ReplicaStore) async throws -> Void

    /// - Parameter makeStore: an empty store that knows `RowStoreConformance.catalogue`.
    public func run(_ makeStore: MakeStore) async throws {
        try await body(try await makeStore())
    }

    private static func at(_ number: Int64) -> SequenceNumber {
        SequenceNumber(epoch: 1, number: number)
    }

    private static func batch(
        _ rows: [Row], after: SequenceNumber, at number: Int64
    ) -> StoreBatch {
        let plain = Sample.put(rows, at: number)
        return StoreBatch(
            changes: plain.changes, digests: [], after: after, through: at(number))
    }

    private static func expectMoved(
        to applied: SequenceNumber, _ body: () async throws -> Void
    ) async throws {
        do {
            try await body()
        } catch StoreError.moved(_, let found) {
            return try expectEqual(found, applied, "where the store says it stands")
        }
        throw ConformanceFailure(description: "a store that stands elsewhere took a batch")
    }

    private static func place(
        _ journal: String?, _ number: Int64, _ checksum: String? = nil
    ) -> JournalPlace {
        JournalPlace(journal: journal, applied: at(number), checksum: checksum)
    }

    private static func batch(
        _ rows: [Row], after: JournalPlace, through: JournalPlace
    ) -> StoreBatch {
        StoreBatch(
            changes: Sample.put(rows, at: through.applied.number).changes, digests: [],
            after: after, through: through)
    }

    public static let checks: [ReplicaConformance] = [
        .init(description: "a new store is a copy of nothing") { store in
            try expectEqual(try await store.position(), .empty, "the position")
        },
        .init(description: "a batch is taken only where it continues") { store in
            let (first, second) = (
                try Sample.row("g", 1, note: "first"), try Sample.row("g", 1, note: "second")
            )
            try await store.apply(batch([first], after: .none, at: 3))
            try await expectMoved(to: at(3)) {
                try await store.apply(batch([second], after: at(2), at: 4))
            }
            try await expectMoved(to: at(3)) {
                try await store.apply(batch([second], after: at(5), at: 6))
            }
            // The answer to it was lost.
            try await store.apply(batch([second], after: .none, at: 3))
            try expectEqual(try await store.row(Sample.key("g", 1))?.row, first, "the row")
            try await store.apply(batch([second], after: at(3), at: 9))
            try expectEqual(try await store.row(Sample.key("g", 1))?.row, second, "the row")
            try expectEqual(try await store.appliedSequence(), at(9), "the applied sequence")
        },
        .init(description: "a dataset is filled while the other goes on") { store in
            let other = Row(dataset: "others", values: [.text("1"), .text("x")])
            try await store.finish(
                StorePosition(journal: "j1", applied: at(4), datasets: ["others"]), digests: [])
            try await store.begin(["samples"])
            try await store.apply(batch([other], after: at(4), at: 5))
            let rows = try (0..<500).map {
                StampedRow(
                    row: try Sample.row("g\($0 % 7)", Int64($0), note: "n"), sequence: at(2))
            }
            try await store.fill(Array(rows[..<300]))
            try await store.fill(Array(rows[200...]))
            try expectEqual(try await store.appliedSequence(), at(5), "the applied sequence")
            try expectEqual(try await store.position().datasets, ["others"], "the whole ones")
            let digest = DigestStamp(
                scope: DigestScope(dataset: "samples", account: "A"),
                digest: Digest(sum: 77, count: 500))
            try await store.finish(
                StorePosition(journal: "j1", applied: at(5), datasets: ["others", "samples"]),
                digests: [digest])
            let wanted = StorePosition(
                journal: "j1", applied: at(5), datasets: ["others", "samples"])
            try expectEqual(try await store.position(), wanted, "the position")
            try expectEqual(try await store.digests(), [digest], "the digests")
            try expectEqual(try await store.count(RowQuery(dataset: "samples")), 500, "the rows")
            try expectEqual(try await store.row(Sample.key("g3", 3)), rows[3], "a row")
        },
        .init(description: "what is filled anew keeps nothing of before") { store in
            let rows = [
                try Sample.row("g", 1, note: "old"), try Sample.row("h", 2, account: "B"),
                Row(dataset: "others", values: [.text("1"), .text("x")]),
            ]
            let stamps = ["samples", "others"].map {
                DigestStamp(
                    scope: DigestScope(dataset: $0, account: ""), digest: Digest(sum: 1, count: 1))
            }
            try await store.apply(
                StoreBatch(
                    changes: Sample.put(rows, at: 3).changes, digests: stamps, through: at(3)))
            try await store.finish(
                StorePosition(journal: "j1", applied: at(3), datasets: ["samples", "others"]),
                digests: [])
            try await store.begin(["samples"])
            try expectEqual(try await store.position().datasets, ["others"], "the whole ones")
            try expectEqual(
                try await store.rows(RowQuery(dataset: "samples")), [], "rows of before")
            try expectEqual(try await store.digests(), [stamps[1]], "digests of before")
            try expectEqual(try await store.count(RowQuery(dataset: "others")), 1, "the other")
            try await store.fill([StampedRow(row: rows[0], sequence: at(1))])
            try await store.finish(
                StorePosition(journal: "j2", applied: at(2), datasets: ["samples"]), digests: [])
            let wanted = StorePosition(journal: "j2", applied: at(2), datasets: ["samples"])
            try expectEqual(try await store.position(), wanted, "the position")
        },
        .init(description: "what another journal writes is not taken") { store in
            let (row, other) = (
                try Sample.row("g", 1, note: "ours"), try Sample.row("g", 1, note: "theirs")
            )
            // Emptied, or never written: nobody's batch continues it.
            try await expectMoved(to: .none) {
                try await store.apply(
                    batch(
                        [row], after: JournalPlace(journal: "j1", applied: .none),
                        through: place("j1", 3)))
            }
            let ours = StorePosition(
                journal: "j1", applied: at(3), datasets: ["samples", "others"])
            try await store.finish(ours, from: .empty, digests: [])
            try await store.apply(batch([row], after: place("j1", 3), through: place("j1", 4)))
            let present = StorePosition(place("j1", 4), datasets: ours.datasets)
            let theirs = StorePosition(place("j2", 4), datasets: ours.datasets)
            // As far, further, and as if its answer had been lost.
            for (after, through) in [(4, 5), (3, 4)] as [(Int64, Int64)] {
                try await expectMoved(to: at(4)) {
                    try await store.apply(
                        batch([other], after: place("j2", after), through: place("j2", through)))
                }
            }
            for wrong in [theirs, ours, .empty] {
                try await expectMoved(to: at(4)) {
                    try await store.fill([StampedRow(row: other, sequence: at(4))], at: wrong)
                }
                try await expectMoved(to: at(4)) {
                    try await store.begin(["samples"], from: wrong, as: theirs)
                }
                try await expectMoved(to: at(4)) {
                    try await store.finish(theirs, from: wrong, digests: [])
                }
            }
            try expectEqual(try await store.position(), present, "the position")
            try expectEqual(try await store.row(Sample.key("g", 1))?.row, row, "the row")
            try await store.begin(
                ["samples"], from: present, as: StorePosition(place("j2", 1), datasets: []))
            try await store.fill(
                [StampedRow(row: other, sequence: at(1))],
                at: StorePosition(place("j2", 1), datasets: []))
            try expectEqual(try await store.row(Sample.key("g", 1))?.row, other, "the row")
        },
        .init(description: "a journal that went another way is not followed") { store in
            func row(_ note: String) throws -> Row { try Sample.row("g", 1, note: note) }
            try await store.finish(
                StorePosition(place("j1", 3, "a3"), datasets: ["samples", "others"]),
                from: nil, digests: [])
            let four = batch(
                [try row("ours")], after: place("j1", 3, "a3"), through: place("j1", 4, "a4"))
            for _ in 0..<2 { try await store.apply(four) }
            // The same numbers, and other entries.
            for (after, through) in [("a3", "b4"), ("b3", "b4")] {
                try await expectMoved(to: at(4)) {
                    try await store.apply(
                        batch(
                            [try row("theirs")], after: place("j1", 3, after),
                            through: place("j1", 4, through)))
                }
            }
            try await expectMoved(to: at(4)) {
                try await store.apply(
                    batch(
                        [try row("theirs")], after: place("j1", 4, "b4"),
                        through: place("j1", 5, "b5")))
            }
            try expectEqual(
                try await store.row(Sample.key("g", 1))?.row, try row("ours"), "the row")
            try await store.apply(
                batch([], after: place("j1", 4, "a4"), through: place("j1", 6, "a6")))
            try expectEqual(try await store.position().place, place("j1", 6, "a6"), "the place")
            // A store of before does not say at which entry it is, and does from then on.
            try await store.finish(
                StorePosition(place("j1", 6), datasets: ["samples"]), from: nil, digests: [])
            try expectEqual(try await store.position().place, place("j1", 6), "the place")
            try await store.apply(
                batch([], after: place("j1", 6, "a6"), through: place("j1", 7, "a7")))
            try expectEqual(try await store.position().place, place("j1", 7, "a7"), "the place")
        },
        .init(description: "an unknown dataset cannot be filled") { store in
            try await RowStoreConformance.expectRefused { try await store.begin(["strangers"]) }
            let stranger = StampedRow(
                row: Row(dataset: "strangers", values: [.text("1")]), sequence: at(1))
            try await RowStoreConformance.expectRefused { try await store.fill([stranger]) }
        },
    ]
}
