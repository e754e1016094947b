import Foundation
import Ledger
import TestSupport
import Testing

@testable import FileStore

/// Members of a file that are no rows: another program's own, which stay as they lie.
@Suite(.timeLimit(.minutes(2))) struct IgnoredMembersTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("ignored")
        try FileManager.default.createDirectory(
            atPath: folder.path("store/A"), withIntermediateDirectories: true)
        try Self.text.write(
            toFile: folder.path("store/A/held.json"), atomically: false, encoding: .utf8)
    }

    private static let schema = Schema(
        dataset: "held_days", kind: .declared,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [Field("days", .integer)], accountField: "account_id")

    /// Texts with quotes and brackets in them, a name in another spelling, a number as it is written.
    private static let members = [
        #""_inc_date" :  "2026-01-02""#,
        #""\u005fby": {"who": ["a\"}", [1.50, {}]], "n": 1e3}"#,
        #""_n": -0.10"#,
    ]
    private static let text =
        "{ \(members[0]),\n \"X\": 1,\n \(members[1]) , \"Y\":2, \(members[2]) }"
    private static let ignored: Set = ["_inc_date", "_by", "_n", "_absent", "_row"]

    private func open(_ path: String = "{account_id}/held.json") throws -> FileStore {
        try FileStore(
            path: folder.path("store"), schemas: SchemaCatalogue([Self.schema]),
            layouts: [
                "held_days": try FileLayout(
                    schema: Self.schema, path: path, content: .value("days"),
                    ignored: Self.ignored)
            ])
    }

    private func file(_ name: String = "store/A/held.json") throws -> String {
        try String(contentsOfFile: folder.path(name), encoding: .utf8)
    }

    private func expectMembers() throws {
        let text = try file()
        for member in Self.members { #expect(text.contains(member), "\(text)") }
        let json = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        #expect(json?["_inc_date"] as? String == "2026-01-02")
    }

    private static func row(_ symbol: String, _ days: Int64) -> Row {
        Row(dataset: "held_days", values: [.text("A"), .text(symbol), .integer(days)])
    }

    private func apply(
        _ changes: [(symbol: String, days: Int64?)], at number: Int64, to store: FileStore
    ) async throws {
        let sequence = SequenceNumber(epoch: 1, number: number)
        try await store.apply(
            StoreBatch(
                changes: changes.map { symbol, days in
                    .init(
                        key: RowKey(dataset: "held_days", values: [.text("A"), .text(symbol)]),
                        row: days.map { Self.row(symbol, $0) }, sequence: sequence)
                }, digests: [], through: sequence))
    }

    private func rows(_ store: FileStore) async throws -> [Row] {
        try await store.rows(RowQuery(dataset: "held_days")).map(\.row)
    }

    @Test func theyAreNoRowsAndOutliveEveryRow() async throws {
        let store = try open()
        #expect(try await rows(store) == [Self.row("X", 1), Self.row("Y", 2)])
        try await apply([("X", 5), ("Z", 9)], at: 1, to: store)
        try expectMembers()
        #expect(
            try await rows(open()) == [Self.row("X", 5), Self.row("Y", 2), Self.row("Z", 9)])
        try await apply([("X", nil), ("Y", nil), ("Z", nil)], at: 2, to: store)
        try expectMembers()
        #expect(try await rows(open()).isEmpty)
        #expect(try await open().count(RowQuery(dataset: "held_days")) == 0)
        try await apply([("W", 1)], at: 3, to: store)
        try expectMembers()
        #expect(try await rows(open()) == [Self.row("W", 1)])
    }

    @Test func whoEmptiesADatasetLeavesThem() async throws {
        try await open().begin(["held_days"])
        try expectMembers()
        #expect(try await rows(open()).isEmpty)
        // Also where the files lay before their layout was changed.
        let store = try open()
        try await apply([("X", 5)], at: 1, to: store)
        try await store.finish(
            StorePosition(
                journal: "j", applied: SequenceNumber(epoch: 1, number: 1),
                datasets: ["held_days"]), digests: [])
        try await open("by/{account_id}.json").begin(["held_days"])
        try expectMembers()
        #expect(try !file().contains("\"X\""))
    }

    @Test func aRowOfThatNameHasAPlaceAllTheSame() async throws {
        let store = try open()
        try await apply([("_inc_date", 7), ("_row", 8), ("%5F", 9)], at: 1, to: store)
        try expectMembers()
        let found = try await rows(open())
        #expect(Set(found.suffix(5)).contains(Self.row("_inc_date", 7)), "\(found)")
        #expect(found.count == 5)
        let key = RowKey(dataset: "held_days", values: [.text("A"), .text("_row")])
        #expect(try await open().row(key)?.row == Self.row("_row", 8))
        try await apply([("_inc_date", nil), ("_row", nil), ("%5F", nil)], at: 2, to: store)
        try expectMembers()
        #expect(try await rows(open()) == [Self.row("X", 1), Self.row("Y", 2)])
    }

    @Test func aLayoutWithoutMembersHasNoneToIgnore() {
        for (path, format, name) in [
            ("{account_id}.csv", FileLayout.Format.csv, "_inc_date"),
            ("{account_id}/{symbol}.json", .json, "_inc_date"), ("{account_id}.json", .json, "%"),
        ] {
            #expect(throws: FileLayoutError.self) {
                try FileLayout(schema: Self.schema, path: path, format: format, ignored: [name])
            }
        }
    }
}
