import Foundation
import Ledger
import TestSupport
import Testing

@testable import FileStore

@Suite(.timeLimit(.minutes(2))) struct FileStoreTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("files")
    }

    private static let samples = RowStoreConformance.schema
    private static let others = RowStoreConformance.other

    /// Ways in which the rows of the conformance suite may lie.
    static let shapes: [String: @Sendable () throws -> [String: FileLayout]] = [
        "default": { [:] },
        "csv": {
            [
                "samples": try FileLayout(
                    schema: samples, path: "{account_id}/samples.csv", format: .csv),
                "others": try FileLayout(schema: others, path: "others.csv", format: .csv),
                "keyed": try FileLayout(
                    schema: RowStoreConformance.keyed, path: "{flag}/k-{at}.csv", format: .csv),
            ]
        },
        "by key": {
            ["samples": try FileLayout(schema: samples, path: "{account_id}/s/{group}.json")]
        },
        "by group": {
            ["samples": try FileLayout(schema: samples, path: "{group}/samples.json")]
        },
        "hidden fields": {
            [
                "samples": try FileLayout(
                    schema: samples, path: "{account_id}/samples.json",
                    fields: ["note": "remark", "amount": "qty"])
            ]
        },
        "one value": {
            [
                "samples": try FileLayout(
                    schema: samples, path: "{account_id}/weights.json", content: .value("weight"))
            ]
        },
    ]

    private func open(_ shape: String = "default") throws -> FileStore {
        try FileStore(
            path: folder.path("store"), schemas: RowStoreConformance.catalogue,
            layouts: try Self.shapes[shape]?() ?? [:])
    }

    @Test(arguments: shapes.keys.sorted(), RowStoreConformance.checks)
    func conforms(_ shape: String, _ check: RowStoreConformance) async throws {
        try await check.run { try open(shape) }
    }

    /// Nothing of what it answers is only in its memory.
    @Test(
        arguments: shapes.keys.sorted(),
        RowStoreConformance.checks.filter { !$0.description.hasPrefix("reads beside") })
    func conformsFromDisk(_ shape: String, _ check: RowStoreConformance) async throws {
        let layouts = try Self.shapes[shape]?() ?? [:]
        let path = folder.path("store")
        try await check.run {
            ForgetfulStore { () throws(StoreError) in
                try FileStore(path: path, schemas: RowStoreConformance.catalogue, layouts: layouts)
            }
        }
    }

    @Test(arguments: shapes.keys.sorted(), ReplicaConformance.checks)
    func followsTheJournal(_ shape: String, _ check: ReplicaConformance) async throws {
        try await check.run { try open(shape) }
    }

    private func text(_ file: String) throws -> String {
        try String(contentsOfFile: folder.path("store/" + file), encoding: .utf8)
    }

    private static let held = Schema(
        dataset: "held_days", kind: .declared,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [Field("days", .integer), Field("max_price", .decimal, optional: true)],
        accountField: "account_id")

    private func batch(_ rows: [[Value]], at number: Int64) -> StoreBatch {
        let sequence = SequenceNumber(epoch: 1, number: number)
        return StoreBatch(
            changes: rows.map { values in
                let row = Row(dataset: "held_days", values: values)
                return StoreBatch.Change(
                    key: row.key(in: Self.held), row: row, sequence: sequence)
            }, digests: [], through: sequence)
    }

    private func open(_ layout: FileLayout) throws -> FileStore {
        try FileStore(
            path: folder.path("store"), schemas: SchemaCatalogue([Self.held]),
            layouts: ["held_days": layout])
    }

    @Test func otherProgramsReadWhatTheLayoutSays() async throws {
        let days = try FileLayout(
            schema: Self.held, path: "{account_id}/held_days.json", content: .value("days"))
        let store = try open(days)
        let rows: [[Value]] = [
            [.text("A"), .text("000001.SZ"), .integer(3), .decimal(ExactDecimal(12))],
            [.text("A"), .text("600000.SH"), .integer(1), .null],
            [.text("B"), .text("AAPL"), .integer(7), .null],
        ]
        try await store.apply(batch(rows, at: 5))
        #expect(
            try text("A/held_days.json") == """
                {
                "000001.SZ":3,
                "600000.SH":1
                }

                """)
        let json =
            try JSONSerialization.jsonObject(
                with: Data(try text("B/held_days.json").utf8)) as? [String: Int]
        #expect(json == ["AAPL": 7])
        let found = try await store.row(
            RowKey(dataset: "held_days", values: [.text("A"), .text("000001.SZ")]))
        #expect(found?.row.values == rows[0], "the hidden price comes back")
        for path in ["A", "A/held_days.json", ".opsd", ".opsd/store.json"] {
            let attributes = try FileManager.default.attributesOfItem(
                atPath: folder.path("store/" + path))
            let mode = try #require(attributes[.posixPermissions] as? Int)
            #expect(mode & 0o077 == 0, "\(path) is \(String(mode, radix: 8))")
        }
    }

    @Test func aCSVFileHasColumnsAndKeepsItsOrder() async throws {
        let store = try open(
            try FileLayout(
                schema: Self.held, path: "{account_id}/held.csv", format: .csv,
                fields: ["days": "held_days", "max_price": "max"]))
        try await store.apply(
            batch(
                [
                    [.text("A"), .text("z,\"q\""), .integer(3), .null],
                    [.text("A"), .text("a"), .integer(1), .decimal(ExactDecimal(2))],
                ], at: 1))
        #expect(
            try text("A/held.csv")
                == "symbol,held_days,max\na,1,2\n\"z,\"\"q\"\"\",3,\n")
    }

    /// A quote with a combining mark is one character, and still a quote to who reads the file.
    @Test func noTextBreaksOutOfItsColumn() async throws {
        let layout = try FileLayout(
            schema: Self.held, path: "{account_id}/held.csv", format: .csv)
        let symbol = "a\"\u{301},FORGED,1\n\"b"
        let values: [Value] = [.text("A"), .text(symbol), .integer(3), .null]
        try await open(layout).apply(batch([values], at: 1))
        let rows = try await open(layout).rows(RowQuery(dataset: "held_days"))
        #expect(rows.map(\.row.values) == [values])
    }

    @Test func aPositionThatCannotBeReadIsMendedByFilling() async throws {
        let store = try open(try FileLayout(schema: Self.held))
        try await store.apply(batch([[.text("A"), .text("X"), .integer(1), .null]], at: 1))
        try "{".write(
            toFile: folder.path("store/.opsd/store.json"), atomically: false, encoding: .utf8)
        await #expect(throws: StoreError.self) { try await store.position() }
        try await store.begin(["held_days"])
        #expect(try await store.position() == .empty)
        #expect(try await store.count(RowQuery(dataset: "held_days")) == 0)
    }

    @Test func whatOtherProgramsWriteIsReadAsItLies() async throws {
        let layout = try FileLayout(
            schema: Self.held, path: "{account_id}/held_days.json")
        let store = try open(layout)
        try await store.apply(batch([[.text("A"), .text("X"), .integer(1), .null]], at: 1))
        try #"{"X": {"days": "4", "max_price": 1.50}, "Y": {"days": 2}}"#
            .write(toFile: folder.path("store/A/held_days.json"), atomically: true, encoding: .utf8)
        let rows = try await store.rows(RowQuery(dataset: "held_days"))
        #expect(rows.map(\.row.values[2]) == [.integer(4), .integer(2)])
        #expect(rows[0].row.values[3] == .decimal(try #require(ExactDecimal("1.5"))))
        #expect(rows.map(\.sequence.number) == [1, 0], "the second one nobody journaled")
        for (text, problem) in [
            ("{", "no JSON"), ("[]", "no object"), (#"{"X": 1}"#, "'X' is no object"),
            (#"{"X": {"days": "many"}}"#, "'X': days is no integer"), ("", "no JSON"),
        ] {
            try text.write(
                toFile: folder.path("store/A/held_days.json"), atomically: false, encoding: .utf8)
            let error = await #expect(throws: StoreError.self) {
                try await store.rows(RowQuery(dataset: "held_days"))
            }
            guard case .damaged(_, let found)? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect(found.contains(problem) && found.contains("A/held_days.json"), "\(found)")
        }
    }

    /// At every point at which a crash may leave it, the applied sequence trails, and the same batch
    /// again gives the same files.
    @Test func aCrashBetweenTheStepsIsHealedByTheSameBatch() async throws {
        let layout = try FileLayout(schema: Self.held, path: "{account_id}/held_days.json")
        let first = batch([[.text("A"), .text("X"), .integer(1), .null]], at: 1)
        let second = batch(
            [
                [.text("A"), .text("X"), .integer(2), .null],
                [.text("B"), .text("Y"), .integer(3), .null],
            ], at: 2)
        let files = [
            "A/held_days.json", "B/held_days.json", ".opsd/stamps/A/held_days.json.json",
            ".opsd/stamps/B/held_days.json.json", ".opsd/store.json",
        ]
        let done = try open(layout)
        try await done.apply(first)
        let before = files.map { try? text($0) }
        try await done.apply(second)
        let after = files.map { try? text($0) }
        for step in 0...files.count {
            try FileManager.default.removeItem(atPath: folder.path("store"))
            for (index, file) in files.enumerated() {
                guard let content = index < step ? after[index] : before[index] else { continue }
                let path = folder.path("store/" + file)
                try FileManager.default.createDirectory(
                    atPath: (path as NSString).deletingLastPathComponent,
                    withIntermediateDirectories: true)
                try content.write(toFile: path, atomically: false, encoding: .utf8)
            }
            try "{half a fi".write(
                toFile: folder.path("store/A/.held_days.json.new"), atomically: false,
                encoding: .utf8)
            let store = try open(layout)
            #expect(try await store.appliedSequence().number == (step == files.count ? 2 : 1))
            try await store.apply(second)
            #expect(files.map { try? text($0) } == after, "after step \(step)")
        }
    }

    @Test(arguments: ["..", ".", "", ".hidden", "a/b", "../../etc", "con:x", "漢", "a\u{1}b"])
    func noValueLeavesTheFolder(_ account: String) async throws {
        let store = try open(try FileLayout(schema: Self.held))
        let values: [Value] = [.text(account), .text("X"), .integer(1), .null]
        try await store.apply(batch([values], at: 1))
        let key = RowKey(dataset: "held_days", values: [.text(account), .text("X")])
        #expect(try await store.row(key)?.row.values == values)
        #expect(try await store.count(RowQuery(dataset: "held_days")) == 1)
        let below = try FileManager.default.contentsOfDirectory(atPath: folder.path("store"))
        #expect(below.count == 2 && below.contains(".opsd"), "\(below)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 1)
    }

    @Test func aNameThatNoDiskTakesIsRefused() async throws {
        let store = try open(try FileLayout(schema: Self.held))
        let values: [Value] = [
            .text(String(repeating: "x", count: 300)), .text("X"), .integer(1), .null,
        ]
        await #expect(throws: StoreError.self) { try await store.apply(batch([values], at: 1)) }
        #expect(try await store.appliedSequence() == .none)
    }

    @Test(
        arguments: [
            ("../{account_id}.json", "not below the store"), ("/x.json", "not below the store"),
            ("a//b.json", "not below the store"), (".opsd/x.json", "not below the store"),
            ("{nothing}.json", "no field 'nothing'"), ("{account_id", "a { without its }"),
        ])
    func refusesLayoutsThatCannotBe(_ path: String, _ problem: String) {
        let error = #expect(throws: FileLayoutError.self) {
            try FileLayout(schema: Self.held, path: path)
        }
        #expect(error?.problem.contains(problem) == true, "\(String(describing: error))")
    }

    @Test func aFileThatShowsTheRowsAlreadyStaysByteForByte() async throws {
        let layout = try FileLayout(schema: Self.held, path: "{account_id}/held_days.json")
        let path = folder.path("store/A/held_days.json")
        try FileManager.default.createDirectory(
            atPath: folder.path("store/A"), withIntermediateDirectories: true)
        let theirs = "{ \"Y\" : {\"days\": 2, \"max_price\": 1.50}, \"X\": {\"days\":1} }"
        try theirs.write(toFile: path, atomically: false, encoding: .utf8)
        let store = try open(layout)
        let found = try await store.rows(RowQuery(dataset: "held_days"))
        #expect(found.map(\.sequence) == [.none, .none])
        let at = SequenceNumber(epoch: 1, number: 3)
        let stamped = found.map { StampedRow(row: $0.row, sequence: at) }
        try await store.fill(stamped)
        #expect(try text("A/held_days.json") == theirs)
        #expect(try await open(layout).rows(RowQuery(dataset: "held_days")) == stamped)
        try await store.apply(batch([[.text("A"), .text("X"), .integer(9), .null]], at: 4))
        #expect(try text("A/held_days.json") != theirs)
        #expect(
            try await store.rows(RowQuery(dataset: "held_days")).map(\.sequence.number) == [4, 3])
    }

    @Test func pagesInTheOrderOfKeysReadNoMoreFilesThanTheyNeed() async throws {
        let layout = try FileLayout(schema: Self.held, path: "{account_id}/held_days.json")
        let store = try open(layout)
        let rows = (0..<60).map { number -> [Value] in
            [.text("A\(number % 6)"), .text("S\(number)"), .integer(Int64(number)), .null]
        }
        try await store.apply(batch(rows, at: 1))
        // Nobody who reads the first pages comes to this one.
        try "{".write(
            toFile: folder.path("store/A5/held_days.json"), atomically: false, encoding: .utf8)
        var query = RowQuery(dataset: "held_days")
        query.limit = 7
        var found: [Row] = []
        for _ in 0..<7 {
            let page = try await store.rows(query)
            found += page.map(\.row)
            query.afterKey = page.last.map { Array($0.row.values.prefix(2)) }
        }
        let wanted = rows.filter { $0[0] != .text("A5") }.map { values in
            Row(dataset: "held_days", values: values)
        }.sorted { Value.precede($0.values, $1.values) }
        #expect(found == Array(wanted.prefix(49)))
        await #expect(throws: StoreError.self) { _ = try await store.rows(query) }
    }

    @Test func aFolderThatIsTakenAwayAndPutBackIsNoticed() async throws {
        let store = try open(try FileLayout(schema: Self.held))
        try await store.apply(batch([[.text("A"), .text("X"), .integer(1), .null]], at: 1))
        try FileManager.default.moveItem(
            atPath: folder.path("store"), toPath: folder.path("aside"))
        #expect(try await store.position() == .empty)
        #expect(try await store.count(RowQuery(dataset: "held_days")) == 0)
        try FileManager.default.moveItem(
            atPath: folder.path("aside"), toPath: folder.path("store"))
        #expect(try await store.appliedSequence().number == 1)
        #expect(try await store.count(RowQuery(dataset: "held_days")) == 1)
    }
}

/// A store that is opened anew for everything that is asked of it.
private struct ForgetfulStore: RowStore {
    let open: @Sendable () throws(StoreError) -> FileStore

    func appliedSequence() async throws(StoreError) -> SequenceNumber {
        try await open().appliedSequence()
    }

    func apply(_ batch: StoreBatch) async throws(StoreError) { try await open().apply(batch) }
    func row(_ key: RowKey) async throws(StoreError) -> StampedRow? { try await open().row(key) }

    func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        try await open().rows(query)
    }

    func count(_ query: RowQuery) async throws(StoreError) -> Int {
        try await open().count(query)
    }

    func digests() async throws(StoreError) -> [DigestStamp] { try await open().digests() }
}
