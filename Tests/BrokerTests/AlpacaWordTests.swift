import AlpacaBroker
import CurlClient
import Foundation
import Ledger
import TestSupport
import Testing
import Trading

/// What counts as the broker's own word, and what an answer that reads only in part still says.
@Suite struct AlpacaWordTests {
    private static func order(_ number: Int, symbol: String = "AAPL", second: Int? = nil) -> String
    {
        let time = Timestamp(
            microseconds: 1_795_000_000_000_000 + Int64(second ?? number) * 1_000_000)
        return """
            {"id":"o\(number)","client_order_id":"c\(number)","symbol":"\(symbol)","qty":"10",
            "filled_qty":"0","side":"buy","type":"market","time_in_force":"day","status":"new",
            "submitted_at":"\(time)"}
            """
    }

    private static func fill(_ number: Int, quantity: String = "\"1\"") -> String {
        """
        {"id":"f\(number)","order_id":"o","symbol":"AAPL","side":"buy","qty":\(quantity),
        "price":"10","cum_qty":"\(number)","transaction_time":"2026-11-20T14:30:00Z"}
        """
    }

    // MARK: Whose word it is

    /// The code of a duplicate is that of other refused parameters too.
    @Test func theCodeOfADuplicateWithOtherWordsIsARefusalWhenNoOrderIsThere() async throws {
        try await withAlpaca({ request in
            request.method == "POST"
                ? .answer(status: 422, body: #"{"code":40010001,"message":"qty must be > 0"}"#)
                : .answer(status: 404, body: #"{"code":40410000,"message":"order not found"}"#)
        }) { broker, server in
            let error = await submitFailure(broker)
            #expect(error == .rejected(code: 40_010_001, message: "qty must be > 0"))
            #expect(server.requests.map(\.method) == ["POST", "GET"])
        }
    }

    @Test func anIdThatIsTakenAndNotFoundIsUnknown() async throws {
        try await withAlpaca({ request in
            request.method == "POST"
                ? .answer(
                    status: 422,
                    body: #"{"code":40010001,"message":"client_order_id must be unique"}"#)
                : .answer(status: 404, body: #"{"code":40410000,"message":"order not found"}"#)
        }) { broker, _ in
            #expect(isUnknown(await submitFailure(broker)))
        }
    }

    @Test(
        arguments: [
            (403, #"{"message":"Forbidden"}"#), (400, #"{"message":"bad","code":"no"}"#),
            (422, #"{"message":"client_order_id must be unique"}"#),
            (404, #"{"message":"no Route matched with those values"}"#),
            (401, #"{"message":"Unauthorized"}"#), (401, ""),
        ])
    func aGatewaysAnswerDecidesNothing(status: Int, body: String) async throws {
        try await withAlpaca({ _ in .answer(status: status, body: body) }) { broker, server in
            #expect(isUnknown(await submitFailure(broker)))
            let cancel = await failure { () async throws(BrokerError) in
                try await broker.cancel(brokerOrderID: "o", account: "main")
            }
            #expect(isUnknown(cancel))
            #expect(server.requests.count == 2)
            let lookUp = await failure { () async throws(BrokerError) in
                try await broker.order(clientOrderID: "c", account: "main")
            }
            #expect(lookUp != nil, "it does not say that there is no order")
        }
    }

    @Test func theBrokersRefusalOfTheCredentialsIsItsWord() async throws {
        try await withAlpaca({ _ in
            .answer(status: 401, body: #"{"code":40110000,"message":"not authorized"}"#)
        }) { broker, _ in
            #expect(await submitFailure(broker) == .unauthorized("not authorized"))
        }
    }

    // MARK: What does not read

    @Test func aNULNeverComesIn() async throws {
        try await withAlpaca({ request in
            request.method == "POST"
                ? .answer(status: 403, body: #"{"code":40310000,"message":"in\u0000sufficient"}"#)
                : .answer(status: 200, body: Self.order(1, symbol: #"AA\u0000PL"#))
        }) { broker, _ in
            #expect(
                await submitFailure(broker)
                    == .rejected(code: 40_310_000, message: "in\u{FFFD}sufficient"))
            let read = await failure { () async throws(BrokerError) in
                try await broker.order(clientOrderID: "c", account: "main")
            }
            guard case .malformed = read else {
                Issue.record("\(String(describing: read))")
                return
            }
        }
    }

    @Test func anItemThatDoesNotReadHidesNoOther() async throws {
        let orders = [Self.order(1), #"{"id":"mleg","legs":[]}"#, Self.order(2)]
        let fills = [Self.fill(1), Self.fill(2, quantity: "null"), Self.fill(3)]
        try await withAlpaca({ request in
            let items = request.target.hasPrefix("/v2/orders") ? orders : fills
            return .answer(status: 200, body: "[\(items.joined(separator: ","))]")
        }) { broker, _ in
            let read = try await broker.orders(of: "main", status: .open, submittedAfter: nil)
            #expect(read.map(\.brokerOrderID) == ["o1", "o2"])
            #expect(
                try await broker.fills(of: "main", from: .beginning).map(\.id) == ["f1", "f3"])
            // Half a portfolio would be a wrong one.
            let positions = await failure { () async throws(BrokerError) in
                try await broker.positions(of: "main")
            }
            #expect(positions != nil)
        }
    }

    /// What does not read counts as an item of its page, or the pages after it would be lost.
    @Test func aPageWithAnItemThatDoesNotReadIsNotTheLast() async throws {
        try await withAlpaca({ request in
            let isSecond = request.target.contains("page_token=f100")
            let page = (isSecond ? 101...102 : 1...100).map {
                Self.fill($0, quantity: $0 == 100 ? "{}" : "\"1\"")
            }
            return .answer(status: 200, body: "[\(page.joined(separator: ","))]")
        }) { broker, server in
            let fills = try await broker.fills(of: "main", from: .beginning)
            #expect(fills.map(\.id) == (Array(1...99) + [101, 102]).map { "f\($0)" })
            #expect(server.requests.count == 2)
        }
    }

    // MARK: Pages

    /// Orders 500 and 501 were submitted in the same instant, on both sides of a page's end.
    @Test func ordersOfOneInstantOnTwoPagesAreAllThere() async throws {
        let all = (1...700).map { (number: $0, second: $0 == 501 ? 500 : $0) }
        try await withAlpaca({ request in
            let after = request.target.split(separator: "&").first { $0.hasPrefix("after=") }
                .flatMap { Timestamp($0.dropFirst(6).replacingOccurrences(of: "%3A", with: ":")) }
            let page = all.filter {
                Int64($0.second) * 1_000_000 + 1_795_000_000_000_000 > after?.microseconds ?? 0
            }.prefix(500)
            let body = page.map { Self.order($0.number, second: $0.second) }.joined(separator: ",")
            return .answer(status: 200, body: "[\(body)]")
        }) { broker, server in
            let orders = try await broker.orders(of: "main", status: .all, submittedAfter: nil)
            #expect(orders.map(\.brokerOrderID) == (1...700).map { "o\($0)" })
            #expect(server.requests.count == 2)
        }
    }

    @Test func theLastFillCostsOneRequest() async throws {
        try await withAlpaca({ _ in .answer(status: 200, body: "[\(Self.fill(7))]") }) {
            broker, server in
            #expect(try await broker.lastFill(of: "main")?.id == "f7")
            let target = try #require(server.requests.first?.target)
            #expect(target.contains("direction=desc") && target.contains("page_size=1"))
            #expect(server.requests.count == 1)
        }
        try await Harness.run(try TemporaryDirectory()) { harness in
            #expect(try await harness.broker.lastFill(of: "main") == nil)
            for number in 1...3 {
                _ = try await harness.broker.submit(
                    buy(), clientOrderID: "c\(number)", account: "main")
            }
            let fills = try await harness.broker.fills(of: "main", from: .beginning)
            #expect(try await harness.broker.lastFill(of: "main") == fills.last)
        }
    }

    /// Polls may use up their share of the rate limit; the look-up of an order has the orders' share.
    @Test func aLookUpDoesNotWaitBehindPolls() async throws {
        let server = try ScriptedServer { request in
            .answer(status: 200, body: request.target.hasPrefix("/v2/pos") ? "[]" : Self.order(1))
        }
        let client = CurlClient()
        var configuration = Harness.alpaca(server.url)
        configuration.requestsPerMinute = 10
        configuration.rateLimitWaitMax = .zero
        let now = Timestamp.now()
        let broker = AlpacaBroker(configuration: configuration, client: client, now: { now })
        for _ in 0..<7 { _ = try await broker.positions(of: "main") }
        let poll = await failure { () async throws(BrokerError) in
            try await broker.positions(of: "main")
        }
        guard case .rateLimited = poll else {
            Issue.record("\(String(describing: poll))")
            return
        }
        let found = try await broker.order(clientOrderID: "c1", account: "main")
        #expect(found?.brokerOrderID == "o1")
        server.stop()
        await client.shutdown()
    }

    @Test func anOrderIsFoundByTheBrokersOwnID() async throws {
        try await Harness.run(try TemporaryDirectory()) { harness in
            let order = try await harness.broker.submit(buy(), clientOrderID: "c", account: "main")
            let found = try await harness.broker.order(
                brokerOrderID: order.brokerOrderID, account: "main")
            #expect(found?.clientOrderID == "c")
            #expect(try await harness.broker.order(brokerOrderID: "no", account: "main") == nil)
        }
    }

    @Test func barsReadAsTheBrokerWritesThem() async throws {
        let bar =
            #"{"t":"2026-11-20T14:30:00Z","o":189.3,"h":190,"l":1.8905e2,"c":189.99,"v":12,"n":3,"vw":189.5}"#
        try await withAlpaca({ request in
            let body =
                request.target.contains("page_token=QUF8")
                ? #"{"bars":null,"symbol":"BRK.B","next_page_token":null}"#
                : #"{"bars":[\#(bar)],"symbol":"BRK.B","next_page_token":"QUF8"}"#
            return .answer(
                status: 200, body: request.target.contains("MALF") ? #"{"bars":[{}]}"# : body)
        }) { broker, server in
            let start = try #require(Timestamp("2026-11-20T14:00:00Z"))
            var request = BarRequest(
                symbol: "BRK.B", timeframe: .quarterHour, from: start,
                before: start.advanced(bySeconds: 3_600))
            let first = try await broker.bars(request, limit: 100, page: nil, account: "main")
            #expect(first.next == "QUF8")
            #expect(
                first.bars == [
                    Bar(
                        timestamp: start.advanced(bySeconds: 1_800), open: try decimal("189.3"),
                        high: try decimal("190"), low: try decimal("189.05"),
                        close: try decimal("189.99"), volume: 12)
                ])
            let last = try await broker.bars(
                request, limit: 100, page: first.next, account: "main")
            #expect(last == BarPage(bars: []))
            let target = try #require(server.requests.first).target
            #expect(
                target == "/v2/stocks/BRK.B/bars?timeframe=15Min&start=2026-11-20T14%3A00%3A00Z"
                    + "&end=2026-11-20T14%3A59%3A59.999999Z&limit=100&sort=asc")
            request.symbol = "MALF"
            let wrong = request
            let problem = await failure { () async throws(BrokerError) in
                try await broker.bars(wrong, limit: 100, page: nil, account: "main")
            }
            guard case .malformed = problem else {
                Issue.record("\(String(describing: problem))")
                return
            }
        }
    }
}
