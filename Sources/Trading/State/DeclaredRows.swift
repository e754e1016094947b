public import Ledger

/// The rows of the datasets that the configuration declares, as the core's state holds them: all of
/// them, so that a decision about one never asks a store.
public struct DeclaredRows: Sendable {
    /// The declared datasets.
    public let catalogue: SchemaCatalogue
    /// Most rows of all of them together, and most bytes of their encodings, because they are held in
    /// memory.
    public let countMax: Int
    public let bytesMax: Int
    private(set) var rows: [RowKey: DeclaredRow] = [:]
    private(set) var bytes = 0
    /// The entries of the newest deletions: a row that is gone has no sequence number of its own. The
    /// newer generation becomes the older one when it is full, so that as many are always known.
    private var deletions: [RowKey: SequenceNumber] = [:]
    private var olderDeletions: [RowKey: SequenceNumber] = [:]
    private let deletionsMax: Int

    /// A text of a key goes into names of files and keys of stores, where each byte may become three.
    public static let keyTextBytesMax = 64

    public init(
        _ schemas: [Schema] = [], countMax: Int = 1_000_000, bytesMax: Int = 1 << 30,
        deletionsMax: Int = 100_000
    ) {
        catalogue = SchemaCatalogue(schemas)
        self.countMax = countMax
        self.bytesMax = bytesMax
        self.deletionsMax = deletionsMax
    }

    var isFull: Bool { rows.count >= countMax }

    subscript(key: RowKey) -> DeclaredRow? { rows[key] }

    mutating func set(_ row: DeclaredRow?, for key: RowKey) {
        bytes += (row?.bytes ?? 0) - (rows[key]?.bytes ?? 0)
        rows[key] = row
    }

    /// The entry that deleted a row, as far as it is known.
    func deletion(of key: RowKey) -> SequenceNumber? { deletions[key] ?? olderDeletions[key] }

    mutating func noteDeletion(of key: RowKey, at sequence: SequenceNumber) {
        if deletions.count >= deletionsMax {
            olderDeletions = deletions
            deletions = [:]
        }
        deletions[key] = sequence
    }

    /// Takes back a change: `deletion` is what was known before it.
    mutating func revert(_ key: RowKey, to row: DeclaredRow?, deletion: SequenceNumber?) {
        set(row, for: key)
        olderDeletions[key] = nil
        deletions[key] = deletion
    }

    /// Whether a row is as an entry left it: put by it, or deleted by it and not put since.
    func isAsLeft(by sequence: SequenceNumber, _ key: RowKey) -> Bool {
        (rows[key]?.sequence ?? deletion(of: key)) == sequence
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
    /// Of its encoding.
    let bytes: Int

    init(_ row: Row, in schema: Schema, hash: UInt128, sequence: SequenceNumber, bytes: Int) {
        self.row = row
        self.bytes = bytes
        scope = DigestScope(dataset: row.dataset, account: row.account(in: schema))
        digest = Digest(sum: hash, count: 1)
        self.sequence = sequence
    }

    var stamped: StampedRow { StampedRow(row: row, sequence: sequence) }
}
