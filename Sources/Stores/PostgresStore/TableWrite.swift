internal import Ledger

/// What one batch changes in one table. Made before a connection is taken, written in a transaction.
///
/// Few rows are single statements, sent together. Many are copied: straight into the table, which
/// works when all of them are new, else through a table of the connection's own.
struct TableWrite: Sendable {
    /// From how many rows on they are copied: fewer would not make up for the statements around COPY.
    static let copyRowsMin = 48

    private let table: PostgresTable
    private let shape: TableShape
    private let statements: [PostgresLink.Statement]
    private let rows: BinaryRows?

    init(
        _ table: PostgresTable, _ shape: TableShape, put: [StampedRow], delete: [RowKey]
    ) throws(StoreError) {
        self.table = table
        self.shape = shape
        for stamped in put { try table.check(stamped.row, within: shape.lengths) }
        var statements: [PostgresLink.Statement] = []
        for key in delete {
            statements.append(.init(sql: table.deletion, parameters: try table.parameters(key)))
        }
        if put.count < Self.copyRowsMin {
            for row in put {
                statements.append(.init(sql: table.upsert, parameters: try table.parameters(row)))
            }
            rows = nil
        } else {
            var rows = BinaryRows()
            for stamped in put {
                try table.check(stamped.row)
                rows.append(stamped.row.values, stamped.sequence)
            }
            rows.end()
            self.rows = rows
        }
        self.statements = statements
    }

    /// Copies what is copied; what is left are statements for the transaction's pipeline.
    func copy(_ link: PostgresLink) throws -> [PostgresLink.Statement] {
        if let rows, try !copiedStraight(rows, link) {
            try link.execute(table.stagingCreation)
            try link.copyIn(table.stagingCopy, rows)
            try link.execute(table.stagingTransfer)
        }
        return statements
    }

    /// False when a row is there already. Such a dataset is not tried again for a while, twice as long
    /// each time.
    private func copiedStraight(_ rows: BinaryRows, _ link: PostgresLink) throws -> Bool {
        guard shape.hasOwnTypes else { return false }
        let dataset = table.schema.dataset
        var pause = link.copyPauses[dataset] ?? (length: 0, left: 0)
        if pause.left > 0 {
            pause.left -= 1
            link.copyPauses[dataset] = pause
            return false
        }
        try link.execute("SAVEPOINT opsd_copy")
        do throws(PostgresFailure) {
            try link.copyIn(table.copy, rows)
        } catch {
            guard error.isDuplicateKey else { throw error }
            try link.execute("ROLLBACK TO SAVEPOINT opsd_copy")
            let length = min(max(pause.length * 2, 1), 64)
            link.copyPauses[dataset] = (length, length)
            return false
        }
        try link.execute("RELEASE SAVEPOINT opsd_copy")
        link.copyPauses[dataset] = nil
        return true
    }
}
