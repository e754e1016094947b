internal import Ledger
internal import Logging
internal import Metrics

/// Carries accepted orders to the broker, and finds out what became of those whose answer is lost.
///
/// An order is submitted under its own id, and the broker takes an id once, so submitting again can
/// never make two orders. What this must never do is believe that an order is not there while a
/// request may still be on its way.
struct OrderExecution: Sendable {
    let engine: Engine
    let broker: any Broker
    let timing: ExecutionTiming
    let logger = Logger(label: "execution")
    let brokerDelay = Timer(label: "opsd_order_execution_duration_seconds")

    /// Takes orders off the queue until it is closed.
    func work() async {
        while let orderID = await engine.orders.next() { await submit(orderID) }
    }

    /// Submits until the broker gives its word, or the word is lost.
    func submit(_ orderID: String) async {
        var delay = timing.retryFirst
        while !Task.isCancelled, let order = submittable(orderID) {
            if order.cancelRequested, order.status == .pending {
                return await cancelUnsent(orderID)
            }
            do throws(BrokerError) {
                let answer = try await broker.submit(
                    order.terms, clientOrderID: orderID, account: order.accountID)
                recordDelay(of: order)
                return await report(.confirmed(answer), of: orderID)
            } catch {
                guard let pause = await settle(error, of: order, pause: delay) else { return }
                try? await Task.sleep(for: pause)
                delay = min(delay * 2, timing.retryLast)
            }
        }
    }

    /// What a failed submission says. Nil when it was the last word for now; otherwise the request
    /// certainly did not arrive and may go out again after a pause.
    private func settle(
        _ error: BrokerError, of order: Order, pause: Duration
    ) async -> Duration? {
        switch error {
        case .rejected(let code, let message):
            await refuse(order, "\(message) (\(code))")
        case .unauthorized(let message):
            await refuse(order, "the broker refused the credentials: \(message)")
        case .unknown(let problem), .malformed(let problem):
            await report(.ambiguous(problem), of: order.orderID)
        case .unavailable(let problem):
            logger.warning(
                "the broker is out of reach; the order waits",
                metadata: ["order_id": "\(order.orderID)", "problem": "\(problem)"])
            return pause
        case .rateLimited(let seconds):
            return .seconds(max(1, seconds))
        }
        return nil
    }

    /// A refusal speaks of the request that it answers. Of an order whose earlier request may still
    /// be on its way it proves nothing: that one may have taken the very funds that are missing.
    private func refuse(_ order: Order, _ reason: String) async {
        if order.status == .unknown, mayBeOnItsWay(order) { return }
        await report(.refused(reason), of: order.orderID)
    }

    private func mayBeOnItsWay(_ order: Order) -> Bool {
        let age = Timestamp.now().microseconds - order.updatedAt.microseconds
        return age < 0 || .microseconds(age) < timing.settle
    }

    /// The order, while its fate is open and the broker has not confirmed it.
    private func submittable(_ orderID: String) -> Order? {
        guard let order = engine.published.order(orderID), order.step == .submitting,
            !order.status.isTerminal
        else { return nil }
        return order
    }

    /// Asks the broker by the order's id until it answers; an order that is not there is submitted.
    func lookUp(_ orderID: String) async {
        var delay = timing.retryFirst
        while !Task.isCancelled, let order = submittable(orderID) {
            do throws(BrokerError) {
                if let found = try await broker.order(
                    clientOrderID: orderID, account: order.accountID)
                {
                    return await report(.confirmed(found), of: orderID)
                }
                if !order.cancelRequested {
                    await submit(orderID)
                    // An order that only now became unknown has its own look-up; this one goes on
                    // for an order that was unknown before, and still is.
                    if order.status != .unknown { return }
                } else if !mayBeOnItsWay(order) {
                    return await cancelUnsent(orderID)
                }
            } catch {
                logger.warning(
                    "the broker did not tell what became of an order",
                    metadata: ["order_id": "\(orderID)", "problem": "\(error)"])
            }
            try? await Task.sleep(for: delay)
            delay = min(delay * 2, timing.retryLast)
        }
    }

    /// Asks the broker to cancel. Its word comes with the order's next report.
    func cancelAtBroker(_ orderID: String) async {
        var delay = timing.retryFirst
        while !Task.isCancelled, let order = engine.published.order(orderID),
            !order.status.isTerminal, let brokerOrderID = order.brokerOrderID
        {
            do {
                return try await broker.cancel(
                    brokerOrderID: brokerOrderID, account: order.accountID)
            } catch .rejected, .unauthorized {
                // It has ended there by itself: the next report says how.
                return
            } catch {
                try? await Task.sleep(for: delay)
                delay = min(delay * 2, timing.retryLast)
            }
        }
    }

    private func cancelUnsent(_ orderID: String) async {
        _ = try? await engine.perform { state, now throws(Refusal) in
            try state.cancel(orderID, isWithdrawn: true, at: now, by: "")
        }
    }

    /// Has the broker's word journaled; while the disk is full, tries again. If the core stops first
    /// the word is not lost: after a restart the order is looked up.
    private func report(_ submission: Submission, of orderID: String) async {
        var delay = timing.retryFirst
        while true {
            do throws(EngineError) {
                _ = try await engine.perform { state, now throws(Refusal) in
                    try state.submission(submission, of: orderID, at: now)
                }
                return
            } catch {
                logger.error(
                    "an answer of the broker was not journaled",
                    metadata: ["order_id": "\(orderID)", "error": "\(error)"])
                guard case .journalFull = error, !Task.isCancelled else { return }
            }
            try? await Task.sleep(for: delay)
            delay = min(delay * 2, timing.retryLast)
        }
    }

    private func recordDelay(of order: Order) {
        let delay = Timestamp.now().microseconds - order.createdAt.microseconds
        brokerDelay.recordNanoseconds(max(0, delay) * 1_000)
    }
}

/// The pauses of execution; a test may shorten them.
public struct ExecutionTiming: Sendable {
    /// The first pause before something is tried again; it doubles up to the last.
    public var retryFirst: Duration = .milliseconds(250)
    public var retryLast: Duration = .seconds(10)
    /// How long a lost request may still be on its way to the broker.
    public var settle: Duration = .seconds(30)
    /// Pauses between two looks at an account with orders at work.
    public var followFirst: Duration = .milliseconds(100)
    public var followLast: Duration = .seconds(2)

    public init() {}
}
