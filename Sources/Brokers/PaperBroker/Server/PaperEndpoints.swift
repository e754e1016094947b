import ExactJSON
import Foundation
import Ledger

/// The endpoints behind authentication: a request in, an answer out, without HTTP's own types.
struct PaperEndpoints: Sendable {
    let exchange: PaperExchange
    let now: @Sendable () -> Timestamp

    struct Call: Sendable {
        var method: String
        /// Without the version prefix: `["orders", "{id}"]`.
        var path: [String]
        var parameters: [String: String]
        var body: [UInt8]
        var account: String
    }

    struct Answer: Sendable {
        var status = 200
        var json: JSONText?
    }

    func answer(_ call: Call) async throws -> Answer {
        switch (call.method, call.path.first, call.path.count) {
        case ("POST", "orders", 1): try await submit(call)
        case ("GET", "orders", 1): try await orders(call)
        case ("DELETE", "orders", 1): try await cancelAll(call)
        case ("GET", "orders:by_client_order_id", 1): try await orderByClientID(call)
        case ("GET", "orders", 2): try await order(call)
        case ("DELETE", "orders", 2): try await cancel(call)
        case ("PATCH", "orders", 2): try await replace(call)
        case ("GET", "account", 1): try await account(call)
        case ("GET", "account", 3) where call.path == ["account", "activities", "FILL"]:
            try await fills(call)
        case ("GET", "positions", 1): try await positions(call)
        case ("GET", "positions", 2): try await position(call)
        case ("GET", "clock", 1): Answer(json: PaperJSON.clock(now()))
        case ("GET", "stocks", 2) where call.path[1] == "snapshots": try await snapshots(call)
        case ("GET", "stocks", 3) where call.path[2] == "bars": try bars(call)
        default:
            throw PaperRefusal(status: 404, code: 40_410_000, message: "endpoint not found")
        }
    }

    // MARK: Orders

    private func submit(_ call: Call) async throws -> Answer {
        let submission = try PaperRequests.submission(call.body)
        let id = Self.newID()
        let clientOrderID = submission.clientOrderID ?? Self.newID()
        return try await exchange.perform { [now] engine, ledger in
            guard try !ledger.hasClientOrderID(clientOrderID, account: call.account) else {
                throw PaperRefusal.duplicateClientOrderID
            }
            let effects = try engine.submit(
                submission.terms, id: id, clientOrderID: clientOrderID, account: call.account,
                now: now())
            try ledger.write(effects, engine)
            return Answer(json: try Self.last(effects, id))
        }
    }

    private static func last(_ effects: MatchingEngine.Effects, _ id: String) throws -> JSONText? {
        try effects.orders.last { $0.id == id }.map { try PaperJSON.order($0) }
    }

    private func orders(_ call: Call) async throws -> Answer {
        let query = try PaperRequests.orderQuery(call.parameters)
        return try await exchange.perform { _, ledger in
            let orders = try ledger.orders(query, account: call.account)
            return Answer(json: .array(try orders.map { try PaperJSON.order($0) }))
        }
    }

    private func order(_ call: Call) async throws -> Answer {
        try await exchange.perform { _, ledger in
            guard let order = try ledger.order(id: call.path[1], account: call.account) else {
                throw PaperRefusal.orderNotFound
            }
            return Answer(json: try PaperJSON.order(order))
        }
    }

    private func orderByClientID(_ call: Call) async throws -> Answer {
        guard let id = call.parameters["client_order_id"] else {
            throw PaperRefusal.parameter("client_order_id is required")
        }
        return try await exchange.perform { _, ledger in
            guard let order = try ledger.order(clientOrderID: id, account: call.account) else {
                throw PaperRefusal.orderNotFound
            }
            return Answer(json: try PaperJSON.order(order))
        }
    }

