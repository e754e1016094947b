import Ledger

extension RowStoreConformance {
    /// Twelve rows: number, group by thirds, amount out of text order, every other note null.
    private static func fill(_ store: any RowStore) async throws {
        let amounts = ["9", "10", "-1", "0.5", "100", "-20", "0", "1.25", "1.3", "2", "-0.1", "33"]
        let rows = try amounts.enumerated().map { index, amount in
            try Sample.row(
                "g\(index % 3)", Int64(index), note: index % 2 == 0 ? "n\(index / 4)" : nil,
                amount: amount, time: Int64(index) * 1_000, flag: index < 6, weight: 7)
        }
        try await store.apply(Sample.put(rows.reversed(), at: 1))
    }

    private static func query(
        _ name: String, finds wanted: [Int64],
        _ change: @escaping @Sendable (inout RowQuery) -> Void
    ) -> RowStoreConformance {
        .init(description: name) { store in
            try await fill(store)
            var query = RowQuery(dataset: "samples")
            query.order = ("time", descending: false)
            change(&query)
            let found = Sample.numbers(try await store.rows(query))
            try expectEqual(found, wanted, name)
            var whole = query
            whole.limit = .max
            whole.offset = 0
            let all = try await store.rows(whole).count
            try expectEqual(try await store.count(query), all, "the count without limit")
        }
    }

    /// One for each combination of values whose order as texts would be another.
    private static func keyedRows() throws -> [StampedRow] {
        var rows: [StampedRow] = []
        for flag in [true, false] {
            for amount in ["-20", "-3", "0.5", "9", "10", "100"].map({ ExactDecimal($0) }) {
                // The years -1, 1970 and 10000.
                for time in [-62_190_000_000_000_000, 0, 253_402_300_800_000_000] as [Int64] {
                    for (number, name) in [(-10, "é"), (-9, "a"), (9, "B"), (10, "10"), (10, "9")] {
                        let values: [Value] = [
                            .boolean(flag), .optional(amount),
                            .timestamp(Timestamp(microseconds: time)), .integer(Int64(number)),
                            .text(name), .null,
                        ]
                        rows.append(
                            StampedRow(
                                row: try keyed.row(values),
                                sequence: SequenceNumber(epoch: 1, number: 1)))
                    }
                }
            }
        }
        return rows
    }

    static let queries: [RowStoreConformance] = [
        query("without order rows come by key", finds: [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]) {
            $0.order = nil
        },
        query("matching finds any of the values", finds: [0, 2, 3, 5, 6, 8, 9, 11]) {
            $0.matching = [("group", [.text("g0"), .text("g2"), .text("none")])]
        },
        query("all matchings hold together", finds: [0, 3]) {
            $0.matching = [("group", [.text("g0")]), ("flag", [.boolean(true)])]
        },
        query("matching with no value finds nothing", finds: []) { $0.matching = [("group", [])] },
        query("matching null finds what is absent", finds: [0, 1, 2, 3, 5, 7, 9, 11]) {
            $0.matching = [("note", [.null, .text("n0")])]
        },
        query("a decimal matches by its value", finds: [7]) {
            $0.matching = [("amount", [.optional(ExactDecimal("1.250"))])]
        },
        query("present leaves nulls out", finds: [0, 2, 4, 6, 8, 10]) { $0.present = ["note"] },
        query("a range has its beginning and not its end", finds: [3, 4, 5]) {
            $0.range = .init(
                field: "time", from: .timestamp(Timestamp(microseconds: 3_000)),
                before: .timestamp(Timestamp(microseconds: 6_000)))
        },
        query("a range may be open", finds: [10, 11]) {
            $0.range = .init(
                field: "time", from: .timestamp(Timestamp(microseconds: 10_000)), before: nil)
        },
        query("a range of decimals goes by their size", finds: [0, 3, 6, 7, 8, 9]) {
            $0.range = .init(
                field: "amount", from: .decimal(.zero), before: .decimal(ExactDecimal(10)))
        },
        query("decimals are ordered by their size", finds: [5, 2, 10, 6, 3, 7, 8, 9, 0, 1, 11, 4]) {
            $0.order = ("amount", descending: false)
        },
        query("order may descend", finds: [4, 11, 1]) {
            $0.order = ("amount", descending: true)
            $0.limit = 3
        },
        query("ties go by key", finds: [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]) {
            $0.order = ("weight", descending: false)
        },
        query("a page is a part of the order", finds: [4, 5, 6]) {
            $0.limit = 3
            $0.offset = 4
        },
        query("a page begins after a key", finds: [9, 1, 4, 7]) {
            $0.order = nil
            $0.afterKey = [.text("g0"), .integer(6)]
            $0.limit = 4
        },
        query("a page begins after a key that is not there", finds: [2, 5, 8, 11]) {
            $0.order = nil
            $0.afterKey = [.text("g1"), .integer(.max)]
        },
        query("a page past the end is empty", finds: []) { $0.offset = 99 },
        .init(description: "keys of every type have one order, and pages go by it") { store in
            let rows = try keyedRows()
            try await store.apply(Sample.put(rows.shuffled().map(\.row), at: 1))
            var query = RowQuery(dataset: keyed.dataset)
            query.limit = .max
            let all = try query.page(of: rows, in: keyed, store: "")
            try expectEqual(try await store.rows(query).map(\.row), all.map(\.row), "all rows")
            for field in keyed.keyFields.map(\.name) {
                var sorted = query
                sorted.order = (field, descending: true)
                let wanted = try sorted.page(of: rows, in: keyed, store: "").map(\.row)
                try expectEqual(try await store.rows(sorted).map(\.row), wanted, "by \(field)")
            }
            query.limit = 7
            var found: [Row] = []
            while true {
                let page = try await store.rows(query).map(\.row)
                try expect(page.count <= 7 && found.count <= all.count, "pages do not go on")
                guard let last = page.last else { break }
                found += page
                query.afterKey = last.key(in: keyed).values
            }
            try expectEqual(found, all.map(\.row), "page by page")
        },
        .init(description: "an unknown field is refused") { store in
            for field in ["nothing", "group\" OR 1=1 --", ""] {
                var query = RowQuery(dataset: "samples")
                query.matching = [(field, [.text("x")])]
                let matching = query
                try await expectRefused { _ = try await store.rows(matching) }
                query.matching = []
                query.order = (field, descending: false)
                let ordered = query
                try await expectRefused { _ = try await store.rows(ordered) }
            }
        },
    ]
}
