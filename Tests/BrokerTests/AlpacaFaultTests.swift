import AlpacaBroker
import CurlClient
import Foundation
import Ledger
import TestSupport
import Testing
import Trading

@Suite struct AlpacaFaultTests {
    private static let orderJSON = """
        {"id":"o1","client_order_id":"c","symbol":"AAPL","qty":"10","filled_qty":"0","side":"buy",
        "type":"market","time_in_force":"day","limit_price":null,"status":"STATUS",
        "submitted_at":"2026-11-20T09:30:00.123456789-05:00","new_field":{"x":[1]},"legs":null}
        """

    private func order(_ status: String) -> String {
        Self.orderJSON.replacingOccurrences(of: "STATUS", with: status)
    }

    @Test(arguments: [500, 502, 503, 504, 408])
    func aServersFailureIsUnknown(status: Int) async throws {
        try await withAlpaca({ _ in .answer(status: status, body: "<html>") }) { broker, server in
            #expect(isUnknown(await submitFailure(broker)))
            let read = await failure { () async throws(BrokerError) in
                try await broker.balance(of: "main")
            }
            #expect(isUnknown(read))
            #expect(server.requests.count == 2, "nothing is sent twice")
        }
    }

    @Test func aHangIsUnknown() async throws {
        try await withAlpaca({ _ in .hang }, timeout: .milliseconds(200)) { broker, server in
            #expect(isUnknown(await submitFailure(broker)))
            #expect(server.requests.count == 1)
        }
    }

    @Test func aConnectionClosedAfterTheRequestWasReadIsUnknown() async throws {
        try await withAlpaca({ _ in .close }) { broker, server in
            #expect(isUnknown(await submitFailure(broker)))
            #expect(server.requests.count == 1)
        }
    }

    @Test func aRefusedConnectionIsUnavailableAndNamesNoSecret() async throws {
        let client = CurlClient()
        let broker = AlpacaBroker(
            configuration: Harness.alpaca("http://127.0.0.1:\(try freePort())"), client: client)
        let error = await submitFailure(broker)
        guard case .unavailable(let text) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(!text.contains("secret"))
        await client.shutdown()
    }

    @Test(arguments: ["not json", "{}", #"{"id":"o1"}"#, "", "[]"])
    func anAcceptedSubmissionThatDoesNotReadIsUnknown(body: String) async throws {
        try await withAlpaca({ _ in .answer(status: 200, body: body) }) { broker, _ in
            #expect(isUnknown(await submitFailure(broker)))
        }
    }

    @Test func aRefusalThatIsNotTheBrokersOwnIsUnknown() async throws {
        try await withAlpaca({ _ in .answer(status: 403, body: "<html>proxy</html>") }) {
            broker, _ in
            #expect(isUnknown(await submitFailure(broker)))
        }
    }

    @Test func aForeignNotFoundDoesNotSayThatThereIsNoOrder() async throws {
        try await withAlpaca({ _ in .answer(status: 404, body: "<html>") }) { broker, _ in
            let error = await failure { () async throws(BrokerError) in
                try await broker.order(clientOrderID: "c", account: "main")
            }
            #expect(error == .malformed("the broker answered 404"))
        }
    }

    @Test func aNewStatusWordIsKept() async throws {
        let body = order("thinking_about_it")
        try await withAlpaca({ _ in .answer(status: 200, body: body) }) { broker, _ in
            let order = try #require(
                try await broker.order(clientOrderID: "c", account: "main"))
            #expect(order.status == .unrecognised)
            #expect(order.rawStatus == "thinking_about_it")
            #expect(order.submittedAt.description == "2026-11-20T14:30:00.123456Z")
        }
    }

    @Test(arguments: [40_010_001, 42_210_000])
    func aDuplicateIsLookedUpWhateverItsCode(code: Int) async throws {
        let body = order("new")
        try await withAlpaca({ request in
            request.method == "POST"
                ? .answer(
                    status: 422,
                    body: "{\"code\":\(code),\"message\":\"client_order_id must be unique\"}")
                : .answer(status: 200, body: body)
        }) { broker, server in
            let order = try await broker.submit(buy(), clientOrderID: "c", account: "main")
            #expect(order.brokerOrderID == "o1")
            #expect(server.requests.map(\.method) == ["POST", "GET"])
        }
    }

    @Test func aDuplicateWhoseLookUpFailsIsUnknown() async throws {
        try await withAlpaca({ request in
            request.method == "POST"
                ? .answer(
                    status: 422,
                    body: #"{"code":40010001,"message":"client_order_id must be unique"}"#)
                : .answer(status: 401)
        }) { broker, _ in
            #expect(isUnknown(await submitFailure(broker)))
        }
    }

    @Test func tooManyRequestsBlocksTheNextCallsWithoutSendingThem() async throws {
        let now = Timestamp.now()
        let reset = now.seconds + 30
        try await withAlpaca(
            { _ in .answer(status: 429, headers: ["X-RateLimit-Reset": String(reset)]) },
            now: { now }
        ) { broker, server in
            for _ in 0..<2 {
                guard case .rateLimited(let seconds) = await submitFailure(broker) else {
                    Issue.record("not limited")
                    return
                }
                #expect((20...31).contains(seconds))
            }
            #expect(server.requests.count == 1)
        }
    }

    @Test func pricesOfMarketDataAreExactInBothForms() async throws {
        let snapshot = """
            {"AAPL":{"latestTrade":{"p":0.1,"t":"2026-11-20T14:30:00Z"},"latestQuote":{"ap":
            1234567890.123456789,"bp":189.3,"t":"2026-11-20T14:30:00Z"},"dailyBar":{"v":123}},
            "GONE":null}
            """
        for body in [snapshot, "{\"snapshots\":\(snapshot)}"] {
            try await withAlpaca({ _ in .answer(status: 200, body: body) }) { broker, _ in
                let quotes = try await broker.quotes(of: ["AAPL", "GONE"], account: "main")
                #expect(quotes.count == 1)
                #expect(quotes.first?.lastPrice == (try decimal("0.1")))
                #expect(quotes.first?.askPrice == (try decimal("1234567890.123456789")))
                #expect(quotes.first?.volume == 123)
            }
        }
    }

    @Test func identifiersAreEncodedInURLs() async throws {
        try await withAlpaca({ _ in
            .answer(status: 404, body: #"{"code":40410000,"message":"order not found"}"#)
        }) { broker, server in
            _ = try await broker.order(clientOrderID: "a&b=c d/é", account: "main")
            #expect(
                server.requests.first?.target
                    == "/v2/orders:by_client_order_id?client_order_id=a%26b%3Dc%20d%2F%C3%A9")
        }
    }

    @Test func credentialsPrintAsStars() {
        let account = AlpacaConfiguration.Account(
            keyID: Secret("visible-key"), secret: Secret("visible-secret"), baseURL: "http://x")
        var dumped = ""
        dump(account, to: &dumped)
        for text in ["\(account)", String(reflecting: account), dumped] {
            #expect(!text.contains("visible"))
        }
    }
}
