import Ledger
import Synchronization
import Trading

/// A broker that opens accounts and never answers an order: what is measured is the accept alone.
struct HeldBroker: Broker {
    func balance(of account: String) async throws(BrokerError) -> BrokerBalance {
        BrokerBalance(cash: ExactDecimal(1_000_000_000_000))
    }
    func positions(of account: String) async throws(BrokerError) -> [BrokerPosition] { [] }
    func submit(
        _ terms: OrderTerms, clientOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder {
        try? await Task.sleep(for: .seconds(3_600))
        throw .unavailable("held")
    }
    func order(clientOrderID: String, account: String) async throws(BrokerError) -> BrokerOrder? {
        nil
    }
    func order(brokerOrderID: String, account: String) async throws(BrokerError) -> BrokerOrder? {
        nil
    }
    func orders(
        of account: String, status: BrokerOrderFilter, submittedAfter: Timestamp?
    ) async throws(BrokerError) -> [BrokerOrder] { [] }
    func cancel(brokerOrderID: String, account: String) async throws(BrokerError) {}
    func fills(of account: String, from start: FillStart) async throws(BrokerError) -> [BrokerFill]
    { [] }
    func lastFill(of account: String) async throws(BrokerError) -> BrokerFill? { nil }
    func quotes(
        of symbols: [String], account: String
    ) async throws(BrokerError) -> [BrokerQuote] { [] }
    func bars(
        _ request: BarRequest, limit: Int, page: String?, account: String
    ) async throws(BrokerError) -> BarPage { BarPage(bars: []) }
}

/// A broker that answers at once and fills whole, in this process.
final class InstantBroker: Broker {
    private struct Fills {
        /// Fills that the cursor has not passed yet, by account, and how many went before them.
        var waiting: [String: [BrokerFill]] = [:]
        var count = 0
    }

    private let fills = Mutex(Fills())

    func balance(of account: String) async throws(BrokerError) -> BrokerBalance {
        BrokerBalance(cash: ExactDecimal(1_000_000_000_000))
    }
    func positions(of account: String) async throws(BrokerError) -> [BrokerPosition] { [] }

    func submit(
        _ terms: OrderTerms, clientOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder {
        let now = Timestamp.now()
        fills.withLock { fills in
            fills.count += 1
            fills.waiting[account, default: []].append(
                BrokerFill(
                    id: "fill-\(fills.count)", brokerOrderID: clientOrderID, symbol: terms.symbol,
                    side: terms.side, quantity: terms.quantity,
                    price: terms.limitPrice ?? ExactDecimal(1),
                    cumulativeQuantity: terms.quantity, time: now))
        }
        return BrokerOrder(
            brokerOrderID: clientOrderID, clientOrderID: clientOrderID, terms: terms,
            status: .filled, rawStatus: "filled", filledQuantity: terms.quantity,
            submittedAt: now)
    }

    func order(clientOrderID: String, account: String) async throws(BrokerError) -> BrokerOrder? {
        nil
    }
    func order(brokerOrderID: String, account: String) async throws(BrokerError) -> BrokerOrder? {
        nil
    }
    func orders(
        of account: String, status: BrokerOrderFilter, submittedAfter: Timestamp?
    ) async throws(BrokerError) -> [BrokerOrder] { [] }
    func cancel(brokerOrderID: String, account: String) async throws(BrokerError) {}

    func fills(of account: String, from start: FillStart) async throws(BrokerError) -> [BrokerFill]
    {
        fills.withLock { fills in
            // A fill may be fetched before its order's confirmation is journaled: it goes only when
            // the cursor has passed it.
            if case .afterFill(let id) = start, let last = Int(id.dropFirst("fill-".count)) {
                fills.waiting[account]?.removeAll { Self.number($0) <= last }
            }
            return fills.waiting[account] ?? []
        }
    }

    private static func number(_ fill: BrokerFill) -> Int {
        Int(fill.id.dropFirst("fill-".count)) ?? 0
    }
    func lastFill(of account: String) async throws(BrokerError) -> BrokerFill? { nil }
    func quotes(
        of symbols: [String], account: String
    ) async throws(BrokerError) -> [BrokerQuote] { [] }
    func bars(
        _ request: BarRequest, limit: Int, page: String?, account: String
    ) async throws(BrokerError) -> BarPage {
        var bars: [Bar] = []
        var time = request.timeframe.start(of: request.from)
        if time < request.from { time = time.advanced(bySeconds: request.timeframe.seconds) }
        while time < request.before {
            bars.append(
                Bar(
                    timestamp: time, open: ExactDecimal(189), high: ExactDecimal(190),
                    low: ExactDecimal(188), close: ExactDecimal(189), volume: 1_000))
            time = time.advanced(bySeconds: request.timeframe.seconds)
        }
        return BarPage(bars: bars)
    }
}
