import CurlClient
import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing
import Trading

@testable import TradingHTTP

/// What the data API does not let into the journal, because a copy or a restart could not take it.
@Suite(.serialized) struct DataLimitTests {
    private static let samples = Schema(
        dataset: "samples", kind: .declared,
        key: [Field("account_id", .text), Field("name", .text)],
        fields: [
            Field("time", .timestamp, optional: true), Field("json", .json, optional: true),
            Field("note", .text, optional: true),
        ],
        accountField: "account_id")
    private static let times = Schema(
        dataset: "times", kind: .declared,
        key: [Field("account_id", .text), Field("time", .timestamp)],
        fields: [Field("note", .text, optional: true)], accountField: "account_id")

    private struct Client {
        let api: APIHarness
        let token: String

        func put(_ path: String, _ body: [UInt8]) async throws -> APIHarness.Answer {
            try await api.call(.put, "/api/v1/data/" + path, token: token, body: body)
        }

        func put(_ body: String) async throws -> APIHarness.Answer {
            try await put("samples/TRADE_001/x", Array(body.utf8))
        }

        func batch(_ rows: [String], of dataset: String = "samples") async throws
            -> APIHarness.Answer
        {
            try await api.call(
                .post, "/api/v1/data/\(dataset):batch", token: token,
                body: Array(#"{"put":[\#(rows.joined(separator: ","))]}"#.utf8))
        }
    }

    private func run(
        declaredBytesMax: Int = 1 << 30, _ body: (Client) async throws -> Void
    ) async throws {
        try await APIHarness.run(
            declared: [Self.samples, Self.times], declaredBytesMax: declaredBytesMax
        ) { api in
            try await body(Client(api: api, token: try await api.token("TRADE_001")))
        }
    }

    private func row(_ name: String, _ fields: String) -> String {
        #"{"account_id":"TRADE_001","name":"\#(name)",\#(fields)}"#
    }

    @Test func timesThatCannotBeReadBackAreRefused() async throws {
        try await run { client in
            let head = client.api.core.engine.published.head
            for time in [
                "9999-12-31T23:59:60Z", "9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+23:59",
            ] {
                let answers = [
                    try await client.put(#"{"time":"\#(time)"}"#),
                    try await client.batch([row("x", #""time":"\#(time)""#)]),
                    try await client.put(
                        "times/TRADE_001/\(time.replacing("+", with: "%2B"))", Array("{}".utf8)),
                    try await client.batch(
                        [#"{"account_id":"TRADE_001","time":"\#(time)"}"#], of: "times"),
                ]
                for answer in answers {
                    #expect(answer.status == 400, "\(answer.text)")
                    #expect(answer.text.contains("an RFC 3339 time within the years 0000 to 9999"))
                }
            }
            #expect(client.api.core.engine.published.head == head)
            for (time, read) in [
                ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
                ("0000-01-01T00:00:00-00:00", "0000-01-01T00:00:00Z"),
            ] {
                let answer = try await client.put(#"{"time":"\#(time)"}"#)
                #expect(answer.data?["time"]?.text == read)
            }
        }
    }

    @Test func jsonThatIsTooDeepForTheCopiesIsRefused() async throws {
        func nested(_ depth: Int) -> String {
            String(repeating: #"{"a":["#, count: depth / 2) + (depth % 2 == 1 ? "{}" : "0")
                + String(repeating: "]}", count: depth / 2)
        }
        try await run { client in
            for depth in [31, 32] {
                #expect(try await client.put(#"{"json":\#(nested(depth))}"#).status < 300)
                #expect(
                    try await client.batch([row("x", #""json":\#(nested(depth))"#)]).status == 200)
            }
            let head = client.api.core.engine.published.head
            for depth in [33, 50, 60] {
                let expected = "json is nested \(depth) levels deep, and may be 32"
                let put = try await client.put(#"{"json":\#(nested(depth))}"#)
                #expect(put.status == 400)
                #expect(put.json?["message"]?.text == expected)
                let batch = try await client.batch(
                    [row("y", #""json":1"#), row("x", #""json":\#(nested(depth))"#)])
                #expect(batch.status == 400)
                #expect(batch.json?["message"]?.text == "put[1]: " + expected)
            }
            let deeper = try await client.put(#"{"json":\#(nested(100))}"#)
            #expect(deeper.status == 400)
            #expect(deeper.text.contains("nested deeper than 72 levels, at byte"))
            #expect(client.api.core.engine.published.head == head)
        }
    }

    @Test func aRowHas64KiBWhereverItComesFrom() async throws {
        try await run { client in
            func note(_ count: Int) -> String {
                #""note":"\#(String(repeating: "x", count: count))""#
            }
            let head = client.api.core.engine.published.head
            let large = try await client.batch([row("a", note(10)), row("b", note(65_600))])
            #expect(large.status == 413, "\(large.text.prefix(200))")
            #expect(
                large.json?["message"]?.text?.hasPrefix("put[1]: the row has 656") == true,
                "\(large.text.prefix(200))")
            // Few bytes to send, many to keep.
            let numbers = Array(repeating: "1e37", count: 5_000).joined(separator: ",")
            for answer in [
                try await client.put(#"{"json":[\#(numbers)]}"#),
                try await client.batch([row("a", #""json":[\#(numbers)]"#)]),
            ] {
                #expect(answer.status == 413, "\(answer.text.prefix(200))")
                #expect(answer.text.contains("may have 65536"))
            }
            #expect(client.api.core.engine.published.head == head)
            #expect(try await client.put("{\(note(65_400))}").status == 201)
            #expect(
                try await client.batch([row("a", note(65_400)), row("b", note(65_400))]).status
                    == 200)
        }
    }

    @Test func allRowsTogetherHaveALimitOfBytes() async throws {
        try await run(declaredBytesMax: 2 << 20) { client in
            let rows = (0..<40).map {
                row("r\($0)", #""note":"\#(String(repeating: "x", count: 60_000))""#)
            }
            #expect(try await client.batch(Array(rows[..<30])).status == 200)
            let head = client.api.core.engine.published.head
            let full = try await client.batch(Array(rows[30...]))
            #expect(full.status == 507, "\(full.text.prefix(200))")
            #expect(full.json?["message"]?.text?.contains("2 MiB") == true)
            #expect(client.api.core.engine.published.head == head)
            // What does not grow may be written, and what is deleted makes room.
            #expect(try await client.batch(Array(rows[..<10])).status == 200)
            let moved = rows[30..<40].joined(separator: ",")
            let gone = (0..<10).map { #"{"account_id":"TRADE_001","name":"r\#($0)"}"# }
            let answer = try await client.api.call(
                .post, "/api/v1/data/samples:batch", token: client.token,
                body: Array(#"{"put":[\#(moved)],"delete":[\#(gone.joined(separator: ","))]}"#.utf8)
            )
            #expect(answer.status == 200, "\(answer.text.prefix(200))")
        }
    }

    @Test func whatReadingWouldChangeIsRefused() async throws {
        try await run { client in
            let head = client.api.core.engine.published.head
            let damaged: [[UInt8]] = [
                Array(#"{"note":"caf"#.utf8) + [0xE9] + Array(#""}"#.utf8),
                Array(#"{"json":{"a"#.utf8) + [0xFE] + Array(#"":1,"a"#.utf8) + [0xFF]
                    + Array(#"":2}}"#.utf8),
            ]
            for body in damaged {
                let answer = try await client.put("samples/TRADE_001/x", body)
                #expect(answer.status == 400)
                #expect(answer.text.contains("a text is not UTF-8, at byte"), "\(answer.text)")
            }
            for body in [
                #"{"note":"a","note":"b"}"#, #"{"note":"a","\u006eote":"b"}"#,
                #"{"json":{"a":1,"a":1}}"#,
            ] {
                let answer = try await client.put(body)
                #expect(answer.status == 400)
                #expect(answer.text.contains("stands twice in its object"), "\(answer.text)")
            }
            let batch = try await client.api.call(
                .post, "/api/v1/data/samples:batch", token: client.token,
                body: Array(#"{"put":[],"delete":[],"put":[]}"#.utf8))
            #expect(batch.status == 400)
            #expect(client.api.core.engine.published.head == head)
            // Two spellings of one letter are two names, and stay so.
            let both = try await client.put("{\"json\":{\"\u{e9}\":1,\"e\u{301}\":2}}")
            #expect(both.status == 201)
            #expect(
                both.text.utf8.split(separator: UInt8(ascii: "{")).contains {
                    $0.starts(with: "\"e\u{301}\":2,\"\u{e9}\":1}".utf8)
                })
        }
    }
}
