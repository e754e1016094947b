internal import Ledger

/// A table as it lies in the database, found fit for its dataset.
struct TableShape: Sendable {
    /// Every column has the very type that opsd gives it, so rows may be copied straight into it.
    let hasOwnTypes: Bool
    /// How many characters columns of another program's take, by their fields' places. A longer text is
    /// refused by PostgreSQL, but for spaces at its end, which it would cut off without a word.
    var lengths: [Int: Int] = [:]
}

/// Makes a dataset's table, or looks whether the one that is there will do.
extension PostgresTable {
    private struct Column {
        let type: String
        let isGenerated: Bool

        /// Of `character varying(LENGTH)`.
        var length: Int? {
            let opening = "character varying("
            return type.hasPrefix(opening) ? Int(type.dropFirst(opening.count).dropLast()) : nil
        }
    }

    /// Types that hold every value of the field, and give it back as it was.
    private static let accepted: [FieldType: [String]] = [
        .text: ["text", "character varying"],
        .integer: ["bigint", "integer", "smallint"],
        .decimal: ["numeric"],
        .timestamp: ["timestamp with time zone", "timestamp without time zone"],
        .boolean: ["boolean"],
        .json: ["jsonb", "json"],
    ]

    /// - Parameter isRebuilding: the rows are of no account: they are about to be filled anew.
    func prepare(_ link: PostgresLink, isRebuilding: Bool) throws -> TableShape {
        let found = try checkedColumns(link)
        if found.isEmpty {
            guard try isRebuilding || !isKnown(link) else {
                throw refused(
                    "the table \(name) is gone: opsd rebuild \(schema.dataset) makes and fills it")
            }
            try link.transaction {
                for statement in creation { try link.execute(statement) }
                try know(link)
            }
            return TableShape(hasOwnTypes: true)
        }
        var hasOwnTypes = true
        var lengths: [Int: Int] = [:]
        for index in schema.fields.indices {
            guard let column = found[bareColumn(index)] else {
                try add(index, link)
                continue
            }
            lengths[index] = column.length
            if column.type != schema.fields[index].type.postgresName { hasOwnTypes = false }
        }
        if try !isKnown(link) { try know(link) }
        return TableShape(hasOwnTypes: hasOwnTypes, lengths: lengths)
    }

    /// Refuses a table that is there and that opsd cannot write to. Changes nothing.
    func check(_ link: PostgresLink) throws { _ = try checkedColumns(link) }

    /// None where there is no table.
    private func checkedColumns(_ link: PostgresLink) throws -> [String: Column] {
        let found = try foundColumns(link)
        guard found.isEmpty || found[Self.stamp] != nil else {
            throw refused(
                """
                the table \(name) has no column for opsd's stamps: ALTER TABLE \(name) ADD COLUMN \
                \(Self.stamp) bigint NOT NULL DEFAULT 0
                """)
        }
        for index in schema.fields.indices {
            if let column = found[bareColumn(index)] {
                try check(index, column)
            } else if !found.isEmpty, index < schema.keyCount {
                throw refused(
                    """
                    the table \(name) has no column for the key field \(schema.fields[index].name): \
                    name the one that it has under columns, or map \(schema.dataset) to another table
                    """)
            }
        }
        return found
    }

    func exists(_ link: PostgresLink) throws(PostgresFailure) -> Bool {
        var parameters = PostgresParameters()
        parameters.append(name)
        return try link.query("SELECT to_regclass($1)", parameters).bytes(0, 0) != nil
    }

    private func foundColumns(_ link: PostgresLink) throws -> [String: Column] {
        var parameters = PostgresParameters()
        parameters.append(name)
        let result = try link.query(
            """
            SELECT attname::text, format_type(atttypid, atttypmod), attgenerated <> ''
            FROM pg_attribute
            WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
            """, parameters)
        var columns: [String: Column] = [:]
        for row in 0..<result.rowCount {
            columns[result.text(row, 0) ?? ""] = Column(
                type: result.text(row, 1) ?? "", isGenerated: result.boolean(row, 2))
        }
        return columns
    }

    private func check(_ index: Int, _ column: Column) throws(StoreError) {
        let field = schema.fields[index]
        let accepted = Self.accepted[field.type] ?? []
        // varchar(50) refuses what does not fit; a number or a time would be rounded without a word.
        let isAccepted =
            accepted.contains(column.type) || column.length != nil && field.type == .text
        guard isAccepted, !column.isGenerated else {
            let type = column.isGenerated ? "computed" : column.type
            throw refused(
                """
                the column \(name).\(self.column(index)) is \(type), and the field \(field.name) \
                needs \(field.type.postgresName): ALTER TABLE \(name) ALTER COLUMN \
                \(self.column(index)) TYPE \(field.type.postgresName), or drop the table and run \
                opsd rebuild \(schema.dataset)
                """)
        }
    }

    /// A field that was declared after the table was made.
    private func add(_ index: Int, _ link: PostgresLink) throws {
        let field = schema.fields[index]
        if !field.isOptional {
            let rows = try link.query("SELECT FROM \(name) LIMIT 1")
            guard rows.rowCount == 0 else {
                throw refused(
                    """
                    the rows of the table \(name) do not have the field \(field.name), which must \
                    not be missing: opsd rebuild \(schema.dataset) fills them anew
                    """)
            }
        }
        try link.execute("ALTER TABLE \(name) ADD COLUMN \(definition(index))")
    }

    /// Whether the table has been there before.
    private func isKnown(_ link: PostgresLink) throws(PostgresFailure) -> Bool {
        var parameters = PostgresParameters()
        parameters.append(schema.dataset)
        return try link.query("SELECT FROM opsd.datasets WHERE dataset = $1", parameters)
            .rowCount > 0
    }

    private func know(_ link: PostgresLink) throws(PostgresFailure) {
        var parameters = PostgresParameters()
        parameters.append(schema.dataset)
        _ = try link.query(
            """
            INSERT INTO opsd.datasets (dataset, is_whole) VALUES ($1, false)
            ON CONFLICT (dataset) DO NOTHING
            """, parameters)
    }

    private func refused(_ problem: String) -> StoreError {
        .refused(store: schema.dataset, problem: problem)
    }
}
