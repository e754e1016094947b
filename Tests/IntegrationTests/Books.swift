import CurlClient
import ExactJSON
import Foundation
import Ledger
import Testing

/// What must hold between the clients, the core and the broker, whatever was killed.
struct Books {
    let desk: Desk
    let load: OrderLoad
    let tokens: [String: String]

    init(_ desk: Desk, _ load: OrderLoad) async throws {
        self.desk = desk
        self.load = load
        tokens = try await desk.tokens()
    }

    func check(settleWithin limit: Duration = .seconds(90)) async throws {
        try await settle(within: limit)
        let record = load.record
        #expect(record.oddities == [])
        #expect(record.accepted.count > 0)
        for (account, token) in tokens.sorted(by: { $0.key < $1.key }) {
            try await checkOrders(of: account, token, record)
            try await checkMoney(of: account, token)
        }
        try await checkAcceptedOrders(record)
        let journal = try await desk.command("journal", "check")
        #expect(journal.code == 0, "\(journal)")
    }

    // MARK: Settled

    /// Until no order is on its way, and core and broker speak of the same orders at work and of
    /// the same cash.
    private func settle(within limit: Duration) async throws {
        for (account, token) in tokens {
            try await eventually("\(account) has settled", within: limit) {
                let open = try await desk.all("/orders?status=open", token)
                let moving: Set = ["pending", "unknown"]
                guard !open.contains(where: { moving.contains($0["status"]?.text ?? "") }) else {
                    return false
                }
                let here = Set(open.compactMap { $0["order_id"]?.text })
                let there = try await desk.broker("/orders?status=open&limit=500", account)
                let working = Set(
                    there.elements?.compactMap { $0["client_order_id"]?.text } ?? [])
                let partial = there.elements?.contains { $0["status"]?.text == "partially_filled" }
                let cash = try await cash(of: account, token)
                return here == working && partial == false && cash.core == cash.broker
            }
        }
    }

    private func cash(
        of account: String, _ token: String
    ) async throws -> (core: ExactDecimal?, broker: ExactDecimal?) {
        let core = try await desk.api(.get, "/accounts/\(account)", token).data?["cash"]?.decimal
        return (core, try await desk.broker("/account", account)["cash"]?.decimal)
    }

    // MARK: Orders

    private func checkOrders(
        of account: String, _ token: String, _ record: OrderLoad.Record
    ) async throws {
        let orders = try await desk.all("/orders", token)
        let orderIDs = orders.compactMap { $0["order_id"]?.text }
        let clientIDs = orders.compactMap { $0["client_order_id"]?.text }
        #expect(Set(orderIDs).count == orders.count)
        #expect(Set(clientIDs).count == clientIDs.count, "a client's id made two orders")
        #expect(clientIDs.count == orders.count, "an order was adopted that is our own")
        #expect(
            Set(clientIDs).isSubset(of: record.posted.keys),
            "an order exists that was refused or never posted")

        let atBroker = try await desk.brokerOrders(account)
        let brokerIDs = atBroker.compactMap { $0["client_order_id"]?.text }
        #expect(Set(brokerIDs).count == brokerIDs.count, "an order is at the broker twice")
        #expect(Set(brokerIDs).isSubset(of: orderIDs), "the broker has an order that we do not")
        // What was rejected, or cancelled before it left, need not be there.
        let sent = orders.filter {
            $0["broker_order_id"] != nil || $0["status"]?.text == "filled"
        }
        let sentIDs = Set(sent.compactMap { $0["order_id"]?.text })
        #expect(sentIDs.isSubset(of: brokerIDs))
        let ended: Set = ["rejected", "cancelled", "canceled"]
        for order in orders where order["broker_order_id"] == nil {
            #expect(ended.contains(order["status"]?.text ?? ""), "\(order)")
        }
        let filled = Dictionary(
            atBroker.map { ($0["client_order_id"]?.text ?? "", $0["filled_qty"]?.decimal) },
            uniquingKeysWith: { first, _ in first })
        for order in orders where order["broker_order_id"] != nil {
            let there = filled[order["order_id"]?.text ?? ""]
            #expect(there == .some(order["filled_qty"]?.decimal), "\(order)")
        }
    }

    /// Each order that was accepted is there, posting it again gives it back, and another order
    /// under its id is refused.
    private func checkAcceptedOrders(_ record: OrderLoad.Record) async throws {
        let accepted = record.accepted.sorted { $0.key < $1.key }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<8 {
                group.addTask {
                    for index in stride(from: lane, to: accepted.count, by: 8) {
                        try await checkAccepted(accepted[index].value)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func checkAccepted(_ posted: OrderLoad.Posted) async throws {
        let orderID = try #require(posted.orderID)
        let token = try #require(tokens[posted.text.account])
        let found = try await desk.api(.get, "/orders/\(orderID)", token)
        #expect(found.status == 200, "\(orderID): \(found.text)")
        let settled: Set = [
            "filled", "cancelled", "canceled", "rejected", "expired", "working", "accepted",
        ]
        #expect(settled.contains(found.data?["status"]?.text ?? ""), "\(found.text)")
        let again = try await desk.api(.post, "/orders", token, body: posted.text.body)
        #expect(again.status == 200, "\(again.text)")
        #expect(again.data?["order_id"]?.text == orderID)
        var other = posted.text
        other.quantity += "1"
        let refused = try await desk.api(.post, "/orders", token, body: other.body)
        #expect(refused.status == 409, "\(refused.text)")
    }

    // MARK: Money

    private func checkMoney(of account: String, _ token: String) async throws {
        let cash = try await cash(of: account, token)
        #expect(cash.core != nil)
        #expect(cash.core == cash.broker)
        let here = try await desk.all("/positions?account_id=\(account)", token)
        let there = try await desk.broker("/positions", account).elements ?? []
        #expect(quantities(here) == quantities(there))
        let shown = try await desk.api(.get, "/accounts/\(account)", token).data
        var worth = try #require(cash.core)
        for position in here {
            worth = try worth.adding(try #require(position["market_value"]?.decimal))
        }
        #expect(shown?["portfolio_value"]?.decimal == worth)
        var sum = ExactDecimal(desk.settings.cash)
        let deals = try await desk.all("/deals?account_id=\(account)", token)
        let dealIDs = Set(deals.compactMap { $0["deal_id"]?.text })
        #expect(dealIDs.count == deals.count)
        for deal in deals {
            let amount = try #require(deal["amount"]?.decimal)
            sum =
                deal["side"]?.text == "buy"
                ? try sum.subtracting(amount) : try sum.adding(amount)
        }
        #expect(sum == cash.core, "the deals of \(account) do not explain its cash")
    }

    private func quantities(_ positions: [JSONValue]) -> [String: ExactDecimal] {
        Dictionary(
            positions.compactMap { position in
                guard let symbol = position["symbol"]?.text, let held = position["qty"]?.decimal
                else { return nil }
                return (symbol, held)
            }, uniquingKeysWith: { first, _ in first })
    }
}
