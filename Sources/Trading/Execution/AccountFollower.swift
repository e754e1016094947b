internal import Ledger
internal import Logging

/// Follows one account at the broker while it has orders at work: fills first, then the orders'
/// states, so that a state never speaks of fills that are not applied.
struct AccountFollower: Sendable {
    let accountID: String
    let engine: Engine
    let history: OrderHistory
    let broker: any Broker
    let timing: ExecutionTiming
    let logger = Logger(label: "follower")

    /// The broker's clock and ours may differ by this much.
    private static let clockMarginSeconds: Int64 = 300

    /// Returns when nothing of the account is at work any more.
    func follow() async {
        var delay = timing.followFirst
        var asked: [String: ContinuousClock.Instant] = [:]
        while !Task.isCancelled {
            let before = atWork
            if before.isEmpty { return }
            do {
                try await poll(before)
            } catch {
                logger.warning(
                    "an account could not be followed; trying again",
                    metadata: ["account_id": "\(accountID)", "problem": "\(error)"])
            }
            await cancelAgain(&asked)
            let after = atWork
            if after.isEmpty { return }
            delay = after == before ? min(delay * 3 / 2, timing.followLast) : timing.followFirst
            try? await Task.sleep(for: delay)
        }
    }

    private var atWork: [Order] {
        engine.published.liveOrders(of: accountID).filter { $0.brokerOrderID != nil }
    }

    /// Open orders are one list; an order at work that is missing from it has ended and is read by
    /// itself. So the cost does not grow with what ended in the past.
    private func poll(_ orders: [Order]) async throws {
        let cursor = engine.published.account(accountID)?.fillCursor
        let since = orders.map(\.createdAt).min() ?? .now()
        try await takeFills(from: cursor.map(FillStart.afterFill) ?? .beginning, since: since)
        if !atWork.contains(where: isToBeAskedFor) { return }
        let open = try await broker.orders(of: accountID, status: .open, submittedAfter: nil)
        for report in open { try await take(report, since: since) }
        let listed = Set(open.map(\.brokerOrderID))
        // Only those that were at work before the fills were fetched: of one that was confirmed since,
        // the next round brings the fills first.
        for order in orders {
            guard let brokerOrderID = order.brokerOrderID, !listed.contains(brokerOrderID),
                engine.published.order(order.orderID)?.status.isTerminal == false
            else { continue }
            let report = try await broker.order(brokerOrderID: brokerOrderID, account: accountID)
            guard let report else {
                logger.error(
                    "the broker does not find an order that it has confirmed; ask it what became of it",
                    metadata: [
                        "order_id": "\(order.orderID)", "broker_order_id": "\(brokerOrderID)",
                    ])
                continue
            }
            try await take(report, since: since)
        }
    }

    /// Most orders end by their fills within a moment, and need no question about their state.
    private func isToBeAskedFor(_ order: Order) -> Bool {
        let age = Timestamp.now().microseconds - order.updatedAt.microseconds
        return order.cancelRequested || .microseconds(age) >= timing.stateAfter
    }

    /// Takes in what the broker has and the journal may not know, after a restart: open orders, and
    /// those submitted since the account last changed here, whose entries may have been lost.
    func catchUp() async throws {
        var reports = try await broker.orders(of: accountID, status: .open, submittedAfter: nil)
        if let last = engine.published.account(accountID)?.updatedAt {
            reports += try await broker.orders(
                of: accountID, status: .all, submittedAfter: Self.margin(last))
        }
        var seen: Set<String> = []
        for report in reports where seen.insert(report.brokerOrderID).inserted {
            _ = try await hear(report)
        }
    }

    // MARK: Orders

    private func take(_ report: BrokerOrder, since: Timestamp) async throws {
        let outcome = try await hear(report)
        guard outcome == .fillsMissing || outcome == .reopened else { return }
        let start = min(since, report.submittedAt)
        try await takeFills(from: .afterTime(Self.margin(start)), since: start)
        _ = try await hear(report)
    }

    /// Has what a report says journaled. One that cannot be taken does not hold up the others.
    private func hear(_ report: BrokerOrder) async throws -> ReportOutcome {
        var past: PastOrder?
        let known = engine.published.order(report.clientOrderID)
        if known == nil { past = try await history.pastOrder(report.clientOrderID) }
        do {
            guard let order = known ?? past?.order else {
                try await OrderAdoption(self).adopt(report)
                return .done
            }
            guard order.accountID == accountID else {
                logOther(report)
                return .otherTerms
            }
            guard isNews(report, of: order) else { return .done }
            return try await journal(report, past)
        } catch EngineError.refused(let refusal) {
            logger.error(
                "what the broker says about an order does not fit; look at it there",
                metadata: ["order_id": "\(report.clientOrderID)", "problem": "\(refusal)"])
            return .done
        }
    }

