public import Ledger

/// Rows that lie somewhere and that nobody journals, or that are looked at as if nobody did: one side of a
/// pair. They come with the values of the pair's schema, whatever their own place calls them.
public protocol ComparedRows: Sendable {
    /// Every row that lies there, some at a time, in no order. What is there all the while comes exactly
    /// once. Throws when a part could not be read: what was not read is not known, and never missing.
    func scan(
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError)

    /// What lies at each of some keys, in their order: nothing, a row, or several where nothing forbids it.
    func find(_ keys: [RowKey]) async throws(StoreError) -> [[FoundRow]]
}

/// Rows whose engine hashes them itself, so that those which are the same on both sides need not travel.
///
/// A row's hash is of its values and not of how they are written; what is the same value has the same hash
/// in every engine whose `probe` says the same.
public protocol EngineHashedRows: ComparedRows {
    /// Tells under one seed whether two engines hash alike. Nil where this one cannot hash these rows.
    func probe(seed: Int64) async throws(StoreError) -> String?

    /// The digest of all rows. A sum and not an exclusive or, in which two equal faults would cancel.
    func sum(seed: Int64) async throws(StoreError) -> Digest

    /// The digest of the rows in each of 4,096 buckets of the key's hash, which costs half as much again.
    func sums(seed: Int64) async throws(StoreError) -> [Int: Digest]

    /// The hash of the key and of the whole row, of every row in some buckets, some at a time.
    /// - Parameter buckets: nil: all.
    func hashes(
        seed: Int64, in buckets: Set<Int>?,
        _ consume: @Sendable ([(key: UInt64, row: UInt64)]) async throws(StoreError) -> Void
    ) async throws(StoreError)

    /// The rows whose keys have these hashes: their keys, or what is wrong with them.
    func keys(
        seed: Int64, of hashes: Set<UInt64>
    ) async throws(StoreError) -> (keys: Set<RowKey>, damaged: [DamagedRow])
}

/// One side, with the name that a report gives it.
public struct PairSide: Sendable {
    public let name: String
    let rows: any ComparedRows

    public init(_ name: String, _ rows: any ComparedRows) {
        self.name = name
        self.rows = rows
    }
}
