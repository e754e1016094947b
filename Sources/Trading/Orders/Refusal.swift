public import Ledger

/// Why the core did not do what it was asked. Nothing has changed when it is thrown.
public enum Refusal: Error, Sendable, Equatable {
    case unknownAccount(String)
    case unknownOrder(String)
    /// The account takes no orders: by configuration, or because it is halted.
    case accountClosed(account: String, reason: String)
    /// The broker's word on the account's cash and positions is not there yet. Retrying helps.
    case accountNotReady(account: String)
    case invalid(field: String, problem: String)
    case risk(rule: String, problem: String)
    case noPrice(symbol: String)
    case insufficientFunds(needed: String, available: String)
    case insufficientPosition(needed: String, available: String)
    /// The same client order id with other terms.
    case clientOrderIDTaken(orderID: String)
    /// The client order id was looked up too long ago to be sure. Looking it up again helps.
    case staleLookUp
    case tooManyOrders(limit: Int)
    case queueFull(capacity: Int)
    case notCancelable(orderID: String, status: String)
    case notResolvable(orderID: String, status: String)
    case unknownRepair(String)
    /// A plan that has gone another way meanwhile.
    case notInState(repair: String, state: String, verb: String)
    /// No row of a declared dataset, or one of another account.
    case unknownRow(String)
    /// What a write asks of the row is not so: the row's present sequence number, nil where there is no
    /// row. Reading it again and deciding anew helps.
    case conditionFailed(row: String, sequence: SequenceNumber?)
    /// Rows of declared datasets are held in memory, and there are as many as may be, or of as many bytes.
    case tooManyRows(limit: Int)
    case tooManyRowBytes(limit: Int)
}

extension Refusal: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unknownAccount(let id): "there is no trading account '\(id)'"
        case .unknownOrder(let id): "there is no order '\(id)'"
        case .accountClosed(let account, let reason): "\(account) takes no orders: \(reason)"
        case .accountNotReady(let account):
            "\(account) is not synchronised with the broker yet; try again shortly"
        case .invalid(let field, let problem): "\(field) \(problem)"
        case .risk(let rule, let problem): "\(rule): \(problem)"
        case .noPrice(let symbol): "there is no fresh quote for \(symbol) to size the order by"
        case .insufficientFunds(let needed, let available):
            "insufficient buying power: \(needed) needed, \(available) available"
        case .insufficientPosition(let needed, let available):
            "insufficient quantity: \(needed) needed, \(available) available"
        case .clientOrderIDTaken(let orderID):
            "client_order_id is in use by \(orderID) with other terms"
        case .staleLookUp: "the look-up of client_order_id is out of date"
        case .tooManyOrders(let limit): "max_concurrent_orders is \(limit), and as many are open"
        case .queueFull(let capacity): "the order queue is full (\(capacity)); try again shortly"
        case .notCancelable(let orderID, let status): "\(orderID) is \(status)"
        case .notResolvable(let orderID, let status):
            "\(orderID) is \(status); only an unknown order can be resolved by hand"
        case .unknownRepair(let id): "there is no repair '\(id)'"
        case .notInState(let id, let state, let verb):
            "repair \(id) is \(state): it cannot be \(verb)"
        case .unknownRow(let row): "there is no row '\(row)' for this token"
        case .conditionFailed(let row, nil): "there is no row '\(row)', so no condition on it holds"
        case .conditionFailed(let row, let sequence?):
            "the row '\(row)' stands at \(sequence.rawValue), which is not what was asked for; read it again"
        case .tooManyRows(let limit):
            "the declared datasets have \(limit) rows, and more are not held; delete some"
        case .tooManyRowBytes(let limit):
            "the rows of the declared datasets would have over \(limit >> 20) MiB, and more are not held; delete some"
        }
    }
}
