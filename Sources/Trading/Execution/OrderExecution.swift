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
    let history: OrderHistory
    let broker: any Broker
    let timing: ExecutionTiming
    let logger = Logger(label: "execution")
    let brokerDelay = Timer(label: "opsd_order_execution_duration_seconds")

    /// Takes orders off the queue until it is closed.
    func work() async {
        while let orderID = await engine.orders.next() {
            // Never sent before: it comes from the queue, and a restart leaves the queue empty.
            _ = await submit(orderID, mayHaveBeenSent: false)
        }
    }

    /// How an attempt to submit left an order.
    private enum Attempt {
        /// The broker's word is journaled, or the order has ended.
        case settled
        /// The answer was lost.
        case lost
        /// The broker's refusal, or a request for cancellation, proves nothing yet: a request from
        /// before may still arrive.
        case open
    }

    /// Submits until the broker gives its word, or the word is lost.
    private func submit(_ orderID: String, mayHaveBeenSent: Bool) async -> Attempt {
        var delay = timing.retryFirst
        while !Task.isCancelled, let order = submittable(orderID) {
            if order.cancelRequested {
                if mayHaveBeenSent || order.status != .pending { return .open }
                await cancelUnsent(orderID)
                return .settled
            }
            do throws(BrokerError) {
                let answer = try await broker.submit(
                    order.terms, clientOrderID: orderID, account: order.accountID)
                recordDelay(of: order)
                return await report(.confirmed(answer), of: orderID) ? .settled : .lost
            } catch {
                switch meaning(of: error, for: orderID, pause: delay) {
                case .again(let pause): try? await Task.sleep(for: pause)
                case .lost(let problem):
                    _ = await report(.ambiguous(problem), of: orderID)
                    return .lost
                case .refused(let reason):
                    // A refusal speaks of the request that it answers. Of an order whose earlier
                    // request may still be on its way it proves nothing: that one may have taken
                    // the very funds that are missing.
                    if mayHaveBeenSent { return .open }
                    _ = await report(.refused(reason), of: orderID)
                    return .settled
                }
                delay = min(delay * 2, timing.retryLast)
            }
        }
        return .settled
    }

    private enum Meaning {
        /// The request certainly did not arrive: it may go out again after a pause.
        case again(after: Duration)
        case lost(String)
        case refused(String)
    }

    private func meaning(
        of error: BrokerError, for orderID: String, pause: Duration
    ) -> Meaning {
        switch error {
        case .rejected(let code, let message): return .refused("\(message) (\(code))")
        case .unauthorized(let message):
            return .refused("the broker refused the credentials: \(message)")
        case .unknown(let problem), .malformed(let problem): return .lost(problem)
        case .unavailable(let problem):
            logger.warning(
                "the broker is out of reach; the order waits",
                metadata: ["order_id": "\(orderID)", "problem": "\(problem)"])
            return .again(after: pause)
        case .rateLimited(let seconds): return .again(after: .seconds(max(1, seconds)))
        }
    }

    /// The order, while its fate is open and the broker has not confirmed it.
    private func submittable(_ orderID: String) -> Order? {
        guard let order = engine.published.order(orderID), order.step == .submitting,
            !order.status.isTerminal
        else { return nil }
        return order
    }

    /// Asks the broker by the order's id until it answers; an order that is not there is submitted.
    ///
    /// Whoever comes here has a request behind it that may still arrive: its own, whose answer was
    /// lost, or that of a process that was killed. That the broker has no such order is believed
    /// only when it was asked long enough after the last one.
    func lookUp(_ orderID: String) async {
        var delay = timing.retryFirst
        var lastSent = ContinuousClock.now
        var isRefused = false
        while !Task.isCancelled, let order = submittable(orderID) {
            let mayArrive = ContinuousClock.now - lastSent < timing.settle
            do throws(BrokerError) {
                if let found = try await broker.order(
                    clientOrderID: orderID, account: order.accountID)
                {
                    if await report(.confirmed(found), of: orderID) { return }
                } else if isRefused, mayArrive {
                    // Sending again proves nothing more: wait for the earlier request, or its end.
                } else if !order.cancelRequested {
                    switch await submit(orderID, mayHaveBeenSent: mayArrive) {
                    case .settled: return
                    // An order that only now became unknown has its own look-up; this one goes on
                    // for an order that was unknown before, and still is.
                    case .lost where order.status != .unknown: return
                    case .lost: lastSent = .now
                    case .open: isRefused = true
                    }
                } else if !mayArrive {
                    return await cancelUnsent(orderID)
                }
            } catch {
                logger.warning(
                    "the broker did not tell what became of an order",
                    metadata: ["order_id": "\(orderID)", "problem": "\(error)"])
            }
            // Not past the moment from which the broker's "not found" counts.
            let rest = timing.settle - (ContinuousClock.now - lastSent)
            try? await Task.sleep(for: rest > .zero ? min(delay, rest) : delay)
            delay = min(delay * 2, timing.retryLast)
        }
    }

    /// Asks the broker to cancel. Its word comes with the order's next report.
    func cancelAtBroker(_ orderID: String) async {
        var delay = timing.retryFirst
        while !Task.isCancelled, let order = engine.published.order(orderID),
            !order.status.isTerminal, let brokerOrderID = order.brokerOrderID
        {
            do throws(BrokerError) {
                return try await broker.cancel(
                    brokerOrderID: brokerOrderID, account: order.accountID)
            } catch {
                logger.warning(
                    "an order could not be cancelled",
                    metadata: ["order_id": "\(orderID)", "problem": "\(error)"])
                // Most likely it has ended there by itself: the next report says how. While it has
                // not, the account's follower asks again.
                if case .rejected = error { return }
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
    /// - Returns: false when the word was about another order than this.
    private func report(_ submission: Submission, of orderID: String) async -> Bool {
        var delay = timing.retryFirst
        while true {
            do {
                // It may have ended here while the request was under way, and left memory.
                let past = try await history.pastOrder(orderID)
                let outcome = try await engine.perform { state, now throws(Refusal) in
                    if let past { try state.recall(past) }
                    return try state.submission(submission, of: orderID, at: now)
                }
                log(outcome, orderID)
                return outcome != .otherTerms
            } catch {
                logger.error(
                    "an answer of the broker was not journaled",
                    metadata: ["order_id": "\(orderID)", "error": "\(error)"])
                guard Self.mayPass(error), !Task.isCancelled else { return true }
            }
            try? await Task.sleep(for: delay)
            delay = min(delay * 2, timing.retryLast)
        }
    }

    private static func mayPass(_ error: any Error) -> Bool {
        switch error {
        case EngineError.journalFull, EngineError.refused(.staleLookUp): true
        case is StoreError: true
        default: false
        }
    }

    private func log(_ outcome: ReportOutcome, _ orderID: String) {
        switch outcome {
        case .otherTerms:
            logger.error(
                "the broker has another order under an id of ours; look at both and resolve ours",
                metadata: ["order_id": "\(orderID)"])
        case .reopened:
            logger.error(
                "an order that had ended here is live at the broker; it is open again",
                metadata: ["order_id": "\(orderID)"])
        case .done, .fillsMissing: break
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
    /// How long an order stays as it is before its state is asked for; its fills are always.
    public var stateAfter: Duration = .milliseconds(250)

    public init() {}
}
