import ExactJSON
import Ledger

/// Answers in the dialect: its field names, numbers as strings.
enum PaperJSON {
    static func order(_ order: PaperOrder) throws(DecimalError) -> JSONText {
        let average =
            order.filledQuantity.isZero
            ? nil
            : try order.filledCost.divided(by: order.filledQuantity, roundedToPlaces: 9)
        let terms = order.terms
        return .object { json in
            json.string("id", order.id)
            json.string("client_order_id", order.clientOrderID)
            json.string("created_at", order.submittedAt.description)
            json.string("updated_at", order.updatedAt.description)
            json.string("submitted_at", order.submittedAt.description)
            json.string("filled_at", order.filledAt?.description)
            json.null("expired_at")
            json.string("canceled_at", order.canceledAt?.description)
            json.null("failed_at")
            json.string("replaced_at", order.replacedAt?.description)
            json.string("replaced_by", order.replacedBy)
            json.string("replaces", order.replaces)
            json.string("asset_id", assetID(terms.symbol))
            json.string("symbol", terms.symbol)
            json.string("asset_class", "us_equity")
            json.null("notional")
            json.string("qty", terms.quantity.description)
            json.string("filled_qty", order.filledQuantity.description)
            json.string("filled_avg_price", average?.description)
            json.string("order_class", "")
            json.string("order_type", terms.type.rawValue)
            json.string("type", terms.type.rawValue)
            json.string("side", terms.side.rawValue)
            json.string("time_in_force", terms.timeInForce.rawValue)
            json.string("limit_price", terms.limitPrice?.description)
            json.string("stop_price", terms.stopPrice?.description)
            json.string("status", order.status.rawValue)
            json.bool("extended_hours", terms.extendedHours)
            for key in ["legs", "trail_percent", "trail_price", "hwm", "subtag", "source"]
                as [StaticString]
            {
                json.null(key)
            }
            json.string(
                "position_intent", terms.side == .buy ? "buy_to_open" : "sell_to_close")
        }
    }

    static func account(
        _ account: PaperAccount, _ quotes: [String: PaperQuote]
    ) throws(DecimalError) -> JSONText {
        var value = ExactDecimal.zero
        for (symbol, position) in account.positions {
            value = try value.adding(marketValue(symbol, position, quotes))
        }
        let equity = try account.cash.adding(value).description
        let power = try account.buyingPower().description
        return .object { json in
            json.string("id", account.id)
            json.string("account_number", account.id)
            json.string("status", "ACTIVE")
            json.string("currency", "USD")
            json.string("cash", account.cash.description)
            json.string("equity", equity)
            json.string("last_equity", equity)
            json.string("buying_power", power)
            json.string("regt_buying_power", power)
            json.string("non_marginable_buying_power", power)
            json.string("long_market_value", value.description)
            json.string("short_market_value", "0")
            json.string("initial_margin", value.description)
            json.string("maintenance_margin", "0")
            json.string("multiplier", "1")
            json.bool("trading_blocked", false)
            json.bool("account_blocked", false)
            json.bool("trade_suspended_by_user", false)
            json.bool("shorting_enabled", false)
        }
    }

    private static func marketValue(
        _ symbol: String, _ position: PaperPosition, _ quotes: [String: PaperQuote]
    ) throws(DecimalError) -> ExactDecimal {
        guard let price = quotes[symbol]?.lastPrice else { return position.costBasis }
        return try position.quantity.multiplied(by: price)
    }

