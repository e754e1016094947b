internal import Ledger

/// What a commit hands on: drafts for the journal, the rows for readers and the checkpoint, and
/// what is to be done now that the entries are durable.
public struct CommittedBatch: Sendable {
    var drafts: [EntryDraft] = []
    var changes: [StoreBatch.Change] = []
    var news: [News] = []
    var effects: [Effect] = []
    /// Steps of the state's undo list that belong to it.
    var undoCount = 0

    /// As those take it who follow the journal.
    var run: JournalRun { JournalRun(drafts: drafts, changes: changes) }
}

/// A new version of something that readers see.
enum News: Sendable {
    case order(Tracked<Order>)
    case balance(Tracked<Balance>)
    case position(Tracked<Position>)
    case account(Tracked<AccountState>)
    case revocation(Revocation)
    case repair(Tracked<RepairRecord>)
    /// Nil: the row is gone.
    case declared(RowKey, DeclaredRow?)
}

/// What follows from a decision once it is durable.
public enum Effect: Sendable, Hashable {
    /// An order wants to go to the broker.
    case dispatch(orderID: String)
    /// An order at the broker wants to be cancelled.
    case cancelAtBroker(orderID: String)
    /// An account has orders at the broker whose fate must be followed.
    case follow(accountID: String)
    /// The broker's word on an order is missing.
    case lookUp(orderID: String)
    /// A saga has come to its end.
    case sagaEnded(SagaStep)
    case orderEnded(OrderStatus)
}
