public import Ledger

/// The trading core's state as a plain value: no clock, no socket, no file.
///
/// A decision reads it, changes it through `put`, and `seal`s the changes into one entry. Nothing
/// is final until `settle`, after the entries are on disk; `rollback` takes back everything that is
/// not settled. Rows are its only memory: `restore` rebuilds it from rows alone.
public struct TradingState: Sendable {
    public let rules: [String: AccountRules]
    let digestKey: SipHashKey
    /// The last sequence number given out.
    private(set) var sequence: SequenceNumber

    /// Live orders, and those that have ended but are not in the checkpoint yet.
    private(set) var orders: [String: Tracked<Order>] = [:]
    private(set) var clientOrderIDs: [ClientOrderKey: String] = [:]
    private(set) var brokerOrderIDs: [String: String] = [:]
    private(set) var liveOrderCounts: [String: Int] = [:]
    /// What open buys still want, by account and symbol.
    private(set) var openBuys: [PositionKey: ExactDecimal] = [:]
    private(set) var balances: [String: Tracked<Balance>] = [:]
    /// By account, then by symbol.
    private(set) var positions: [String: [String: Tracked<Position>]] = [:]
    private(set) var accounts: [String: Tracked<AccountState>] = [:]
    private(set) var risk: [String: Tracked<RiskDay>] = [:]
    private(set) var revocations = RevokedTokens()
    private(set) var repairs: [String: Tracked<RepairRecord>] = [:]
    private(set) var declared: DeclaredRows
    private(set) var digests: [DigestScope: Digest] = [:]
    /// Everything up to here that had ended has left `orders`.
    private(set) var evictedThrough: SequenceNumber = .none

    private var open = OpenEntry()
    private(set) var uncommitted = CommittedBatch()
    private var undo: [Undo] = []
    /// How many steps of the undo list belong to what was handed on.
    private var undoHandedOn = 0

    public init(
        rules: [AccountRules], digestKey: SipHashKey, sequence: SequenceNumber,
        declared: DeclaredRows = DeclaredRows()
    ) {
        self.rules = Dictionary(
            rules.map { ($0.accountID, $0) }, uniquingKeysWith: { first, _ in first })
        self.digestKey = digestKey
        self.sequence = sequence
        self.declared = declared
    }

    public var lastSequence: SequenceNumber { sequence }
    var nextSequence: SequenceNumber { sequence.next }
}

/// A value and what the digest needs to take its row out again. Immutable and shared: the state, its
/// undo list and the readers all point to the same one.
final class Tracked<Value: Entity>: Sendable {
    let value: Value
    /// A set of one row: what the digest of its scope contains of it.
    let digest: Digest
    let sequence: SequenceNumber

    init(value: Value, rowHash: UInt128, sequence: SequenceNumber) {
        self.value = value
        digest = Digest(sum: rowHash, count: 1)
        self.sequence = sequence
    }
}

struct PositionKey: Hashable, Sendable {
    let accountID: String
    let symbol: String
}

struct ClientOrderKey: Hashable, Sendable {
    let accountID: String
    let clientOrderID: String
}

private enum Undo: Sendable {
    case order(String, Tracked<Order>?)
    case balance(String, Tracked<Balance>?)
    case position(String, String, Tracked<Position>?)
    case account(String, Tracked<AccountState>?)
    case risk(String, Tracked<RiskDay>?)
    case revocation(String)
    case repair(String, Tracked<RepairRecord>?)
    case declared(RowKey, DeclaredRow?, deletion: SequenceNumber?)
    case digest(DigestScope, Digest?)
    case sequence(SequenceNumber)
}

// MARK: - Changing

extension TradingState {
    mutating func put(_ order: Order) {
        let old = orders[order.orderID]
        undo.append(.order(order.orderID, old))
        let new = tracked(order, replacing: old)
        set(new, forOrder: order.orderID)
        uncommitted.news.append(.order(new))
    }

    mutating func put(_ balance: Balance) {
        let old = balances[balance.accountID]
        undo.append(.balance(balance.accountID, old))
        let new = tracked(balance, replacing: old)
        balances[balance.accountID] = new
        uncommitted.news.append(.balance(new))
    }

    mutating func put(_ position: Position) {
        let old = positions[position.accountID]?[position.symbol]
        undo.append(.position(position.accountID, position.symbol, old))
        let new = tracked(position, replacing: old)
        positions[position.accountID, default: [:]][position.symbol] = new
        uncommitted.news.append(.position(new))
    }

    mutating func put(_ account: AccountState) {
        let old = accounts[account.accountID]
        undo.append(.account(account.accountID, old))
        let new = tracked(account, replacing: old)
        accounts[account.accountID] = new
        uncommitted.news.append(.account(new))
    }

