import CurlClient
import ExactJSON
import Foundation
import Ledger
import Synchronization
import TestSupport
import Testing
import Trading

@testable import TradingHTTP
@testable import opsd

/// The data API against a model of it: what each answer must be, and what must stand afterwards.
@Suite(.serialized) struct DataModelTests {
    private static func schema(_ name: String) -> Schema {
        Schema(
            dataset: name, kind: .declared,
            key: [Field("account_id", .text), Field("symbol", .text)],
            fields: [
                Field("days", .integer), Field("price", .decimal, optional: true),
                Field("note", .text, optional: true), Field("more", .json, optional: true),
            ],
            accountField: "account_id")
    }

    /// The rows of the one stand when a store does not take them; those of the other do not.
    private static let datasets = ["forward", "back"]

    /// Stores that take what the test says. The lock is between it and the API.
    private final class Stores: DataDelivery {
        let areAway = Mutex(false)

        func promise(for dataset: String) -> DataPromise? {
            DataPromise(
                stores: ["hot"], within: .seconds(1),
                otherwise: dataset == "back" ? .rolledBack : .toldBehind)
        }

        func missing(
            _ sequence: SequenceNumber, of dataset: String, in promise: DataPromise
        ) async -> [String] {
            areAway.withLock { $0 } ? ["hot"] : []
        }
    }

    /// What a row's fields are sent as, and what they are read as.
    private struct Fields: Equatable {
        var sent: String
        var read: String

        init(_ random: inout SeededGenerator) {
            let days = Int.random(in: -3...3, using: &random)
            let prices = [
                ("1.50", "\"1.5\""), ("\"2.00\"", "\"2\""), ("1e2", "\"100\""), ("null", "null"),
                ("\"-0.000000000000000001\"", "\"-0.000000000000000001\""),
            ]
            let notes = ["\"\"", "\"ü \\\" \\\\ \\u0009\"", "\"e\\u0301\"", "null"]
            let mores = [
                (#"{ "b":[1,2.50], "a":{"é":null} }"#, #"{"a":{"é":null},"b":[1,2.5]}"#),
                ("[]", "[]"), ("null", "null"), (#""x""#, #""x""#),
            ]
            sent = "\"days\":\(days)"
            read = sent
            for (name, spellings) in [
                ("price", prices), ("note", notes.map { ($0, $0) }), ("more", mores),
            ] {
                let (sent, read) = spellings.randomElement(using: &random) ?? ("null", "null")
                // What is null may also be left out.
                if sent != "null" || Bool.random(using: &random) {
                    self.sent += ",\"\(name)\":\(sent)"
                }
                self.read += ",\"\(name)\":\(read)"
            }
        }
    }

    private struct Known: Equatable {
        var fields: Fields
        var sequence: SequenceNumber
    }

    /// The rows and the journal's head: nothing else is remembered.
    private struct Model {
        var rows: [RowKey: Known] = [:]
        var head: SequenceNumber

        /// Puts and deletes in one entry, and takes it back where a store is away and that is the rule.
        mutating func write(
            _ changes: [(key: RowKey, fields: Fields?)], isAway: Bool, dataset: String
        ) -> Bool {
            if changes.isEmpty { return false }
            let before = rows
            head = head.next
            for (key, fields) in changes {
                rows[key] = fields.map { Known(fields: $0, sequence: head) }
            }
            guard isAway, dataset == "back" else { return false }
            head = head.next
            for (key, _) in changes {
                rows[key] = before[key].map { Known(fields: $0.fields, sequence: head) }
            }
            return true
        }

        func read(_ key: RowKey) -> String? {
            rows[key].map { known in
                let names = zip(["account_id", "symbol"], key.values).map { name, value in
                    "\"\(name)\":\(CanonicalJSON.quoted(value.description))"
                }
                return "{\(names.joined(separator: ",")),\(known.fields.read),"
                    + "\"opsd_sequence\":\(known.sequence.rawValue)}"
            }
        }

        func list(_ dataset: String) -> [String] {
            rows.keys.filter { $0.dataset == dataset }
                .sorted { left, right in
                    let (left, right) = (left.values[1].description, right.values[1].description)
                    return left.utf8.lexicographicallyPrecedes(right.utf8)
                }
                .compactMap(read)
        }
    }

    /// One run of a core, and the model beside it.
    private struct Session {
        let api: APIHarness
        let stores: Stores
        let token: String
        let stranger: String
        let place: String
        var model: Model
        var random: SeededGenerator

        private static let symbols = [
            "AAPL", "é", "e\u{301}", "BRK/B", "a b", "%41", "?x=1&y#z", "{}", "\"", "\u{1F4C8}",
            String(repeating: "x", count: 64),
        ]

        private mutating func key(_ dataset: String) -> RowKey {
            RowKey(
                dataset: dataset,
                values: [
                    .text("TRADE_001"),
                    .text(Self.symbols.randomElement(using: &random) ?? "AAPL"),
                ])
        }

        private func path(_ key: RowKey) -> String {
            let parts = key.values.map { value in
                value.description.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
            }
            return "/api/v1/data/\(key.dataset)/" + parts.joined(separator: "/")
        }

        /// A condition, and whether it holds for a row.
        private mutating func condition(
            _ known: Known?
        ) -> (headers: CurlHeaders, holds: Bool, isSome: Bool) {
            let stale = "\"\(Int64.random(in: 1...9, using: &random))\""
            let tag = known.map { "\"\($0.sequence.rawValue)\"" } ?? "\"77\""
            return switch Int.random(in: 0..<10, using: &random) {
            case 0: (["If-None-Match": "*"], known == nil, true)
            case 1: (["If-Match": "*"], known != nil, true)
            case 2: (["If-Match": stale], false, true)
            case 3: (["If-Match": tag], known != nil, true)
            case 4: (["If-Match": "\(stale), \(tag) , \(stale)"], known != nil, true)
            default: ([:], true, false)
            }
        }

        private func expect(
            _ answer: APIHarness.Answer, _ status: Int, _ what: String
        ) {
            #expect(
                answer.status == status && (answer.isEnvelope || status == 304),
                "\(place): \(what): \(answer.status), not \(status): \(answer.text.prefix(300))")
        }

        /// The row as it is answered, with the tag that goes with it.
        private func expect(_ answer: APIHarness.Answer, has key: RowKey, _ what: String) throws {
            let wanted = try #require(model.read(key), "\(place): \(what)")
            #expect(
                answer.data == (try JSONValue(parsing: Array(wanted.utf8))),
                "\(place): \(what): \(answer.text) not \(wanted)")
            #expect(answer.headers["ETag"] == model.rows[key].map { "\"\($0.sequence.rawValue)\"" })
        }

