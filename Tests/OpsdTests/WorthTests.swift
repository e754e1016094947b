import CurlClient
import ExactJSON
import Ledger
import TestSupport
import Testing

/// What positions and accounts are worth, over REST.
@Suite(.timeLimit(.minutes(1))) struct WorthTests {
    @Test func accountsAndPositionsTellWhatTheyAreWorth() async throws {
        try await APIHarness.run { harness in
            let token = try await harness.token("TRADE_001")
            let empty = try await harness.call(.get, "/api/v1/accounts/TRADE_001", token: token)
            #expect(empty.data?["portfolio_value"]?.decimal == empty.data?["cash"]?.decimal)
            let order = try await harness.post(
                """
                {"account_id":"TRADE_001","symbol":"AAPL","side":"buy","type":"market",\
                "qty":"10","time_in_force":"day"}
                """, token: token)
            #expect(order.status == 202, "\(order.text)")
            let id = try #require(order.data?["order_id"]?.text)
            try await harness.wait {
                try await harness.call(.get, "/api/v1/orders/\(id)", token: token)
                    .data?["status"]?.text == "filled"
            }
            let list = try await harness.call(.get, "/api/v1/positions", token: token)
            let held = try #require(list.data?["data"]?.elements?.first)
            #expect(held["side"]?.text == "long")
            let worth = try #require(held["market_value"]?.decimal)
            let cost = try #require(held["cost"]?.decimal)
            #expect(worth.isPositive)
            #expect(held["unrealized_pl"]?.decimal == (try worth.subtracting(cost)))
            let account = try await harness.call(.get, "/api/v1/accounts/TRADE_001", token: token)
            let cash = try #require(account.data?["cash"]?.decimal)
            #expect(account.data?["portfolio_value"]?.decimal == (try cash.adding(worth)))
            #expect(account.data?["buying_power"]?.decimal == cash)
        }
    }
}
