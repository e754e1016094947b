import CurlClient
import ExactJSON
import Ledger
import Synchronization
import TestSupport
import Testing
import Trading

@testable import TradingHTTP
@testable import opsd

/// `/api/v1/data/…` with a real core, over real HTTP.
@Suite(.serialized) struct DataAPITests {
    private static let heldDays = Schema(
        dataset: "held_days", kind: .declared,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [
            Field("days", .integer), Field("max_price", .decimal, optional: true),
            Field("since", .timestamp, optional: true), Field("open", .boolean, optional: true),
            Field("more", .json, optional: true), Field("note", .text, optional: true),
        ],
        accountField: "account_id")
    private static let parameters = Schema(
        dataset: "parameters", kind: .declared,
        key: [Field("name", .text), Field("step", .integer)],
        fields: [Field("value", .decimal)])

    private static let declared = [heldDays, parameters]
    private static let mine = "/api/v1/data/held_days/TRADE_001/"

    private func put(
        _ api: APIHarness, _ path: String, _ body: String, token: String,
        _ headers: CurlHeaders = [:]
    ) async throws -> APIHarness.Answer {
        try await api.call(
            .put, path, token: token, body: Array(body.utf8), headers: headers)
    }

    private func batch(
        _ api: APIHarness, _ body: String, token: String, dataset: String = "held_days"
    ) async throws -> APIHarness.Answer {
        try await api.call(
            .post, "/api/v1/data/\(dataset):batch", token: token, body: Array(body.utf8))
    }

