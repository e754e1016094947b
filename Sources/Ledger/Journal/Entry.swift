/// One change of one row.
public struct RowChange: Sendable, Hashable {
    public enum Operation: UInt8, Sendable {
        case put = 1
        case delete = 2
    }

    public let operation: Operation
    public let dataset: String
    /// The canonical encoding: of the whole row for `put`, of its key alone for `delete`.
    public let encoded: [UInt8]

    public static func put(_ row: Row, keyCount: Int) -> RowChange {
        RowChange(
            operation: .put, dataset: row.dataset, encoded: row.encoded(keyCount: keyCount))
    }

    public static func delete(_ key: RowKey) -> RowChange {
        let row = Row(dataset: key.dataset, values: key.values)
        return RowChange(
            operation: .delete, dataset: key.dataset,
            encoded: row.encoded(keyCount: key.values.count))
    }

    /// What a store does with it.
    /// - Parameter schemas: rows of theirs have all their fields.
    public func storeChange(
        at sequence: SequenceNumber, in schemas: SchemaCatalogue
    ) throws(CanonicalEncodingError) -> StoreBatch.Change {
        let (row, keyCount) = try Row.decoded(encoded)
        return StoreBatch.Change(
            key: RowKey(dataset: dataset, values: Array(row.values.prefix(keyCount))),
            row: operation == .put ? schemas[dataset]?.completed(row) ?? row : nil,
            sequence: sequence)
    }

    /// The row as it stands after a `put`; for `delete` a row of key fields alone.
    public func row() throws(CanonicalEncodingError) -> Row {
        try Row(encoded: encoded)
    }
}

/// The digest of a scope after an entry.
public struct DigestStamp: Sendable, Hashable {
    public let scope: DigestScope
    public let digest: Digest

    public init(scope: DigestScope, digest: Digest) {
        self.scope = scope
        self.digest = digest
    }
}

/// What is about to be journaled: a command's effect as row changes.
public struct EntryDraft: Sendable, Hashable {
    public let sequence: SequenceNumber
    public let time: Timestamp
    /// What happened, in the field's words: `order.accepted`, `order.filled`.
    public let kind: String
    /// The principal who caused it; empty for the core itself.
    public let actor: String
    public let changes: [RowChange]
    /// The digests of every scope that the changes touch, as they stand afterwards.
    public let digests: [DigestStamp]

    public init(
        sequence: SequenceNumber, time: Timestamp, kind: String, actor: String = "",
        changes: [RowChange], digests: [DigestStamp]
    ) {
        self.sequence = sequence
        self.time = time
        self.kind = kind
        self.actor = actor
        self.changes = changes
        self.digests = digests
    }
}

/// An entry as the journal holds it: a draft and the checksum that chains it to the one before.
public struct Entry: Sendable, Hashable {
    public let draft: EntryDraft
    public let checksum: Checksum

    public init(draft: EntryDraft, checksum: Checksum) {
        self.draft = draft
        self.checksum = checksum
    }

    public var sequence: SequenceNumber { draft.sequence }
    public var time: Timestamp { draft.time }
    public var kind: String { draft.kind }
    public var changes: [RowChange] { draft.changes }
}

extension EntryDraft {
    private static let version: UInt8 = 1

    /// Of its encoded changes.
    public var bytes: Int { changes.reduce(0) { $0 + $1.encoded.count } }

    /// The body: everything but sequence and time, which have columns of their own.
    public func encodedBody() -> [UInt8] {
        let size = bytes + 64 + digests.count * 64 + changes.count * 4
        var writer = ByteWriter(reserving: size)
        writer.byte(Self.version)
        writer.text(kind)
        writer.text(actor)
        writer.count(changes.count)
        for change in changes {
            writer.byte(change.operation.rawValue)
            writer.run(change.encoded)
        }
        writer.count(digests.count)
        for stamp in digests {
            writer.text(stamp.scope.dataset)
            writer.text(stamp.scope.account)
            writer.fixed(stamp.digest.sum)
            writer.fixed(stamp.digest.count)
        }
        return writer.bytes
    }

    public init(
        sequence: SequenceNumber, time: Timestamp, body: [UInt8]
    ) throws(CanonicalEncodingError) {
        var reader = ByteReader(body)
        guard try reader.byte() == Self.version else { throw CanonicalEncodingError(offset: 0) }
        self.sequence = sequence
        self.time = time
        kind = try reader.text()
        actor = try reader.text()
        var changes: [RowChange] = []
        for _ in 0..<(try reader.count()) {
            let offset = reader.position
            guard let operation = RowChange.Operation(rawValue: try reader.byte()) else {
                throw CanonicalEncodingError(offset: offset)
            }
            let encoded = Array(try reader.run())
            var datasetReader = ByteReader(encoded)
            changes.append(
                RowChange(
                    operation: operation, dataset: try datasetReader.text(), encoded: encoded))
        }
        self.changes = changes
        var digests: [DigestStamp] = []
        for _ in 0..<(try reader.count()) {
            let scope = DigestScope(dataset: try reader.text(), account: try reader.text())
            let digest = Digest(sum: try reader.fixed(), count: try reader.fixed())
            digests.append(DigestStamp(scope: scope, digest: digest))
        }
        self.digests = digests
        guard reader.isAtEnd else { throw CanonicalEncodingError(offset: reader.position) }
    }
}
