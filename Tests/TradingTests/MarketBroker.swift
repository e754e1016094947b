import Ledger

@testable import Trading

/// A broker that has market data alone: it takes no order and knows none.
protocol MarketBroker: Broker {}

extension MarketBroker {
    private var unused: BrokerError { .malformed("this broker has market data only") }

    func balance(of account: String) async throws(BrokerError) -> BrokerBalance { throw unused }
    func positions(of account: String) async throws(BrokerError) -> [BrokerPosition] { [] }
    func submit(
        _ terms: OrderTerms, clientOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder { throw unused }
    func order(clientOrderID: String, account: String) async throws(BrokerError) -> BrokerOrder? {
        nil
    }
    func order(brokerOrderID: String, account: String) async throws(BrokerError) -> BrokerOrder? {
        nil
    }
    func orders(
        of account: String, status: BrokerOrderFilter, submittedAfter: Timestamp?
    ) async throws(BrokerError) -> [BrokerOrder] { [] }
    func cancel(brokerOrderID: String, account: String) async throws(BrokerError) { throw unused }
    func fills(of account: String, from start: FillStart) async throws(BrokerError) -> [BrokerFill]
    { [] }
    func lastFill(of account: String) async throws(BrokerError) -> BrokerFill? { nil }
    func quotes(of symbols: [String], account: String) async throws(BrokerError) -> [BrokerQuote] {
        []
    }
    func bars(
        _ request: BarRequest, limit: Int, page: String?, account: String
    ) async throws(BrokerError) -> BarPage { BarPage(bars: []) }
}

/// Where a test holds calls up.
struct CallGate: Sendable {
    private let isCalled = AsyncStream<Void>.makeStream()
    private let isReleased = AsyncStream<Void>.makeStream()

    init(holds: Bool) {
        if !holds { release() }
    }

    func whenCalled() async {
        for await _ in isCalled.stream { return }
    }

    func release() { isReleased.continuation.finish() }

    /// Returns when calls are let through.
    func pass() async {
        isCalled.continuation.yield()
        for await _ in isReleased.stream {}
    }
}
