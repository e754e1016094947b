public import Ledger

/// What became of a list of fills.
public struct AppliedFills: Sendable, Hashable {
    /// A fill waits for one before it.
    public var hasGaps = false
    /// Fills of orders that nobody here knows by the broker's id.
    public var unknown: [BrokerFill] = []
    /// Fills that cannot be of the order that they name, or whose numbers are out of range.
    public var refused: [BrokerFill] = []

    public static let done = AppliedFills()
    public static let fillsMissing = AppliedFills(hasGaps: true)

    mutating func add(_ other: AppliedFills) {
        hasGaps = hasGaps || other.hasGaps
        unknown += other.unknown
        refused += other.refused
    }
}

extension TradingState {
    /// Applies fills by cumulative quantity: each share once, however often and in whatever order
    /// the fills arrive. A fill that leaves a gap to the one before it waits.
    /// The place up to which all is settled is remembered, for the next fetch to begin there. It
    /// never passes a fill that is not settled.
    /// - Parameters:
    ///   - fills: as the broker lists them, oldest first.
    ///   - settled: ids of fills among them that are booked already, or were before the opening.
    ///   - movesCursor: false when fills before these are not settled.
    public mutating func apply(
        _ fills: [BrokerFill], of accountID: String, settled: Set<String> = [],
        movesCursor: Bool = true, at now: Timestamp
    ) throws(Refusal) -> AppliedFills {
        var result = AppliedFills.done
        var unsettled: Set<String> = []
        var changed = false
        let ordered = fills.sorted { $0.cumulativeQuantity < $1.cumulativeQuantity }
        for fill in ordered where !settled.contains(fill.id) {
            switch try outcome(of: fill, accountID, at: now) {
            case .applied:
                changed = true
                continue
            case .known: continue
            case .gap: result.hasGaps = true
            case .unknown: result.unknown.append(fill)
            case .refused: result.refused.append(fill)
            }
            unsettled.insert(fill.id)
        }
        if !changed { return result }
        let cursor = fills.prefix { !unsettled.contains($0.id) }.last?.id
        if movesCursor, let cursor, var account = accounts[accountID]?.value,
            account.fillCursor != cursor
        {
            account.fillCursor = cursor
            account.updatedAt = now
            put(account)
        }
        seal("order.fills", at: now)
        return result
    }

    private enum FillOutcome { case applied, known, gap, unknown, refused }

    private mutating func outcome(
        of fill: BrokerFill, _ accountID: String, at now: Timestamp
    ) throws(Refusal) -> FillOutcome {
        guard let orderID = brokerOrderIDs[fill.brokerOrderID], let order = orders[orderID]?.value
        else { return .unknown }
        guard order.accountID == accountID, order.terms.symbol == fill.symbol,
            order.terms.side == fill.side
        else { return .refused }
        do {
            return try apply(fill, to: order, at: now)
        } catch {
            throw .invalid(field: "fill", problem: "\(fill.id) is out of range")
        }
    }

    private mutating func apply(
        _ fill: BrokerFill, to order: Order, at now: Timestamp
    ) throws -> FillOutcome {
        guard fill.cumulativeQuantity > order.filledQuantity else { return .known }
        let before = try fill.cumulativeQuantity.subtracting(fill.quantity)
        guard before <= order.filledQuantity else { return .gap }
        let quantity = try fill.cumulativeQuantity.subtracting(order.filledQuantity)
        let amount = try quantity.multiplied(by: fill.price)
        var updated = order
        updated.filledQuantity = fill.cumulativeQuantity
        updated.filledAmount = try order.filledAmount.adding(amount)
        updated.updatedAt = now
        // What an order has set aside went back when it ended.
        if !order.status.isTerminal { try release(quantity, of: order, at: now) }
        try settle(fill, quantity: quantity, amount: amount, of: order, at: now)
        if order.status.isTerminal {
            updated.step = .completed
            if !updated.remainingQuantity.isPositive { updated.status = .filled }
            put(updated)
        } else if updated.remainingQuantity.isPositive {
            updated.step = .submitted
            updated.status = .partiallyFilled
            put(updated)
        } else {
            updated.step = .submitted
            try end(&updated, as: .filled, reason: nil, at: now)
        }
        return .applied
    }
}