    private func cancel(_ call: Call) async throws -> Answer {
        try await exchange.perform { [now] engine, ledger in
            guard let order = try ledger.order(id: call.path[1], account: call.account) else {
                throw PaperRefusal.orderNotFound
            }
            guard order.status.isOpen else {
                throw PaperRefusal.parameter(
                    "order is already in \"\(order.status.rawValue)\" state")
            }
            let effects = try engine.cancel(id: order.id, account: call.account, now: now())
            try ledger.write(effects, engine)
            return Answer(status: 204)
        }
    }

    private func cancelAll(_ call: Call) async throws -> Answer {
        try await exchange.perform { [now] engine, ledger in
            let open = engine.openOrders.values.filter { $0.account == call.account }
            var results: [JSONText] = []
            for order in open.sorted(by: { $0.sequence < $1.sequence }) {
                let effects = try engine.cancel(id: order.id, account: call.account, now: now())
                try ledger.write(effects, engine)
                results.append(
                    .object { json in
                        json.string("id", order.id)
                        json.number("status", 200)
                    })
            }
            return Answer(status: 207, json: .array(results))
        }
    }

    private func replace(_ call: Call) async throws -> Answer {
        let replacement = try PaperRequests.replacement(call.body)
        let newID = Self.newID()
        let clientOrderID = replacement.clientOrderID ?? Self.newID()
        return try await exchange.perform { [now] engine, ledger in
            guard let order = try ledger.order(id: call.path[1], account: call.account) else {
                throw PaperRefusal.orderNotFound
            }
            guard order.status.isOpen else {
                throw PaperRefusal.parameter("order is not open")
            }
            guard try !ledger.hasClientOrderID(clientOrderID, account: call.account) else {
                throw PaperRefusal.duplicateClientOrderID
            }
            let effects = try engine.replace(
                id: order.id, by: newID, clientOrderID: clientOrderID, account: call.account,
                now: now()
            ) { replacement.apply(to: &$0) }
            try ledger.write(effects, engine)
            return Answer(json: try Self.last(effects, newID))
        }
    }

    private static func newID() -> String { UUID().uuidString.lowercased() }

    // MARK: Account

    private func account(_ call: Call) async throws -> Answer {
        try await exchange.perform { engine, _ in
            guard let account = engine.accounts[call.account] else {
                throw PaperRefusal(status: 404, code: 40_410_000, message: "account not found")
            }
            return Answer(json: try PaperJSON.account(account, engine.quotes))
        }
    }

    private func positions(_ call: Call) async throws -> Answer {
        try await exchange.perform { engine, _ in
            guard let account = engine.accounts[call.account] else { return Answer() }
            let positions = try account.positions.sorted { $0.key < $1.key }.map {
                try PaperJSON.position($0.key, $0.value, account, engine.quotes)
            }
            return Answer(json: .array(positions))
        }
    }

    private func position(_ call: Call) async throws -> Answer {
        try await exchange.perform { engine, _ in
            let symbol = call.path[1]
            guard let account = engine.accounts[call.account],
                let position = account.positions[symbol]
            else {
                throw PaperRefusal(
                    status: 404, code: 40_410_000, message: "position does not exist")
            }
            return Answer(
                json: try PaperJSON.position(symbol, position, account, engine.quotes))
        }
    }

    private func fills(_ call: Call) async throws -> Answer {
        let query = try PaperRequests.fillQuery(call.parameters)
        return try await exchange.perform { _, ledger in
            let fills = try ledger.fills(query, account: call.account)
            return Answer(json: .array(fills.map(PaperJSON.fill)))
        }
    }

    private func snapshots(_ call: Call) async throws -> Answer {
        let symbols = (call.parameters["symbols"] ?? "").split(separator: ",").map(String.init)
        return try await exchange.perform { engine, _ in
            Answer(json: PaperJSON.snapshots(symbols.compactMap { engine.quotes[$0] }))
        }
    }

    /// A symbol that is not traded has no bars.
    private func bars(_ call: Call) throws(PaperRefusal) -> Answer {
        let symbol = call.path[1].removingPercentEncoding ?? call.path[1]
        let query = try PaperRequests.barQuery(call.parameters, symbol: symbol, now: now())
        return Answer(json: PaperJSON.bars(exchange.bars.page(query), symbol))
    }
}