        mutating func step() async throws {
            let dataset = DataModelTests.datasets.randomElement(using: &random) ?? "forward"
            let key = key(dataset)
            let isAway = Int.random(in: 0..<4, using: &random) == 0
            stores.areAway.withLock { $0 = isAway }
            switch Int.random(in: 0..<12, using: &random) {
            case 0..<5: try await put(key, isAway: isAway)
            case 5..<7: try await delete(key, isAway: isAway)
            case 7..<10: try await batch(dataset, isAway: isAway)
            case 10: try await refused(key)
            default: try await foreign(key)
            }
            #expect(api.core.engine.published.head == model.head, "\(place)")
            try await get(key)
        }

        private mutating func put(_ key: RowKey, isAway: Bool) async throws {
            let known = model.rows[key]
            let fields = Fields(&random)
            let (headers, holds, _) = condition(known)
            let answer = try await api.call(
                .put, path(key), token: token, body: Array("{\(fields.sent)}".utf8),
                headers: headers)
            let what = "PUT \(key) \(headers.fields) \(fields.sent)"
            guard holds else { return expect(answer, 412, what) }
            if model.write([(key, fields)], isAway: isAway, dataset: key.dataset) {
                return expect(answer, 503, what)
            }
            expect(answer, isAway ? 202 : known == nil ? 201 : 200, what)
            try expect(answer, has: key, what)
        }

        private mutating func delete(_ key: RowKey, isAway: Bool) async throws {
            let known = model.rows[key]
            let (headers, holds, isSome) = condition(known)
            // A deletion has no use for If-None-Match, and says so as it is false.
            let answer = try await api.call(
                .delete, path(key), token: token, headers: headers)
            let what = "DELETE \(key) \(headers.fields)"
            if known == nil { return expect(answer, isSome ? 412 : 404, what) }
            guard holds else { return expect(answer, 412, what) }
            if model.write([(key, nil)], isAway: isAway, dataset: key.dataset) {
                return expect(answer, 503, what)
            }
            expect(answer, isAway ? 202 : 200, what)
            #expect(answer.data?["opsd_sequence"]?.integer == Int(model.head.rawValue), "\(place)")
        }

        private mutating func batch(_ dataset: String, isAway: Bool) async throws {
            var puts: [RowKey: Fields] = [:]
            var deletes: Set<RowKey> = []
            for _ in 0..<Int.random(in: 0..<5, using: &random) {
                puts[key(dataset)] = Fields(&random)
            }
            for _ in 0..<Int.random(in: 0..<4, using: &random) { deletes.insert(key(dataset)) }
            deletes.subtract(puts.keys)
            func names(_ key: RowKey) -> String {
                #""account_id":"TRADE_001","symbol":\#(CanonicalJSON.quoted(key.values[1].description))"#
            }
            let rows = puts.map { "{\(names($0.key)),\($0.value.sent)}" }.joined(separator: ",")
            let keys = deletes.map { "{\(names($0))}" }.joined(separator: ",")
            let body = #"{"put":[\#(rows)],"delete":[\#(keys)]}"#
            let answer = try await api.call(
                .post, "/api/v1/data/\(dataset):batch", token: token, body: Array(body.utf8))
            let gone = deletes.filter { model.rows[$0] != nil }
            var changes: [(key: RowKey, fields: Fields?)] = gone.map { ($0, nil) }
            changes += puts.map { ($0.key, $0.value) }
            if model.write(changes, isAway: isAway, dataset: dataset) {
                return expect(answer, 503, body)
            }
            expect(answer, isAway && !changes.isEmpty ? 202 : 200, body)
            #expect(answer.data?["put"]?.integer == puts.count, "\(place)")
            #expect(answer.data?["deleted"]?.integer == gone.count, "\(place)")
            #expect(answer.data?["opsd_sequence"]?.integer == Int(model.head.rawValue), "\(place)")
        }

