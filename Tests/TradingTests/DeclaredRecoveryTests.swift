import Foundation
import Ledger
import SQLiteStore
import Synchronization
import TestSupport
import Testing

@testable import Trading

/// A core's declared rows over restarts, on a real journal and a real checkpoint.
@Suite(.timeLimit(.minutes(1))) struct DeclaredRecoveryTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("declared")
    }

    private static func schema(
        _ fields: [Field] = [Field("days", .integer), Field("note", .text, optional: true)]
    ) -> Schema {
        Schema(
            dataset: "held_days", kind: .declared,
            key: [Field("account_id", .text), Field("symbol", .text)], fields: fields,
            accountField: "account_id")
    }

    private static let wider = schema([
        Field("days", .integer), Field("note", .text, optional: true),
        Field("max_price", .decimal, optional: true),
    ])

    private static func row(_ symbol: String, _ more: Value...) -> Row {
        Row(dataset: "held_days", values: [.text("A"), .text(symbol)] + more)
    }

    private static func key(_ symbol: String) -> RowKey {
        RowKey(dataset: "held_days", values: [.text("A"), .text(symbol)])
    }

    /// Starts a core, has `body` work with it and stops it.
    /// - Parameter checkpoints: whether the checkpoint takes what is journaled, as if there were time.
    private func core(
        _ declared: [Schema], checkpoints: Bool = true,
        _ body: (TradingCore) async throws -> Void
    ) async throws {
        var options = TradingCore.Options()
        options.declared = declared
        let core = try await TradingCore.start(
            rules: [AccountRules(accountID: "A")], journalDirectory: folder.path("journal"),
            store: try SQLiteStore(
                path: folder.path("rows.sqlite"),
                schemas: SchemaCatalogue(Datasets.catalogue.schemas + declared), setsAside: true),
            broker: ScriptedBroker(), options: options)
        let run = checkpoints ? Task { await core.checkpoint.run() } : nil
        do {
            try await body(core)
        } catch {
            core.checkpoint.stop()
            await core.engine.stop()
            throw error
        }
        if checkpoints { try await core.checkpoint.reach(core.engine.published.head) }
        core.checkpoint.stop()
        await core.engine.stop()
        await run?.value
    }

    private func put(_ rows: [Row], _ core: TradingCore) async throws {
        for row in rows {
            _ = try await core.engine.perform { state, now throws(Refusal) in
                try state.putRow(row, at: now, by: "A")
            }
        }
    }

    @Test(arguments: [true, false])
    func rowsAreThereAgainAndDeletedOnesAreNot(_ checkpoints: Bool) async throws {
        let rows = (0..<20).map { Self.row("S\($0)", .integer(Int64($0)), .null) }
        var stamped: [StampedRow?] = []
        try await core([Self.schema()], checkpoints: checkpoints) { core in
            try await put(rows, core)
            _ = try await core.engine.perform { state, now throws(Refusal) in
                try state.deleteRow(Self.key("S3"), of: "A", at: now, by: "A")
            }
            for number in 0..<20 {
                stamped.append(try await core.data.row(Self.key("S\(number)")))
            }
        }
        #expect(stamped.count { $0 == nil } == 1)
        for _ in 0..<2 {
            try await core([Self.schema()]) { core in
                for number in 0..<20 {
                    let row = try await core.data.row(Self.key("S\(number)"))
                    #expect(row == stamped[number])
                }
                let page = try await core.data.page(
                    of: Self.schema(), account: "A", limit: 5, offset: 0)
                #expect(page.total == 19)
                #expect(
                    page.rows.map { $0.row.values[1] }
                        == ["S0", "S1", "S10", "S11", "S12"].map {
                            .text($0)
                        })
            }
        }
    }

    @Test func aRowThatSomebodyChangedInTheCheckpointIsNotBelieved() async throws {
        try await core([Self.schema()]) { core in
            try await put([Self.row("X", .integer(1), .null)], core)
        }
        let catalogue = SchemaCatalogue(Datasets.catalogue.schemas + [Self.schema()])
        let store = try SQLiteStore(path: folder.path("rows.sqlite"), schemas: catalogue)
        try await store.fill([
            StampedRow(
                row: Self.row("X", .integer(2), .null),
                sequence: SequenceNumber(epoch: 1, number: 1))
        ])
        await #expect {
            try await core([Self.schema()]) { _ in }
        } throws: { "\($0)".contains("the rows of held_days of 'A' are not those") }
    }

    // MARK: Declarations that change

    @Test func aDatasetThatIsNotDeclaredForAWhileLosesNothing() async throws {
        try await core([Self.schema()]) { core in
            try await put(
                [Self.row("X", .integer(1), .null), Self.row("Y", .integer(1), .null)], core)
        }
        // Killed before the checkpoint had these: they are replayed by a core that does not know them.
        try await core([Self.schema()], checkpoints: false) { core in
            try await put([Self.row("X", .integer(2), .text("two"))], core)
            _ = try await core.engine.perform { state, now throws(Refusal) in
                try state.deleteRow(Self.key("Y"), of: "A", at: now, by: "A")
            }
            try await put([Self.row("Z", .integer(3), .null)], core)
        }
        for _ in 0..<2 {
            try await core([]) { core in
                await #expect(throws: EngineError.refused(.unknownRow("held_days"))) {
                    try await put([Self.row("X", .integer(9), .null)], core)
                }
            }
        }
        for _ in 0..<2 {
            try await core([Self.schema()]) { core in
                #expect(
                    try await core.data.row(Self.key("X"))?.row
                        == Self.row("X", .integer(2), .text("two")))
                #expect(try await core.data.row(Self.key("Y")) == nil)
                let page = try await core.data.page(
                    of: Self.schema(), account: "A", limit: 5, offset: 0)
                #expect(page.rows.map { $0.row.values[2] } == [.integer(2), .integer(3)])
            }
        }
    }

    @Test(arguments: [true, false])
    func anOptionalFieldCanBeAdded(_ checkpoints: Bool) async throws {
        try await core([Self.schema()], checkpoints: checkpoints) { core in
            try await put(
                [Self.row("X", .integer(1), .null), Self.row("Y", .integer(2), .null)], core)
        }
        let price = Value.decimal(decimal("1.5"))
        try await core([Self.wider]) { core in
            let x = try #require(try await core.data.row(Self.key("X")))
            #expect(x.row == Self.row("X", .integer(1), .null, .null))
            #expect(x.sequence.number == 1, "nothing had to be written anew")
            try await put([Self.row("Z", .integer(3), .null, price)], core)
        }
        // From the checkpoint, and once more from the journal alone.
        for removes in [false, true] {
            if removes {
                for suffix in ["", "-wal", "-shm"] {
                    try? FileManager.default.removeItem(atPath: folder.path("rows.sqlite\(suffix)"))
                }
            }
            try await core([Self.wider]) { core in
                let page = try await core.data.page(
                    of: Self.wider, account: "A", limit: 5, offset: 0)
                #expect(
                    page.rows.map(\.row) == [
                        Self.row("X", .integer(1), .null, .null),
                        Self.row("Y", .integer(2), .null, .null),
                        Self.row("Z", .integer(3), .null, price),
                    ])
                #expect(try await core.data.row(Self.key("Y"))?.row == page.rows[1].row)
            }
        }
    }

    @Test func noOtherChangeOfADeclarationIsTakenOnceThereAreRows() async throws {
        // Without rows every one is.
        try await core([Self.schema([Field("days", .text), Field("old", .json)])]) { _ in }
        try await core([Self.schema()]) { core in
            try await put([Self.row("X", .integer(1), .text("a"))], core)
        }
        let note = Field("note", .text, optional: true)
        let others = [
            [Field("days", .integer)], [Field("days", .text), note],
            [Field("count", .integer), note], [Field("days", .integer), Field("note", .text)],
            [Field("days", .integer), note, Field("max_price", .decimal)],
            [Field("days", .integer), Field("max_price", .decimal, optional: true), note],
        ]
        for fields in others {
            await #expect {
                try await core([Self.schema(fields)]) { _ in }
            } throws: {
                "\($0)".contains(
                    "the dataset held_days has rows of key (account_id text, symbol text)")
            }
        }
        // Without the checkpoint the journal's own rows tell.
        for suffix in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(atPath: folder.path("rows.sqlite\(suffix)"))
        }
        await #expect {
            try await core([Self.schema([Field("days", .text), note])]) { _ in }
        } throws: { "\($0)".contains("held_days.days: is integer, not text") }
        try await core([Self.schema()]) { core in
            let row = try await core.data.row(Self.key("X"))
            #expect(row != nil)
        }
    }
}
