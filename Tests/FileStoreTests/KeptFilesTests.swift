import Foundation
import Ledger
import TestSupport
import Testing

@testable import FileStore

/// What became of the files that the store wrote: taken away, or of another layout by now.
@Suite(.timeLimit(.minutes(2))) struct KeptFilesTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("kept")
    }

    private static let held = Schema(
        dataset: "held_days", kind: .declared,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [Field("days", .integer), Field("max_price", .decimal, optional: true)],
        accountField: "account_id")

    private static let whole = StorePosition(
        journal: "j", applied: SequenceNumber(epoch: 1, number: 1), datasets: ["held_days"])

    private func open(
        _ path: String = "{account_id}/held.json", _ fields: [String: String] = [:]
    ) throws -> FileStore {
        try FileStore(
            path: folder.path("store"), schemas: SchemaCatalogue([Self.held]),
            layouts: [
                "held_days": try FileLayout(schema: Self.held, path: path, fields: fields)
            ])
    }

    private static func row(_ account: String, _ symbol: String, _ days: Int64 = 1) -> StampedRow {
        StampedRow(
            row: Row(
                dataset: "held_days",
                values: [.text(account), .text(symbol), .integer(days), .null]),
            sequence: SequenceNumber(epoch: 1, number: 1))
    }

    private static func key(_ account: String, _ symbol: String) -> RowKey {
        RowKey(dataset: "held_days", values: [.text(account), .text(symbol)])
    }

    private static let rows = [row("A", "X"), row("A", "Y"), row("B", "X")]

    private func fill(_ store: FileStore) async throws {
        try await store.begin(["held_days"])
        try await store.fill(Self.rows)
        try await store.finish(Self.whole, digests: [])
    }

    private func query(_ account: String) -> RowQuery {
        var query = RowQuery(dataset: "held_days")
        query.matching = [("account_id", [.text(account)])]
        return query
    }

    private func files() throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: folder.path("store"))
            .filter { $0.hasSuffix(".json") && !$0.hasPrefix(".opsd/store") }.sorted()
    }

    private func damage(_ body: () async throws -> Void) async -> String {
        do {
            try await body()
        } catch StoreError.damaged(_, let problem) {
            return problem
        } catch {
            return "\(error)"
        }
        return "no error"
    }

    @Test func aFileThatIsGoneIsNotTakenForNoRows() async throws {
        let store = try open()
        try await fill(store)
        try FileManager.default.removeItem(atPath: folder.path("store/A/held.json"))
        for store in [store, try open()] {
            for found in [
                await damage { _ = try await store.rows(RowQuery(dataset: "held_days")) },
                await damage { _ = try await store.count(query("A")) },
                await damage { _ = try await store.row(Self.key("A", "X")) },
            ] {
                #expect(found.contains("A/held.json") && found.contains("opsd rebuild"), "\(found)")
            }
            #expect(try await store.count(query("B")) == 1, "the others are read")
            #expect(try await store.row(Self.key("C", "X")) == nil)
        }
        // It goes on, and still says so.
        let next = Row(
            dataset: "held_days", values: [.text("A"), .text("Z"), .integer(5), .null])
        try await store.apply(
            StoreBatch(
                changes: [
                    .init(
                        key: Self.key("A", "Z"), row: next,
                        sequence: SequenceNumber(epoch: 1, number: 2))
                ], digests: [], through: SequenceNumber(epoch: 1, number: 2)))
        #expect(try await store.row(Self.key("A", "Z"))?.row == next)
        #expect(await damage { _ = try await store.rows(query("A")) }.contains("'X' is gone"))
        try await fill(store)
        #expect(try await store.rows(RowQuery(dataset: "held_days")) == Self.rows)
    }

    @Test func aRowThatIsGoneFromItsFileIsNotTakenForNone() async throws {
        let store = try open()
        try await fill(store)
        try #"{"Y": {"days": 1}}"#.write(
            toFile: folder.path("store/A/held.json"), atomically: true, encoding: .utf8)
        #expect(
            await damage { _ = try await store.row(Self.key("A", "X")) }.contains("'X' is gone"))
        #expect(await damage { _ = try await store.rows(query("A")) }.contains("'X' is gone"))
        #expect(try await store.row(Self.key("A", "Y")) != nil)
        // Deleted by the journal, it is as it should be.
        try await store.apply(
            StoreBatch(
                changes: [
                    .init(
                        key: Self.key("A", "X"), row: nil,
                        sequence: SequenceNumber(epoch: 1, number: 2))
                ], digests: [], through: SequenceNumber(epoch: 1, number: 2)))
        #expect(try await store.rows(query("A")).map(\.row.values[1]) == [.text("Y")])
    }

    /// The files of before are opsd's own and go; what it has not written stays.
    @Test(
        arguments: [
            ("{account_id}/other.json", [:]), ("{account_id}/held.json", ["days": "held"]),
            ("by/{symbol}/{account_id}.json", [:]),
        ] as [(String, [String: String])])
    func anotherLayoutIsFilledAndLeavesNothingBehind(
        _ path: String, _ fields: [String: String]
    ) async throws {
        try await fill(try open())
        #expect(try await open().position() == Self.whole)
        try FileManager.default.createDirectory(
            atPath: folder.path("store/C"), withIntermediateDirectories: true)
        let strangers = ["store/C/held.json", "store/A/notes.json"]
        for file in strangers {
            try "{}".write(toFile: folder.path(file), atomically: true, encoding: .utf8)
        }
        let store = try open(path, fields)
        #expect(try await store.position() == StorePosition(Self.whole.place, datasets: []))
        // Interrupted, and under a third layout for a while: nothing is forgotten.
        try await store.begin(["held_days"])
        try await store.fill([Self.rows[0]])
        let third = try open("third/{account_id}.json")
        try await third.begin(["held_days"])
        try await third.fill(Self.rows)
        try await fill(store)
        #expect(try await store.position() == Self.whole)
        #expect(try await store.rows(RowQuery(dataset: "held_days")) == Self.rows)
        let kept = Set(try files().filter { !$0.hasPrefix(".opsd") })
        let own = try FileLayout(schema: Self.held, path: path)
        #expect(kept.contains("A/notes.json"))
        let others = kept.filter { own.values(ofFile: $0) == nil }
        #expect(others.subtracting(["C/held.json", "A/notes.json"]) == [], "\(kept)")
        if !path.hasSuffix("held.json") { #expect(kept.contains("C/held.json")) }
        #expect(try files().count { $0.hasPrefix(".opsd/stamps") } == kept.count - others.count)
    }

    @Test func aStoreOfBeforeLayoutsWereKeptIsAsItIs() async throws {
        try await fill(try open())
        let path = folder.path("store/.opsd/store.json")
        let old =
            #"{"journal":"j","applied":\#(Self.whole.applied),"digests":[],"datasets":["held_days"]}"#
        try old.write(toFile: path, atomically: true, encoding: .utf8)
        let store = try open()
        #expect(try await store.position() == Self.whole)
        try await store.apply(
            StoreBatch(
                changes: [], digests: [], through: SequenceNumber(epoch: 1, number: 2)))
        #expect(try await open().position().datasets == ["held_days"])
        #expect(try await open("{account_id}/other.json").position().datasets == [])
    }
}
