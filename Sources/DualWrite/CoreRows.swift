public import Ledger

/// The core's own copy of the rows, from which a store is filled that has none, or too old ones.
public protocol CoreRows: Sendable {
    var store: any RowStore { get }
    var catalogue: SchemaCatalogue { get }

    /// Returns once everything up to a sequence number is in the copy.
    func reach(_ sequence: SequenceNumber) async throws(StoreError)
}

extension CoreRows {
    func key(of row: Row) -> [Value] {
        Array(row.values.prefix(catalogue[row.dataset]?.keyCount ?? row.values.count))
    }
}
