import Crypto
import CurlClient
import ExactJSON
import Foundation
import Ledger
import Testing
import Trading

@testable import TradingHTTP
@testable import opsd

/// Whose token it is decides what is seen, on every route that there is.
@Suite(.serialized) struct IsolationTests {
    private static func order(
        _ account: String, _ symbol: String, limit: String? = nil, clientOrderID: String? = nil
    ) -> String {
        var text = """
            {"account_id":"\(account)","symbol":"\(symbol)","side":"buy","qty":"3",\
            "type":"\(limit == nil ? "market" : "limit")","time_in_force":"day"
            """
        if let limit { text += #","limit_price":"\#(limit)""# }
        if let clientOrderID { text += #","client_order_id":"\#(clientOrderID)""# }
        return text + "}"
    }

    private static let secrets = ["NVDA", "777.75", "2.75", "TRADE_002"]

    /// A deal and a working order of B, and of A; gives back the ids of B's orders.
    private func prepare(_ api: APIHarness) async throws -> [String] {
        var orders: [String] = []
        for (account, symbol, limit, own) in [
            ("TRADE_001", "AAPL", "1.5", "a-own-id"), ("TRADE_002", "NVDA", "2.75", "b-own-id"),
        ] {
            let token = try await api.token(account)
            var working = ""
            for body in [
                Self.order(account, symbol),
                Self.order(account, symbol, limit: limit, clientOrderID: own),
            ] {
                let answer = try await api.post(body, token: token)
                #expect(answer.status == 202, "\(answer.text)")
                let id = try #require(answer.data?["order_id"]?.text)
                if account == "TRADE_002" { orders.append(id) }
                working = id
            }
            // What has come to rest is the same whenever it is asked for.
            try await api.wait {
                let deals = try await api.call(.get, "/api/v1/deals", token: token)
                let order = try await api.call(.get, "/api/v1/orders/\(working)", token: token)
                return deals.data?["total"]?.integer == 1
                    && order.data?["status"]?.text == "working"
            }
        }
        return orders
    }

    @Test func noRouteShowsOrTouchesAnotherAccountsRows() async throws {
        try await APIHarness.run { api in
            let foreign = try await prepare(api)
            let before = try await api.call(
                .get, "/api/v1/orders", token: try await api.token("TRADE_002"))
            let routes = try api.routes
            #expect(routes.count >= 11)
            let queries = [
                "", "?account_id=TRADE_002", "?account_id=TRADE_002&status=open",
                "?account_id=TRADE_001&account_id=TRADE_002", "?symbol=NVDA", "?code=NVDA",
                "?account_id=TRADE_00%32", "?account_id=trade_002", "?account_id=",
                "?account_id=%2A", "?accountId=TRADE_002&page=1&pageSize=500",
            ]
            let bodies = [
                nil, Self.order("TRADE_002", "AAPL"),
                Self.order("TRADE_001", "AAPL", limit: "1.5", clientOrderID: "b-own-id"),
            ]
            for route in routes {
                for id in foreign + ["b-own-id", "TRADE_002", "broker-3"] {
                    let path = route.path.replacing(/\{[a-z_]+\}/, with: id)
                    for query in queries {
                        for body in route.method == .post ? bodies : [nil] {
                            // A token of its own, because one of the routes revokes it.
                            let answer = try await api.call(
                                route.method, path + query, token: try await api.token("TRADE_001"),
                                body: body.map { Array($0.utf8) })
                            check(answer, "\(route.method) \(path)\(query)", foreign)
                        }
                    }
                    if path == route.path { break }
                }
            }
            let after = try await api.call(
                .get, "/api/v1/orders", token: try await api.token("TRADE_002"))
            #expect(after.text == before.text)
        }
    }

    private func check(_ answer: APIHarness.Answer, _ what: String, _ foreign: [String]) {
        #expect(answer.isEnvelope, "\(what): \(answer.text)")
        #expect(answer.status < 500, "\(what): \(answer.text)")
        // A message may repeat what was asked for; data never tells of another account.
        guard answer.status < 400 else {
            #expect(answer.data == nil, "\(what): \(answer.text)")
            return
        }
        // The microseconds of a time may look like a price.
        let text = answer.text.replacing(/[0-9-]+T[0-9:.]+Z/, with: "")
        for secret in Self.secrets + foreign {
            #expect(!text.contains(secret), "\(what): \(answer.text)")
        }
    }

    @Test func aForeignOrderAnswersAsOneThatIsNotThere() async throws {
        try await APIHarness.run { api in
            let foreign = try await prepare(api)
            let token = try await api.token("TRADE_001")
            for method in [CurlRequest.Method.get, .delete] {
                for id in foreign {
                    let theirs = try await api.call(
                        method, "/api/v1/orders/\(id)", token: token)
                    let none = try await api.call(
                        method, "/api/v1/orders/o9-000000000009", token: token)
                    #expect(theirs.status == 404)
                    #expect(theirs.text.replacing(id, with: "o9-000000000009") == none.text)
                }
            }
            let theirs = try await api.call(.get, "/api/v1/accounts/TRADE_002", token: token)
            let none = try await api.call(.get, "/api/v1/accounts/NOBODY_02", token: token)
            #expect(theirs.status == 404)
            #expect(theirs.text.replacing("TRADE_002", with: "NOBODY_02") == none.text)
        }
    }

    @Test func aTokenThatIsNotGoodIsRefusedOnEveryRoute() async throws {
        try await APIHarness.run { api in
            let good = try await api.token("TRADE_001")
            let revoked = try await api.token("TRADE_001")
            #expect(
                try await api.call(.post, "/api/v1/tokens/revoke", token: revoked).status == 200)
            let hmac256 = { (text: Data, key: SymmetricKey) in
                Data(HMAC<SHA256>.authenticationCode(for: text, using: key))
            }
            let hmac512 = { (text: Data, key: SymmetricKey) in
                Data(HMAC<SHA512>.authenticationCode(for: text, using: key))
            }
            let known = api.forged("HS256", signature: hmac256)
            #expect(
                try await api.call(.get, "/api/v1/orders", token: known).status == 200,
                "the forger's own work must be good, or nothing is tried here")
            let bad: [String: String?] = [
                "none": nil, "empty": "", "garbage": "garbage", "three parts": "a.b.c",
                "expired": try await api.token("TRADE_001", lifetimeSeconds: -1),
                "revoked": revoked,
                "alg none": api.forged("none") { _, _ in Data() },
                "alg None, signed": api.forged("None", signature: hmac256),
                "unsigned": api.forged("HS256") { _, _ in Data() },
                "another key": api.forged("HS256") { text, _ in
                    hmac256(text, SymmetricKey(data: Data(repeating: 7, count: 64)))
                },
                "an exp beyond all time": api.forged(
                    "HS256", expiresAt: "9223372036854775807", signature: hmac256),
                "HS512": api.forged("HS512", signature: hmac512),
                "HS512 called HS256": api.forged("HS256", signature: hmac512),
                "HS256 called RS256": api.forged("RS256", signature: hmac256),
                "cut short": String(good.dropLast(4)), "longer": good + "A",
                "much": String(repeating: "x", count: 6_000),
            ]
            for route in try api.routes + [(.get, "/"), (.get, "/api/v1/nothing")] {
                let path = route.path.replacing(/\{[a-z_]+\}/, with: "AAPL")
                for (name, token) in bad {
                    let answer = try await api.call(route.method, path, token: token)
                    #expect(answer.status == 401, "\(name) on \(path): \(answer.text)")
                    #expect(answer.isEnvelope && answer.headers["WWW-Authenticate"] == "Bearer")
                }
                let basic = try await api.call(
                    route.method, path, token: nil, authorization: "Basic \(good)")
                #expect(basic.status == 401)
            }
            #expect(try await api.call(.get, "/api/v1/orders", token: good).status == 200)
            let nothing = try await api.call(.get, "/api/v1/nothing", token: good)
            #expect(nothing.status == 404 && nothing.isEnvelope)
        }
    }

