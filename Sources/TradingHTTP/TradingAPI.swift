import HTTPTypes
public import Hummingbird
import Ledger
import Metrics
public import Trading

/// The routes of `listen.trading`. Every one asks for a token, and shows and touches only the rows
/// of the token's own account.
public struct TradingAPI: Sendable {
    let core: TradingCore
    /// For lists: by their routes, where they have one.
    let lists: OrderHistory
    let data: DataAPI
    let quotes: QuoteBoard
    let bars: BarBoard
    let directory: AccountDirectory
    let limits: RequestLimits
    let authority: TokenAuthority
    let accessLog: AccessLog
    let acceptDuration = Timer(label: "opsd_order_accept_duration_seconds")

    public init(
        core: TradingCore, routed: (any RoutedRows)? = nil,
        delivery: (any DataDelivery)? = nil, quotes: QuoteBoard, bars: BarBoard,
        directory: AccountDirectory, limits: RequestLimits, authority: TokenAuthority,
        accessLog: AccessLog
    ) {
        self.core = core
        lists = routed.map(core.history.reading) ?? core.history
        data = DataAPI(core: core, routed: routed, delivery: delivery)
        self.quotes = quotes
        self.bars = bars
        self.directory = directory
        self.limits = limits
        self.authority = authority
        self.accessLog = accessLog
    }

    public func router() -> Router<APIContext> {
        let router = Router(context: APIContext.self)
        router.add(
            middleware: AnswerMiddleware(
                accessLog: accessLog, durations: RouteDurations(),
                tokens: TokenCheck(
                    authority: authority, published: core.engine.published, limits: limits)))
        let api = router.group("api/v1")
        api.post("orders", use: postOrder)
        api.get("orders", use: listOrders)
        api.get("orders/{order_id}", use: getOrder)
        api.delete("orders/{order_id}", use: deleteOrder)
        api.get("accounts", use: listAccounts)
        api.get("accounts/{account_id}", use: getAccount)
        api.get("positions", use: listPositions)
        api.get("deals", use: listDeals)
        addMarketRoutes(to: api)
        data.addRoutes(to: api)
        api.post("tokens/refresh", use: refreshToken)
        api.post("tokens/revoke", use: revokeToken)
        return router
    }

    /// The account that a request is about: the token's own, named or not. Another account's name
    /// gets the answer of a name that nothing has.
    private func account(
        _ named: String?, _ principal: Principal
    ) throws(APIError) -> String {
        guard let named, named != principal.accountID else { return principal.accountID }
        throw .notFound("there is no account '\(named)' for this token")
    }

    private func require(_ permission: String, _ principal: Principal) throws(APIError) {
        try principal.require(permission)
    }
}

// MARK: - Orders

extension TradingAPI {
    private func postOrder(_ request: Request, _ context: APIContext) async throws -> Response {
        let start = Timestamp.now()
        let principal = try context.requirePrincipal()
        try require("trade", principal)
        let body = try await OrderBody.read(request)
        let accountID = try account(body.accountID, principal)
        do {
            try limits.admitOrder(of: accountID, at: start)
        } catch {
            throw APIError(error)
        }
        let placement = try await place(body, accountID: accountID, by: principal)
        acceptDuration.recordNanoseconds(
            max(0, Timestamp.now().microseconds - start.microseconds) * 1_000)
        switch placement {
        case .accepted(let order): return Envelope.success(.accepted) { $0.order(order) }
        case .existing(let order): return Envelope.success(.ok) { $0.order(order) }
        }
    }

    private func place(
        _ body: OrderBody, accountID: String, by principal: Principal
    ) async throws -> Placement {
        var request = OrderRequest(
            accountID: accountID, clientOrderID: body.clientOrderID, terms: body.terms)
        var quoteFailure: QuoteBoard.Failure?
        if body.terms.needsQuote {
            do {
                request.referencePrice = try await quotes.quote(body.terms.symbol).askPrice
            } catch {
                // Most orders that fail without a price are refused for another reason.
                quoteFailure = error
            }
        }
        // The look-up and the decision are apart in time; the engine says when that mattered.
        for _ in 0..<10 {
            if let clientOrderID = body.clientOrderID {
                let (known, head) = try await history {
                    () throws(StoreError) in
                    try await core.history.order(
                        accountID: accountID, clientOrderID: clientOrderID)
                }
                if let known {
                    guard known.terms == body.terms else {
                        throw APIError(Refusal.clientOrderIDTaken(orderID: known.orderID))
                    }
                    return .existing(known)
                }
                request.lookedUpAt = head
            }
            let decided = request
            do {
                return try await core.engine.performBounded { state, now throws(Refusal) in
                    try state.place(decided, at: now, by: principal.accountID)
                }
            } catch .refused(.staleLookUp) {
                continue
            } catch {
                if case .refused(.noPrice) = error, case .limited(let exceeded) = quoteFailure {
                    throw APIError(exceeded)
                }
                throw APIError(error)
            }
        }
        throw APIError(Refusal.staleLookUp)
    }