    mutating func put(_ day: RiskDay) {
        let old = risk[day.masterAccount]
        undo.append(.risk(day.masterAccount, old))
        risk[day.masterAccount] = tracked(day, replacing: old)
    }

    mutating func put(_ repair: RepairRecord) {
        let old = repairs[repair.id]
        undo.append(.repair(repair.id, old))
        let new = tracked(repair, replacing: old)
        repairs[repair.id] = new
        uncommitted.news.append(.repair(new))
    }

    /// Of a token that has not been revoked before.
    mutating func append(_ revocation: Revocation, at now: Timestamp) {
        undo.append(.revocation(revocation.tokenID))
        _ = record(revocation, replacing: nil)
        revocations.insert(revocation, at: now)
        uncommitted.news.append(.revocation(revocation))
    }

    private mutating func tracked<Value: Entity>(
        _ value: Value, replacing old: Tracked<Value>?
    ) -> Tracked<Value> {
        let hash = record(value, replacing: old?.digest)
        return Tracked(value: value, rowHash: hash, sequence: nextSequence)
    }

    /// Adds a fact that is never changed again and need not stay in memory.
    mutating func append(_ deal: Deal) {
        _ = record(deal, replacing: nil)
    }

    mutating func append(_ opening: Opening) {
        _ = record(opening, replacing: nil)
    }

    mutating func append(_ flow: CashFlow) {
        _ = record(flow, replacing: nil)
    }

    private mutating func record(
        _ entity: some Entity, replacing old: Digest?
    ) -> UInt128 {
        let row = entity.row
        let schema = type(of: entity).schema
        let change = RowChange.put(row, keyCount: schema.keyCount)
        let hash = digestKey.hash(change.encoded)
        let scope = DigestScope(dataset: row.dataset, account: row.account(in: schema))
        updateDigest(of: scope) { digest in
            if let old { digest.remove(old.sum) }
            digest.add(hash)
        }
        open.add(change, key: row.key(in: schema), row: row, scope: scope)
        return hash
    }

    private mutating func updateDigest(of scope: DigestScope, _ change: (inout Digest) -> Void) {
        let before = digests[scope]
        undo.append(.digest(scope, before))
        var digest = before ?? .empty
        change(&digest)
        digests[scope] = digest
    }

    /// Puts a row of a declared dataset; of an account's that was another's, both digests change.
    mutating func put(_ row: Row, of schema: Schema) {
        let change = RowChange.put(row, keyCount: schema.keyCount)
        let new = DeclaredRow(
            row, in: schema, hash: digestKey.hash(change.encoded), sequence: nextSequence,
            bytes: change.encoded.count)
        replace(row.key(in: schema), with: new, change)
    }

    mutating func delete(_ key: RowKey) {
        replace(key, with: nil, .delete(key))
    }

    private mutating func replace(_ key: RowKey, with new: DeclaredRow?, _ change: RowChange) {
        let old = declared[key]
        undo.append(.declared(key, old, deletion: declared.deletion(of: key)))
        declared.set(new, for: key)
        if new == nil { declared.noteDeletion(of: key, at: nextSequence) }
        if let old { updateDigest(of: old.scope) { $0.remove(old.digest.sum) } }
        if let new { updateDigest(of: new.scope) { $0.add(new.digest.sum) } }
        if let scope = new?.scope ?? old?.scope {
            open.add(change, key: key, row: new?.row, scope: scope)
        }
        if let old { open.touch(old.scope) }
        uncommitted.news.append(.declared(key, new))
    }

    /// Closes the changes since the last seal into one entry.
    mutating func seal(_ kind: String, at time: Timestamp, by actor: String = "") {
        undo.append(.sequence(sequence))
        sequence = nextSequence
        let stamps = open.scopes.map {
            DigestStamp(scope: $0, digest: digests[$0] ?? .empty)
        }
        uncommitted.drafts.append(
            EntryDraft(
                sequence: sequence, time: time, kind: kind, actor: actor,
                changes: open.changes, digests: stamps))
        for (key, row) in open.rows {
            uncommitted.changes.append(
                StoreBatch.Change(key: key, row: row, sequence: sequence))
        }
        open = OpenEntry()
    }

    mutating func effect(_ effect: Effect) {
        uncommitted.effects.append(effect)
    }

    private mutating func set(_ tracked: Tracked<Order>?, forOrder orderID: String) {
        let old = orders[orderID]
        if let old { countLive(old.value, by: -1) }
        orders[orderID] = tracked
        guard let order = tracked?.value else {
            if let old { forgetKeys(of: old.value) }
            return
        }
        // Taken back to a version that had other keys, or none.
        if let old, old.value.brokerOrderID != order.brokerOrderID { forgetKeys(of: old.value) }
        countLive(order, by: 1)
        if let clientOrderID = order.clientOrderID {
            let key = ClientOrderKey(accountID: order.accountID, clientOrderID: clientOrderID)
            clientOrderIDs[key] = orderID
        }
        if let brokerOrderID = order.brokerOrderID { brokerOrderIDs[brokerOrderID] = orderID }
    }

