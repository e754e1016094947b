public import Ledger

/// What must be so of a row for it to be written.
public enum RowCondition: Sendable, Hashable {
    case none
    case absent
    case present
    /// It stands as one of these entries left it.
    case sequence(anyOf: Set<SequenceNumber>)

    func holds(for present: SequenceNumber?) -> Bool {
        switch self {
        case .none: true
        case .absent: present == nil
        case .present: present != nil
        case .sequence(let wanted): present.map(wanted.contains) ?? false
        }
    }
}

/// What a write of declared rows did. Enough to take it back.
public struct DataReceipt: Sendable, Hashable {
    public struct Change: Sendable, Hashable {
        public let key: RowKey
        /// Nil: there was none.
        public let before: Row?
        /// Nil: it is deleted.
        public let after: Row?
    }

    /// Of the entry; of the last one before it when nothing changed.
    public let sequence: SequenceNumber
    public let changes: [Change]
}

/// What programs do to the rows of declared datasets. Nobody reaches the rows of another account: they
/// are not there for him.
extension TradingState {
    /// Creates or replaces a row.
    public mutating func putRow(
        _ row: Row, if condition: RowCondition = .none, at now: Timestamp, by actor: String
    ) throws(Refusal) -> DataReceipt {
        let change = try putRow(row, if: condition)
        seal("data.put", at: now, by: actor)
        return DataReceipt(sequence: sequence, changes: [change])
    }

    /// - Parameter account: whose row it is; empty where the dataset's rows belong to none.
    public mutating func deleteRow(
        _ key: RowKey, of account: String, if condition: RowCondition = .none, at now: Timestamp,
        by actor: String
    ) throws(Refusal) -> DataReceipt {
        let known = try declaredRow(key, of: account)
        guard let known else {
            guard case .none = condition else {
                throw .conditionFailed(row: key.description, sequence: nil)
            }
            throw .unknownRow(key.description)
        }
        guard condition.holds(for: known.sequence) else {
            throw .conditionFailed(row: key.description, sequence: known.sequence)
        }
        delete(key)
        seal("data.deleted", at: now, by: actor)
        return DataReceipt(
            sequence: sequence,
            changes: [DataReceipt.Change(key: key, before: known.row, after: nil)])
    }

    /// All of it or nothing, in one entry. What is to be deleted and is not there is passed over, so that
    /// the same batch can be sent again.
    public mutating func writeRows(
        put rows: [Row], delete keys: [RowKey], of account: String, at now: Timestamp,
        by actor: String
    ) throws(Refusal) -> DataReceipt {
        var changes: [DataReceipt.Change] = []
        for key in keys {
            guard let known = try declaredRow(key, of: account) else { continue }
            delete(key)
            changes.append(DataReceipt.Change(key: key, before: known.row, after: nil))
        }
        for row in rows { changes.append(try putRow(row, if: .none)) }
        if !changes.isEmpty { seal("data.batch", at: now, by: actor) }
        return DataReceipt(sequence: sequence, changes: changes)
    }

    /// Journals the opposite of a write, of each row that is still as the write left it.
    /// - Returns: how many rows were taken back.
    public mutating func takeBack(
        _ receipt: DataReceipt, at now: Timestamp, by actor: String
    ) -> Int {
        var count = 0
        for change in receipt.changes {
            guard let schema = declared.catalogue[change.key.dataset] else { continue }
            guard declared.isAsLeft(by: receipt.sequence, change.key) else { continue }
            if let before = change.before {
                put(before, of: schema)
            } else {
                delete(change.key)
            }
            count += 1
        }
        if count > 0 { seal("data.rolled_back", at: now, by: actor) }
        return count
    }

    mutating func putRow(
        _ row: Row, if condition: RowCondition
    ) throws(Refusal) -> DataReceipt.Change {
        guard let schema = declared.catalogue[row.dataset] else {
            throw .unknownRow(row.dataset)
        }
        let key = row.key(in: schema)
        let known = try declaredRow(key, of: row.account(in: schema))
        guard condition.holds(for: known?.sequence) else {
            throw .conditionFailed(row: key.description, sequence: known?.sequence)
        }
        if known == nil, declared.isFull { throw .tooManyRows(limit: declared.countMax) }
        let bytes = declared.bytes
        put(row, of: schema)
        // What does not grow may always be written. What does is taken back with the whole decision.
        guard declared.bytes <= max(bytes, declared.bytesMax) else {
            throw .tooManyRowBytes(limit: declared.bytesMax)
        }
        return DataReceipt.Change(key: key, before: known?.row, after: row)
    }

    private func declaredRow(
        _ key: RowKey, of account: String
    ) throws(Refusal) -> DeclaredRow? {
        guard let known = declared[key] else { return nil }
        guard known.scope.account == account else { throw .unknownRow(key.description) }
        return known
    }
}