    private func journal(_ report: BrokerOrder, _ past: PastOrder?) async throws -> ReportOutcome {
        let outcome = try await engine.perform { state, now throws(Refusal) in
            if let past { try state.recall(past) }
            return try state.report(report, at: now)
        }
        switch outcome {
        case .otherTerms: logOther(report)
        case .reopened:
            logger.error(
                "an order that had ended here is live at the broker; it is open again",
                metadata: ["account_id": "\(accountID)", "order_id": "\(report.clientOrderID)"])
        case .done, .fillsMissing: break
        }
        return outcome
    }

    private func logOther(_ report: BrokerOrder) {
        logger.error(
            "the broker has another order under an id of ours; look at both and resolve ours",
            metadata: [
                "account_id": "\(accountID)", "order_id": "\(report.clientOrderID)",
                "broker_order_id": "\(report.brokerOrderID)",
            ])
    }

    private func isNews(_ report: BrokerOrder, of order: Order) -> Bool {
        guard order.status.isTerminal else { return !agrees(order, with: report) }
        let hasMore = report.filledQuantity > order.filledQuantity
        return order.brokerOrderID == nil ? hasMore || !report.status.isTerminal : hasMore
    }

    private func agrees(_ order: Order, with report: BrokerOrder) -> Bool {
        guard order.filledQuantity == report.filledQuantity,
            order.brokerOrderID == report.brokerOrderID
        else { return false }
        return switch (report.status, order.status) {
        case (.accepted, .accepted), (.working, .working), (.unrecognised, .working),
            (.partiallyFilled, .partiallyFilled):
            true
        case (.accepted, .partiallyFilled), (.working, .partiallyFilled),
            (.unrecognised, .partiallyFilled):
            true
        default: false
        }
    }

    /// A request for a cancellation can be lost, or come too early: while the order lives on, it is
    /// made again.
    private func cancelAgain(_ asked: inout [String: ContinuousClock.Instant]) async {
        let now = ContinuousClock.now
        let wanted = atWork.filter(\.cancelRequested)
        asked = asked.filter { id, _ in wanted.contains { $0.orderID == id } }
        for order in wanted {
            guard let brokerOrderID = order.brokerOrderID else { continue }
            // The first request is under way when this sees the order for the first time.
            guard let last = asked[order.orderID] else {
                asked[order.orderID] = now
                continue
            }
            if now - last < timing.retryLast { continue }
            asked[order.orderID] = now
            do {
                try await broker.cancel(brokerOrderID: brokerOrderID, account: accountID)
            } catch {
                logger.warning(
                    "an order that is to be cancelled is still live, and could not be cancelled",
                    metadata: ["order_id": "\(order.orderID)", "problem": "\(error)"])
            }
        }
    }

    // MARK: Fills

    private func takeFills(from start: FillStart, since: Timestamp) async throws {
        let margin = FillStart.afterTime(Self.margin(since))
        let fills = try await fills(from: start, else: margin)
        if fills.isEmpty { return }
        let booking = FillBooking(accountID: accountID, engine: engine, history: history)
        // A list that begins before the cursor must not take it back.
        let movesCursor = start != margin
        var applied = try await booking.book(fills, movesCursor: movesCursor)
        if try await learn(applied.unknown) {
            applied = try await booking.book(fills, movesCursor: movesCursor)
        }
        if applied.hasGaps, start != margin { try await takeFills(from: margin, since: since) }
    }

    private func fills(
        from start: FillStart, else margin: FillStart
    ) async throws(BrokerError) -> [BrokerFill] {
        do throws(BrokerError) {
            return try await broker.fills(of: accountID, from: start)
        } catch {
            guard case .afterFill(let id) = start, case .rejected = error else { throw error }
            logger.warning(
                "the broker does not know the last fill any more; fills are read by time",
                metadata: ["account_id": "\(accountID)", "fill": "\(id)", "problem": "\(error)"])
            return try await broker.fills(of: accountID, from: margin)
        }
    }

    /// Asks the broker which orders fills belong to that nobody here knows. True when one was heard
    /// of, and the fills can be booked.
    private func learn(_ fills: [BrokerFill]) async throws -> Bool {
        if fills.isEmpty { return false }
        let unconfirmed = engine.published.liveOrders(of: accountID)
            .filter { $0.brokerOrderID == nil }
        let recent = Timestamp.now().advanced(bySeconds: -60)
        var asked: Set<String> = []
        for fill in fills {
            // Most likely an order of ours whose confirmation is on its way.
            let isAwaited =
                fill.time > recent
                && unconfirmed.contains {
                    $0.terms.symbol == fill.symbol && $0.terms.side == fill.side
                }
            if isAwaited || !asked.insert(fill.brokerOrderID).inserted { continue }
            let report = try await broker.order(
                brokerOrderID: fill.brokerOrderID, account: accountID)
            guard let report else {
                logger.error(
                    "a fill names an order that the broker does not find; it is not booked",
                    metadata: ["account_id": "\(accountID)", "fill": "\(fill.id)"])
                continue
            }
            _ = try await hear(report)
        }
        return !asked.isEmpty
    }

    static func margin(_ time: Timestamp) -> Timestamp {
        time.advanced(bySeconds: -clockMarginSeconds)
    }
}
