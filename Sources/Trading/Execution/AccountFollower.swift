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
            let after = atWork
            if after.isEmpty { return }
            delay = after == before ? min(delay * 3 / 2, timing.followLast) : timing.followFirst
            try? await Task.sleep(for: delay)
        }
    }

    private var atWork: [Order] {
        engine.published.liveOrders(of: accountID).filter { $0.brokerOrderID != nil }
    }

    private func poll(_ orders: [Order]) async throws {
        let cursor = engine.published.account(accountID)?.fillCursor
        let since = orders.map(\.createdAt).min() ?? .now()
        try await applyFills(from: cursor.map(FillStart.afterFill) ?? .beginning, since: since)
        if atWork.isEmpty { return }
        for report in try await reports(since: since) {
            try await take(report, since: since)
        }
    }

    private func applyFills(from start: FillStart, since: Timestamp) async throws {
        let fills = try await broker.fills(of: accountID, from: start)
        if fills.isEmpty { return }
        let accountID = accountID
        let outcome = try await engine.perform { state, now throws(Refusal) in
            try state.apply(fills, of: accountID, at: now)
        }
        let margin = since.advanced(bySeconds: -Self.clockMarginSeconds)
        if outcome == .fillsMissing, start != .afterTime(margin) {
            try await applyFills(from: .afterTime(margin), since: since)
        }
    }

    /// Every order since the oldest at work, page by page.
    private func reports(since: Timestamp) async throws(BrokerError) -> [BrokerOrder] {
        var after = since.advanced(bySeconds: -Self.clockMarginSeconds)
        var reports: [BrokerOrder] = []
        while true {
            let page = try await broker.orders(
                of: accountID, status: .all, submittedAfter: after)
            reports += page
            guard page.count == 500, let last = page.last, last.submittedAt > after else {
                return reports
            }
            after = last.submittedAt
        }
    }

    private func take(_ report: BrokerOrder, since: Timestamp) async throws {
        guard let order = engine.published.order(report.clientOrderID) else {
            return try await adopt(report)
        }
        let isNews = !order.status.isTerminal && !agrees(order, with: report)
        if !isNews { return }
        let outcome = try await engine.perform { state, now throws(Refusal) in
            try state.report(report, at: now)
        }
        if outcome == .fillsMissing {
            let margin = min(since, order.createdAt, report.submittedAt)
                .advanced(bySeconds: -Self.clockMarginSeconds)
            try await applyFills(from: .afterTime(margin), since: margin)
            _ = try await engine.perform { state, now throws(Refusal) in
                try state.report(report, at: now)
            }
        }
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

    /// An order that nobody here has journaled.
    private func adopt(_ report: BrokerOrder) async throws {
        if report.status.isTerminal, report.filledQuantity.isZero { return }
        if try await history.order(report.clientOrderID) != nil { return }
        let accountID = accountID
        logger.warning(
            "an order at the broker is unknown here; it is adopted",
            metadata: ["account_id": "\(accountID)", "order_id": "\(report.clientOrderID)"])
        try await engine.perform { state, now throws(Refusal) in
            try state.adopt(report, accountID: accountID, at: now)
        }
    }

    /// Adopts what the broker has and the journal does not, after a restart.
    func adoptUnknown() async throws {
        for report in try await broker.orders(of: accountID, status: .open, submittedAfter: nil) {
            if engine.published.order(report.clientOrderID) == nil { try await adopt(report) }
        }
    }
}
