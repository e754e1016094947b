import CurlClient
import ExactJSON
import Foundation
import Ledger

/// What an HTTP call brought.
struct Answer: Sendable {
    let status: Int
    let body: [UInt8]
    let headers: CurlHeaders

    var json: JSONValue? { try? JSONValue(parsing: body) }
    var data: JSONValue? { json?["data"] }
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension Desk {
    func get(_ url: String, headers: CurlHeaders = [:]) async throws -> Answer {
        try await send(CurlRequest(.get, url, headers: headers, timeout: .seconds(10)))
    }

    func send(_ request: CurlRequest) async throws -> Answer {
        let response = try await curl.send(request)
        return Answer(status: response.status, body: response.body, headers: response.headers)
    }

    /// A call of the trading API.
    func api(
        _ method: CurlRequest.Method, _ path: String, _ token: String, body: String? = nil
    ) async throws -> Answer {
        try await send(
            CurlRequest(
                method, "\(tradingURL)/api/v1\(path)",
                headers: ["Authorization": "Bearer \(token)", "Content-Type": "application/json"],
                body: body.map { Array($0.utf8) }, timeout: .seconds(20)))
    }

    /// Every row of a list, page by page.
    func all(_ path: String, _ token: String) async throws -> [JSONValue] {
        var rows: [JSONValue] = []
        let separator = path.contains("?") ? "&" : "?"
        while true {
            let page = rows.count / 500 + 1
            let answer = try await api(
                .get, "\(path)\(separator)page=\(page)&pageSize=500", token)
            guard let total = answer.data?["total"]?.integer,
                let some = answer.data?["data"]?.elements
            else {
                throw ChildProcess.Failure(description: "\(path): \(answer.text.prefix(300))")
            }
            rows += some
            if rows.count >= total || some.isEmpty { return rows }
        }
    }

    // MARK: The broker, past the core

    func broker(_ path: String, _ account: String) async throws -> JSONValue {
        let answer = try await get(
            brokerURL + "/v2" + path,
            headers: [
                "APCA-API-KEY-ID": DeskSettings.key(account),
                "APCA-API-SECRET-KEY": DeskSettings.secret(account),
            ])
        guard answer.status == 200, let json = answer.json else {
            throw ChildProcess.Failure(description: "\(path): \(answer.text.prefix(300))")
        }
        return json
    }

    /// Every order that the broker has of an account.
    func brokerOrders(_ account: String) async throws -> [JSONValue] {
        var orders: [String: JSONValue] = [:]
        var after = "2000-01-01T00:00:00Z"
        while true {
            let page =
                try await broker(
                    "/orders?status=all&limit=500&direction=asc&after=\(after)", account
                ).elements ?? []
            for order in page {
                if let id = order["id"]?.text { orders[id] = order }
            }
            guard page.count == 500, let last = page.last?["submitted_at"]?.text,
                let time = Timestamp(last)
            else { return Array(orders.values) }
            // One microsecond back: two orders of one instant may stand on two pages.
            after = Timestamp(microseconds: time.microseconds - 1).description
        }
    }
}

/// The body of an order.
struct OrderText: Sendable {
    var account: String
    var symbol = "AAPL"
    var side = "buy"
    var quantity = "1"
    var limit: String?
    var clientOrderID: String?

    var body: String {
        var text = """
            {"account_id":"\(account)","symbol":"\(symbol)","side":"\(side)","qty":"\(quantity)",\
            "type":"\(limit == nil ? "market" : "limit")","time_in_force":"day"
            """
        if let limit { text += ",\"limit_price\":\"\(limit)\"" }
        if let clientOrderID { text += ",\"client_order_id\":\"\(clientOrderID)\"" }
        return text + "}"
    }
}
