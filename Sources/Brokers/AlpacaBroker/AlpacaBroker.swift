public import CurlClient
import ExactJSON
public import Ledger
import Logging
public import Trading

/// Alpaca's REST API, for any number of accounts.
///
/// It never sends an order twice on its own, and it calls an outcome `unknown` whenever the broker's
/// own word is missing.
public final class AlpacaBroker: Broker {
    private let transport: AlpacaTransport
    private let logger = Logger(label: "alpaca")
    private static let ordersPageSize = 500
    private static let fillsPageSize = 100
    private static let symbolsPerRequest = 100

    /// `now` and `sleep` decide the rate limit, and are given so that it can be tried.
    public init(
        configuration: AlpacaConfiguration, client: CurlClient,
        now: @escaping @Sendable () -> Timestamp = Timestamp.now,
        sleep: @escaping @Sendable (Duration) async throws -> Void = {
            try await Task.sleep(for: $0)
        }
    ) {
        transport = AlpacaTransport(configuration, client, now: now, sleep: sleep)
    }

    // MARK: Account

    public func balance(of account: String) async throws(BrokerError) -> BrokerBalance {
        try AlpacaDocuments.balance(try await read("/account", account: account))
    }

    public func positions(of account: String) async throws(BrokerError) -> [BrokerPosition] {
        try AlpacaDocuments.list(
            try await read("/positions", account: account), AlpacaDocuments.position)
    }

    // MARK: Orders

