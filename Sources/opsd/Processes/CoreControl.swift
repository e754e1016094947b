import Foundation
import HTTPTypes
import Hummingbird
import Ledger
import Trading
import TradingHTTP

/// What operators' commands ask of a running core, at its control socket.
struct CoreControl: Sendable {
    let core: TradingCore
    let copies: StoreCopies
    /// Nil when no market data is cached in a store.
    let market: MarketStore?
    let directory: AccountDirectory
    let repairs: RepairKeeper

    /// The body of every request that changes something.
    struct Act: Codable {
        var operatorName: String
        var reason: String
        var resolution: String?
    }

    func addRoutes(to router: Router<BasicRequestContext>) {
        let control = router.group("control")
        control.get("status") { _, _ in Envelope.success(.ok, status) }
        control.get("accounts") { _, _ in
            Envelope.success { json in
                json.array(directory.accounts) { show($1, &$0) }
            }
        }
        control.get("accounts/{id}") { _, context in
            try answer { () throws(APIError) in
                let account = try known(context.parameters.decoded("id"))
                return Envelope.success { show(account, &$0) }
            }
        }
        control.post("accounts/{id}/{verb}") { request, context in
            try await changeAccount(request, context)
        }
        control.get("orders/{id}") { _, context in
            let orderID = context.parameters.decoded("id")
            guard let order = try await core.history.order(orderID) else {
                return Envelope.failure(.notFound, "\(Refusal.unknownOrder(orderID))")
            }
            return Envelope.success { $0.order(order) }
        }
        control.post("orders/{id}/{verb}") { request, context in
            try await changeOrder(request, context)
        }
        let stores = StoreControl(copies: copies, market: market)
        control.get("stores") { _, _ in Envelope.success { stores.show(&$0) } }
        control.post("stores/{name}/rebuild") { request, context in
            try await stores.rebuild(request, context)
        }
        MigrationControl(core: core, copies: copies).addRoutes(to: control)
        RepairControl(keeper: repairs).addRoutes(to: control)
    }

    private func answer(_ body: () throws(APIError) -> Response) throws -> Response {
        do {
            return try body()
        } catch {
            return error.response
        }
    }

    private func known(_ id: String) throws(APIError) -> Account {
        guard let account = directory[id] else {
            throw .notFound("there is no account '\(id)'")
        }
        return account
    }

    private func show(_ account: Account, _ json: inout JSONWriter) {
        let published = core.engine.published
        json.account(
            account, state: published.account(account.id), balance: published.balance(account.id))
    }

    private func status(_ json: inout JSONWriter) {
        let published = core.engine.published
        let trading = directory.tradingAccounts
        json.object { json in
            json.member("journal_sequence", published.head.description)
            json.member("checkpoint_sequence", core.checkpoint.appliedSequence.description)
            json.member("checkpoint_failure", core.checkpoint.failure?.description)
            json.member("journal_full", core.engine.isJournalFull)
            json.member("queue_depth", core.engine.orders.count)
            json.member("queue_capacity", core.engine.orders.capacity)
            json.member("live_orders", published.liveOrders().count)
            json.member("orders_unknown", published.unknownOrders)
            json.name("stores")
            StoreControl(copies: copies, market: market).show(&json)
            json.name("accounts_halted")
            json.array(trading.filter { published.account($0.id)?.status == .halted }) {
                $0.value($1.id)
            }
            json.name("accounts_not_open")
            let waiting = trading.filter {
                $0.status.acceptsOrders && published.balance($0.id) == nil
            }
            json.array(waiting) { $0.value($1.id) }
        }
    }

    private func act(_ request: Request) async throws -> Act {
        let body = try await request.body.collect(upTo: 65_536)
        let act = try JSONDecoder().decode(Act.self, from: Data(body.readableBytesView))
        // No row holds one.
        guard !(act.reason + act.operatorName).utf8.contains(0) else {
            throw HTTPError(.badRequest, message: "a text has a NUL; leave it out")
        }
        return act
    }

    private func changeAccount(
        _ request: Request, _ context: BasicRequestContext
    ) async throws -> Response {
        let act = try await act(request)
        let verb = try context.parameters.require("verb")
        do {
            let account = try known(context.parameters.decoded("id"))
            try await AccountChange(verb: verb, accountID: account.id, act: act).perform(on: core)
            return Envelope.success { show(account, &$0) }
        } catch let error as APIError {
            return error.response
        } catch let error as EngineError {
            return APIError(error).response
        }
    }

    private func changeOrder(
        _ request: Request, _ context: BasicRequestContext
    ) async throws -> Response {
        let act = try await act(request)
        let verb = try context.parameters.require("verb")
        let orderID = context.parameters.decoded("id")
        do {
            let order = try await OrderChange(verb: verb, orderID: orderID, act: act)
                .perform(on: core)
            return Envelope.success { $0.order(order) }
        } catch let error as APIError {
            return error.response
        } catch let error as EngineError {
            return APIError(error).response
        }
    }
}

/// `halt` or `resume`, of a core that runs or of one that a command opened for this alone.
struct AccountChange: Sendable {
    let verb: String
    let accountID: String
    let act: CoreControl.Act

    func perform(on core: TradingCore) async throws {
        let (verb, accountID, act) = (verb, accountID, act)
        guard verb == "halt" || verb == "resume" else {
            throw APIError.notFound("'\(verb)' is neither halt nor resume")
        }
        _ = try await core.engine.performControl { state, now throws(Refusal) in
            verb == "halt"
                ? try state.halt(accountID, reason: act.reason, at: now, by: act.operatorName)
                : try state.resume(accountID, reason: act.reason, at: now, by: act.operatorName)
        }
    }
}

/// `cancel` or `resolve` of one order.
struct OrderChange: Sendable {
    let verb: String
    let orderID: String
    let act: CoreControl.Act

    func perform(on core: TradingCore) async throws -> Order {
        let (orderID, act) = (orderID, act)
        switch verb {
        case "cancel":
            return try await core.cancel(orderID, reason: act.reason, by: act.operatorName)
        case "resolve":
            guard let resolution = act.resolution.flatMap(TradingState.Resolution.init) else {
                throw APIError.badRequest("an order is resolved as rejected or lookup")
            }
            try await resolve(as: resolution, on: core)
            guard let order = core.engine.published.order(orderID) else {
                throw APIError(Refusal.unknownOrder(orderID))
            }
            return order
        default: throw APIError.notFound("'\(verb)' is neither cancel nor resolve")
        }
    }

    private func resolve(
        as resolution: TradingState.Resolution, on core: TradingCore
    ) async throws {
        let (orderID, act) = (orderID, act)
        do {
            try await core.engine.performControl { state, now throws(Refusal) in
                try state.resolve(
                    orderID, as: resolution, reason: act.reason, at: now, by: act.operatorName)
            }
        } catch {
            // It may have ended long enough ago to have left memory.
            guard error == .refused(.unknownOrder(orderID)),
                let past = try await core.history.order(orderID)
            else { throw error }
            throw EngineError.refused(
                .notResolvable(orderID: orderID, status: past.status.rawValue))
        }
    }
}
