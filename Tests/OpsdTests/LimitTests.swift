import CurlClient
import ExactJSON
import Foundation
import Testing

@testable import TradingHTTP
@testable import opsd

/// What one client can do to the others, to the broker's limits and to the disk.
@Suite(.serialized) struct LimitTests {
    private static func market(_ symbol: String, side: String = "buy") -> String {
        """
        {"account_id":"TRADE_001","symbol":"\(symbol)","side":"\(side)","type":"market",\
        "qty":"1","time_in_force":"day"}
        """
    }

    @Test func aMisspeltSymbolCostsTheBrokerOneCall() async throws {
        try await APIHarness.run { api in
            let token = try await api.token("TRADE_001")
            for _ in 0..<30 {
                let quote = try await api.call(.get, "/api/v1/quotes/NOPE", token: token)
                #expect(quote.status == 404 && quote.isEnvelope)
                #expect(try await api.post(Self.market("NOPE"), token: token).status == 503)
                let lower = try await api.call(.get, "/api/v1/quotes/nope", token: token)
                #expect(lower.status == 404)
                #expect(try await api.post(Self.market("no%pe"), token: token).status == 422)
            }
            #expect(api.broker.quoteCalls == 1)
            let sale = try await api.post(Self.market("MSFT", side: "sell"), token: token)
            #expect(sale.status == 422, "nothing is held, and no quote is needed to say so")
            #expect(api.broker.quoteCalls == 1)
        }
    }

    @Test func aBrokerThatIsDownIsNotASymbolThatIsUnknown() async throws {
        try await APIHarness.run { api in
            let token = try await api.token("TRADE_001")
            api.broker.hasNoQuotes = true
            let down = try await api.call(.get, "/api/v1/quotes/AAPL", token: token)
            #expect(down.status == 503 && down.isEnvelope, "\(down.text)")
            #expect(down.headers["Retry-After"] != nil)
            api.broker.hasNoQuotes = false
            let up = try await api.call(.get, "/api/v1/quotes/AAPL", token: token)
            #expect(up.status == 200)
        }
    }

    @Test func overTheLimitOfQuotesIsToldWhenToComeBackAndKnownSymbolsGoOn() async throws {
        try await APIHarness.run(quotesPerSecond: 1) { api in
            let token = try await api.token("TRADE_001")
            #expect(try await api.call(.get, "/api/v1/quotes/AAPL", token: token).status == 200)
            var refused: APIHarness.Answer?
            for number in 0..<200 where refused == nil {
                let answer = try await api.call(.get, "/api/v1/quotes/X\(number)", token: token)
                if answer.status != 404 { refused = answer }
            }
            let answer = try #require(refused)
            #expect(answer.status == 429 && answer.isEnvelope, "\(answer.text)")
            #expect(answer.text.contains("quotes_per_second"))
            #expect((answer.headers["Retry-After"].flatMap { Int($0) } ?? 0) >= 1)
            let other = try await api.token("TRADE_002")
            let order = Self.market("AAPL").replacing("TRADE_001", with: "TRADE_002")
            #expect(try await api.post(order, token: other).status == 202)
        }
    }

    @Test func aRefusedRequestIsLoggedWithItsAccount() async throws {
        try await APIHarness.run(requestsPerSecond: 1) { api in
            let token = try await api.token("TRADE_001")
            for _ in 0..<50 { _ = try await api.call(.get, "/api/v1/orders", token: token) }
            try await api.wait { api.accesses.contains { $0["status"]?.integer == 429 } }
            let refused = api.accesses.filter { $0["status"]?.integer == 429 }
            #expect(refused.allSatisfy { $0["account_id"]?.text == "TRADE_001" })
            #expect(refused.allSatisfy { $0["token_id"]?.text != nil })
        }
    }

    @Test func strangersCannotFillTheAccessLog() async throws {
        try await APIHarness.run { api in
            let long = "/" + String(repeating: "x", count: 5_000)
            for _ in 0..<300 { _ = try await api.call(.get, long, token: "none") }
            let token = try await api.token("TRADE_001")
            _ = try await api.call(.get, "/api/v1/orders/\(long.dropFirst())", token: token)
            try await api.wait { api.accesses.contains { $0["account_id"]?.text == "TRADE_001" } }
            try await api.wait {
                api.accesses.contains { ($0["not_logged_without_token"]?.integer ?? 0) > 0 }
            }
            let lines = api.accesses
            let paths = lines.compactMap { $0["path"]?.text }
            #expect(paths.allSatisfy { $0.utf8.count <= 203 })
            let strangers = lines.filter { $0["status"]?.integer == 401 }.count
            let counted = lines.compactMap { $0["not_logged_without_token"]?.integer }
                .reduce(0, +)
            #expect(strangers < 300 && strangers + counted >= 300)
        }
    }

    @Test func strangersDrawFromTheLimitOfAll() async throws {
        try await APIHarness.run(allRequestsPerSecond: 5) { api in
            var refused: APIHarness.Answer?
            for _ in 0..<500 where refused == nil {
                let answer = try await api.call(.get, "/api/v1/orders", token: "none")
                if answer.status != 401 { refused = answer }
            }
            let answer = try #require(refused)
            #expect(answer.status == 429 && answer.isEnvelope, "\(answer.text)")
            #expect(answer.headers["Retry-After"] != nil)
        }
    }

    @Test func theListOfAccountsHasPages() async throws {
        try await APIHarness.run { api in
            let token = try await api.token("TRADE_001")
            for (page, count) in [(1, 1), (2, 0), (1_000_000, 0)] {
                let answer = try await api.call(
                    .get, "/api/v1/accounts?page=\(page)", token: token)
                #expect(answer.data?["total"]?.integer == 1)
                #expect(answer.data?["data"]?.elements?.count == count, "page \(page)")
            }
        }
    }

    @Test func theSegmentsOfAPathAreDecoded() async throws {
        try await APIHarness.run { api in
            let token = try await api.token("TRADE_001")
            let posted = try await api.post(Self.market("AAPL"), token: token)
            let id = try #require(posted.data?["order_id"]?.text)
            for (path, status) in [
                "orders/\(id.replacing("-", with: "%2D"))": 200, "accounts/TRADE%5F001": 200,
                "accounts/TRADE%5F002": 404, "quotes/%41APL": 200, "quotes/%2541APL": 404,
            ] {
                let answer = try await api.call(.get, "/api/v1/\(path)", token: token)
                #expect(answer.status == status, "\(path): \(answer.text)")
            }
            let none = try await api.call(.get, "/api/v1/orders/a%20b", token: token)
            #expect(none.text.contains("'a b'"), "\(none.text)")
        }
    }
}
