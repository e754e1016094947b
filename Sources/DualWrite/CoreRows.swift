public import Ledger

/// The core's own copy of the rows, from which a store is filled that has none, or too old ones.
public protocol CoreRows: Sendable {
    var store: any RowStore { get }
    var catalogue: SchemaCatalogue { get }

    /// Returns once everything up to a sequence number is in the copy.
    func reach(_ sequence: SequenceNumber) async throws(StoreError)
}

extension JournalRun {
    /// With rows that were journaled before their dataset got more fields as its schema has them now.
    func widened(by catalogue: SchemaCatalogue) -> JournalRun {
        guard catalogue.schemas.contains(where: { $0.kind == .declared }) else { return self }
        var run = self
        for (index, change) in changes.enumerated() {
            guard let row = change.row, let schema = catalogue[row.dataset],
                row.values.count < schema.fields.count
            else { continue }
            run.changes[index] = StoreBatch.Change(
                key: change.key, row: schema.widened(row), sequence: change.sequence)
        }
        return run
    }
}

extension CoreRows {
    func key(of row: Row) -> [Value] {
        Array(row.values.prefix(catalogue[row.dataset]?.keyCount ?? row.values.count))
    }
}
