import Ledger
import TestSupport
import Testing

@testable import Trading

/// Rows of declared datasets in the core's state: conditions, digests, taking back.
@Suite struct DeclaredRowsTests {
    static let heldDays = Schema(
        dataset: "held_days", kind: .declared,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [Field("days", .integer), Field("max_price", .decimal, optional: true)],
        accountField: "account_id")
    /// Rows of nobody, and rows whose account is not in their key.
    static let parameters = Schema(
        dataset: "parameters", kind: .declared, key: [Field("name", .text)],
        fields: [Field("value", .decimal)])
    static let watched = Schema(
        dataset: "watched", kind: .declared, key: [Field("name", .text)],
        fields: [Field("account_id", .text)], accountField: "account_id")

    static let notes = Schema(
        dataset: "notes", kind: .declared, key: [Field("name", .text)],
        fields: [Field("text", .text, optional: true)])

    static let schemas = [heldDays, parameters, watched, notes]
    private let now = Timestamp(microseconds: 1_795_253_400_000_000)

    static func state(
        countMax: Int = 1_000, bytesMax: Int = 1_000_000, deletionsMax: Int = 1_000
    ) -> TradingState {
        TradingState(
            rules: [], digestKey: StateFixture.key, sequence: SequenceNumber(epoch: 1, number: 0),
            declared: DeclaredRows(
                schemas, countMax: countMax, bytesMax: bytesMax, deletionsMax: deletionsMax))
    }

    static func note(_ name: String, _ count: Int) -> Row {
        Row(
            dataset: "notes",
            values: [.text(name), count == 0 ? .null : .text(String(repeating: "x", count: count))])
    }

    static func held(_ account: String, _ symbol: String, _ days: Int64) -> Row {
        Row(
            dataset: "held_days",
            values: [.text(account), .text(symbol), .integer(days), .decimal(decimal("1.5"))])
    }

    static func key(_ account: String, _ symbol: String) -> RowKey {
        RowKey(dataset: "held_days", values: [.text(account), .text(symbol)])
    }

    /// From the rows alone.
    static func digests(of rows: [RowKey: DeclaredRow]) -> [DigestScope: Digest] {
        var digests: [DigestScope: Digest] = [:]
        for row in rows.values.map(\.row) {
            guard let schema = schemas.first(where: { $0.dataset == row.dataset }) else { continue }
            digests[
                DigestScope(dataset: row.dataset, account: row.account(in: schema)),
                default: .empty
            ].add(StateFixture.key.hash(row.encoded(keyCount: schema.keyCount)))
        }
        return digests
    }

