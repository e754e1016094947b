import Foundation
import Ledger
import TestSupport
import Testing

@testable import opsd

@Suite struct MigrationTests {
    private static let schema = Schema(
        dataset: "deals", kind: .declared,
        key: [Field("day", .text), Field("id", .integer)],
        fields: [
            Field("at", .timestamp), Field("seen", .timestamp, optional: true),
            Field("price", .decimal, optional: true), Field("more", .json, optional: true),
        ])

    private static func row(_ day: String, _ time: String) throws -> Row {
        Row(
            dataset: "deals",
            values: [
                .text(day), .integer(20_260_102), .timestamp(try #require(Timestamp(time))), .null,
                .decimal(try #require(ExactDecimal("12345678901234567890.000000000000000001"))),
                .json(try CanonicalJSON(parsing: #"{"a":[1,null]}"#)),
            ])
    }

    private static let shanghai = TimeZone(identifier: "Asia/Shanghai") ?? .gmt

    @Test func daysAreThoseOfTheDesk() throws {
        let dates = try #require(
            try MigrationDates(
                since: "2026-01-02", until: "20260102", field: "at", of: Self.schema,
                in: Self.shanghai))
        for (time, isWithin) in [
            ("2026-01-01T15:59:59.999999Z", false), ("2026-01-01T16:00:00Z", true),
            ("2026-01-02T15:59:59.999999Z", true), ("2026-01-02T16:00:00Z", false),
        ] {
            #expect(try dates.contain(Self.row("x", time)) == isWithin, "\(time)")
        }
    }

    @Test(arguments: [
        ("20260102", true), ("2026-01-02", true), ("2026/01/02 09:30:00", true),
        ("2026-01-03T00:00:00Z", false), ("20251231", false),
    ])
    func aTextMayBeADay(_ day: String, _ isWithin: Bool) throws {
        let dates = try #require(
            try MigrationDates(
                since: "2026-01-01", until: "2026-01-02", field: "day", of: Self.schema,
                in: Self.shanghai))
        #expect(try dates.contain(Self.row(day, "2020-01-01T00:00:00Z")) == isWithin)
        #expect(throws: CommandFailure.self) {
            try dates.contain(Self.row("20260230", "2020-01-01T00:00:00Z"))
        }
    }

    @Test func aWholeNumberMayBeADayAndARowWithoutOneIsOfNone() throws {
        let byNumber = try MigrationDates(
            since: "20260102", until: nil, field: "id", of: Self.schema, in: .gmt)
        #expect(try byNumber?.contain(Self.row("x", "2020-01-01T00:00:00Z")) == true)
        let bySeen = try MigrationDates(
            since: "20260102", until: nil, field: "seen", of: Self.schema, in: .gmt)
        #expect(try bySeen?.contain(Self.row("x", "2030-01-01T00:00:00Z")) == false)
        #expect(
            try MigrationDates(since: nil, until: nil, field: nil, of: Self.schema, in: .gmt) == nil
        )
    }

