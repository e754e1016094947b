internal import Ledger
package import Trading

/// How the trading API shows what it speaks of.
extension JSONWriter {
    package mutating func order(_ order: Order) {
        object { json in
            json.member("order_id", order.orderID)
            json.member("account_id", order.accountID)
            json.member("client_order_id", order.clientOrderID)
            json.member("symbol", order.terms.symbol)
            json.member("side", order.terms.side.rawValue)
            json.member("type", order.terms.type.rawValue)
            json.member("qty", order.terms.quantity)
            json.member("limit_price", order.terms.limitPrice)
            json.member("stop_price", order.terms.stopPrice)
            json.member("time_in_force", order.terms.timeInForce.rawValue)
            json.member("extended_hours", order.terms.extendedHours)
            json.member("status", order.status.rawValue)
            json.member("filled_qty", order.filledQuantity)
            json.member("avg_fill_price", order.averageFillPrice)
            json.member("cancel_requested", order.cancelRequested)
            json.member("origin", order.origin.rawValue)
            json.member("broker_order_id", order.brokerOrderID)
            json.member("reason", order.reason)
            json.member("created_at", order.createdAt)
            json.member("updated_at", order.updatedAt)
        }
    }

    package mutating func position(_ position: Position) {
        object { json in
            json.member("account_id", position.accountID)
            json.member("symbol", position.symbol)
            json.member("qty", position.quantity)
            json.member("available_qty", try? position.quantity.subtracting(position.heldQuantity))
            json.member("avg_cost", position.averageCost)
            json.member("cost", position.cost)
            json.member("side", position.side.rawValue)
            json.member("market_value", position.marketValue)
            json.member("unrealized_pl", position.unrealizedProfit)
            json.member("realized_pl", position.realizedProfit)
            json.member("updated_at", position.updatedAt)
        }
    }

    package mutating func deal(_ deal: Deal) {
        object { json in
            json.member("deal_id", deal.dealID)
            json.member("order_id", deal.orderID)
            json.member("account_id", deal.accountID)
            json.member("symbol", deal.symbol)
            json.member("side", deal.side.rawValue)
            json.member("qty", deal.quantity)
            json.member("price", deal.price)
            json.member("amount", deal.amount)
            json.member("executed_at", deal.executedAt)
        }
    }

    package mutating func quote(_ quote: BrokerQuote) {
        object { json in
            json.member("symbol", quote.symbol)
            json.member("bid_price", quote.bidPrice)
            json.member("ask_price", quote.askPrice)
            json.member("last_price", quote.lastPrice)
            json.member("volume", quote.volume)
            json.member("timestamp", quote.timestamp)
        }
    }

    package mutating func bar(_ bar: Bar, _ symbol: String, _ timeframe: Timeframe) {
        object { json in
            json.member("symbol", symbol)
            json.member("timeframe", timeframe.rawValue)
            json.member("timestamp", bar.timestamp)
            json.member("open", bar.open)
            json.member("high", bar.high)
            json.member("low", bar.low)
            json.member("close", bar.close)
            json.member("volume", bar.volume)
        }
    }

    package mutating func account(_ account: Account, state: AccountState?, balance: Balance?) {
        object { json in
            json.member("account_id", account.id)
            json.member("account_type", account.role.rawValue)
            json.member("status", account.status.rawValue)
            json.member("trading", state?.status.rawValue)
            json.member("reason", state?.reason)
            json.member("master_account", account.masterAccount)
            json.member("paper_trading", account.credentials.paperTrading)
            json.member("priority", account.priority.rawValue)
            json.member("cash", balance?.cash)
            json.member("frozen", balance?.frozen)
            json.member("buying_power", balance?.buyingPower)
            json.member("portfolio_value", balance?.portfolioValue)
            json.member("updated_at", balance?.updatedAt)
        }
    }
}