    /// Keeps what is counted over live orders in step with them.
    private mutating func countLive(_ order: Order, by sign: Int) {
        if order.status.isTerminal { return }
        liveOrderCounts[order.accountID, default: 0] += sign
        guard order.terms.side == .buy else { return }
        let key = PositionKey(accountID: order.accountID, symbol: order.terms.symbol)
        let remaining = order.remainingQuantity
        let sum = try? openBuys[key, default: .zero].adding(
            sign > 0 ? remaining : remaining.negated)
        openBuys[key] = sum.flatMap { $0.isZero ? nil : $0 }
    }

    private mutating func forgetKeys(of order: Order) {
        if let clientOrderID = order.clientOrderID {
            let key = ClientOrderKey(accountID: order.accountID, clientOrderID: clientOrderID)
            clientOrderIDs[key] = nil
        }
        if let brokerOrderID = order.brokerOrderID { brokerOrderIDs[brokerOrderID] = nil }
    }
}

// MARK: - Committing

extension TradingState {
    /// Hands on what was decided since the last call. It can still be taken back, by `rollback`,
    /// until it is settled.
    mutating func takeUncommitted() -> CommittedBatch {
        defer {
            uncommitted = CommittedBatch()
            undoHandedOn = undo.count
        }
        uncommitted.undoCount = undo.count - undoHandedOn
        return uncommitted
    }

    /// A batch that was handed on, the oldest of those not settled, is durable: it can no more be
    /// taken back.
    mutating func settle(_ batch: CommittedBatch) {
        undo.removeFirst(batch.undoCount)
        undoHandedOn -= batch.undoCount
    }

    /// Hands on what was decided and makes it final at once, for a state that no journal backs.
    public mutating func commit() -> CommittedBatch {
        let batch = takeUncommitted()
        settle(batch)
        return batch
    }

    /// Where a decision began, so that it alone can be taken back.
    struct Mark {
        fileprivate let undo: Int
        fileprivate let drafts: Int
        fileprivate let changes: Int
        fileprivate let news: Int
        fileprivate let effects: Int
    }

    var mark: Mark {
        Mark(
            undo: undo.count, drafts: uncommitted.drafts.count,
            changes: uncommitted.changes.count, news: uncommitted.news.count,
            effects: uncommitted.effects.count)
    }

    /// Takes back everything since a mark: a decision that refused half-way leaves no trace.
    mutating func rollback(to mark: Mark) {
        while undo.count > mark.undo { revert(undo.removeLast()) }
        uncommitted.drafts.removeSubrange(mark.drafts...)
        uncommitted.changes.removeSubrange(mark.changes...)
        uncommitted.news.removeSubrange(mark.news...)
        uncommitted.effects.removeSubrange(mark.effects...)
        open = OpenEntry()
    }

    /// Takes back everything that is not settled.
    mutating func rollback() {
        rollback(to: Mark(undo: 0, drafts: 0, changes: 0, news: 0, effects: 0))
        undoHandedOn = 0
    }

    private mutating func revert(_ step: Undo) {
        switch step {
        case .order(let id, let old): set(old, forOrder: id)
        case .balance(let account, let old): balances[account] = old
        case .position(let account, let symbol, let old): positions[account]?[symbol] = old
        case .account(let account, let old): accounts[account] = old
        case .risk(let master, let old): risk[master] = old
        case .revocation(let token): revocations.remove(token)
        case .repair(let id, let old): repairs[id] = old
        case .declared(let key, let old, let deletion):
            declared.revert(key, to: old, deletion: deletion)
        case .digest(let scope, let old): digests[scope] = old
        case .sequence(let old): sequence = old
        }
    }

    /// Forgets the orders that have ended and are in the checkpoint. Only what is settled.
    mutating func evictEnded(through checkpoint: SequenceNumber, orderIDs: [String]) {
        for id in orderIDs {
            guard let tracked = orders[id], tracked.value.status.isTerminal,
                tracked.sequence <= checkpoint
            else { continue }
            evictedThrough = max(evictedThrough, tracked.sequence)
            set(nil, forOrder: id)
        }
    }

    /// Begins a new epoch with the next entry.
    mutating func beginEpoch(_ epoch: Int64) {
        undo.append(.sequence(sequence))
        sequence = SequenceNumber(epoch: epoch, number: 0)
    }
}

// MARK: - Restoring

