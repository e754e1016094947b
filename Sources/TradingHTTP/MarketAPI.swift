import HTTPTypes
import Hummingbird
import Ledger
import Trading

/// Quotes and bars. They belong to no account: whoever may see market data sees all of it.
extension TradingAPI {
    func addMarketRoutes(to api: RouterGroup<APIContext>) {
        api.get("quotes/{symbol}", use: getQuote)
        api.get("klines", use: listBars)
    }

    private func getQuote(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.requirePrincipal().require("market_data")
        do {
            let quote = try await quotes.shown(context.parameters.decoded("symbol"))
            return Envelope.success { $0.quote(quote) }
        } catch {
            throw APIError(error)
        }
    }

    /// Oldest first, as a chart draws them.
    private func listBars(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.requirePrincipal().require("market_data")
        let page = try Page(request)
        let wanted = try BarRequest(request.query, at: .now())
        let found: [Bar]
        do throws(BarBoard.Failure) {
            found = try await bars.bars(wanted)
        } catch {
            throw APIError(error)
        }
        return page.response(
            total: found.count, Array(found.dropFirst(page.offset).prefix(page.pageSize))
        ) { $0.bar($1, wanted.symbol, wanted.timeframe) }
    }
}

extension BarRequest {
    /// Without a start, so many bars up to the end.
    private static let usualCount: Int64 = 500

    init(_ query: Query, at now: Timestamp) throws(APIError) {
        guard let symbol = query.text("symbol") ?? query.text("code") else {
            throw .badRequest("symbol is missing: name one, as in symbol=AAPL")
        }
        let word = query.text("timeframe") ?? Timeframe.day.rawValue
        guard let timeframe = Timeframe(word: word) else {
            let known = Timeframe.allCases.map(\.rawValue).joined(separator: ", ")
            throw .badRequest("timeframe must be one of: \(known)")
        }
        let present = timeframe.start(of: now).advanced(bySeconds: timeframe.seconds)
        let before = min(try query.instant("end", wholeDay: true) ?? present, present)
        let from =
            try query.instant("start")
            ?? before.advanced(bySeconds: -timeframe.seconds * Self.usualCount)
        self.init(symbol: symbol, timeframe: timeframe, from: from, before: before)
        guard countMax <= BarBoard.requestMax else {
            throw .badRequest(
                "from start to end there may be \(countMax) bars: ask for at most "
                    + "\(BarBoard.requestMax), by a later start or a longer timeframe")
        }
    }
}
