import TestSupport
import Testing

@testable import Ledger

@Suite struct EncodingTests {
    /// Vectors published with the reference implementation: key 00 01 … 0f, input 00 01 … n-1.
    @Test(arguments: [
        (0, "a3817f04ba25a8e66df67214c7550293"), (1, "da87c1d86b99af44347659119b22fc45"),
        (2, "8177228da4a45dc7fca38bdef60affe4"), (7, "a1f1ebbed8dbc153c0b84aa61ff08239"),
        (8, "3b62a9ba6258f5610f83e264f31497b4"), (15, "5493e99933b0a8117e08ec0f97cfc3d9"),
        (16, "6ee2a4ca67b054bbfd3315bf85230577"), (63, "5150d1772f50834a503e069a973fbd7c"),
    ]) func sipHashAgreesWithThePublishedVectors(_ length: Int, _ wanted: String) throws {
        let key = try #require(SipHashKey(bytes: (0..<16).map { UInt8($0) }))
        let hash = key.hash((0..<length).map { UInt8($0) })
        let bytes = withUnsafeBytes(of: hash.littleEndian, Array.init)
        #expect(Checksum(bytes: bytes).description == wanted)
        #expect(key.bytes == (0..<16).map { UInt8($0) })
        #expect(SipHashKey(bytes: [1, 2, 3]) == nil)
    }

    @Test func digestsAddUpInAnyOrder() {
        var random = SeededGenerator(seed: 4)
        let hashes = (0..<500).map { _ in UInt128(random.next()) << 64 | UInt128(random.next()) }
        var (all, left, right) = (Digest.empty, Digest.empty, Digest.empty)
        for hash in hashes { all.add(hash) }
        for (index, hash) in hashes.shuffled(using: &random).enumerated() {
            if index % 3 == 0 { left.add(hash) } else { right.add(hash) }
        }
        #expect(left + right == all)
        #expect(all.count == 500)
        for hash in hashes.shuffled(using: &random) { all.remove(hash) }
        #expect(all == .empty)
    }

    /// Under XOR two rows that are each there twice would vanish.
    @Test func twoEqualFaultsDoNotCancel() {
        let hash: UInt128 = 0xDEAD_BEEF
        var twice = Digest.empty
        twice.add(hash)
        twice.add(hash)
        #expect(twice.sum != 0)
        #expect(twice.description == "000000000000000000000001bd5b7dde:2")
        var replaced = Digest.empty
        replaced.add(1)
        replaced.add(2)
        var swapped = Digest.empty
        swapped.add(5)
        swapped.add(5)
        #expect(replaced != swapped)
    }

    @Test func rowsComeBackAsTheyWereEncoded() throws {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<2_000 {
            let row = RandomRow.make(&random)
            let bytes = row.encoded(keyCount: 1)
            let decoded = try Row(encoded: bytes)
            let nulls = row.values.dropFirst().reversed().prefix { $0 == .null }.count
            #expect(decoded.values == Array(row.values.dropLast(nulls)))
            #expect(decoded.encoded(keyCount: 1) == bytes)
        }
    }

    @Test func everyTruncationIsRefusedOrAShorterRow() throws {
        var random = SeededGenerator(seed: 6)
        for _ in 0..<100 {
            let bytes = RandomRow.make(&random).encoded(keyCount: 1)
            for length in 0..<bytes.count {
                let cut = Array(bytes.prefix(length))
                if let row = try? Row(encoded: cut) {
                    #expect(row.encoded(keyCount: 1) == cut, "a cut between two values")
                }
            }
        }
    }

