import AlpacaBroker
import CurlClient
import ExactJSON
import Foundation
import Ledger
import PaperBroker
import TestSupport
import Testing
import Trading

@Suite struct PaperBrokerTests {
    /// The data file as another process would find it after `kill -9`: copied while it is in use,
    /// without a checkpoint or a close.
    private func crashCopy(_ directory: TemporaryDirectory) throws {
        for suffix in ["", "-wal"] {
            let source = directory.path("paper.sqlite" + suffix)
            guard FileManager.default.fileExists(atPath: source) else { continue }
            try FileManager.default.copyItem(
                atPath: source, toPath: directory.path("copy.sqlite" + suffix))
        }
    }

    @Test func whatWasAnsweredIsThereAfterAKill() async throws {
        let directory = try TemporaryDirectory()
        var filled: [BrokerFill] = []
        var orders: [BrokerOrder] = []
        var cash: BrokerBalance?
        try await Harness.run(directory, configure: { $0.partialFillOneIn = 2 }) { harness in
            let broker = harness.broker
            for index in 0..<40 {
                let limit = index % 4 == 0 ? ExactDecimal(100) : nil
                _ = try await broker.submit(
                    buy("AAPL", 10, limit: limit), clientOrderID: "c\(index)", account: "main")
            }
            filled = try await broker.fills(of: "main", from: .beginning)
            orders = try await broker.orders(of: "main", status: .all, submittedAfter: nil)
            cash = try await broker.balance(of: "main")
            try crashCopy(directory)
        }
        #expect(orders.count == 40)
        try await Harness.run(directory, file: "copy.sqlite") { harness in
            let broker = harness.broker
            // Orders filled in part go on from where they were, with the first quote.
            let known = try await broker.fills(of: "main", from: .beginning)
            #expect(Array(known.prefix(filled.count)) == filled)
            var expected = try #require(cash).cash
            for fill in known.dropFirst(filled.count) {
                expected = try expected.subtracting(try fill.price.multiplied(by: fill.quantity))
            }
            #expect(try await broker.balance(of: "main").cash == expected)
            let found = try await broker.orders(of: "main", status: .all, submittedAfter: nil)
            #expect(found.map(\.brokerOrderID) == orders.map(\.brokerOrderID))
            let again = try await broker.submit(
                buy("AAPL", 10), clientOrderID: "c1", account: "main")
            #expect(again.brokerOrderID == orders[1].brokerOrderID)
            // What is reserved survives too: cancelling gives back exactly that.
            let response = try await harness.call(.delete, "/v2/orders")
            #expect(response.status == 207)
            let account = try JSONValue(
                parsing: try await harness.call(.get, "/v2/account").body)
            #expect(account["cash"] == account["buying_power"])
            _ = try await broker.submit(buy("AAPL", 1), clientOrderID: "new", account: "main")
            let ids = try await broker.fills(of: "main", from: .beginning).map(\.id)
            #expect(Set(ids).count == ids.count)
        }
    }