extension TradingState {
    /// Takes a row as it was checkpointed.
    /// - Returns: the row's part in its scope's digest; nil for a dataset that is not the core's.
    @discardableResult
    public mutating func restore(
        _ stamped: StampedRow
    ) throws(RowError) -> (scope: DigestScope, hash: UInt128)? {
        if let schema = declared.catalogue[stamped.row.dataset] {
            let encoded = stamped.row.encoded(keyCount: schema.keyCount)
            let hash = digestKey.hash(encoded)
            let known = DeclaredRow(
                stamped.row, in: schema, hash: hash, sequence: stamped.sequence,
                bytes: encoded.count)
            declared.set(known, for: stamped.row.key(in: schema))
            return (known.scope, hash)
        }
        guard let schema = Datasets.catalogue[stamped.row.dataset] else { return nil }
        let hash = digestKey.hash(stamped.row.encoded(keyCount: schema.keyCount))
        try restore(stamped, rowHash: hash)
        let scope = DigestScope(
            dataset: stamped.row.dataset, account: stamped.row.account(in: schema))
        return (scope, hash)
    }

    /// Datasets that need no memory pass by.
    private mutating func restore(
        _ stamped: StampedRow, rowHash: UInt128
    ) throws(RowError) {
        func tracked<Value: Entity>() throws(RowError) -> Tracked<Value> {
            Tracked(
                value: try Value(row: stamped.row), rowHash: rowHash, sequence: stamped.sequence)
        }
        switch stamped.row.dataset {
        case "orders":
            let order: Tracked<Order> = try tracked()
            set(order, forOrder: order.value.orderID)
        case "balances":
            let balance: Tracked<Balance> = try tracked()
            balances[balance.value.accountID] = balance
        case "positions":
            let position: Tracked<Position> = try tracked()
            positions[position.value.accountID, default: [:]][position.value.symbol] = position
        case "accounts":
            let account: Tracked<AccountState> = try tracked()
            accounts[account.value.accountID] = account
        case "risk":
            let day: Tracked<RiskDay> = try tracked()
            risk[day.value.masterAccount] = day
        case "repairs":
            let repair: Tracked<RepairRecord> = try tracked()
            repairs[repair.value.id] = repair
        case "revocations":
            // Taken in at its own expiry, it goes with the first sweep that finds it expired.
            revocations.insert(try Revocation(row: stamped.row), at: Timestamp(microseconds: 0))
        default: break
        }
    }

    public mutating func restore(_ digest: DigestStamp) {
        digests[digest.scope] = digest.digest
    }

    /// Takes an entry that the checkpoint does not have yet, and gives its changes for it.
    mutating func replay(_ entry: Entry) throws -> [StoreBatch.Change] {
        var changes: [StoreBatch.Change] = []
        changes.reserveCapacity(entry.changes.count)
        for change in entry.changes {
            var stored = try change.storeChange(at: entry.sequence, in: Datasets.catalogue)
            if let schema = declared.catalogue[change.dataset] {
                stored = try replay(stored, of: schema, encoded: change.encoded)
            } else if let row = stored.row {
                // The rows of a dataset that is declared no more go to the checkpoint alone.
                try restore(
                    StampedRow(row: row, sequence: entry.sequence),
                    rowHash: digestKey.hash(change.encoded))
            }
            changes.append(stored)
        }
        for stamp in entry.draft.digests { restore(stamp) }
        sequence = entry.sequence
        return changes
    }

    private mutating func replay(
        _ change: StoreBatch.Change, of schema: Schema, encoded: [UInt8]
    ) throws(RowError) -> StoreBatch.Change {
        guard let row = change.row else {
            declared.set(nil, for: change.key)
            return change
        }
        let fitted = try schema.fitted(row)
        let known = DeclaredRow(
            fitted, in: schema, hash: digestKey.hash(encoded), sequence: change.sequence,
            bytes: encoded.count)
        declared.set(known, for: change.key)
        return StoreBatch.Change(key: change.key, row: fitted, sequence: change.sequence)
    }

    /// Goes on after an entry; the first in a new journal is an epoch's entry 0.
    mutating func resume(at head: SequenceNumber) {
        sequence = head
        for (account, balance) in balances where balance.value.portfolioValue == nil {
            balances[account] = valued(balance)
        }
    }

    /// The balance of a row of before this was written: what its account is worth is reckoned, and the
    /// row gets it with its next change. Out of range, it stays unknown.
    private func valued(_ balance: Tracked<Balance>) -> Tracked<Balance> {
        var value = balance.value
        var worth: ExactDecimal? = value.cash
        for position in positions[value.accountID, default: [:]].values {
            worth = worth.flatMap { try? $0.adding(position.value.marketValue) }
        }
        value.portfolioValue = worth
        return Tracked(value: value, rowHash: balance.digest.sum, sequence: balance.sequence)
    }
}
