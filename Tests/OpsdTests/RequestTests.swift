import CurlClient
import ExactJSON
import Foundation
import Ledger
import Testing
import Trading

@testable import TradingHTTP
@testable import opsd

/// What the trading API makes of requests that are not as they should be, and of lists.
@Suite(.serialized) struct RequestTests {
    private static let fields: [String: String] = [
        "account_id": #""TRADE_001""#, "symbol": #""AAPL""#, "side": #""buy""#,
        "type": #""limit""#, "qty": #""1""#, "limit_price": #""1.5""#,
        "time_in_force": #""day""#,
    ]

    /// An order with some fields changed; a value nil leaves one out.
    private static func body(_ changes: [String: String?] = [:]) -> String {
        var fields = fields
        for (name, value) in changes { fields[name] = value }
        return "{" + fields.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",") + "}"
    }

    @Test func aMalformedBodyIsRefusedWithTheEnvelope() async throws {
        try await APIHarness.run { api in
            let token = try await api.token("TRADE_001")
            #expect(try await api.post(Self.body(), token: token).status == 202)
            var bodies: [String: Int] = [
                "": 400, "null": 400, "[]": 400, "1": 400, "\"text\"": 400, "{": 400, "{}": 400,
                "{\"account_id\":}": 400, Self.body() + "x": 400, "nul": 400,
                #"{"qty":"2","# + Self.body().dropFirst(): 400,
                #"{"\u0071ty":"1","# + Self.body().dropFirst(): 400,
                String(repeating: "[", count: 60_000): 400,
                String(repeating: "{\"a\":", count: 10_000): 400,
                Self.body([
                    "extra": String(repeating: "[", count: 900)
                        + String(repeating: "]", count: 900)
                ]): 400,
                Self.body(["client_order_id": "\"\(String(repeating: "x", count: 1_000_000))\""]):
                    413,
            ]
            for name in ["account_id", "symbol", "side", "type", "qty", "time_in_force"] {
                bodies[Self.body([name: nil])] = 400
                for value in ["1", "true", "null", "[]", "{}", "1.5"] {
                    bodies[Self.body([name: value])] = 400
                }
            }
            for (name, values) in [
                "limit_price": ["1", "1.5", "true", "[]", #""one""#, #""""#, #"" 1""#, #""1,5""#],
                "qty": [
                    "1e3", #""NaN""#, #""inf""#, #""0x10""#, #""--1""#,
                    "\"\(String(repeating: "9", count: 200))\"",
                ],
                "extended_hours": ["1", #""true""#, "[]"], "client_order_id": ["1", "true", "{}"],
                "side": [#""hold""#, #""BUY""#], "unknown_field": ["1"], "limitPrice": [#""1""#],
                "time_in_force": [#""forever""#],
            ] {
                for value in values { bodies[Self.body([name: value])] = 400 }
            }
            for (body, status) in bodies {
                let answer = try await api.post(body, token: token)
                #expect(answer.status == status, "\(body.prefix(200)): \(answer.text.prefix(200))")
                #expect(answer.isEnvelope && answer.data == nil, "\(answer.text.prefix(200))")
            }
        }
    }

    @Test func aWellFormedOrderThatMakesNoSenseIsRefusedAndNeverAnError() async throws {
        try await APIHarness.run { api in
            let token = try await api.token("TRADE_001")
            for changes: [String: String?] in [
                ["qty": #""-1""#], ["qty": #""0""#], ["qty": #""0.0000000001""#],
                ["limit_price": #""-1.5""#], ["limit_price": #""1.555""#],
                ["symbol": #""\u0000""#], ["symbol": #""A\u0000B""#], ["symbol": #""""#],
                ["symbol": "\"\(String(repeating: "A", count: 1_000))\""],
                ["client_order_id": #""a\u0000b""#], ["client_order_id": #""""#],
                ["client_order_id": "\"\(String(repeating: "x", count: 5_000))\""],
                ["limit_price": nil], ["stop_price": #""1""#],
                ["qty": #""999999999999""#],
            ] {
                let answer = try await api.post(Self.body(changes), token: token)
                #expect([400, 422].contains(answer.status), "\(changes): \(answer.text)")
                #expect(answer.isEnvelope && answer.data == nil)
            }
            let raw = [UInt8](Self.body(["symbol": "\"?\""]).utf8).map {
                $0 == UInt8(ascii: "?") ? 0xFF : $0
            }
            let answer = try await api.call(.post, "/api/v1/orders", token: token, body: raw)
            #expect(answer.status == 400, "\(answer.text)")
        }
    }

    @Test func aStrangeAddressIsNeverAnError() async throws {
        try await APIHarness.run { api in
            let token = try await api.token("TRADE_001")
            for (path, status) in [
                "orders/%00": 404, "orders/a%00b": 404, "orders/%FF%FE": 404, "orders/%2e%2e": 404,
                "orders/\(String(repeating: "o", count: 4_000))": 404, "orders/%": 404,
                "accounts/%00": 404, "quotes/%00": 404, "quotes/a%00b": 404, "quotes/%FF": 404,
                "deals?symbol=%00": 200, "deals?symbol=%FF": 200, "deals?symbol=';--": 200,
                "orders?account_id=%00": 404, "orders?page=0": 400, "orders?page=-1": 400,
                "orders?page=99999999999999999999": 400, "orders?page=1.5": 400,
                "orders?page=1000000&pageSize=500": 200, "orders?pageSize=0": 400,
                "orders?pageSize=501": 400, "orders?pageSize=x": 400, "orders?status=bogus": 400,
                "orders?status=%00": 400, "orders?status=,": 200, "orders?status=open,filled": 200,
                "deals?start_date=20240230": 400, "deals?start_date=2024-13-01": 400,
                "deals?start_date=tomorrow": 400, "deals?start_date=": 400,
                "deals?end_date=99991231": 200, "deals?end_date=%00": 400,
                "deals?start_date=19000101&end_date=19000102": 200,
            ] {
                let answer = try await api.call(.get, "/api/v1/\(path)", token: token)
                #expect(answer.status == status, "\(path.prefix(80)): \(answer.text.prefix(200))")
                #expect(answer.isEnvelope, "\(path.prefix(80)): \(answer.text.prefix(200))")
            }
        }
    }

    @Test func listsHavePagesAndDates() async throws {
        try await APIHarness.run { api in
            let token = try await api.token("TRADE_001")
            for _ in 0..<5 {
                let body = Self.body(["type": #""market""#, "limit_price": nil])
                #expect(try await api.post(body, token: token).status == 202)
            }
            let deals = { (query: String) in
                try await api.call(.get, "/api/v1/deals\(query)", token: token)
            }
            try await api.wait { try await deals("").data?["total"]?.integer == 5 }
            var seen: Set<String> = []
            for (page, count) in [(1, 2), (2, 2), (3, 1), (4, 0)] {
                let answer = try await deals("?page=\(page)&pageSize=2")
                #expect(answer.isEnvelope && answer.json?["message"]?.text == "ok")
                #expect(
                    answer.data?.members.map { Set($0.keys) }
                        == ["total", "page", "pageSize", "data"])
                #expect(answer.data?["total"]?.integer == 5)
                #expect(answer.data?["page"]?.integer == page)
                #expect(answer.data?["pageSize"]?.integer == 2)
                let rows = answer.data?["data"]?.elements ?? []
                #expect(rows.count == count)
                seen.formUnion(rows.compactMap { $0["deal_id"]?.text })
            }
            #expect(seen.count == 5)
            let today = String(Timestamp.now().description.prefix(10))
            let digits = today.replacing("-", with: "")
            for (query, total) in [
                "?start_date=\(digits)": 5, "?start_date=\(digits)&end_date=\(digits)": 5,
                "?end_date=\(today)": 5, "?start_date=2000-01-01&end_date=20000131": 0,
                "?end_date=20000101": 0, "?symbol=AAPL": 5, "?symbol=MSFT": 0,
                "?start_date=\(today)T00:00:00Z": 5, "?start_date=30000101": 0,
            ] {
                #expect(try await deals(query).data?["total"]?.integer == total, "\(query)")
            }
        }
    }

    @Test func moreRequestsThanTheLimitAreToldWhenToComeBack() async throws {
        try await APIHarness.run(requestsPerSecond: 5) { api in
            let token = try await api.token("TRADE_001")
            var refused: APIHarness.Answer?
            for _ in 0..<200 where refused == nil {
                let answer = try await api.call(.get, "/api/v1/orders", token: token)
                if answer.status != 200 { refused = answer }
            }
            let answer = try #require(refused)
            #expect(answer.status == 429 && answer.isEnvelope, "\(answer.text)")
            #expect((answer.headers["Retry-After"].flatMap { Int($0) } ?? 0) >= 1)
            let other = try await api.token("TRADE_002")
            #expect(try await api.call(.get, "/api/v1/orders", token: other).status == 200)
        }
        try await APIHarness.run(ordersPerMinute: 2) { api in
            let token = try await api.token("TRADE_001")
            for _ in 0..<2 { #expect(try await api.post(Self.body(), token: token).status == 202) }
            let answer = try await api.post(Self.body(), token: token)
            #expect(answer.status == 429 && answer.isEnvelope, "\(answer.text)")
            #expect((answer.headers["Retry-After"].flatMap { Int($0) } ?? 0) >= 1)
        }
    }
}