    @Test func onlyKnownKeysAreServed() async throws {
        try await Harness.run(try TemporaryDirectory()) { harness in
            for (key, secret) in [
                ("key", "secret-2"), ("key-2", "secret"), ("", ""), ("key", ""), ("key", "secre"),
                ("key", "secretsecret"),
            ] {
                let response = try await harness.call(
                    .get, "/v2/account", key: key, secret: secret)
                #expect(response.status == 401)
                #expect(
                    (try JSONValue(parsing: response.body))["code"]?.integer == 40_110_000)
            }
            #expect(try await harness.call(.get, "/healthz", key: "", secret: "").status == 200)
        }
    }

    @Test func theLimitIsToldAndKept() async throws {
        let clock = Timestamp(microseconds: 1_760_000_000_000_000)
        try await Harness.run(
            try TemporaryDirectory(), configure: { $0.requestsPerMinute = 3 }, now: { clock }
        ) { harness in
            for remaining in [2, 1, 0] {
                let response = try await harness.call(.get, "/v2/clock")
                #expect(response.status == 200)
                #expect(response.headers["x-ratelimit-limit"] == "3")
                #expect(response.headers["x-ratelimit-remaining"] == String(remaining))
                #expect(response.headers["x-ratelimit-reset"] == "1760000040")
            }
            #expect(try await harness.call(.get, "/v2/clock").status == 429)
            let other = try await harness.call(.get, "/v2/clock", key: "key-2", secret: "secret-2")
            #expect(other.status == 200)
        }
    }

    @Test func everyNumberOfAnOrderIsAString() async throws {
        try await Harness.run(try TemporaryDirectory()) { harness in
            let response = try await harness.call(
                .post, "/v2/orders",
                #"{"symbol":"AAPL","qty":2,"side":"buy","type":"market","time_in_force":"day"}"#)
            #expect(response.status == 200)
            let order = try JSONValue(parsing: response.body)
            #expect(order["qty"]?.text == "2")
            #expect(order["filled_avg_price"]?.text == "190.01")
            #expect(order["status"]?.text == "filled")
            #expect(order["client_order_id"]?.text?.isEmpty == false)
            let position = try JSONValue(
                parsing: try await harness.call(.get, "/v2/positions/AAPL").body)
            #expect(position["cost_basis"]?.text == "380.02")
            #expect(try await harness.call(.get, "/v2/positions/TSLA").status == 404)
        }
    }

    @Test(arguments: [
        (#"{"symbol":"NOPE","qty":"1","side":"buy","type":"market","time_in_force":"day"}"#, 422),
        (#"{"symbol":"AAPL","qty":"x","side":"buy","type":"market","time_in_force":"day"}"#, 422),
        (#"{"symbol":"AAPL","qty":"1","side":"hold","type":"market","time_in_force":"day"}"#, 422),
        (
            #"{"symbol":"AAPL","notional":"5","side":"buy","type":"market","time_in_force":"day"}"#,
            422
        ),
        ("[]", 400), ("{", 400), ("", 400),
    ])
    func nonsenseIsRefusedWithAReason(body: String, status: Int) async throws {
        try await Harness.run(try TemporaryDirectory()) { harness in
            let response = try await harness.call(.post, "/v2/orders", body)
            #expect(response.status == status)
            #expect((try JSONValue(parsing: response.body))["message"]?.text != nil)
        }
    }

    @Test func clientOrderIDsAreLimitedAndTakenForEver() async throws {
        try await Harness.run(try TemporaryDirectory()) { harness in
            func post(_ id: String) async throws -> JSONValue {
                let response = try await harness.call(
                    .post, "/v2/orders",
                    #"{"symbol":"AAPL","qty":"1","side":"buy","type":"limit","limit_price":"1","#
                        + #""time_in_force":"gtc","client_order_id":"\#(id)"}"#)
                return try JSONValue(parsing: response.body)
            }
            let order = try await post(String(repeating: "x", count: 128))
            let id = try #require(order["id"]?.text)
            #expect(try await harness.call(.delete, "/v2/orders/\(id)").status == 204)
            let reuse = try await post(String(repeating: "x", count: 128))
            #expect(reuse["code"]?.integer == 40_010_001)
            #expect(
                try await post(String(repeating: "x", count: 129))["code"]?.integer == 42_210_000)
        }
    }

    @Test func replacingGivesANewOrderLinkedToTheOld() async throws {
        try await Harness.run(try TemporaryDirectory()) { harness in
            let old = try await harness.broker.submit(
                buy(limit: ExactDecimal(100)), clientOrderID: "c", account: "main")
            let response = try await harness.call(
                .patch, "/v2/orders/\(old.brokerOrderID)", #"{"limit_price":"101","qty":"5"}"#)
            let new = try JSONValue(parsing: response.body)
            #expect(new["replaces"]?.text == old.brokerOrderID)
            #expect(new["limit_price"]?.text == "101")
            let first = try JSONValue(
                parsing: try await harness.call(.get, "/v2/orders/\(old.brokerOrderID)").body)
            #expect(first["status"]?.text == "replaced")
            #expect(first["replaced_by"] == new["id"])
        }
    }

    @Test func accountsDoNotSeeEachOthersOrders() async throws {
        try await Harness.run(try TemporaryDirectory()) { harness in
            let order = try await harness.broker.submit(
                buy(limit: ExactDecimal(100)), clientOrderID: "c", account: "main")
            let path = "/v2/orders/\(order.brokerOrderID)"
            for method in [.get, .delete] as [CurlRequest.Method] {
                let response = try await harness.call(
                    method, path, key: "key-2", secret: "secret-2")
                #expect(response.status == 404)
            }
            #expect(try await harness.broker.order(clientOrderID: "c", account: "poor") == nil)
        }
    }

    @Test func aRecordingIsReplayedStepByStep() async throws {
        let directory = try TemporaryDirectory()
        let csv = """
            symbol,timestamp,bid_price,ask_price,last_price,volume
            ZZ,2026-01-02T14:30:00Z,9.99,10.01,10,100
            YY,2026-01-02T14:30:00Z,1,2,1.5,7
            ZZ,2026-01-02T14:30:01Z,8.99,9.01,9,250
            """
        try csv.write(toFile: directory.path("q.csv"), atomically: true, encoding: .utf8)
        let path = directory.path("q.csv")
        try await Harness.run(directory, configure: { $0.quotesFile = path }) { harness in
            let first = try await harness.broker.quotes(of: ["YY", "ZZ"], account: "main")
            #expect(first.map(\.volume) == [7, 100])
            _ = try await harness.broker.submit(
                buy("ZZ", 3, limit: try decimal("9.5")), clientOrderID: "c", account: "main")
            try await harness.paper.advanceMarket()
            let order = try await harness.broker.order(clientOrderID: "c", account: "main")
            #expect(order?.status == .filled)
            #expect(
                try await harness.broker.fills(of: "main", from: .beginning).map(\.price) == [
                    try decimal("9.01")
                ])
        }
    }

    @Test func aRecordingThatDoesNotReadIsNamedByItsLine() async throws {
        let directory = try TemporaryDirectory()
        let csv = """
            symbol,timestamp,bid_price,ask_price,last_price,volume
            ZZ,2026-01-02T14:30:00Z,9.99,x,10,100
            """
        try csv.write(toFile: directory.path("q.csv"), atomically: true, encoding: .utf8)
        var configuration = Harness.configuration(directory.path("paper.sqlite"))
        configuration.quotesFile = directory.path("q.csv")
        let error = #expect(throws: QuoteFileError.self) {
            try PaperBroker(configuration: configuration)
        }
        #expect(
            error?.description
                == "the quotes file: line 2 has a price or volume that is no number; write decimals such as 189.29, and a whole volume"
        )
    }

    /// Many callers at once: none lost, none doubled, cash exact. The figure is for orientation.
    @Test func manyOrdersAtOnceShareTransactions() async throws {
        try await Harness.run(
            try TemporaryDirectory(),
            configure: {
                $0.partialFillOneIn = 10
                $0.accounts[0].initialCash = ExactDecimal(10_000_000)
            }
        ) { harness in
            let broker = harness.broker
            let elapsed = try await ContinuousClock().measure {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for worker in 0..<32 {
                        group.addTask {
                            for index in 0..<40 {
                                _ = try await broker.submit(
                                    buy("NVDA", 1 + index % 3, limit: ExactDecimal(200)),
                                    clientOrderID: "\(worker)-\(index)", account: "main")
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            print("PaperBroker: 1280 orders in \(elapsed)")
            try await harness.paper.advanceMarket()
            let fills = try await broker.fills(of: "main", from: .beginning)
            var cash = ExactDecimal(10_000_000)
            for fill in fills {
                cash = try cash.subtracting(try fill.price.multiplied(by: fill.quantity))
            }
            #expect(try await broker.balance(of: "main").cash == cash)
            let count = try JSONValue(
                parsing: try await harness.call(.get, "/v2/orders?status=all&limit=500").body)
            #expect(count.elements?.count == 500)
        }
    }
}