    @Test func aRowIsCreatedReadReplacedAndDeleted() async throws {
        try await APIHarness.run(declared: Self.declared) { api in
            let token = try await api.token("TRADE_001")
            let path = Self.mine + "BRK%2FB%20%C3%A9"
            #expect(try await api.call(.get, path, token: token).status == 404)
            let body = #"""
                {"days":9007199254740993,"max_price":0.100000000000000005,"open":true,
                 "since":"2026-11-21T08:00:00+08:00","more":{"b":[1,2.50],"a":"ü"},"note":null}
                """#
            let created = try await put(api, path, body, token: token)
            #expect(created.status == 201, "\(created.text)")
            #expect(created.isEnvelope)
            let data = try #require(created.data)
            #expect(data["account_id"]?.text == "TRADE_001")
            #expect(data["symbol"]?.text == "BRK/B é")
            #expect(data["days"] == .number("9007199254740993"))
            #expect(data["max_price"] == .string("0.100000000000000005"))
            #expect(data["since"]?.text == "2026-11-21T00:00:00Z")
            #expect(data["open"]?.bool == true)
            #expect(created.text.contains(#""more":{"a":"ü","b":[1,2.5]},"note":null"#))
            let sequence = try #require(data["opsd_sequence"]?.integer)
            #expect(created.headers["ETag"] == "\"\(sequence)\"")
            let read = try await api.call(.get, path, token: token)
            #expect(read.status == 200)
            #expect(read.data == data)
            #expect(read.headers["ETag"] == created.headers["ETag"])
            // Another program writes back what it read, its key included.
            let replaced = try await put(
                api, path, #"{"account_id":"TRADE_001","days":2}"#, token: token)
            #expect(replaced.status == 200, "\(replaced.text)")
            #expect(replaced.data?["max_price"] == nil)
            #expect(try #require(replaced.data?["opsd_sequence"]?.integer) > sequence)
            let deleted = try await api.call(.delete, path, token: token)
            #expect(deleted.status == 200)
            #expect(deleted.data?["deleted"]?.integer == 1)
            #expect(try await api.call(.delete, path, token: token).status == 404)
            #expect(try await api.call(.get, path, token: token).status == 404)
        }
    }

    @Test func conditionsHoldOrTheAnswerIs412() async throws {
        try await APIHarness.run(declared: Self.declared) { api in
            let token = try await api.token("TRADE_001")
            let path = Self.mine + "AAPL"
            func write(_ headers: CurlHeaders) async throws -> APIHarness.Answer {
                try await put(api, path, #"{"days":1}"#, token: token, headers)
            }
            #expect(try await write(["If-Match": "*"]).status == 412)
            let created = try await write(["If-None-Match": "*"])
            #expect(created.status == 201)
            let tag = try #require(created.headers["ETag"])
            #expect(try await write(["If-None-Match": "*"]).status == 412)
            let second = try await write(["If-Match": "\"1\", \(tag)"])
            #expect(second.status == 200)
            let late = try await write(["If-Match": tag])
            #expect(late.status == 412)
            #expect(late.isEnvelope)
            let present = try #require(second.data?["opsd_sequence"]?.integer)
            #expect(late.json?["message"]?.text?.contains("\(present)") == true)
            for wrong in ["1", "\"x\"", "\"\"", "\"1", "\"+1\"", "\"01\"", "\"1\", *"] {
                #expect(try await write(["If-Match": wrong]).status == 400)
            }
            #expect(try await write(["If-None-Match": tag]).status == 400)
            let now = try await api.call(.get, path, token: token)
            let nowTag = try #require(now.headers["ETag"])
            let known = try await api.call(
                .get, path, token: token, headers: ["If-None-Match": "\"7\", W/\(nowTag)"])
            #expect(known.status == 304)
            #expect(known.text.isEmpty)
            let stale = try await api.call(
                .get, path, token: token, headers: ["If-None-Match": tag])
            #expect(stale.status == 200)
            let refused = try await api.call(
                .delete, path, token: token, headers: ["If-Match": tag])
            #expect(refused.status == 412)
            let deleted = try await api.call(
                .delete, path, token: token, headers: ["If-Match": nowTag])
            #expect(deleted.status == 200)
        }
    }

    @Test(.timeLimit(.minutes(2))) func ofTwoHundredWritersWithOneSequenceExactlyOneWins()
        async throws
    {
        try await APIHarness.run(declared: Self.declared) { api in
            let token = try await api.token("TRADE_001")
            let path = Self.mine + "AAPL"
            var tag = try await put(api, path, #"{"days":0}"#, token: token).headers["ETag"]
            for round in 1...5 {
                let wanted = try #require(tag)
                let answers = try await withThrowingTaskGroup(of: APIHarness.Answer.self) { group in
                    for writer in 0..<200 {
                        group.addTask {
                            try await put(
                                api, path, "{\"days\":\(round * 1_000 + writer)}", token: token,
                                ["If-Match": wanted])
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                let winners = answers.filter { $0.status == 200 }
                #expect(winners.count == 1, "round \(round)")
                #expect(answers.count { $0.status == 412 } == 199, "round \(round)")
                let now = try await api.call(.get, path, token: token)
                #expect(now.data == winners.first?.data)
                tag = now.headers["ETag"]
            }
        }
    }

    @Test func whatIsNotAsDeclaredIsRefusedByName() async throws {
        try await APIHarness.run(declared: Self.declared) { api in
            let token = try await api.token("TRADE_001")
            let refusals = [
                (#"{}"#, "days is missing"), (#"{"days":null}"#, "days is null"),
                (#"{"days":"1"}"#, "days must be a whole number"),
                (#"{"days":1.5}"#, "days must be a whole number"),
                (#"{"days":9223372036854775808}"#, "days must be a whole number"),
                (#"{"days":1,"dayz":2}"#, "'dayz' is not a field here"),
                (#"{"days":1,"opsd_sequence":2}"#, "'opsd_sequence' is not a field here"),
                (#"{"days":1,"symbol":"MSFT"}"#, "symbol is another one in the path"),
                (#"{"days":1,"account_id":"TRADE_002"}"#, "account_id is another one in the path"),
                (#"{"days":1,"max_price":"a"}"#, "max_price must be a decimal"),
                (#"{"days":1,"max_price":1e400}"#, "max_price must be a decimal"),
                (#"{"days":1,"max_price":0.1234567890123456789}"#, "max_price must be a decimal"),
                (#"{"days":1,"max_price":true}"#, "max_price must be a decimal"),
                (#"{"days":1,"since":5}"#, "since must be an RFC 3339 time"),
                (#"{"days":1,"since":"yesterday"}"#, "since must be an RFC 3339 time"),
                (#"{"days":1,"open":1}"#, "open must be true or false"),
                (#"{"days":1,"open":"true"}"#, "open must be true or false"),
                (#"{"days":1,"note":1}"#, "note must be a text"),
                (#"{"days":1,"note":"a\u0000b"}"#, "note must be a text without NUL"),
                (#"{"days":1,"more":{"a":"\u0000"}}"#, "more must be JSON without NUL"),
                (#"{"days":1,"more":{"a":1e400}}"#, "more must be JSON"),
                (#"[]"#, "the body must be a JSON object"), (#"{"days":1"#, "this is no JSON"),
                ("", "this is no JSON"),
            ]
            for (body, expected) in refusals {
                let answer = try await put(api, Self.mine + "AAPL", body, token: token)
                #expect(answer.status == 400, "\(body): \(answer.text)")
                #expect(answer.json?["message"]?.text?.contains(expected) == true, "\(answer.text)")
            }
            let long = String(repeating: "x", count: 65)
            for (path, expected) in [
                ("TRADE_001", "2 parts in the path, not 1"),
                ("TRADE_001/A/B", "2 parts in the path, not 3"),
                ("TRADE_001/%00", "without NUL"), ("TRADE_001/%ZZ", "not percent-encoded"),
                ("TRADE_001/\(long)", "1 to 64 bytes"),
            ] {
                for method in [CurlRequest.Method.get, .put, .delete] {
                    let answer = try await api.call(
                        method, "/api/v1/data/held_days/" + path, token: token,
                        body: method == .put ? Array(#"{"days":1}"#.utf8) : nil)
                    #expect(answer.status == 400, "\(method) \(path): \(answer.text)")
                    #expect(answer.text.contains(expected), "\(answer.text)")
                }
            }
            let tooLong = #"{"days":1,"note":"\#(String(repeating: "x", count: 70_000))"}"#
            #expect(try await put(api, Self.mine + "AAPL", tooLong, token: token).status == 413)
            #expect(try await api.call(.get, Self.mine + "AAPL", token: token).status == 404)
        }
    }

    @Test func aBatchIsOneEntryOrNothing() async throws {
        try await APIHarness.run(declared: Self.declared) { api in
            let token = try await api.token("TRADE_001")
            func row(_ symbol: String, _ days: Int = 1) -> String {
                #"{"account_id":"TRADE_001","symbol":"\#(symbol)","days":\#(days)}"#
            }
            func key(_ symbol: String) -> String {
                #"{"account_id":"TRADE_001","symbol":"\#(symbol)"}"#
            }
            let many = (0..<1_000).map { row("S\($0)") }
            let head = api.core.engine.published.head
            let all = try await batch(
                api, #"{"put":[\#(many.joined(separator: ","))]}"#, token: token)
            #expect(all.status == 200, "\(all.text)")
            #expect(all.data?["put"]?.integer == 1_000)
            #expect(api.core.engine.published.head == head.next)
            let over = try await batch(
                api, #"{"put":[\#(many.joined(separator: ","))],"delete":[\#(key("S1"))]}"#,
                token: token)
            #expect(over.status == 413)
            let mixed = #"{"delete":[\#(key("S1")),\#(key("none"))],"put":[\#(row("S2", 2))]}"#
            for deleted in [1, 0] {
                let answer = try await batch(api, mixed, token: token)
                #expect(answer.status == 200, "\(answer.text)")
                #expect(answer.data?["deleted"]?.integer == deleted)
                #expect(answer.data?["put"]?.integer == 1)
            }
            let before = api.core.engine.published.head
            for (body, expected) in [
                (
                    #"{"put":[\#(row("S3", 9)),{"account_id":"TRADE_001","symbol":"S4"}]}"#,
                    "put[1]: days is missing"
                ),
                (
                    #"{"put":[\#(row("S3", 9))],"delete":[\#(row("S4"))]}"#,
                    "delete[0]: 'days' is not a field here"
                ),
                (#"{"put":[\#(row("S3", 9)),\#(row("S3", 8))]}"#, "is in the batch twice"),
                (#"{"put":[\#(row("S3", 9))],"delete":[\#(key("S3"))]}"#, "is in the batch twice"),
                (#"{"puts":[]}"#, "'puts' is no part of a batch"),
                (#"{"put":{}}"#, "put must be an array"),
                (
                    #"{"put":[\#(row("S3", 9)),{"account_id":"TRADE_001","symbol":"","days":1}]}"#,
                    "put[1]: symbol is part of the key"
                ),
            ] {
                let answer = try await batch(api, body, token: token)
                #expect(answer.status == 400, "\(answer.text)")
                #expect(answer.text.contains(expected), "\(answer.text)")
            }
            // The harness has room for 1,500 rows, and these are one too many.
            let more = (0..<502).map { row("T\($0)") }
            let full = try await batch(
                api, #"{"put":[\#(more.joined(separator: ","))]}"#, token: token)
            #expect(full.status == 507, "\(full.text)")
            #expect(full.json?["message"]?.text?.contains("1500 rows") == true)
            #expect(api.core.engine.published.head == before)
            let list = try await api.call(
                .get, "/api/v1/data/held_days?page=2&pageSize=400", token: token)
            #expect(list.data?["total"]?.integer == 999)
            #expect(list.data?["data"]?.elements?.count == 400)
            #expect(list.data?["data"]?.elements?.first?["days"]?.integer == 1)
            let empty = try await batch(api, "{}", token: token)
            #expect(empty.status == 200)
            #expect(api.core.engine.published.head == before, "nothing changed: no entry")
        }
    }

    // MARK: Whose it is

    @Test func anotherAccountsRowsAreNotThere() async throws {
        try await APIHarness.run(declared: Self.declared) { api in
            let theirs = try await api.token("TRADE_002")
            let path = "/api/v1/data/held_days/TRADE_002/NVDA"
            #expect(try await put(api, path, #"{"days":777}"#, token: theirs).status == 201)
            let row = #"{"account_id":"TRADE_002","symbol":"NVDA","days":1}"#
            for role in TokenRole.allCases {
                let token = try await api.token("TRADE_001", role)
                var answers = [try await api.call(.get, path, token: token)]
                answers.append(
                    try await api.call(
                        .get, "/api/v1/data/held_days?account_id=TRADE_002", token: token))
                for answer in answers { #expect(answer.status == 404, "\(answer.text)") }
                var writes = [
                    try await put(api, path, #"{"days":1}"#, token: token),
                    try await api.call(.delete, path, token: token),
                    try await batch(api, #"{"put":[\#(row)]}"#, token: token),
                    try await batch(
                        api, #"{"delete":[{"account_id":"TRADE_002","symbol":"NVDA"}]}"#,
                        token: token),
                ]
                writes.append(
                    try await put(
                        api, "/api/v1/data/held_days/TRADE_002/NONE", #"{"days":1}"#, token: token))
                let mayTrade = role == .admin || role == .trader
                for answer in writes {
                    #expect(answer.status == (mayTrade ? 404 : 403), "\(role): \(answer.text)")
                    #expect(answer.isEnvelope)
                    #expect(!answer.text.contains("777"))
                }
                let own = try await put(
                    api, Self.mine + "MSFT", #"{"days":1}"#, token: token)
                #expect((own.status < 300) == mayTrade, "\(role): \(own.text)")
                let list = try await api.call(.get, "/api/v1/data/held_days", token: token)
                #expect(list.status == 200)
                #expect(!list.text.contains("NVDA"))
            }
            let untouched = try await api.call(.get, path, token: theirs)
            #expect(untouched.data?["days"]?.integer == 777)
        }
    }

    @Test func rowsWithoutAnAccountAreWrittenByAdministrators() async throws {
        try await APIHarness.run(declared: Self.declared) { api in
            let path = "/api/v1/data/parameters/limit/-3"
            for role in TokenRole.allCases {
                let token = try await api.token("TRADE_001", role)
                let answer = try await put(api, path, #"{"value":"1.50"}"#, token: token)
                #expect(
                    answer.status == (role == .admin ? 201 : 403), "\(role): \(answer.text)")
            }
            for role in TokenRole.allCases {
                let token = try await api.token("TRADE_002", role)
                let answer = try await api.call(.get, path, token: token)
                #expect(answer.data?["value"]?.text == "1.5")
                #expect(answer.data?["step"]?.integer == -3)
                let list = try await api.call(.get, "/api/v1/data/parameters", token: token)
                #expect(list.data?["total"]?.integer == 1)
                let wrong = try await api.call(
                    .get, "/api/v1/data/parameters?account_id=TRADE_002", token: token)
                #expect(wrong.status == 400)
            }
        }
    }

    @Test func theCoresOwnDatasetsAreNotWrittenHere() async throws {
        try await APIHarness.run(declared: Self.declared) { api in
            let token = try await api.token("TRADE_001", .admin)
            for schema in Datasets.catalogue.schemas {
                let answers = [
                    try await put(
                        api, "/api/v1/data/\(schema.dataset)/TRADE_001", "{}", token: token),
                    try await api.call(.get, "/api/v1/data/\(schema.dataset)", token: token),
                    try await batch(api, "{}", token: token, dataset: schema.dataset),
                ]
                for answer in answers {
                    #expect(answer.status == 403)
                    #expect(answer.text.contains("is the trading core's own"))
                }
            }
            #expect(try await api.call(.get, "/api/v1/data/nothing", token: token).status == 404)
            #expect(
                try await api.call(.post, "/api/v1/data/held_days", token: token).status == 404)
        }
    }

    // MARK: Stores

    /// Stores that are as the test has them.
    private final class Stores: DataDelivery {
        let promised: DataPromise
        /// The lock guards what the test sets and the API asks for.
        let absent = Mutex<[String]>([])

        init(_ otherwise: DataPromise.Lapse) {
            promised = DataPromise(
                stores: ["hot", "files"], within: .seconds(1), otherwise: otherwise)
        }

        func promise(for dataset: String) -> DataPromise? {
            dataset == "held_days" ? promised : nil
        }

        func missing(
            _ sequence: SequenceNumber, of dataset: String, in promise: DataPromise
        ) async -> [String] {
            absent.withLock { $0 }
        }
    }

    @Test func whatIsRolledForwardStandsAndTheAnswerSaysThatAStoreIsBehind() async throws {
        let stores = Stores(.toldBehind)
        try await APIHarness.run(declared: Self.declared, delivery: stores) { api in
            let token = try await api.token("TRADE_001")
            let path = Self.mine + "AAPL"
            #expect(try await put(api, path, #"{"days":1}"#, token: token).status == 201)
            stores.absent.withLock { $0 = ["hot"] }
            let behind = try await put(api, path, #"{"days":2}"#, token: token)
            #expect(behind.status == 202)
            #expect(behind.json?["message"]?.text?.contains("the store hot is behind") == true)
            #expect(try await api.call(.get, path, token: token).data?["days"]?.integer == 2)
            #expect(try await api.call(.delete, path, token: token).status == 202)
            #expect(try await api.call(.get, path, token: token).status == 404)
        }
    }

    @Test func whatIsRolledBackIsAsItWasBeforeTheAnswer() async throws {
        let stores = Stores(.rolledBack)
        try await APIHarness.run(declared: Self.declared, delivery: stores) { api in
            let token = try await api.token("TRADE_001")
            let path = Self.mine + "AAPL"
            let first = try await put(api, path, #"{"days":1}"#, token: token)
            #expect(first.status == 201)
            stores.absent.withLock { $0 = ["files", "hot"] }
            let head = api.core.engine.published.head
            let row = #"{"account_id":"TRADE_001","symbol":"NEW","days":1}"#
            let answers = [
                try await put(api, path, #"{"days":2}"#, token: token),
                try await put(api, Self.mine + "NEW", #"{"days":2}"#, token: token),
                try await api.call(.delete, path, token: token),
                try await batch(
                    api,
                    #"{"put":[\#(row)],"delete":[{"account_id":"TRADE_001","symbol":"AAPL"}]}"#,
                    token: token),
            ]
            for answer in answers {
                #expect(answer.status == 503, "\(answer.text)")
                #expect(
                    answer.json?["message"]?.text
                        == "rolled back: the store files, hot did not take the write")
                #expect(answer.headers["Retry-After"] == "5")
            }
            // Each write and what takes it back: nothing is done in silence.
            #expect(api.core.engine.published.head.number == head.number + 8)
            let list = try await api.call(.get, "/api/v1/data/held_days", token: token)
            #expect(list.data?["total"]?.integer == 1)
            #expect(list.data?["data"]?.elements?.first?["days"]?.integer == 1)
        }
    }

    @Test func whatBecomesOfAWriteIsDecidedByTheStoresAlone() {
        let forward = DataPromise(stores: ["a"], within: .seconds(1), otherwise: .toldBehind)
        let back = DataPromise(stores: ["a"], within: .seconds(1), otherwise: .rolledBack)
        for promise in [nil, forward, back] {
            #expect(DataOutcome(promise, missing: []) == .done)
        }
        #expect(DataOutcome(forward, missing: ["a"]) == .behind(["a"]))
        #expect(DataOutcome(back, missing: ["a"]) == .rollBack(["a"]))
    }
}
