import Foundation
import Ledger
import Synchronization
import Trading

/// A broker that fills every market order at once and lets every limit order wait.
///
/// The lock is there because the core's tasks call it from any thread.
final class BrokerDouble: Broker {
    static let prices: [String: ExactDecimal] = [
        "AAPL": ExactDecimal("101.25") ?? .zero, "NVDA": ExactDecimal("777.75") ?? .zero,
    ]

    private struct Content {
        var orders: [String: (account: String, order: BrokerOrder)] = [:]
        var fills: [(account: String, fill: BrokerFill)] = []
        var quoteCalls = 0
        var barCalls = 0
        var hasNoQuotes = false
    }

    private let content = Mutex(Content())

    var quoteCalls: Int { content.withLock { $0.quoteCalls } }
    var barCalls: Int { content.withLock { $0.barCalls } }
    /// Whether calls for market data do not reach the broker.
    var hasNoQuotes: Bool {
        get { content.withLock { $0.hasNoQuotes } }
        set { content.withLock { $0.hasNoQuotes = newValue } }
    }

    func balance(of account: String) async throws(BrokerError) -> BrokerBalance {
        BrokerBalance(cash: ExactDecimal(100_000))
    }

    func positions(of account: String) async throws(BrokerError) -> [BrokerPosition] { [] }

    func submit(
        _ terms: OrderTerms, clientOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder {
        content.withLock { content in
            if let known = content.orders[clientOrderID] { return known.order }
            let id = "broker-\(content.orders.count + 1)"
            let isFilled = terms.type == .market
            let order = BrokerOrder(
                brokerOrderID: id, clientOrderID: clientOrderID, terms: terms,
                status: isFilled ? .filled : .working, rawStatus: isFilled ? "filled" : "new",
                filledQuantity: isFilled ? terms.quantity : .zero, submittedAt: .now())
            content.orders[clientOrderID] = (account, order)
            if isFilled {
                let number = content.fills.count + 1_000
                let fill = BrokerFill(
                    id: "fill-\(number)", brokerOrderID: id, symbol: terms.symbol,
                    side: terms.side, quantity: terms.quantity,
                    price: Self.prices[terms.symbol] ?? ExactDecimal(50),
                    cumulativeQuantity: terms.quantity, time: .now())
                content.fills.append((account, fill))
            }
            return order
        }
    }

    func order(
        clientOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder? {
        content.withLock { $0.orders[clientOrderID]?.order }
    }

    func order(
        brokerOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder? {
        content.withLock { content in
            content.orders.values.first { $0.order.brokerOrderID == brokerOrderID }?.order
        }
    }

    func orders(
        of account: String, status: BrokerOrderFilter, submittedAfter: Timestamp?
    ) async throws(BrokerError) -> [BrokerOrder] {
        content.withLock { content in
            content.orders.values.filter { $0.account == account }.map(\.order)
                .filter { status == .all || $0.status.isTerminal == (status == .closed) }
                .sorted { $0.submittedAt < $1.submittedAt }
        }
    }

    func cancel(brokerOrderID: String, account: String) async throws(BrokerError) {
        content.withLock { content in
            for (id, entry) in content.orders where entry.order.brokerOrderID == brokerOrderID {
                content.orders[id]?.order.status = .cancelled
            }
        }
    }

    func fills(
        of account: String, from start: FillStart
    ) async throws(BrokerError) -> [BrokerFill] {
        content.withLock { content in
            let own = content.fills.filter { $0.account == account }.map(\.fill)
            guard case .afterFill(let id) = start else { return own }
            return own.filter { $0.id > id }
        }
    }

    func lastFill(of account: String) async throws(BrokerError) -> BrokerFill? {
        content.withLock { $0.fills.last { $0.account == account }?.fill }
    }

    func quotes(
        of symbols: [String], account: String
    ) async throws(BrokerError) -> [BrokerQuote] {
        let hasNoQuotes = content.withLock { content in
            content.quoteCalls += 1
            return content.hasNoQuotes
        }
        if hasNoQuotes { throw .unavailable("no route") }
        return symbols.compactMap { symbol in
            Self.prices[symbol].map {
                BrokerQuote(
                    symbol: symbol, bidPrice: $0, askPrice: $0, lastPrice: $0, volume: 1,
                    timestamp: .now())
            }
        }
    }

    /// Every bar that has begun, of AAPL alone.
    func bars(
        _ request: BarRequest, limit: Int, page: String?, account: String
    ) async throws(BrokerError) -> BarPage {
        let hasNone = content.withLock { content in
            content.barCalls += 1
            return content.hasNoQuotes
        }
        if hasNone { throw .unavailable("no route") }
        guard request.symbol == "AAPL", let price = Self.prices["AAPL"] else {
            return BarPage(bars: [])
        }
        let length = request.timeframe.seconds
        var start = request.timeframe.start(of: request.from)
        if start < request.from { start = start.advanced(bySeconds: length) }
        var bars: [Bar] = []
        while start < min(request.before, .now()), bars.count < limit {
            bars.append(
                Bar(
                    timestamp: start, open: price, high: price, low: price, close: price,
                    volume: 100))
            start = start.advanced(bySeconds: length)
        }
        return BarPage(bars: bars)
    }
}
