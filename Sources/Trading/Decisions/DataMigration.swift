public import Ledger

/// What a migration does to the rows of a declared dataset. An operator's command: it reaches the rows of
/// every account.
extension TradingState {
    /// A row as it was found elsewhere, and the present row's sequence number when the two were compared;
    /// nil: there was none.
    public struct FoundRow: Sendable {
        public let row: Row
        public let known: SequenceNumber?

        public init(row: Row, known: SequenceNumber?) {
            self.row = row
            self.known = known
        }
    }

    /// Puts rows as they were found, all in one entry. Throws `conditionFailed` when one of the rows was
    /// written since it was compared.
    public mutating func migrateRows(
        _ found: [FoundRow], at now: Timestamp, by actor: String
    ) throws(Refusal) -> SequenceNumber {
        for item in found {
            try checkKey(item.row)
            _ = try putRow(item.row, if: item.known.map { .sequence(anyOf: [$0]) } ?? .absent)
        }
        if !found.isEmpty { seal("data.migrated", at: now, by: actor) }
        return sequence
    }

    /// What a migration changed of one row; nil before: there was none.
    public struct MigratedRow: Sendable {
        public let before: Row?
        public let after: Row

        public init(before: Row?, after: Row) {
            self.before = before
            self.after = after
        }
    }

    /// Journals the opposite, of each row that is still as the migration left it.
    /// - Returns: how many rows were taken back.
    public mutating func takeBack(
        _ changes: [MigratedRow], at now: Timestamp, by actor: String
    ) -> Int {
        var count = 0
        for change in changes {
            guard let schema = declared.catalogue[change.after.dataset] else { continue }
            let key = change.after.key(in: schema)
            guard declared[key]?.row == change.after else { continue }
            if let before = change.before {
                put(before, of: schema)
            } else {
                delete(key)
            }
            count += 1
        }
        if count > 0 { seal("data.rolled_back", at: now, by: actor) }
        return count
    }

    private func checkKey(_ row: Row) throws(Refusal) {
        guard let schema = declared.catalogue[row.dataset] else { return }
        for (field, value) in zip(schema.keyFields, row.values) {
            guard case .text(let text) = value else { continue }
            guard (1...DeclaredRows.keyTextBytesMax).contains(text.utf8.count) else {
                throw .invalid(
                    field: "\(row.dataset).\(field.name) '\(text.prefix(40))…'",
                    problem: "is part of the key, which has texts of 1 to "
                        + "\(DeclaredRows.keyTextBytesMax) bytes")
            }
        }
    }
}