    @Test func aMigrationWritesOneEntryAndIsTakenBackWhereNobodyWroteSince() throws {
        var state = Self.state()
        let old = try state.putRow(Self.held("A", "AAPL", 1), at: now, by: "A").sequence
        let before = Self.digests(of: state.declared.rows)
        let found = [Self.held("A", "AAPL", 2), Self.held("B", "MSFT", 3), Self.held("C", "X", 4)]
        let migrated = try state.migrateRows(
            [
                .init(row: found[0], known: old), .init(row: found[1], known: nil),
                .init(row: found[2], known: nil),
            ], at: now, by: "lin")
        #expect(migrated == old.next)
        #expect(state.declared.rows.count == 3)
        // What was compared is not so any more.
        for (row, known) in [(found[0], old), (found[1], nil), (Self.held("D", "Y", 1), old)] {
            let mark = state.mark
            #expect {
                _ = try state.migrateRows([.init(row: row, known: known)], at: now, by: "lin")
            } throws: {
                if case Refusal.conditionFailed = $0 { true } else { false }
            }
            state.rollback(to: mark)
        }
        let long = Self.held("A", String(repeating: "x", count: 65), 1)
        #expect {
            _ = try state.migrateRows([.init(row: long, known: nil)], at: now, by: "lin")
        } throws: { "\($0)".contains("1 to 64 bytes") }
        // Of the three one was written since, and stays.
        _ = try state.putRow(Self.held("C", "X", 9), at: now, by: "C")
        let changes = [
            TradingState.MigratedRow(before: Self.held("A", "AAPL", 1), after: found[0]),
            .init(before: nil, after: found[1]), .init(before: nil, after: found[2]),
        ]
        #expect(state.takeBack(changes, at: now, by: "lin") == 2)
        #expect(state.takeBack(changes, at: now, by: "lin") == 0)
        #expect(state.declared[Self.key("A", "AAPL")]?.row == Self.held("A", "AAPL", 1))
        #expect(state.declared[Self.key("B", "MSFT")] == nil)
        #expect(state.declared[Self.key("C", "X")]?.row == Self.held("C", "X", 9))
        _ = try state.deleteRow(Self.key("C", "X"), of: "C", at: now, by: "C")
        #expect(Self.digests(of: state.declared.rows) == before)
    }

    @Test func aConditionIsDecidedByTheRowsSequence() throws {
        var state = Self.state()
        let row = Self.held("A", "AAPL", 1)
        let key = Self.key("A", "AAPL")
        let absent = Refusal.conditionFailed(row: key.description, sequence: nil)
        for condition in [RowCondition.present, .sequence(anyOf: [.none])] {
            #expect(throws: absent) {
                try state.putRow(row, if: condition, at: now, by: "x")
            }
            #expect(throws: absent) {
                try state.deleteRow(key, of: "A", if: condition, at: now, by: "x")
            }
        }
        let first = try state.putRow(row, if: .absent, at: now, by: "x").sequence
        let stands = Refusal.conditionFailed(row: key.description, sequence: first)
        #expect(throws: stands) { try state.putRow(row, if: .absent, at: now, by: "x") }
        let second = try state.putRow(row, if: .sequence(anyOf: [first]), at: now, by: "x").sequence
        #expect(second == first.next)
        let moved = Refusal.conditionFailed(row: key.description, sequence: second)
        #expect(throws: moved) {
            try state.putRow(row, if: .sequence(anyOf: [first]), at: now, by: "x")
        }
        #expect(throws: moved) {
            try state.deleteRow(key, of: "A", if: .sequence(anyOf: [first]), at: now, by: "x")
        }
        _ = try state.deleteRow(key, of: "A", if: .present, at: now, by: "x")
        #expect(throws: Refusal.unknownRow(key.description)) {
            try state.deleteRow(key, of: "A", at: now, by: "x")
        }
        #expect(state.commit().drafts.map(\.kind) == ["data.put", "data.put", "data.deleted"])
    }

    @Test func theRowsOfAnotherAccountAreNotThere() throws {
        var state = Self.state()
        let mine = Row(dataset: "watched", values: [.text("one"), .text("A")])
        let theirs = Row(dataset: "watched", values: [.text("one"), .text("B")])
        _ = try state.putRow(mine, at: now, by: "A")
        let key = mine.key(in: Self.watched)
        let unknown = Refusal.unknownRow(key.description)
        #expect(throws: unknown) { try state.putRow(theirs, at: now, by: "B") }
        #expect(throws: unknown) { try state.deleteRow(key, of: "B", at: now, by: "B") }
        let mark = state.mark
        #expect(throws: unknown) {
            try state.writeRows(put: [theirs], delete: [], of: "B", at: now, by: "B")
        }
        state.rollback(to: mark)
        #expect(state.declared[key]?.row == mine)
    }

    @Test func thereAreNoMoreRowsThanMemoryIsToHold() throws {
        var state = Self.state(countMax: 2)
        _ = try state.writeRows(
            put: [Self.held("A", "X", 1), Self.held("A", "Y", 1)], delete: [], of: "A", at: now,
            by: "x")
        #expect(throws: Refusal.tooManyRows(limit: 2)) {
            try state.putRow(Self.held("A", "Z", 1), at: now, by: "x")
        }
        // One that is there can be replaced, and one makes room for another.
        _ = try state.putRow(Self.held("A", "X", 2), at: now, by: "x")
        _ = try state.writeRows(
            put: [Self.held("A", "Z", 1)], delete: [Self.key("A", "Y")], of: "A", at: now, by: "x")
        #expect(state.declared.rows.count == 2)
    }

    @Test func thereAreNoMoreBytesThanMemoryIsToHold() throws {
        var state = Self.state(bytesMax: 1_000)
        func write(_ name: String, _ count: Int) throws {
            let mark = state.mark
            do {
                _ = try state.putRow(Self.note(name, count), at: now, by: "x")
            } catch {
                state.rollback(to: mark)
                throw error
            }
        }
        try write("a", 400)
        try write("b", 400)
        let full = Refusal.tooManyRowBytes(limit: 1_000)
        #expect(throws: full) { try write("c", 200) }
        #expect(throws: full) { try write("a", 600) }
        try write("a", 300)
        try write("c", 200)
        #expect(
            state.declared.bytes
                == state.declared.rows.values.reduce(0) {
                    $0 + $1.row.encoded(keyCount: 1).count
                })
        _ = try state.deleteRow(
            RowKey(dataset: "notes", values: [.text("b")]), of: "", at: now, by: "x")
        try write("d", 350)
        let batch = state.commit()
        // What is more than may be, because the limit was higher once, can still be made smaller.
        var small = Self.state(bytesMax: 10)
        for draft in batch.drafts { _ = try small.replay(Entry(draft: draft, checksum: .origin)) }
        #expect(small.declared.bytes == state.declared.bytes)
        _ = try small.putRow(Self.note("d", 100), at: now, by: "x")
        #expect(throws: Refusal.tooManyRowBytes(limit: 10)) {
            try small.putRow(Self.note("d", 101), at: now, by: "x")
        }
    }

    @Test func aBatchThatIsRefusedHalfWayLeavesNothing() throws {
        var state = Self.state(countMax: 2)
        _ = try state.putRow(Self.held("A", "X", 1), at: now, by: "x")
        _ = state.commit()
        let before = (state.declared.rows.mapValues(\.sequence), state.digests)
        let mark = state.mark
        #expect(throws: Refusal.tooManyRows(limit: 2)) {
            try state.writeRows(
                put: ["Y", "Z"].map { Self.held("A", $0, 1) }, delete: [], of: "A", at: now,
                by: "x")
        }
        state.rollback(to: mark)
        #expect(state.declared.rows.mapValues(\.sequence) == before.0)
        #expect(state.digests.filter { $0.value != .empty } == before.1)
        #expect(state.commit().drafts.isEmpty)
    }

    @Test func aBatchSentAgainDeletesAndPutsTheSame() throws {
        var state = Self.state()
        _ = try state.putRow(Self.held("A", "X", 1), at: now, by: "x")
        for expected in [1, 0] {
            let receipt = try state.writeRows(
                put: [Self.held("A", "Y", 1)], delete: [Self.key("A", "X")], of: "A", at: now,
                by: "x")
            #expect(receipt.changes.count { $0.after == nil } == expected)
        }
        let head = state.lastSequence
        let receipt = try state.writeRows(
            put: [], delete: [Self.key("A", "X")], of: "A", at: now, by: "x")
        #expect(receipt.changes.isEmpty)
        #expect(state.lastSequence == head, "nothing changed, and nothing is journaled")
    }

    // MARK: Taking back

    @Test func whatIsTakenBackIsAsItWas() throws {
        var state = Self.state()
        _ = try state.writeRows(
            put: [Self.held("A", "X", 1), Self.held("A", "Y", 1)], delete: [], of: "A", at: now,
            by: "x")
        let before = (state.declared.rows.mapValues(\.row), state.digests)
        let receipt = try state.writeRows(
            put: [Self.held("A", "X", 2), Self.held("A", "Z", 2)], delete: [Self.key("A", "Y")],
            of: "A", at: now, by: "x")
        #expect(state.takeBack(receipt, at: now, by: "x") == 3)
        #expect(state.declared.rows.mapValues(\.row) == before.0)
        #expect(state.digests == before.1)
        let drafts = state.commit().drafts
        #expect(drafts.map(\.kind) == ["data.batch", "data.batch", "data.rolled_back"])
        #expect(drafts.last?.changes.count == 3)
        // It is once and for all: the rows are the compensation's now.
        #expect(state.takeBack(receipt, at: now, by: "x") == 0)
    }

    @Test func whatSomebodyWroteMeanwhileStays() throws {
        var state = Self.state()
        _ = try state.putRow(Self.held("A", "X", 1), at: now, by: "x")
        let put = try state.putRow(Self.held("A", "Y", 1), at: now, by: "x")
        _ = try state.putRow(Self.held("A", "Y", 2), at: now, by: "y")
        #expect(state.takeBack(put, at: now, by: "x") == 0)
        let deleted = try state.deleteRow(Self.key("A", "X"), of: "A", at: now, by: "x")
        _ = try state.putRow(Self.held("A", "X", 3), at: now, by: "y")
        #expect(state.takeBack(deleted, at: now, by: "x") == 0)
        _ = try state.deleteRow(Self.key("A", "X"), of: "A", at: now, by: "y")
        #expect(state.takeBack(deleted, at: now, by: "x") == 0, "it was deleted again, by another")
        #expect(state.declared[Self.key("A", "X")] == nil)
    }

    /// In the middle of the batch the newer deletions become the older ones.
    @Test(arguments: [0, 1, 5, 9])
    func deletionsAreTakenBackAlsoWhereOthersAreForgotten(before: Int) throws {
        var state = Self.state(deletionsMax: 10)
        func delete(_ names: [String]) throws -> DataReceipt {
            _ = try state.writeRows(
                put: names.map { Self.note($0, 1) }, delete: [], of: "", at: now, by: "x")
            return try state.writeRows(
                put: [],
                delete: names.map { RowKey(dataset: "notes", values: [.text($0)]) }, of: "",
                at: now, by: "x")
        }
        _ = try delete((0..<before).map { "before-\($0)" })
        let receipt = try delete((0..<10).map { "\($0)" })
        #expect(state.takeBack(receipt, at: now, by: "x") == 10)
        #expect(state.declared.rows.count == 10)
        // Not for ever: memory ends somewhere.
        let old = try delete(["old"])
        _ = try delete((0..<20).map { "more-\($0)" })
        #expect(state.takeBack(old, at: now, by: "x") == 0)
    }

    @Test func aDeletionThatIsTakenBackIsNoneThatIsRemembered() throws {
        var state = Self.state()
        let key = Self.key("A", "X")
        _ = try state.putRow(Self.held("A", "X", 1), at: now, by: "x")
        let deleted = try state.deleteRow(key, of: "A", at: now, by: "x")
        _ = state.commit()
        // Put and deleted again, by entries that never reach the disk.
        _ = try state.putRow(Self.held("A", "X", 2), at: now, by: "y")
        _ = try state.deleteRow(key, of: "A", at: now, by: "y")
        state.rollback()
        #expect(state.takeBack(deleted, at: now, by: "x") == 1)
        #expect(state.declared[key]?.row == Self.held("A", "X", 1))
    }

    // MARK: Digests, undo, replay

    /// One random write; refusals leave no trace.
    private func step(
        _ state: inout TradingState, _ random: inout SeededGenerator, _ last: inout DataReceipt?
    ) {
        let mark = state.mark
        let account = ["A", "B"].randomElement(using: &random) ?? "A"
        let symbol = ["X", "Y", "Z", "é", "e\u{301}"].randomElement(using: &random) ?? "X"
        let days = Int64.random(in: 0..<5, using: &random)
        do {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4:
                last = try state.putRow(Self.held(account, symbol, days), at: now, by: account)
            case 4..<6:
                last = try state.deleteRow(
                    Self.key(account, symbol), of: account, at: now, by: account)
            case 6:
                let row = Row(dataset: "watched", values: [.text(symbol), .text(account)])
                last = try state.putRow(row, at: now, by: account)
            case 7:
                let row = Row(
                    dataset: "parameters", values: [.text(symbol), .decimal(decimal("0.\(days)"))])
                last = try state.putRow(row, at: now, by: account)
            case 8:
                last = try state.writeRows(
                    put: [Self.held(account, symbol, days), Self.held(account, "W", days)],
                    delete: [Self.key(account, "V")], of: account, at: now, by: account)
            default:
                if let receipt = last { _ = state.takeBack(receipt, at: now, by: account) }
            }
        } catch {
            state.rollback(to: mark)
        }
    }

    @Test(arguments: 1...5)
    func digestsAreThoseOfTheRowsAndAReplayGivesTheSame(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var state = Self.state()
        var replayed = Self.state()
        var last: DataReceipt?
        for round in 0..<1_500 {
            if round.isMultiple(of: 11) {
                // A batch that never reached the disk.
                let before = (state.declared.rows, state.digests, state.lastSequence)
                var other: DataReceipt?
                for _ in 0..<4 { step(&state, &random, &other) }
                state.rollback()
                #expect(state.declared.rows.mapValues(\.stamped) == before.0.mapValues(\.stamped))
                #expect(state.digests == before.1)
                #expect(state.lastSequence == before.2)
            }
            step(&state, &random, &last)
            let batch = state.commit()
            for draft in batch.drafts {
                let changes = try replayed.replay(Entry(draft: draft, checksum: .origin))
                #expect(changes.map(\.key) == batch.changes.map(\.key))
                #expect(changes.map(\.row) == batch.changes.map(\.row))
            }
        }
        #expect(
            state.digests.filter { $0.value != .empty } == Self.digests(of: state.declared.rows))
        #expect(
            replayed.declared.rows.mapValues(\.stamped) == state.declared.rows.mapValues(\.stamped))
        #expect(replayed.digests == state.digests)
        #expect(replayed.declared.bytes == state.declared.bytes)
        #expect(state.declared.rows.count > 8)
    }
}
