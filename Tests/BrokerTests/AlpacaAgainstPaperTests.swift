import AlpacaBroker
import ExactJSON
import Foundation
import Ledger
import PaperBroker
import TestSupport
import Testing
import Trading

@Suite struct AlpacaAgainstPaperTests {
    private func serve(
        configure: (inout PaperBrokerConfiguration) -> Void = { _ in },
        _ body: (Harness) async throws -> Void
    ) async throws {
        try await Harness.run(try TemporaryDirectory(), configure: configure, body)
    }

    @Test func anOrdersWholeLife() async throws {
        try await serve { harness in
            let broker = harness.broker
            let filled = try await broker.submit(buy(), clientOrderID: "c1", account: "main")
            #expect(filled.status == .filled)
            #expect(filled.rawStatus == "filled")
            #expect(filled.filledQuantity == ExactDecimal(10))
            #expect(filled.terms == buy())
            let resting = try await broker.submit(
                buy(limit: try decimal("150.5")), clientOrderID: "c2", account: "main")
            #expect(resting.status == .working)
            #expect(resting.terms.limitPrice == (try decimal("150.5")))
            let open = try await broker.orders(of: "main", status: .open, submittedAfter: nil)
            #expect(open.map(\.clientOrderID) == ["c2"])
            try await broker.cancel(brokerOrderID: resting.brokerOrderID, account: "main")
            let cancelled = try await broker.order(clientOrderID: "c2", account: "main")
            #expect(cancelled?.status == .cancelled)
            let again = await failure { () async throws(BrokerError) in
                try await broker.cancel(brokerOrderID: resting.brokerOrderID, account: "main")
            }
            guard case .rejected(42_210_000, _) = again else {
                Issue.record("\(String(describing: again))")
                return
            }
            #expect(try await broker.order(clientOrderID: "none", account: "main") == nil)
            let all = try await broker.orders(of: "main", status: .all, submittedAfter: nil)
            #expect(all.map(\.clientOrderID) == ["c1", "c2"])
            let later = try await broker.orders(
                of: "main", status: .all, submittedAfter: filled.submittedAt)
            #expect(later.map(\.clientOrderID) == ["c2"])
        }
    }

    @Test func cashPositionsAndFillsAgree() async throws {
        try await serve { harness in
            let broker = harness.broker
            let quote = try #require(try await broker.quotes(of: ["AAPL"], account: "main").first)
            #expect(quote.askPrice == (try decimal("190.01")))
            #expect(quote.volume > 0)
            _ = try await broker.submit(buy(), clientOrderID: "c1", account: "main")
            let cost = try quote.askPrice.multiplied(by: ExactDecimal(10))
            #expect(
                try await broker.balance(of: "main").cash
                    == (try ExactDecimal(100_000).subtracting(cost)))
            #expect(
                try await broker.positions(of: "main") == [
                    BrokerPosition(
                        symbol: "AAPL", quantity: ExactDecimal(10),
                        averageEntryPrice: quote.askPrice,
                        marketValue: try quote.lastPrice.multiplied(by: ExactDecimal(10)))
                ])
            let fills = try await broker.fills(of: "main", from: .beginning)
            #expect(fills.map(\.price) == [quote.askPrice])
            #expect(fills.map(\.cumulativeQuantity) == [ExactDecimal(10)])
        }
    }

    @Test func sendingTwiceGivesTheSameOrder() async throws {
        try await serve { harness in
            let first = try await harness.broker.submit(buy(), clientOrderID: "c", account: "main")
            let second = try await harness.broker.submit(
                buy(), clientOrderID: "c", account: "main")
            #expect(first == second)
            #expect(try await harness.broker.fills(of: "main", from: .beginning).count == 1)
            // Another account may use the same id; a cancelled order's id stays taken.
            let other = try await harness.broker.submit(
                buy("AAPL", 1), clientOrderID: "c", account: "poor")
            #expect(other.brokerOrderID != first.brokerOrderID)
        }
    }

    @Test func refusalsCarryTheBrokersCode() async throws {
        try await serve { harness in
            let broker = harness.broker
            let poor = await failure { () async throws(BrokerError) in
                try await broker.submit(buy(), clientOrderID: "c", account: "poor")
            }
            #expect(poor == .rejected(code: 40_310_000, message: "insufficient buying power"))
            let missing = try await broker.order(clientOrderID: "c", account: "poor")
            #expect(missing == nil)
            let wrong = await failure { () async throws(BrokerError) in
                try await broker.balance(of: "wrong")
            }
            #expect(wrong == .unauthorized("request is not authorized"))
            let nobody = await failure { () async throws(BrokerError) in
                try await broker.balance(of: "nobody")
            }
            guard case .unauthorized = nobody else {
                Issue.record("\(String(describing: nobody))")
                return
            }
        }
    }

    @Test func fillsComeInPagesWithNoneLostOrDoubled() async throws {
        try await serve { harness in
            for index in 0..<230 {
                _ = try await harness.broker.submit(
                    buy("NVDA", 1), clientOrderID: "c\(index)", account: "main")
            }
            let fills = try await harness.broker.fills(of: "main", from: .beginning)
            #expect(fills.count == 230)
            #expect(Set(fills.map(\.id)).count == 230)
            #expect(fills.map(\.time) == fills.map(\.time).sorted())
            let rest = try await harness.broker.fills(of: "main", from: .afterFill(fills[199].id))
            #expect(rest == Array(fills[200...]))
            let none = try await harness.broker.fills(of: "main", from: .afterFill(fills[229].id))
            #expect(none.isEmpty)
        }
    }

    @Test func partialFillsAddUpAfterATick() async throws {
        try await serve(configure: { $0.partialFillOneIn = 1 }) { harness in
            let first = try await harness.broker.submit(
                buy(), clientOrderID: "c", account: "main")
            #expect(first.status == .partiallyFilled)
            try await harness.paper.advanceMarket()
            let order = try await harness.broker.order(clientOrderID: "c", account: "main")
            #expect(order?.status == .filled)
            let fills = try await harness.broker.fills(of: "main", from: .beginning)
            #expect(fills.map(\.cumulativeQuantity) == [first.filledQuantity, ExactDecimal(10)])
        }
    }

    @Test func unknownSymbolsAreLeftOutOfQuotes() async throws {
        try await serve { harness in
            let quotes = try await harness.broker.quotes(
                of: ["AAPL", "NOPE", "TSLA"], account: "main")
            #expect(quotes.map(\.symbol) == ["AAPL", "TSLA"])
        }
    }

    @Test func theBrokersLimitIsObeyedAndOrdersGoFirst() async throws {
        try await serve(configure: { $0.requestsPerMinute = 10 }) { harness in
            var configuration = Harness.alpaca(harness.url)
            configuration.requestsPerMinute = 10
            configuration.rateLimitWaitMax = .zero
            let frozen = Timestamp.now()
            let broker = AlpacaBroker(
                configuration: configuration, client: harness.client, now: { frozen })
            for _ in 0..<7 { _ = try await broker.balance(of: "main") }
            let poll = await failure { () async throws(BrokerError) in
                try await broker.balance(of: "main")
            }
            guard case .rateLimited = poll else {
                Issue.record("\(String(describing: poll))")
                return
            }
            let order = try await broker.submit(buy(), clientOrderID: "c", account: "main")
            #expect(order.status == .filled)
        }
    }
}