    @Test func rolesDecideWhatMayBeDone() async throws {
        try await APIHarness.run { api in
            let body = Self.order("TRADE_001", "AAPL", limit: "1.5")
            for (role, trades, sees) in [
                (TokenRole.viewer, 403, 403), (.researcher, 403, 200), (.trader, 202, 200),
                (.admin, 202, 200),
            ] {
                let token = try await api.token("TRADE_001", role)
                let posted = try await api.post(body, token: token)
                #expect(posted.status == trades && posted.isEnvelope, "\(role): \(posted.text)")
                let id = posted.data?["order_id"]?.text ?? "o1-000000000001"
                let deleted = try await api.call(.delete, "/api/v1/orders/\(id)", token: token)
                #expect(deleted.status == trades, "\(role): \(deleted.text)")
                let quote = try await api.call(.get, "/api/v1/quotes/AAPL", token: token)
                #expect(quote.status == sees, "\(role): \(quote.text)")
                let bars = try await api.call(.get, "/api/v1/klines?symbol=AAPL", token: token)
                #expect(bars.status == sees, "\(role): \(bars.text)")
                for list in ["orders", "accounts", "positions", "deals"] {
                    let answer = try await api.call(.get, "/api/v1/\(list)", token: token)
                    #expect(answer.status == 200, "\(role): \(answer.text)")
                }
            }
        }
    }

    @Test func aRefreshedTokenWorksAndHasTheSameRole() async throws {
        try await APIHarness.run { api in
            let token = try await api.token("TRADE_001", .viewer)
            let answer = try await api.call(.post, "/api/v1/tokens/refresh", token: token)
            let fresh = try #require(answer.data?["token"]?.text)
            #expect(fresh != token)
            #expect(try await api.call(.get, "/api/v1/orders", token: fresh).status == 200)
            let posted = try await api.post(Self.order("TRADE_001", "AAPL"), token: fresh)
            #expect(posted.status == 403)
            #expect(
                try await api.call(.post, "/api/v1/tokens/revoke", token: fresh).status == 200)
            #expect(try await api.call(.get, "/api/v1/orders", token: fresh).status == 401)
            #expect(try await api.call(.get, "/api/v1/orders", token: token).status == 200)
        }
    }
}