    private func history<Result>(
        _ read: () async throws(StoreError) -> Result
    ) async throws(APIError) -> Result {
        do {
            return try await read()
        } catch {
            throw APIError(error)
        }
    }

    /// The order of the path, when it is the token's own account's.
    private func ownOrder(
        _ context: APIContext, _ principal: Principal
    ) async throws -> Order {
        let orderID = context.parameters.decoded("order_id")
        let order = try await history { () throws(StoreError) in
            try await core.history.order(orderID)
        }
        guard let order, order.accountID == principal.accountID else {
            throw APIError(Refusal.unknownOrder(orderID))
        }
        return order
    }

    private func getOrder(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        try require("read", principal)
        let order = try await ownOrder(context, principal)
        return Envelope.success { $0.order(order) }
    }

    private func deleteOrder(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        try require("trade", principal)
        let order = try await ownOrder(context, principal)
        let cancelled: Order
        do throws(EngineError) {
            cancelled = try await core.cancel(order.orderID, by: principal.accountID)
        } catch {
            throw APIError(error)
        }
        return Envelope.success(.accepted) { $0.order(cancelled) }
    }

    private func listOrders(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        try require("read", principal)
        let accountID = try account(request.query.text("account_id"), principal)
        let page = try Page(request)
        var statuses: [OrderStatus] = []
        for word in request.query.text("status")?.split(separator: ",") ?? [] {
            switch word {
            case "open": statuses += OrderStatus.live
            case "closed": statuses += OrderStatus.allCases.filter(\.isTerminal)
            default:
                guard let status = OrderStatus(rawValue: String(word)) else {
                    let known = OrderStatus.allCases.map(\.rawValue).joined(separator: ", ")
                    throw APIError.badRequest("status must be open, closed or some of: \(known)")
                }
                statuses.append(status)
            }
        }
        let wanted = statuses
        let (total, orders) = try await history { () throws(StoreError) in
            try await lists.orders(
                accountID: accountID, statuses: wanted, limit: page.pageSize,
                offset: page.offset)
        }
        return page.response(total: total, orders) { $0.order($1) }
    }
}

// MARK: - Accounts, positions, deals

extension TradingAPI {
    private func listAccounts(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        try require("read", principal)
        let page = try Page(request)
        let own = [directory[principal.accountID]].compactMap { $0 }
        return page.response(
            total: own.count, Array(own.dropFirst(page.offset).prefix(page.pageSize))
        ) { json, account in
            show(account, &json)
        }
    }

    private func getAccount(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        try require("read", principal)
        let accountID = try account(context.parameters.decoded("account_id"), principal)
        guard let account = directory[accountID] else {
            throw APIError.notFound("there is no account '\(accountID)' for this token")
        }
        return Envelope.success { show(account, &$0) }
    }

    private func show(_ account: Account, _ json: inout JSONWriter) {
        let published = core.engine.published
        json.account(
            account, state: published.account(account.id), balance: published.balance(account.id))
    }

    private func listPositions(
        _ request: Request, _ context: APIContext
    ) async throws -> Response {
        let principal = try context.requirePrincipal()
        try require("read", principal)
        let accountID = try account(request.query.text("account_id"), principal)
        let page = try Page(request)
        let held = try await history { () throws(StoreError) in
            try await lists.positions(accountID)
        }
        return page.response(
            total: held.count, Array(held.dropFirst(page.offset).prefix(page.pageSize))
        ) { $0.position($1) }
    }

    private func listDeals(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        try require("read", principal)
        let query = request.query
        let accountID = try account(query.text("account_id"), principal)
        let page = try Page(request)
        let from = try query.instant("start_date")
        let before = try query.instant("end_date", wholeDay: true)
        let (total, deals) = try await history { () throws(StoreError) in
            try await lists.deals(
                accountID: accountID, symbol: query.text("symbol") ?? query.text("code"),
                from: from, before: before, limit: page.pageSize, offset: page.offset)
        }
        return page.response(total: total, deals) { $0.deal($1) }
    }
}

// MARK: - Tokens

extension TradingAPI {
    /// A new token for the same principal; the old one goes on until it expires or is revoked.
    private func refreshToken(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        guard let account = directory[principal.accountID] else {
            throw APIError(status: .unauthorized, message: "the token's account is gone")
        }
        let token = try await authority.renew(
            principal, accountType: account.role.rawValue, at: .now())
        return Envelope.success { json in
            json.object { json in
                json.member("token", token)
                json.member("expires_in", Int(TokenAuthority.lifetimeSeconds))
            }
        }
    }

    /// Revokes the token that the request came with. It is durable before the answer goes out.
    private func revokeToken(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let revocation = Revocation(
            tokenID: principal.tokenID, accountID: principal.accountID,
            expiresAt: Timestamp(microseconds: principal.expiresAtSeconds * 1_000_000))
        do throws(EngineError) {
            try await core.engine.perform { state, now throws(Refusal) in
                state.revoke(revocation, at: now, by: principal.accountID)
            }
        } catch {
            throw APIError(error)
        }
        return Envelope.success { json in
            json.object { $0.member("revoked", principal.tokenID) }
        }
    }
}
