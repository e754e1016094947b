public import CurlClient
import ExactJSON
public import Ledger
public import Trading

/// Alpaca's REST API, for any number of accounts.
///
/// It never sends an order twice on its own, and it calls an outcome `unknown` whenever the broker's
/// own word is missing.
public final class AlpacaBroker: Broker {
    private let transport: AlpacaTransport
    private static let ordersMax = 500
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
        case 422 where Self.isDuplicate(answer):
            return try await existing(clientOrderID, account)
        case 400..<500:
            // Without the broker's own words, something between us and it has answered.
            guard let complaint = answer.complaint else {
                throw .unknown("an answer \(answer.status) to a submission is not the broker's")
            }
            throw .rejected(code: complaint.code, message: complaint.message)
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

    private static func isDuplicate(_ answer: AlpacaTransport.Answer) -> Bool {
        guard let complaint = answer.complaint else { return false }
        return complaint.code == 40_010_001
            || complaint.message.contains("client_order_id must be unique")
    }

    private func existing(
        _ clientOrderID: String, _ account: String
    ) async throws(BrokerError) -> BrokerOrder {
        let order: BrokerOrder?
        do throws(BrokerError) {
            order = try await find(clientOrderID, account, .order)
        } catch {
            // The order is there; that the look-up failed must not read as if it were not.
            throw .unknown("the broker has this client order id, but the look-up failed: \(error)")
        }
        guard let order else {
            throw .unknown("the broker calls the client order id taken, and does not find it")
        }
        return order
    }

    public func order(
        clientOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder? {
        try await find(clientOrderID, account, .read)
    }

    private func find(
        _ clientOrderID: String, _ account: String, _ priority: RequestBucket.Priority
    ) async throws(BrokerError) -> BrokerOrder? {
        let answer = try await transport.send(
            AlpacaTransport.Call(
                method: .get, path: "/orders:by_client_order_id",
                query: [("client_order_id", clientOrderID)], priority: priority),
            account: account)
        // "Not found" must be the broker's own word: a wrong address answers 404 too.
        if answer.status == 404, answer.complaint != nil { return nil }
        return try AlpacaDocuments.order(try Self.document(answer))
    }

    public func orders(
        of account: String, status: BrokerOrderFilter, submittedAfter: Timestamp?
    ) async throws(BrokerError) -> [BrokerOrder] {
        var query = [
            (name: "status", value: status.rawValue), ("limit", String(Self.ordersMax)),
            ("direction", "asc"), ("nested", "false"),
        ]
        if let submittedAfter { query.append(("after", submittedAfter.description)) }
        return try AlpacaDocuments.list(
            try await read("/orders", query: query, account: account), AlpacaDocuments.order)
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

    // MARK: Fills and quotes

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
            let page = try AlpacaDocuments.list(
                try await read("/account/activities/FILL", query: query, account: account),
                AlpacaDocuments.fill)
            fills += page
            guard page.count >= Self.fillsPageSize, let last = page.last else { return fills }
            guard last.id != token else {
                throw .malformed("the broker's pages of fills do not advance")
            }
            token = last.id
        }
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

    // MARK: Reading

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