    static func position(
        _ symbol: String, _ position: PaperPosition, _ account: PaperAccount,
        _ quotes: [String: PaperQuote]
    ) throws(DecimalError) -> JSONText {
        let average = try position.averageEntryPrice()
        let value = try marketValue(symbol, position, quotes)
        let profit = try value.subtracting(position.costBasis)
        let share =
            position.costBasis.isZero
            ? ExactDecimal.zero
            : try profit.divided(by: position.costBasis, roundedToPlaces: 9)
        let price = quotes[symbol]?.lastPrice ?? average
        let available = try account.availableShares(symbol)
        return .object { json in
            json.string("asset_id", assetID(symbol))
            json.string("symbol", symbol)
            json.string("exchange", "PAPER")
            json.string("asset_class", "us_equity")
            json.bool("asset_marginable", false)
            json.string("qty", position.quantity.description)
            json.string("qty_available", available.description)
            json.string("side", "long")
            json.string("avg_entry_price", average.description)
            json.string("market_value", value.description)
            json.string("cost_basis", position.costBasis.description)
            json.string("unrealized_pl", profit.description)
            json.string("unrealized_plpc", share.description)
            json.string("unrealized_intraday_pl", profit.description)
            json.string("unrealized_intraday_plpc", share.description)
            json.string("current_price", price.description)
            json.string("lastday_price", price.description)
            json.string("change_today", "0")
        }
    }

    static func fill(_ fill: PaperFill) -> JSONText {
        .object { json in
            json.string("id", fill.id)
            json.string("activity_type", "FILL")
            json.string("transaction_time", fill.time.description)
            json.string("type", fill.leavesQuantity.isZero ? "fill" : "partial_fill")
            json.string("price", fill.price.description)
            json.string("qty", fill.quantity.description)
            json.string("side", fill.side.rawValue)
            json.string("symbol", fill.symbol)
            json.string("leaves_qty", fill.leavesQuantity.description)
            json.string("cum_qty", fill.cumulativeQuantity.description)
            json.string("order_id", fill.orderID)
            json.string("order_status", fill.orderStatus.rawValue)
        }
    }

    /// Market data has numbers, not strings.
    static func snapshots(_ quotes: [PaperQuote]) -> JSONText {
        .object { json in
            for quote in quotes { json.value(named: quote.symbol, snapshot(quote)) }
        }
    }

    private static func snapshot(_ quote: PaperQuote) -> JSONText {
        .object { json in
            json.value(
                "latestTrade",
                .object { json in
                    json.number("p", quote.lastPrice)
                    json.string("t", quote.time.description)
                })
            json.value(
                "latestQuote",
                .object { json in
                    json.number("ap", quote.askPrice)
                    json.number("bp", quote.bidPrice)
                    json.string("t", quote.time.description)
                })
            json.value("dailyBar", .object { json in json.number("v", quote.volume) })
        }
    }

    static func bars(_ page: BarBook.Page, _ symbol: String) -> JSONText {
        .object { json in
            json.value("bars", .array(page.bars.map(bar)))
            json.string("symbol", symbol)
            json.string("next_page_token", page.next?.description)
        }
    }

    private static func bar(_ bar: PaperBar) -> JSONText {
        .object { json in
            json.string("t", bar.start.description)
            json.number("o", bar.open)
            json.number("h", bar.high)
            json.number("l", bar.low)
            json.number("c", bar.close)
            json.number("v", bar.volume)
        }
    }

    /// The market here never closes.
    static func clock(_ now: Timestamp) -> JSONText {
        .object { json in
            json.string("timestamp", now.description)
            json.bool("is_open", true)
            json.string("next_open", now.advanced(bySeconds: 86_400).description)
            json.string("next_close", now.advanced(bySeconds: 86_400).description)
        }
    }

    static func refusal(_ refusal: PaperRefusal) -> JSONText {
        .object { json in
            json.number("code", refusal.code)
            json.string("message", refusal.message)
            for (key, value) in refusal.fields.sorted(by: { $0.key < $1.key }) {
                json.string(named: key, value)
            }
        }
    }

    /// The same for a symbol always: assets have no table here.
    private static func assetID(_ symbol: String) -> String {
        let digits = symbol.utf8.map { String($0, radix: 16) }.joined().prefix(12)
        return "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count)
            + digits
    }
}