        /// Something in it is wrong, so nothing of it is done.
        private mutating func refused(_ key: RowKey) async throws {
            let fields = Fields(&random)
            let good = #"{"account_id":"TRADE_001","symbol":"good",\#(fields.sent)}"#
            let wrong =
                [
                    #"{\#(fields.sent),"days":1}"#, #"{\#(fields.sent),"x":1}"#, "{}", "[]", "",
                    #"{"days":1.5}"#, "{\(fields.sent)",
                ].randomElement(using: &random) ?? ""
            let put = try await api.call(.put, path(key), token: token, body: Array(wrong.utf8))
            expect(put, 400, wrong)
            let batch = try await api.call(
                .post, "/api/v1/data/\(key.dataset):batch", token: token,
                body: Array(#"{"put":[\#(good),\#(wrong)]}"#.utf8))
            expect(batch, 400, wrong)
        }

        /// Of another account, and so not there.
        private mutating func foreign(_ key: RowKey) async throws {
            let fields = Fields(&random)
            for method in [CurlRequest.Method.get, .put, .delete] {
                let answer = try await api.call(
                    method, path(key), token: stranger,
                    body: method == .put ? Array("{\(fields.sent)}".utf8) : nil)
                expect(answer, 404, "\(method) \(key) by another")
            }
        }

        private mutating func get(_ key: RowKey) async throws {
            guard let known = model.rows[key] else {
                return expect(
                    try await api.call(.get, path(key), token: token), 404, "GET \(key)")
            }
            let answer = try await api.call(.get, path(key), token: token)
            expect(answer, 200, "GET \(key)")
            try expect(answer, has: key, "GET \(key)")
            let tag = "\"\(known.sequence.rawValue)\""
            let again = try await api.call(
                .get, path(key), token: token, headers: ["If-None-Match": tag])
            expect(again, 304, "GET \(key) again")
        }

        /// Every row, page by page.
        mutating func lists() async throws {
            for dataset in DataModelTests.datasets {
                let wanted = model.list(dataset)
                let size = Int.random(in: 1...6, using: &random)
                var found: [JSONValue] = []
                for page in 1...(wanted.count / size + 1) {
                    let answer = try await api.call(
                        .get, "/api/v1/data/\(dataset)?page=\(page)&pageSize=\(size)", token: token)
                    expect(answer, 200, "list")
                    #expect(answer.data?["total"]?.integer == wanted.count, "\(place)")
                    found += answer.data?["data"]?.elements ?? []
                }
                #expect(
                    found == (try wanted.map { try JSONValue(parsing: Array($0.utf8)) }),
                    "\(place): \(dataset)")
            }
        }
    }

    @Test(.timeLimit(.minutes(2)), arguments: [UInt64](1...3))
    func everyAnswerIsTheModels(_ seed: UInt64) async throws {
        let folder = try TemporaryDirectory("model")
        let stores = Stores()
        var model: Model?
        var random = SeededGenerator(seed: seed)
        for run in 0..<4 {
            try await APIHarness.run(
                in: folder, declared: Self.datasets.map(Self.schema), delivery: stores
            ) { api in
                let published = api.core.engine.published
                let accounts = api.configuration.accounts.tradingAccounts.map(\.id)
                try await api.wait { accounts.allSatisfy { published.balance($0) != nil } }
                var session = Session(
                    api: api, stores: stores, token: try await api.token("TRADE_001"),
                    stranger: try await api.token("TRADE_002"), place: "seed \(seed), run \(run)",
                    model: model ?? Model(head: published.head), random: random)
                #expect(published.head == session.model.head)
                try await session.lists()
                for step in 1...80 {
                    try await session.step()
                    if step.isMultiple(of: 16) { try await session.lists() }
                }
                #expect(session.model.rows.count > 5)
                (model, random) = (session.model, session.random)
            }
            // Every second start finds no checkpoint, and reads the journal from its beginning.
            guard run.isMultiple(of: 2) else { continue }
            for suffix in ["", "-wal", "-shm"] {
                try? FileManager.default.removeItem(
                    atPath: folder.path("state.sqlite" + suffix))
            }
        }
    }
}
