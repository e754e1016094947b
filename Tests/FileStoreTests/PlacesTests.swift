import Foundation
import Glibc
import Ledger
import TestSupport
import Testing

@testable import FileStore

/// Where rows lie, and that no row takes another one's place or is left without one.
@Suite(.timeLimit(.minutes(2))) struct PlacesTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("places")
    }

    private static let notes = Schema(
        dataset: "notes", kind: .declared,
        key: [Field("account_id", .text), Field("name", .text)],
        fields: [Field("text", .text, optional: true)], accountField: "account_id")
    private static let held = Schema(
        dataset: "held", kind: .declared,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [Field("days", .integer)], accountField: "account_id")
    private static let at = SequenceNumber(epoch: 1, number: 1)

    private func open(
        _ schemas: [Schema], _ layouts: [String: FileLayout] = [:]
    ) throws -> FileStore {
        try FileStore(
            path: folder.path("store"), schemas: SchemaCatalogue(schemas), layouts: layouts)
    }

    private func stamped(_ dataset: String, _ values: Value...) -> StampedRow {
        StampedRow(row: Row(dataset: dataset, values: values), sequence: Self.at)
    }

    private func write(_ bytes: [UInt8], to file: String) throws {
        let path = folder.path("store/" + file)
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    private func exists(_ file: String) -> Bool {
        FileManager.default.fileExists(atPath: folder.path("store/" + file))
    }

    // MARK: Two datasets

    /// Filling one would take out what the other has.
    @Test(arguments: [
        ("{account_id}/{name}.json", true), ("{account_id}/held.json", true),
        ("{account_id}/{name}", true), ("{account_id}/h{name}d.json", true),
        ("{account_id}/notes-{name}.json", false), ("notes/{account_id}/{name}.json", false),
        ("{account_id}/{name}.txt", false),
    ]) func twoDatasetsDoNotShareAFile(_ path: String, _ isShared: Bool) throws {
        let layout = try FileLayout(schema: Self.notes, path: path)
        let error = Result { try open([Self.held, Self.notes], ["notes": layout]) }
        guard case .failure(StoreError.refused(_, let problem)) = error else {
            #expect(!isShared, "\(path)")
            return
        }
        #expect(isShared, "\(path)")
        #expect(problem.contains("held") && problem.contains("give one of them another path"))
    }

    // MARK: Names of files

    @Test(arguments: [
        ("{account_id}_{symbol}.json", "390"), ("{account_id}/{symbol}{days}.json", "two fields"),
        ("x{account_id}/" + String(repeating: "y", count: 60) + "{symbol}.json", "257"),
    ]) func aNameThatMayBecomeTooLongIsRefusedAtOnce(_ path: String, _ problem: String) {
        let error = #expect(throws: FileLayoutError.self) {
            try FileLayout(schema: Self.held, path: path)
        }
        #expect(error?.problem.contains(problem) == true, "\(String(describing: error))")
    }

    /// The longest that a key may have, each byte of which is written as three.
    @Test func theLongestNamesAreTaken() async throws {
        let schema = Schema(
            dataset: "longest", kind: .declared,
            key: [
                Field("a", .text), Field("amount", .decimal), Field("at", .timestamp),
                Field("number", .integer),
            ], fields: [Field("b", .text)])
        let layout = try FileLayout(schema: schema, path: "{a}.x/{amount}-{at}-{number}/r.json")
        let values: [Value] = [
            .text(String(repeating: "\u{1}", count: 64)),
            .optional(
                ExactDecimal("-" + String(repeating: "8", count: 20) + ".888888888888888888")),
            .timestamp(Timestamp(microseconds: .min)), .integer(.min), .text("b"),
        ]
        let row = Row(dataset: "longest", values: values)
        try await open([schema], ["longest": layout]).fill([
            StampedRow(row: row, sequence: Self.at)
        ])
        let store = try open([schema], ["longest": layout])
        #expect(try await store.rows(RowQuery(dataset: "longest")).map(\.row) == [row])
    }

    /// A row whose name no file can have was never put, so it is not there to be taken out.
    @Test func whatWasNeverTakenCanBeTakenOut() async throws {
        let store = try open([Self.held])
        let key = RowKey(
            dataset: "held", values: [.text(String(repeating: "x", count: 300)), .text("X")])
        try await store.apply(
            StoreBatch(
                changes: [.init(key: key, row: nil, sequence: Self.at)], digests: [],
                through: Self.at))
        #expect(try await store.row(key) == nil)
        #expect(try await store.appliedSequence() == Self.at)
    }

    @Test func aKeyIsNeverNull() async throws {
        let schema = Schema(
            dataset: "odd", kind: .declared, key: [Field("id", .text, optional: true)],
            fields: [Field("text", .text)])
        let layout = try FileLayout(schema: schema, path: "odd.csv", format: .csv)
        let store = try open([schema], ["odd": layout])
        await #expect(throws: StoreError.self) {
            try await store.fill([stamped("odd", .null, .text("x"))])
        }
    }

    /// Until names were spelled as they are now, the first letter of a path was written as `%` and two
    /// digits wherever a name had it.
    @Test func whatLiesUnderAnEarlierSpellingIsFilledAnew() async throws {
        let layout = try FileLayout(schema: Self.held, path: "desk/{account_id}.json")
        let row = stamped("held", .text("ted"), .text("X"), .integer(1))
        func position() -> StorePosition {
            StorePosition(journal: "j", applied: Self.at, datasets: ["held"])
        }
        let first = try open([Self.held], ["held": layout])
        try await first.fill([row])
        try await first.finish(position(), digests: [])
        #expect(exists("desk/ted.json"))
        #expect(try await open([Self.held], ["held": layout]).position() == position())
        // As it lay before.
        let root = folder.path("store") + "/"
        for file in ["desk/ted.json", ".opsd/stamps/desk/ted.json.json"] {
            try FileManager.default.moveItem(
                atPath: root + file,
                toPath: root + file.replacingOccurrences(of: "ted", with: "te%64"))
        }
        try write(Array(#"{"X": {"days": 9}}"#.utf8), to: "desk/a%64.json")
        let text = try String(contentsOfFile: root + ".opsd/store.json", encoding: .utf8)
        try write(
            Array(text.replacingOccurrences(of: ",\"spelling\":2", with: "").utf8),
            to: ".opsd/store.json")
        let store = try open([Self.held], ["held": layout])
        #expect(try await store.position().datasets == [])
        #expect(try await store.position().journal == "j")
        try await store.begin(["held"])
        #expect(!exists("desk/te%64.json") && !exists(".opsd/stamps/desk/te%64.json.json"))
        #expect(exists("desk/a%64.json"), "nobody journaled it")
        try await store.fill([row])
        try await store.finish(position(), digests: [])
        let again = try open([Self.held], ["held": layout])
        #expect(try await again.position() == position())
        #expect(try await again.rows(RowQuery(dataset: "held")) == [row])
    }

    // MARK: What is read back

    /// Null and JSON's null look alike in a file.
    @Test(arguments: ["shown", "hidden", "csv"])
    func theNullOfJSONIsNoAbsentValue(_ shape: String) async throws {
        let schema = Schema(
            dataset: "odd", kind: .declared, key: [Field("id", .text)],
            fields: [
                Field("must", .json), Field("may", .json, optional: true),
                Field("note", .text, optional: true),
            ])
        let layout = try FileLayout(
            schema: schema, path: "odd", format: shape == "csv" ? .csv : .json,
            fields: shape == "hidden" ? ["note": "note"] : [:])
        let null = Value.json(try CanonicalJSON(parsing: "null"))
        let rows = [
            stamped("odd", .text("1"), null, .null, .null),
            stamped("odd", .text("2"), null, null, .text("null")),
            stamped("odd", .text("3"), .json(try CanonicalJSON(parsing: "\"null\"")), null, .null),
        ]
        try await open([schema], ["odd": layout]).fill(rows)
        let store = try open([schema], ["odd": layout])
        #expect(try await store.rows(RowQuery(dataset: "odd")) == rows)
        if shape == "shown" {
            // What another program writes counts.
            try write(Array(#"{"2": {"must": null, "may": [1]}}"#.utf8), to: "odd")
            let found = try await store.rows(RowQuery(dataset: "odd")).map(\.row.values[2])
            #expect(found == [.json(try CanonicalJSON(parsing: "[1]"))])
        }
    }

    // MARK: CSV

    @Test func noFieldTakesTheColumnOfAKey() throws {
        let error = #expect(throws: FileLayoutError.self) {
            try FileLayout(
                schema: Self.held, path: "{account_id}.csv", format: .csv,
                fields: ["days": "symbol"])
        }
        #expect(error?.problem.contains("'symbol'") == true)
        // In a path, and in the members of an object, there is no such column.
        for (path, format) in [
            ("{account_id}.csv", FileLayout.Format.csv), ("{symbol}.csv", .csv),
            ("{account_id}.json", .json),
        ] {
            let name = path == "{account_id}.csv" ? "account_id" : "symbol"
            _ = try FileLayout(
                schema: Self.held, path: path, format: format, fields: ["days": name])
        }
    }

    /// They would come back as other bytes, and be written so.
    @Test func bytesThatAreNoTextAreDamage() async throws {
        let layout = try FileLayout(schema: Self.notes, path: "{account_id}.csv", format: .csv)
        let store = try open([Self.notes], ["notes": layout])
        try write(Array("name,text\nn,caf".utf8) + [0xE9, 0x0A], to: "A.csv")
        let error = await #expect(throws: StoreError.self) {
            try await store.rows(RowQuery(dataset: "notes"))
        }
        guard case .damaged(_, let problem)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.contains("A.csv: it is not UTF-8"))
    }

    // MARK: Folders

    /// An error in the middle of a folder would otherwise be its end, and the rest of the files be gone.
    @Test func aFolderThatCannotBeReadToItsEndIsAnError() throws {
        try write([], to: "a/plain")
        let folder = Folder(root: folder.path("store"))
        let stream = try #require(opendir(folder.path("a")))
        #expect(try Set(folder.names(in: stream, "a")) == [".", "..", "plain"])
        // What is open there is a plain file by now.
        let plain = Glibc.open(folder.path("a/plain"), O_RDONLY | O_CLOEXEC)
        rewinddir(stream)
        #expect(dup2(plain, dirfd(stream)) >= 0)
        close(plain)
        let error = #expect(throws: StoreError.self) { try folder.names(in: stream, "a") }
        #expect("\(String(describing: error))".contains("a: "))
        closedir(stream)
    }

    @Test func filesAreFoundByWhatTheyAre() throws {
        for file in ["one", "a/two", "a/b/three", "a/.hidden", ".opsd/four"] {
            try write([], to: file)
        }
        let root = folder.path("store")
        try FileManager.default.createSymbolicLink(
            atPath: root + "/link", withDestinationPath: root + "/one")
        try FileManager.default.createSymbolicLink(
            atPath: root + "/loop", withDestinationPath: root)
        #expect(mkfifo(root + "/a/pipe", 0o600) == 0)
        #expect(try Folder(root: root).files().sorted() == ["a/b/three", "a/two", "one"])
    }
}