    @Test(
        arguments: [
            ("2026-01-01", nil, nil, "several fields"),
            ("2026-01-01", nil, "price", "no field 'price'"),
            ("01.01.2026", nil, "at", "is no day"), (nil, "20260231", "at", "is no day"),
            ("2026-01-02", "2026-01-01", "at", "after --until"),
            (nil, nil, "at", "--since and --until"),
        ] as [(String?, String?, String?, String)])
    func datesThatCannotBeAreRefused(
        _ since: String?, _ until: String?, _ field: String?, _ problem: String
    ) throws {
        let failure = #expect(throws: CommandFailure.self) {
            try MigrationDates(
                since: since, until: until, field: field, of: Self.schema, in: .gmt)
        }
        #expect(failure?.status == .badInput)
        #expect(failure?.message.contains(problem) == true, "\(failure?.message ?? "")")
    }

    private static let wanted = MigrationState.Wanted(
        dataset: "deals", from: "files", to: "hot", since: "20260101")

    @Test func theRecordIsFoundAgainUntilItIsOver() throws {
        let folder = try TemporaryDirectory("migrations")
        let root = folder.path("data/migrations")
        #expect(try MigrationRecord.unfinished(of: "deals", in: root).isEmpty)
        var record = MigrationRecord(Self.wanted, in: root, at: .now())
        try record.begin()
        try record.update { $0.counts.read = 7 }
        let found = try #require(try MigrationRecord.unfinished(of: "deals", in: root).first)
        #expect(found.state == record.state && found.state.counts.read == 7)
        #expect(found.state.wanted.command.hasSuffix("--from files --to hot --since 20260101"))
        #expect(try MigrationRecord.unfinished(of: "others", in: root).isEmpty)
        try record.update { $0.phase = .undoing }
        #expect(try MigrationRecord.unfinished(of: "deals", in: root).count == 1)
        try record.update { $0.phase = .done }
        #expect(try MigrationRecord.unfinished(of: "deals", in: root).isEmpty)
    }

    @Test func notesComeBackInReverseAndExactlyAsTheyWere() async throws {
        let folder = try TemporaryDirectory("notes")
        let record = MigrationRecord(Self.wanted, in: folder.path("m"), at: .now())
        try record.begin()
        let rows = try (0..<25).map { try Self.row("day \($0)\n\"", "2026-01-01T00:00:00.5Z") }
        for start in stride(from: 0, to: 25, by: 5) {
            try record.note(
                rows[start..<start + 5].enumerated().map { index, row in
                    (before: index == 0 ? nil : rows[0], after: row)
                }, of: Self.schema)
        }
        // A crash has cut the last line off; what is noted after it must not be part of it.
        let path = record.folder + "/before.jsonl"
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("{\"before\":nu".utf8))
        try handle.close()
        try record.mend()
        try record.note([(before: rows[1], after: rows[2])], of: Self.schema)
        var found: [(before: Row?, after: Row)] = []
        try await record.eachNoteBackwards(10, bytesMax: .max, of: Self.schema) { some in
            #expect(some.count <= 10)
            found += some
        }
        #expect(found.map(\.after) == [rows[2]] + rows.reversed())
        #expect(found.first?.before == rows[1] && found.last?.before == nil)
        #expect(found.count { $0.before == nil } == 5)
    }

    /// JSON does not tell them from other values, or has no word for them.
    @Test func valuesThatJSONDoesNotHoldComeBackExactly() async throws {
        let folder = try TemporaryDirectory("exact")
        let record = MigrationRecord(Self.wanted, in: folder.path("m"), at: .now())
        try record.begin()
        #expect(!record.hasNotes)
        let usual = try Self.row("x", "2026-01-01T00:00:00Z")
        var rows: [Row] = []
        for (index, value) in [
            (2, Value.timestamp(Timestamp(microseconds: .min))),
            (2, .timestamp(Timestamp(microseconds: .max))),
            (3, .timestamp(Timestamp(microseconds: -62_200_000_000_000_000))),
            (4, .null), (5, .null), (5, .json(try CanonicalJSON(parsing: "null"))),
            (
                5,
                .json(
                    try CanonicalJSON(
                        parsing: String(repeating: "[", count: 60)
                            + String(repeating: "]", count: 60)))
            ),
            (0, .text("\u{1}\"\n\u{2028}e\u{301}")),
        ] {
            var values = usual.values
            values[index] = value
            rows.append(Row(dataset: "deals", values: values))
        }
        try record.note(rows.map { (before: $0, after: usual) }, of: Self.schema)
        try record.note(rows.map { (before: nil, after: $0) }, of: Self.schema)
        #expect(record.hasNotes)
        var found: [(before: Row?, after: Row)] = []
        try await record.eachNoteBackwards(100, bytesMax: 1, of: Self.schema) { some in
            #expect(some.count == 1, "cut by bytes")
            found += some
        }
        #expect(found.map(\.after) == rows.reversed() + rows.map { _ in usual })
        #expect(found.map(\.before) == rows.map { _ in nil } + rows.reversed())
        // A line that is not what was written is not taken for a row that was not there.
        let path = record.folder + "/before.jsonl"
        try Data(#"{"before":null,"after":{},"exact":["AAAA","AAAA"]}"#.utf8 + [10])
            .write(to: URL(fileURLWithPath: path))
        await #expect(throws: CommandFailure.self) {
            try await record.eachNoteBackwards(100, bytesMax: .max, of: Self.schema) { _ in }
        }
    }

    @Test func whatGoesTogetherIsCutByRowsAndByBytes() throws {
        func rows(_ count: Int, bytes: Int) throws -> [SourceRow] {
            try (0..<count).map { _ in
                let row = try Self.row(
                    String(repeating: "x", count: bytes), "2026-01-01T00:00:00Z")
                return SourceRow(StampedRow(row: row, sequence: .none), of: Self.schema)
            }
        }
        #expect(Migration.groups([]).isEmpty)
        #expect(try Migration.groups(rows(1_001, bytes: 1)).map(\.count) == [500, 500, 1])
        #expect(try Migration.groups(rows(12, bytes: 200_000)).map(\.count) == [5, 5, 2])
        #expect(try Migration.groups(rows(3, bytes: 2_000_000)).map(\.count) == [1, 1, 1])
        let mixed = try rows(1, bytes: 2_000_000) + rows(2, bytes: 1)
        #expect(Migration.groups(mixed).map(\.count) == [1, 2])
        #expect(Migration.groups(mixed).flatMap(\.self).map(\.bytes) == mixed.map(\.bytes))
    }

    @Test func theSourceOfAnOpenMigrationIsLeftAlone() async throws {
        let folder = try TemporaryDirectory("kept")
        let root = folder.path("data/migrations")
        let open = OpenMigrations(root: root)
        #expect(await open.kept(in: "files").isEmpty)
        var record = MigrationRecord(Self.wanted, in: root, at: .now())
        try record.begin()
        #expect(await open.kept(in: "files").keys.sorted() == ["deals"])
        #expect(await open.kept(in: "files")["deals"]?.contains("--from files --to hot") == true)
        #expect(await open.kept(in: "hot").isEmpty)
        for (phase, isKept) in [
            (MigrationState.Phase.takingOver, false), (.undoing, true), (.undone, false),
            (.done, false),
        ] {
            try record.update { $0.phase = phase }
            #expect(await open.kept(in: "files").isEmpty != isKept, "\(phase)")
        }
        // One that cannot be read may be of any store.
        try Data("{".utf8).write(to: URL(fileURLWithPath: record.folder + "/state.json"))
        #expect(await open.kept(in: "hot")["deals"]?.contains("move it away") == true)
    }
}
