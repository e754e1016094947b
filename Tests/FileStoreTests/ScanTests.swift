import Foundation
import Ledger
import TestSupport
import Testing

@testable import FileStore

/// Reading everything as it lies: what is wrong is said of each row or file, and stops nothing.
@Suite(.timeLimit(.minutes(5))) struct ScanTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("files")
    }

    @Test(arguments: FileStoreTests.shapes.keys.sorted(), ScanConformance.checks)
    func conforms(_ shape: String, _ check: ScanConformance) async throws {
        // What there is to see of many rows is seen in one file of each kind.
        if check.isLarge, !["default", "csv"].contains(shape) { return }
        let layouts = try FileStoreTests.shapes[shape]?() ?? [:]
        try await check.run {
            try FileStore(
                path: folder.path("store"), schemas: RowStoreConformance.catalogue, layouts: layouts
            )
        }
    }

    private static let held = Schema(
        dataset: "held_days", kind: .declared,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [Field("days", .integer), Field("max_price", .decimal, optional: true)],
        accountField: "account_id")

    private static func row(_ account: String, _ symbol: String, _ days: Int64) -> StampedRow {
        StampedRow(
            row: Row(
                dataset: "held_days",
                values: [.text(account), .text(symbol), .integer(days), .null]),
            sequence: SequenceNumber(epoch: 1, number: 5))
    }

    private let rows = [row("A", "AAPL", 3), row("A", "MSFT", 4), row("B", "AAPL", 7)]
    private let apple = RowKey(dataset: "held_days", values: [.text("A"), .text("AAPL")])
    private let microsoft = RowKey(dataset: "held_days", values: [.text("A"), .text("MSFT")])

    private func filled(_ path: String = "{account_id}/held_days.json") async throws -> FileStore {
        let layout = try FileLayout(
            schema: Self.held, path: path, format: path.hasSuffix("csv") ? .csv : .json)
        let store = try FileStore(
            path: folder.path("store"), schemas: SchemaCatalogue([Self.held]),
            layouts: ["held_days": layout])
        try await store.fill(rows, at: nil)
        return store
    }

    private func scan(
        _ store: FileStore, account: String? = nil
    ) async throws -> (rows: Set<StampedRow>, damage: [DamagedRow]) {
        let found = try await ScanConformance.scan(store, "held_days", account: account)
        var (rows, damage): (Set<StampedRow>, [DamagedRow]) = ([], [])
        for found in found {
            switch found {
            case .row(let row): #expect(rows.insert(row).inserted)
            case .damaged(let found): damage.append(found)
            }
        }
        return (rows, damage)
    }

    private func isDamaged(_ found: FoundRow?, _ key: RowKey) -> Bool {
        guard case .damaged(let damage)? = found else { return false }
        return damage.key == key
    }

    private func path(_ file: String) -> String { folder.path("store/" + file) }

    private func write(_ text: String, to file: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path(file)))
    }

    private func read(_ file: String) throws -> String {
        try String(contentsOfFile: path(file), encoding: .utf8)
    }

    /// In place, so that nothing tells of it but the bytes.
    @Test(arguments: ["{account_id}/held_days.json", "{account_id}/held_days.csv"])
    func aFileThatIsCutOffIsOneFinding(_ layout: String) async throws {
        let store = try await filled(layout)
        let file = layout.replacing("{account_id}", with: "A")
        let handle = try #require(FileHandle(forWritingAtPath: path(file)))
        // Of the CSV nothing stays; in the midst of a line it would be that line's damage.
        try handle.truncate(atOffset: layout.hasSuffix("csv") ? 0 : handle.seekToEnd() - 3)
        let found = try await scan(store)
        #expect(found.rows == [rows[2]])
        #expect(found.damage.map(\.key) == [nil])
        #expect(found.damage.map(\.place) == [file])
        let both = try await store.find([apple, rows[2].row.key(in: Self.held)])
        #expect(isDamaged(both[0], apple))
        #expect(both[1] == .row(rows[2]))
        #expect(try await scan(store, account: "B").damage.isEmpty)
    }

    @Test(arguments: [
        "\"many\"", "{\"days\":\"many\",\"max_price\":null}", "{\"max_price\":null}", "[]",
    ]) func aRowThatIsNoneIsNamedAndTheOthersCome(_ value: String) async throws {
        let store = try await filled()
        let text = try read("A/held_days.json")
        let lines = text.split(separator: "\n").map { line in
            line.hasPrefix("\"AAPL\"") ? "\"AAPL\":\(value)," : String(line)
        }
        try write(lines.joined(separator: "\n"), to: "A/held_days.json")
        let found = try await scan(store)
        #expect(found.rows == Set(rows[1...]))
        #expect(found.damage.map(\.key) == [apple])
        let both = try await store.find([microsoft, apple])
        #expect(both[0] == .row(rows[1]))
        #expect(isDamaged(both[1], apple))
        // Whoever asks for a row as such is told that the file is damaged.
        await #expect(throws: StoreError.self) { _ = try await store.row(apple) }
    }

    @Test(arguments: [
        ("AAPL,many,", "AAPL"), ("AAPL,3", ""), ("AAPL,3,\nAAPL,3,", "AAPL"),
        ("AAPL,3,\nAAPL,3,\nAAPL,3,", "AAPL"),
    ]) func aLineThatIsNoRowIsNamed(_ line: String, _ symbol: String) async throws {
        let store = try await filled("{account_id}/held_days.csv")
        let text = try read("A/held_days.csv").replacing("AAPL,3,", with: line)
        try write(text, to: "A/held_days.csv")
        let found = try await scan(store)
        #expect(found.rows == Set(rows[1...]))
        #expect(Set(found.damage.map(\.key)) == [symbol.isEmpty ? nil : apple])
        #expect(found.damage.first?.problem.contains("line 2") == true || line.contains("\n"))
        if !symbol.isEmpty { #expect(isDamaged(try await store.find([apple])[0], apple)) }
    }

    @Test func stampsThatCannotBeReadLeaveNoRowWhole() async throws {
        let store = try await filled()
        try write("{\"AAPL\":", to: ".opsd/stamps/A/held_days.json.json")
        let found = try await scan(store)
        #expect(found.rows == [rows[2]])
        #expect(Set(found.damage.map(\.key)) == [apple, microsoft])
        let both = try await store.find([apple, microsoft])
        #expect(isDamaged(both[0], apple) && isDamaged(both[1], microsoft))
    }

    @Test(arguments: ["\"soon\"", "[]", "[-1]", "[\"x\"]"])
    func aStampThatIsNoneIsItsRowsDamage(_ stamp: String) async throws {
        let store = try await filled()
        let stamps = "{\"AAPL\":\(stamp),\"MSFT\":[\(rows[1].sequence)],\"GONE\":\(stamp)}"
        try write(stamps, to: ".opsd/stamps/A/held_days.json.json")
        let found = try await scan(store)
        #expect(found.rows == Set(rows[1...]))
        #expect(found.damage.map(\.key) == [apple])
    }

    @Test func aRowWithoutStampIsOfNoEntryAndAStampWithoutRowIsNone() async throws {
        let store = try await filled()
        let text = try read("A/held_days.json").replacing("AAPL", with: "GOOG")
        try write(text, to: "A/held_days.json")
        let found = try await scan(store)
        #expect(found.damage.isEmpty)
        #expect(found.rows.count == 3)
        let strangers = found.rows.filter { $0.sequence == .none }.map { $0.row.values[1] }
        #expect(strangers == [.text("GOOG")])
        #expect(try await store.find([apple]) == [nil])
    }

    @Test func somethingElseInAFilesPlaceIsAFinding() async throws {
        let store = try await filled()
        try FileManager.default.moveItem(
            atPath: path("A/held_days.json"), toPath: folder.path("away"))
        try FileManager.default.createSymbolicLink(
            atPath: path("A/held_days.json"), withDestinationPath: folder.path("away"))
        let found = try await scan(store)
        #expect(found.rows == [rows[2]])
        #expect(found.damage.map(\.place) == ["A/held_days.json"])
        #expect(isDamaged(try await store.find([apple])[0], apple))
    }

    /// The same size and the same time: a disk does not tell that it forgets.
    @Test func aByteThatChangesWithoutATraceIsRead() async throws {
        let store = try await filled()
        _ = try await scan(store)
        _ = try await store.row(apple)
        let file = path("A/held_days.json")
        var before = stat()
        #expect(lstat(file, &before) == 0)
        let bytes = Array(
            try read("A/held_days.json").replacing("\"days\":3", with: "\"days\":9").utf8)
        let handle = try #require(FileHandle(forUpdatingAtPath: file))
        try handle.write(contentsOf: Data(bytes))
        try handle.close()
        var times = [before.st_atim, before.st_mtim]
        #expect(utimensat(AT_FDCWD, file, &times, 0) == 0)
        let changed = StampedRow(row: Self.row("A", "AAPL", 9).row, sequence: rows[0].sequence)
        #expect(try await scan(store).rows.contains(changed))
        #expect(try await store.find([apple]) == [.row(changed)])
    }

    /// A file that may not be read is not known: neither missing nor damaged.
    @Test(.enabled(if: geteuid() != 0, "root may read everything"))
    func aFileThatMayNotBeReadEndsTheScan() async throws {
        let store = try await filled()
        try FileManager.default.setAttributes(
            [.posixPermissions: 0], ofItemAtPath: path("A/held_days.json"))
        for body in [
            { _ = try await scan(store) }, { _ = try await store.find([apple]) },
        ] as [() async throws -> Void] {
            let error = await #expect(throws: StoreError.self) { try await body() }
            guard case .unavailable = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }
}
