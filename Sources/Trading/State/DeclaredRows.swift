public import Ledger

/// The rows of the datasets that the configuration declares, as the core's state holds them: all of
/// them, so that a decision about one never asks a store.
public struct DeclaredRows: Sendable {
    /// The declared datasets.
    public let catalogue: SchemaCatalogue
    /// Most rows of all of them together, because they are held in memory.
    public let countMax: Int
    private(set) var rows: [RowKey: DeclaredRow] = [:]
    /// The entries of the newest deletions: a row that is gone has no sequence number of its own.
    private var deletions: [RowKey: SequenceNumber] = [:]

    private static let deletionsMax = 100_000
    /// A text of a key goes into names of files and keys of stores, where each byte may become three.
    public static let keyTextBytesMax = 64

    public init(_ schemas: [Schema] = [], countMax: Int = 1_000_000) {
        catalogue = SchemaCatalogue(schemas)
        self.countMax = countMax
    }

    var isFull: Bool { rows.count >= countMax }

    subscript(key: RowKey) -> DeclaredRow? { rows[key] }

    mutating func set(_ row: DeclaredRow?, for key: RowKey) {
        rows[key] = row
    }

    mutating func noteDeletion(of key: RowKey, at sequence: SequenceNumber) {
        if deletions.count >= Self.deletionsMax { deletions = [:] }
        deletions[key] = sequence
    }

    /// Whether a row is as an entry left it: put by it, or deleted by it and not put since.
    func isAsLeft(by sequence: SequenceNumber, _ key: RowKey) -> Bool {
        (rows[key]?.sequence ?? deletions[key]) == sequence
    }
}

/// A row of a declared dataset, and what the digest needs to take it out again. Immutable and shared:
/// the state, its undo list and the readers all point to the same one.
final class DeclaredRow: Sendable {
    let row: Row
    let scope: DigestScope
    /// A set of one row: what the digest of the scope contains of it.
    let digest: Digest
    let sequence: SequenceNumber

    init(_ row: Row, in schema: Schema, hash: UInt128, sequence: SequenceNumber) {
        self.row = row
        scope = DigestScope(dataset: row.dataset, account: row.account(in: schema))
        digest = Digest(sum: hash, count: 1)
        self.sequence = sequence
    }

    var stamped: StampedRow { StampedRow(row: row, sequence: sequence) }
}
