import Ledger

/// Orders and quotes in, fills and account changes out: no clock, no disk, no socket.
///
/// It promises: cash never goes below zero, no share is sold that is not held, a limit is never
/// passed, and every change of cash is a fill's price times its quantity to the last digit. It keeps
/// open orders only; who calls it keeps the rest.
struct MatchingEngine: Sendable {
    private(set) var accounts: [String: PaperAccount] = [:]
    private(set) var openOrders: [String: PaperOrder] = [:]
    private(set) var quotes: [String: PaperQuote] = [:]
    /// Open orders' ids in order of arrival. Ids of orders closed since are dropped at the symbol's
    /// next quote.
    private var waiting: [String: [String]] = [:]
    private var random: SplitMix64
    private let partialFillOneIn: Int
    private(set) var nextOrderSequence: Int64
    private(set) var nextFillSequence: Int64

    /// What one call changed, for the caller to keep.
    struct Effects: Sendable, Equatable {
        var orders: [PaperOrder] = []
        var fills: [PaperFill] = []

        mutating func append(_ other: Effects) {
            orders += other.orders
            fills += other.fills
        }
    }

    init(
        accounts: [PaperAccount], openOrders: [PaperOrder] = [],
        quotes: [String: PaperQuote] = [:], seed: UInt64, partialFillOneIn: Int,
        nextOrderSequence: Int64 = 1, nextFillSequence: Int64 = 1
    ) throws(DecimalError) {
        self.partialFillOneIn = partialFillOneIn
        self.nextOrderSequence = nextOrderSequence
        self.nextFillSequence = nextFillSequence
        self.quotes = quotes
        random = SplitMix64(seed: seed)
        for account in accounts { self.accounts[account.id] = account }
        for order in openOrders.sorted(by: { $0.sequence < $1.sequence }) {
            try self.accounts[order.account]?.hold(order)
            self.openOrders[order.id] = order
            waiting[order.terms.symbol, default: []].append(order.id)
        }
    }

    // MARK: Orders

    /// Takes an order and tries it against the present quote at once.
    mutating func submit(
        _ terms: PaperTerms, id: String, clientOrderID: String, account accountID: String,
        replaces: String? = nil, now: Timestamp
    ) throws(PaperRefusal) -> Effects {
        guard var account = accounts[accountID] else {
            throw PaperRefusal(status: 401, code: 40_110_000, message: "unknown account")
        }
        guard let quote = quotes[terms.symbol] else {
            throw .parameter("asset \"\(terms.symbol)\" not found")
        }
        try OrderRules.check(terms)
        var order = PaperOrder(
            id: id, clientOrderID: clientOrderID, account: accountID,
            sequence: nextOrderSequence, terms: terms, status: .new, submittedAt: now,
            updatedAt: now, replaces: replaces)
        order.reservePrice = OrderRules.reservePrice(terms, quote)
        var refusal: PaperRefusal?
        do throws(DecimalError) {
            refusal = try OrderRules.affordable(order, account)
            try account.hold(order)
        } catch {
            refusal = .outOfRange
        }
        if let refusal { throw refusal }
        nextOrderSequence += 1
        accounts[accountID] = account
        openOrders[id] = order
        var effects = match(order, quote, now)
        if let order = openOrders[id], [.ioc, .fok].contains(terms.timeInForce) {
            effects.orders.append(close(order, as: .canceled, now))
        }
        if openOrders[id] != nil { waiting[terms.symbol, default: []].append(id) }
        if effects.orders.isEmpty { effects.orders = [order] }
        return effects
    }

    mutating func cancel(
        id: String, account: String, now: Timestamp
    ) throws(PaperRefusal) -> Effects {
        guard let order = openOrders[id], order.account == account else {
            throw .orderNotFound
        }
        return Effects(orders: [close(order, as: .canceled, now)])
    }

    /// Puts another order in an open one's place. Where the new one is refused, the old one stays.
    mutating func replace(
        id: String, by newID: String, clientOrderID: String, account: String, now: Timestamp,
        change: (inout PaperTerms) -> Void
    ) throws(PaperRefusal) -> Effects {
        guard let old = openOrders[id], old.account == account else { throw .orderNotFound }
        guard old.filledQuantity.isZero else {
            throw .parameter("an order that is partially filled cannot be replaced here")
        }
        var attempt = self
        var closed = attempt.close(old, as: .replaced, now)
        closed.replacedBy = newID
        var terms = old.terms
        change(&terms)
        let effects = try attempt.submit(
            terms, id: newID, clientOrderID: clientOrderID, account: account, replaces: id,
            now: now)
        self = attempt
        return Effects(orders: [closed] + effects.orders, fills: effects.fills)
    }

