import Ledger
import Synchronization

@testable import Trading

/// A broker in memory that does what a test says, one step a submission, and then fills everything.
final class ScriptedBroker: Broker {
    enum Step: Sendable {
        case fill, work, reject, unavailable
        /// The answer is lost: after the broker took the order, or before.
        case timeOutTaken, timeOutLost
        /// An earlier request for the order arrives only now, and takes the funds of this one.
        case rejectAsEarlierLands
    }

    struct Content {
        var script: [Step] = []
        var otherwise = Step.fill
        var orders: [String: BrokerOrder] = [:]
        var fills: [BrokerFill] = []
        var submissions = 0
        var cancellations = 0
        var ignoresCancellations = false
        /// So many cancellations are refused although the order is at work.
        var cancellationsToRefuse = 0
        /// So many lists of orders cannot be read.
        var listsToFail = 0
        /// Lists of all orders that were asked for, past ones included.
        var listsOfAll = 0
        /// A place among the fills is refused, as by a broker that has forgotten it.
        var refusesCursors = false
        /// Single orders that were asked for by the broker's id.
        var orderReads = 0
    }

    let content = Mutex(Content())

    init(_ script: [Step] = [], otherwise: Step = .fill) {
        content.withLock {
            $0.script = script
            $0.otherwise = otherwise
        }
    }

    func balance(of account: String) async throws(BrokerError) -> BrokerBalance {
        BrokerBalance(cash: decimal("1000000"))
    }

    func positions(of account: String) async throws(BrokerError) -> [BrokerPosition] { [] }

    func submit(
        _ terms: OrderTerms, clientOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder {
        let step = content.withLock { content in
            content.submissions += 1
            return content.script.isEmpty ? content.otherwise : content.script.removeFirst()
        }
        switch step {
        case .fill: return take(terms, clientOrderID, isFilled: true)
        case .work: return take(terms, clientOrderID, isFilled: false)
        case .rejectAsEarlierLands:
            _ = take(terms, clientOrderID, isFilled: true)
            throw .rejected(code: 403, message: "insufficient buying power")
        case .reject: throw .rejected(code: 403, message: "insufficient buying power")
        case .unavailable: throw .unavailable("no route")
        case .timeOutLost: throw .unknown("time-out")
        case .timeOutTaken:
            _ = take(terms, clientOrderID, isFilled: true)
            throw .unknown("time-out")
        }
    }

    /// An id is taken once: whoever sends it again gets the order from before.
    @discardableResult
    func take(_ terms: OrderTerms, _ id: String, isFilled: Bool) -> BrokerOrder {
        content.withLock { content in
            if let known = content.orders[id] { return known }
            let order = BrokerOrder(
                brokerOrderID: "b-\(id)", clientOrderID: id, terms: terms,
                status: isFilled ? .filled : .working, rawStatus: "x",
                filledQuantity: isFilled ? terms.quantity : .zero, submittedAt: .now())
            content.orders[id] = order
            if isFilled {
                content.fills.append(
                    BrokerFill(
                        id: "f-\(id)", brokerOrderID: "b-\(id)", symbol: terms.symbol,
                        side: terms.side, quantity: terms.quantity,
                        price: terms.limitPrice ?? ExactDecimal(1),
                        cumulativeQuantity: terms.quantity, time: .now()))
            }
            return order
        }
    }

    func order(clientOrderID: String, account: String) async throws(BrokerError) -> BrokerOrder? {
        content.withLock { $0.orders[clientOrderID] }
    }

    func order(brokerOrderID: String, account: String) async throws(BrokerError) -> BrokerOrder? {
        content.withLock { content in
            content.orderReads += 1
            return content.orders.values.first { $0.brokerOrderID == brokerOrderID }
        }
    }

    func orders(
        of account: String, status: BrokerOrderFilter, submittedAfter: Timestamp?
    ) async throws(BrokerError) -> [BrokerOrder] {
        let fails = content.withLock { content in
            if status == .all { content.listsOfAll += 1 }
            defer { content.listsToFail = max(0, content.listsToFail - 1) }
            return content.listsToFail > 0
        }
        if fails { throw .unavailable("no route") }
        return content.withLock { content in
            content.orders.values.filter { status != .open || !$0.status.isTerminal }
                .sorted { $0.submittedAt < $1.submittedAt }
        }
    }

    func cancel(brokerOrderID: String, account: String) async throws(BrokerError) {
        let isKnown = content.withLock { content in
            content.cancellations += 1
            if content.ignoresCancellations { return true }
            if content.cancellationsToRefuse > 0 {
                content.cancellationsToRefuse -= 1
                return false
            }
            let id = String(brokerOrderID.dropFirst(2))
            guard content.orders[id]?.status == .working else { return false }
            content.orders[id]?.status = .cancelled
            return true
        }
        if !isKnown { throw .rejected(code: 422, message: "not cancelable") }
    }

    func fills(of account: String, from start: FillStart) async throws(BrokerError) -> [BrokerFill]
    {
        if case .afterFill = start, content.withLock({ $0.refusesCursors }) {
            throw .rejected(code: 42_210_000, message: "page_token is not known")
        }
        return content.withLock { content in
            guard case .afterFill(let id) = start,
                let index = content.fills.firstIndex(where: { $0.id == id })
            else { return content.fills }
            return Array(content.fills[(index + 1)...])
        }
    }

    func lastFill(of account: String) async throws(BrokerError) -> BrokerFill? {
        content.withLock { $0.fills.last }
    }

    func quotes(of symbols: [String], account: String) async throws(BrokerError) -> [BrokerQuote] {
        []
    }

    func bars(
        _ request: BarRequest, limit: Int, page: String?, account: String
    ) async throws(BrokerError) -> BarPage { BarPage(bars: []) }
}