    public func submit(
        _ terms: OrderTerms, clientOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder {
        let answer = try await transport.send(
            AlpacaTransport.Call(
                method: .post, path: "/orders",
                body: AlpacaDocuments.submission(terms, clientOrderID: clientOrderID),
                priority: .order),
            account: account)
        switch answer.status {
        case 200..<300:
            return try Self.submitted(answer, clientOrderID)
        case 400..<500:
            // Without the broker's own words, something between us and it has answered.
            guard let complaint = answer.complaint else {
                throw .unknown("an answer \(answer.status) to a submission is not the broker's")
            }
            let refusal = BrokerError.rejected(code: complaint.code, message: complaint.message)
            guard answer.status == 422 else { throw refusal }
            if complaint.message.contains("client_order_id must be unique") {
                let unknown = "the broker calls the client order id taken, and does not find it"
                return try await existing(clientOrderID, account, else: .unknown(unknown))
            }
            // The code of a duplicate is that of other mistakes in a request as well.
            guard complaint.code == 40_010_001 else { throw refusal }
            return try await existing(clientOrderID, account, else: refusal)
        default:
            throw .unknown("the broker answered \(answer.status) to a submission")
        }
    }

    /// The order was taken, so an answer that does not read leaves its state unknown.
    private static func submitted(
        _ answer: AlpacaTransport.Answer, _ clientOrderID: String
    ) throws(BrokerError) -> BrokerOrder {
        guard let json = answer.json else {
            throw .unknown("the answer to a submission does not read")
        }
        do throws(BrokerError) {
            let order = try AlpacaDocuments.order(json)
            guard order.clientOrderID == clientOrderID else {
                throw .unknown("the answer to a submission names another order")
            }
            return order
        } catch {
            throw .unknown("the answer to a submission does not read: \(error)")
        }
    }

    /// The order under an id that the broker may call taken.
    /// - Parameter absence: what it means that the broker does not find it.
    private func existing(
        _ clientOrderID: String, _ account: String, else absence: BrokerError
    ) async throws(BrokerError) -> BrokerOrder {
        let order: BrokerOrder?
        do throws(BrokerError) {
            order = try await self.order(clientOrderID: clientOrderID, account: account)
        } catch {
            // The order may be there; that the look-up failed must not read as if it were not.
            throw .unknown("the broker may have this client order id; the look-up failed: \(error)")
        }
        guard let order else { throw absence }
        return order
    }

    public func order(
        clientOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder? {
        // An order whose fate is open is looked up by this id: that must not wait behind polls.
        try await find(
            AlpacaTransport.Call(
                method: .get, path: "/orders:by_client_order_id",
                query: [("client_order_id", clientOrderID)], priority: .order), account)
    }

    public func order(
        brokerOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder? {
        try await find(
            AlpacaTransport.Call(
                method: .get, path: "/orders/" + AlpacaTransport.encoded(brokerOrderID)), account)
    }

    private func find(
        _ call: AlpacaTransport.Call, _ account: String
    ) async throws(BrokerError) -> BrokerOrder? {
        let answer = try await transport.send(call, account: account)
        // "Not found" must be the broker's own word: a wrong address answers 404 too.
        if answer.status == 404, answer.complaint != nil { return nil }
        return try AlpacaDocuments.order(try Self.document(answer))
    }

    public func orders(
        of account: String, status: BrokerOrderFilter, submittedAfter: Timestamp?
    ) async throws(BrokerError) -> [BrokerOrder] {
        var orders: [BrokerOrder] = []
        var known: Set<String> = []
        var after = submittedAfter
        while true {
            var query = [
                (name: "status", value: status.rawValue), ("limit", String(Self.ordersPageSize)),
                ("direction", "asc"), ("nested", "false"),
            ]
            if let after { query.append(("after", after.description)) }
            let page = try AlpacaDocuments.page(
                try await read("/orders", query: query, account: account), AlpacaDocuments.order)
            log(page, of: "orders", account)
            for order in page.values where known.insert(order.brokerOrderID).inserted {
                orders.append(order)
            }
            guard page.count >= Self.ordersPageSize else { return orders }
            // `after` is exclusive, and orders of one instant may stand on both sides of a page's end.
            let last = page.values.last.map {
                Timestamp(microseconds: $0.submittedAt.microseconds - 1)
            }
            guard let last, after.map({ $0 < last }) ?? true else {
                throw .malformed("the broker's pages of orders do not advance")
            }
            after = last
        }
    }

    public func cancel(brokerOrderID: String, account: String) async throws(BrokerError) {
        let answer = try await transport.send(
            AlpacaTransport.Call(
                method: .delete, path: "/orders/" + AlpacaTransport.encoded(brokerOrderID),
                priority: .order),
            account: account)
        guard !(200..<300).contains(answer.status) else { return }
        guard (400..<500).contains(answer.status), let complaint = answer.complaint else {
            throw .unknown("the broker answered \(answer.status) to a cancellation")
        }
        throw .rejected(code: complaint.code, message: complaint.message)
    }

    // MARK: Fills and market data

    public func fills(
        of account: String, from start: FillStart
    ) async throws(BrokerError) -> [BrokerFill] {
        var fills: [BrokerFill] = []
        var token: String?
        if case .afterFill(let id) = start { token = id }
        while true {
            var query = [
                (name: "direction", value: "asc"), ("page_size", String(Self.fillsPageSize)),
            ]
            if case .afterTime(let time) = start { query.append(("after", time.description)) }
            if let token { query.append(("page_token", token)) }
            let page = try AlpacaDocuments.page(
                try await read("/account/activities/FILL", query: query, account: account),
                AlpacaDocuments.fill)
            log(page, of: "fills", account)
            fills += page.values
            guard page.count >= Self.fillsPageSize else { return fills }
            guard let last = page.lastID, last != token else {
                throw .malformed("the broker's pages of fills do not advance")
            }
            token = last
        }
    }

    public func lastFill(of account: String) async throws(BrokerError) -> BrokerFill? {
        let query = [(name: "direction", value: "desc"), ("page_size", "1")]
        return try AlpacaDocuments.list(
            try await read("/account/activities/FILL", query: query, account: account),
            AlpacaDocuments.fill
        ).first
    }

    public func quotes(
        of symbols: [String], account: String
    ) async throws(BrokerError) -> [BrokerQuote] {
        var quotes: [BrokerQuote] = []
        var rest = symbols[...]
        while !rest.isEmpty {
            let some = rest.prefix(Self.symbolsPerRequest)
            rest = rest.dropFirst(some.count)
            let json = try await read(
                "/stocks/snapshots", query: [("symbols", some.joined(separator: ","))],
                host: .marketData, account: account)
            // Both forms exist: by symbol at once, or one level down.
            let snapshots = json["snapshots"]?["latestQuote"] == nil ? json["snapshots"] : nil
            for symbol in some {
                guard let snapshot = (snapshots ?? json)[symbol] else { continue }
                if let quote = try AlpacaDocuments.quote(symbol, snapshot) { quotes.append(quote) }
            }
        }
        return quotes
    }

    public func bars(
        _ request: BarRequest, limit: Int, page: String?, account: String
    ) async throws(BrokerError) -> BarPage {
        // Its range includes the end.
        let end = Timestamp(microseconds: request.before.microseconds - 1)
        var query = [
            (name: "timeframe", value: request.timeframe.rawValue),
            ("start", request.from.description), ("end", end.description),
            ("limit", String(limit)), ("sort", "asc"),
        ]
        if let page { query.append(("page_token", page)) }
        let json = try await read(
            "/stocks/\(AlpacaTransport.encoded(request.symbol))/bars", query: query,
            host: .marketData, account: account)
        return try AlpacaDocuments.bars(json)
    }

    // MARK: Reading

    private func log<Value>(
        _ page: AlpacaDocuments.Page<Value>, of list: String, _ account: String
    ) {
        for (id, problem) in page.unreadable {
            logger.error(
                "an item of the broker's list does not read and is left out; look at it there",
                metadata: [
                    "list": "\(list)", "account_id": "\(account)", "id": "\(id)",
                    "problem": "\(problem)",
                ])
        }
    }

    private func read(
        _ path: String, query: [(name: String, value: String)] = [],
        host: AlpacaTransport.Call.Host = .trading, account: String
    ) async throws(BrokerError) -> JSONValue {
        let answer = try await transport.send(
            AlpacaTransport.Call(method: .get, path: path, query: query, host: host),
            account: account)
        return try Self.document(answer)
    }

    private static func document(
        _ answer: AlpacaTransport.Answer
    ) throws(BrokerError) -> JSONValue {
        switch answer.status {
        case 200..<300:
            guard let json = answer.json else {
                throw .malformed("the broker's answer is not JSON")
            }
            return json
        case 403:
            throw .unauthorized(answer.complaint?.message ?? "the broker answered 403")
        case 400..<500:
            guard let complaint = answer.complaint else {
                throw .malformed("the broker answered \(answer.status)")
            }
            throw .rejected(code: complaint.code, message: complaint.message)
        default:
            throw .malformed("the broker answered \(answer.status)")
        }
    }
}