    /// Ends an order and gives back what was held for it.
    private mutating func close(
        _ order: PaperOrder, as status: PaperOrderStatus, _ now: Timestamp
    ) -> PaperOrder {
        // Taking back what `hold` has added cannot leave the range.
        try? accounts[order.account]?.release(order)
        var closed = order
        closed.status = status
        closed.updatedAt = now
        if status == .canceled { closed.canceledAt = now }
        if status == .replaced { closed.replacedAt = now }
        openOrders[order.id] = nil
        return closed
    }

    // MARK: Quotes

    /// A new quote, against which every waiting order of its symbol is tried, the oldest first.
    mutating func apply(_ quote: PaperQuote, now: Timestamp) -> Effects {
        quotes[quote.symbol] = quote
        var effects = Effects()
        guard let ids = waiting[quote.symbol], !ids.isEmpty else { return effects }
        for id in ids {
            guard let order = openOrders[id] else { continue }
            effects.append(match(order, quote, now))
        }
        waiting[quote.symbol] = ids.filter { openOrders[$0] != nil }
        return effects
    }

    // MARK: Matching

    private mutating func match(
        _ original: PaperOrder, _ quote: PaperQuote, _ now: Timestamp
    ) -> Effects {
        var order = original
        if order.terms.type.hasStop, !order.isTriggered {
            guard OrderRules.triggers(order.terms, quote) else { return Effects() }
            order.isTriggered = true
            order.updatedAt = now
            openOrders[order.id] = order
        }
        guard let price = OrderRules.executionPrice(order.terms, quote) else {
            return order == original ? Effects() : Effects(orders: [order])
        }
        do throws(DecimalError) {
            return try fill(order, at: price, now)
        } catch {
            // The numbers were limited on entry, so this is a market gone mad: the order ends.
            return Effects(orders: [close(order, as: .canceled, now)])
        }
    }

    private mutating func fill(
        _ order: PaperOrder, at price: ExactDecimal, _ now: Timestamp
    ) throws(DecimalError) -> Effects {
        guard var account = accounts[order.account] else { return Effects() }
        let quantity = try fillQuantity(order)
        let cost = try quantity.multiplied(by: price)
        var filled = order
        try account.release(order)
        if order.terms.side == .buy {
            // A market that moved up may leave too little cash for the rest of an order.
            guard try cost <= account.buyingPower() else {
                return Effects(orders: [close(order, as: .canceled, now)])
            }
            try account.bought(order.terms.symbol, quantity, cost: cost)
        } else {
            try account.sold(order.terms.symbol, quantity, proceeds: cost)
        }
        filled.filledQuantity = try order.filledQuantity.adding(quantity)
        filled.filledCost = try order.filledCost.adding(cost)
        filled.status =
            filled.filledQuantity == order.terms.quantity ? .filled : .partiallyFilled
        filled.updatedAt = now
        if filled.status == .filled { filled.filledAt = now }
        try account.hold(filled)
        let fill = PaperFill(
            sequence: nextFillSequence, id: fillID(now), account: order.account,
            orderID: order.id, symbol: order.terms.symbol, side: order.terms.side,
            quantity: quantity, price: price, cumulativeQuantity: filled.filledQuantity,
            leavesQuantity: try filled.remaining(), orderStatus: filled.status, time: now)
        nextFillSequence += 1
        accounts[order.account] = account
        openOrders[order.id] = filled.status.isOpen ? filled : nil
        return Effects(orders: [filled], fills: [fill])
    }

    /// One order in so many is filled in two parts; the second part takes all the rest.
    private mutating func fillQuantity(_ order: PaperOrder) throws(DecimalError) -> ExactDecimal {
        let remaining = try order.remaining()
        guard partialFillOneIn > 0, order.filledQuantity.isZero, order.terms.timeInForce != .fok,
            remaining.scale == 0, remaining > ExactDecimal(1),
            let shares = Int(exactly: remaining.coefficient),
            Int.random(in: 0..<partialFillOneIn, using: &random) == 0
        else { return remaining }
        return ExactDecimal(Int.random(in: 1..<shares, using: &random))
    }

    /// `{time}::{uuid}`, as the dialect has it. The sequence number in it makes it unique.
    private mutating func fillID(_ now: Timestamp) -> String {
        let time = now.description.filter(\.isNumber).prefix(17)
        let stamp = time + String(repeating: "0", count: 17 - time.count)
        let random = Self.hexadecimal(self.random.next(), 16)
        let sequence = Self.hexadecimal(UInt64(nextFillSequence), 12)
        return "\(stamp)::\(random.prefix(8))-\(random.dropFirst(8).prefix(4))-4"
            + "\(random.suffix(3))-8000-\(sequence)"
    }

    private static func hexadecimal(_ value: UInt64, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