    @Test func changedBytesNeverCrashTheDecoder() throws {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<20_000 {
            var bytes = RandomRow.make(&random).encoded(keyCount: 1)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(
                    in: .min ... .max, using: &random)
            }
            if let row = try? Row(encoded: bytes) { _ = row.values.map(\.description) }
            _ = try? EntryDraft(sequence: .none, time: Timestamp(microseconds: 0), body: bytes)
        }
    }

    @Test func textsThatOnlyLookAlikeAreTwoKeys() {
        let composed = Row(dataset: "d", values: [.text("\u{e9}")])
        let decomposed = Row(dataset: "d", values: [.text("e\u{301}")])
        #expect(composed.encoded(keyCount: 1) != decomposed.encoded(keyCount: 1))
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed]).count == 2)
    }

    @Test func entryBodiesComeBackWhole() throws {
        var random = SeededGenerator(seed: 8)
        for _ in 0..<300 {
            let draft = RandomRow.draft(SequenceNumber(epoch: 3, number: 9), &random)
            let body = draft.encodedBody()
            #expect(
                try EntryDraft(sequence: draft.sequence, time: draft.time, body: body) == draft)
            #expect(throws: CanonicalEncodingError.self) {
                try EntryDraft(sequence: draft.sequence, time: draft.time, body: body + [0])
            }
        }
    }

    @Test func sequenceNumbersTellEpochAndNumber() throws {
        let sequence = SequenceNumber(epoch: 3, number: 42)
        #expect(sequence.rawValue == 3 * 1_099_511_627_776 + 42)
        #expect((sequence.epoch, sequence.number) == (3, 42))
        #expect(SequenceNumber("3-42") == sequence)
        #expect(SequenceNumber(sequence.description) == sequence)
        #expect(sequence.epochAndNumber == "3-42")
        for text in ["", "-", "3-", "-3", "3-42-1", "8192-1", "1-1099511627776", "x"] {
            #expect(SequenceNumber(text) == nil, "\(text)")
        }
        #expect(sequence.next.follows(sequence))
        #expect(SequenceNumber(epoch: 5, number: 1).follows(sequence))
        #expect(!SequenceNumber(epoch: 5, number: 2).follows(sequence))
        #expect(!SequenceNumber(epoch: 2, number: 1).follows(sequence))
        #expect(!sequence.follows(sequence))
        #expect(SequenceNumber(epoch: SequenceNumber.epochMax, number: 1).rawValue < 1 << 53)
    }

    @Test func rowsAreHeldToTheirSchema() throws {
        let schema = Schema(
            dataset: "d", kind: .fact, key: [Field("k", .text)],
            fields: [Field("n", .integer, optional: true), Field("a", .text)], accountField: "a")
        let row = try schema.row([.text("1"), .null, .text("A")])
        #expect(row.account(in: schema) == "A")
        #expect(row.key(in: schema).description == "d/1")
        for values: [Value] in [
            [.text("1"), .null], [.text("1"), .text("2"), .text("A")], [.null, .null, .text("A")],
            [.text("1\u{0}"), .null, .text("A")],
        ] {
            #expect(throws: RowError.self) { try schema.row(values) }
        }
    }
}

enum RandomRow {
    static func make(_ random: inout SeededGenerator) -> Row {
        let count = Int.random(in: 1...12, using: &random)
        return Row(dataset: text(&random), values: (0..<count).map { _ in value(&random) })
    }

    static func draft(
        _ sequence: SequenceNumber, _ random: inout SeededGenerator
    ) -> EntryDraft {
        let changes = (0..<Int.random(in: 0...4, using: &random)).map { index -> RowChange in
            let row = make(&random)
            let key = RowKey(dataset: row.dataset, values: Array(row.values.prefix(1)))
            return index == 3 ? .delete(key) : .put(row, keyCount: 1)
        }
        let digests = (0..<Int.random(in: 0...3, using: &random)).map { _ in
            DigestStamp(
                scope: DigestScope(dataset: text(&random), account: text(&random)),
                digest: Digest(sum: UInt128(random.next()) << 60, count: 7))
        }
        return EntryDraft(
            sequence: sequence, time: Timestamp(microseconds: 1_700_000_000_000_000),
            kind: text(&random), actor: text(&random), changes: changes, digests: digests)
    }

    private static func text(_ random: inout SeededGenerator) -> String {
        let letters: [Character] = ["a", "Z", "0", "é", "漢", "😀", " ", "\"", "\n"]
        return String(
            (0..<Int.random(in: 0...9, using: &random)).map { _ in
                letters[Int.random(in: 0..<letters.count, using: &random)]
            })
    }

    private static func value(_ random: inout SeededGenerator) -> Value {
        let integer = Int64(bitPattern: random.next()) >> Int64.random(in: 0...63, using: &random)
        switch Int.random(in: 0...6, using: &random) {
        case 0: return .text(text(&random))
        case 1: return .integer(integer)
        case 2:
            let wide = Int128(integer) * Int128(Int64.random(in: 1...1_000_000, using: &random))
            let number = try? ExactDecimal(
                coefficient: wide, scale: Int.random(in: 0...18, using: &random))
            return .optional(number)
        case 3: return .timestamp(Timestamp(microseconds: integer))
        case 4: return .boolean(integer > 0)
        case 5:
            let json = try? CanonicalJSON(parsing: "{\"a\":\(integer),\"b\":[true]}")
            return json.map(Value.json) ?? .null
        default: return .null
        }
    }
}
