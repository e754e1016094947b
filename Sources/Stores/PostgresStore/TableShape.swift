internal import Ledger

/// A table as it lies in the database, found fit for its dataset.
struct TableShape: Sendable {
    /// Every column has the very type that opsd gives it, so rows may be copied straight into it.
    let hasOwnTypes: Bool
    /// How many characters columns of another program's take, by their fields' places. A longer text is
    /// refused by PostgreSQL, but for spaces at its end, which it would cut off without a word.
    var lengths: [Int: Int] = [:]
    /// Another program's table, without a column for stamps.
    var isForeign = false
    /// As who reads alone may find it: no table, no table for the stamps, no columns for these fields.
    var isMissing = false
    var hasStamps = true
    var absent: Set<Int> = []
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
        let known = try known(link)
        if found.isEmpty {
            // Under another layout it has not been there yet.
            guard isRebuilding || known.map({ $0.table != nil && $0.table != name }) ?? true else {
                throw refused(
                    "the table \(name) is gone: opsd rebuild \(schema.dataset) makes and fills it")
            }
            try link.transaction {
                for statement in creation { try link.execute(statement) }
                try note(
                    "INSERT INTO opsd.made_tables VALUES ($1) ON CONFLICT DO NOTHING", name, link)
                try know(link)
            }
            return TableShape(hasOwnTypes: true)
        }
        var lengths: [Int: Int] = [:]
        for index in schema.fields.indices {
            lengths[index] = found[bareColumn(index)]?.length
        }
        if found[Self.stamp] == nil {
            try link.execute(stampCreation)
            if known?.table == nil { try know(link) }
            return TableShape(hasOwnTypes: false, lengths: lengths, isForeign: true)
        }
        var hasOwnTypes = true
        for index in schema.fields.indices {
            guard let column = found[bareColumn(index)] else {
                try add(index, link)
                continue
            }
            if column.type != schema.fields[index].type.postgresName { hasOwnTypes = false }
        }
        if known?.table == nil { try know(link) }
        return TableShape(hasOwnTypes: hasOwnTypes, lengths: lengths)
    }

    /// The table as it lies there. Changes nothing.
    func look(_ link: PostgresLink) throws -> TableShape {
        let found = try checkedColumns(link)
        var shape = TableShape(hasOwnTypes: false)
        shape.isMissing = found.isEmpty
        shape.isForeign = !found.isEmpty && found[Self.stamp] == nil
        shape.hasStamps = try !shape.isForeign || exists(stamps, link)
        if !found.isEmpty {
            shape.absent = Set(schema.fields.indices.filter { found[bareColumn($0)] == nil })
        }
        if let field = shape.absent.map({ schema.fields[$0] }).first(where: { !$0.isOptional }) {
            throw refused("the table \(name) has no column for the field \(field.name)")
        }
        return shape
    }

    /// Refuses a table that is there and that opsd cannot write to. Changes nothing.
    func check(_ link: PostgresLink) throws { _ = try checkedColumns(link) }

    /// None where there is no table.
    private func checkedColumns(_ link: PostgresLink) throws -> [String: Column] {
        let found = try foundColumns(link)
        if !found.isEmpty, found[Self.stamp] == nil {
            try checkForeign(found, link)
            return found
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

    /// Whether the table that is there was made by somebody else.
    func isForeign(in link: PostgresLink) throws -> Bool {
        try foundColumns(link)[Self.stamp] == nil
    }

    /// Another program's table must have everything: nothing of it is changed.
    private func checkForeign(_ found: [String: Column], _ link: PostgresLink) throws {
        for index in schema.fields.indices {
            guard let column = found[bareColumn(index)] else {
                throw refused(
                    "the table \(name) has no column for the field \(schema.fields[index].name): name "
                        + "it under columns, or add it with ALTER TABLE")
            }
            try check(index, column)
        }
        guard try isUnique(link) else {
            throw refused(
                "the table \(name) may have two rows of one key: CREATE UNIQUE INDEX ON \(name) "
                    + "(\(keyColumns.joined(separator: ", ")))")
        }
    }

    /// Whether an index over the very columns of the key lets no two rows have one key.
    private func isUnique(_ link: PostgresLink) throws(PostgresFailure) -> Bool {
        var parameters = PostgresParameters()
        parameters.append(name)
        let names = (0..<schema.keyCount).map { bareColumn($0) }.sorted()
        let result = try link.query(
            """
            SELECT string_agg(attname, E'\\n' ORDER BY attname COLLATE "C")
            FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
            WHERE indrelid = to_regclass($1) AND indisunique AND indpred IS NULL AND indisvalid
                AND indexprs IS NULL
            GROUP BY indexrelid
            """, parameters)
        return (0..<result.rowCount).contains {
            result.text($0, 0) == names.joined(separator: "\n")
        }
    }

    func exists(_ link: PostgresLink) throws(PostgresFailure) -> Bool { try exists(name, link) }

    private func exists(_ table: String, _ link: PostgresLink) throws(PostgresFailure) -> Bool {
        var parameters = PostgresParameters()
        parameters.append(table)
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

    // MARK: What is remembered of it

    /// The table that the dataset has been in, and its layout when it was filled. Nil when it has had
    /// none here; without names in a database from before they were kept.
    private func known(
        _ link: PostgresLink
    ) throws(PostgresFailure) -> (table: String?, layout: String?)? {
        var parameters = PostgresParameters()
        parameters.append(schema.dataset)
        let result = try link.query(
            "SELECT table_name, layout FROM opsd.datasets WHERE dataset = $1", parameters)
        return result.rowCount > 0 ? (result.text(0, 0), result.text(0, 1)) : nil
    }

    private func know(_ link: PostgresLink) throws(PostgresFailure) {
        var parameters = PostgresParameters()
        parameters.append(schema.dataset)
        parameters.append(name)
        parameters.append(layout)
        _ = try link.query(
            """
            INSERT INTO opsd.datasets (dataset, is_whole, table_name) VALUES ($1, false, $2)
            ON CONFLICT (dataset) DO UPDATE SET
                table_name = coalesce(datasets.table_name, $2),
                layout = coalesce(datasets.layout, CASE WHEN datasets.is_whole THEN $3 END)
            """, parameters)
    }

    private func note(
        _ sql: String, _ text: String, _ link: PostgresLink
    ) throws(PostgresFailure) {
        var parameters = PostgresParameters()
        parameters.append(text)
        _ = try link.query(sql, parameters)
    }

    /// Takes out what opsd has put elsewhere under an earlier layout: the table, where opsd made it, its
    /// rows, where it is another program's with a column for stamps. From one without such a column only
    /// the stamps go: under which names its rows were written is not known any more.
    func takeOutEarlier(_ link: PostgresLink) throws {
        guard let known = try known(link), let earlier = known.table,
            earlier != name || known.layout.map({ $0 != layout }) ?? false
        else { return }
        var parameters = PostgresParameters()
        parameters.append(schema.dataset)
        parameters.append(earlier)
        parameters.append(name)
        let found = try link.query(
            """
            SELECT
                EXISTS (SELECT FROM opsd.datasets WHERE table_name = $2 AND dataset <> $1),
                EXISTS (SELECT FROM opsd.made_tables WHERE name = $2),
                EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($2)
                    AND attname = '\(Self.stamp)' AND NOT attisdropped)
            """, parameters)
        // Another dataset may have it by now.
        if !found.boolean(0, 0) {
            if found.boolean(0, 1) {
                try link.execute("DROP TABLE IF EXISTS \(earlier)")
                try note("DELETE FROM opsd.made_tables WHERE name = $1", earlier, link)
            } else if found.boolean(0, 2), earlier != name {
                try link.execute("DELETE FROM \(earlier) WHERE \(Self.stamp) > 0")
            }
        }
        try link.execute("DROP TABLE IF EXISTS \(stamps)")
        _ = try link.query(
            "UPDATE opsd.datasets SET table_name = $3, layout = NULL WHERE dataset = $1", parameters
        )
    }

    private func refused(_ problem: String) -> StoreError {
        .refused(store: schema.dataset, problem: problem)
    }
}
