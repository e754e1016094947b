public import Ledger

/// What a database says of a table that somebody wants to compare.
public struct ComparedTable: Sendable, Hashable {
    /// As SQL writes it, quoted.
    let sql: String
    /// In the table's order.
    public let columns: [ComparedColumn]
    /// The columns of its primary key, or else of a unique index without nulls; empty where it has none.
    public let key: [String]
    /// Whether it lies in pages of its own, so that it can be read in parts.
    let hasPages: Bool
    let serverVersion: Int
    let isUTF8: Bool

    /// - Parameter name: `table` or `schema.table`. Refused: one that is not there, or may not be read.
    public static func describe(
        _ name: String, in settings: PostgresSettings
    ) async throws(StoreError) -> ComparedTable {
        let settings = settings.comparing
        let connection = try await PostgresConnection.open(settings)
        do throws(StoreError) {
            let table = try await connection.run { try ComparedTable($0, name) }
            await connection.close()
            return table
        } catch {
            await connection.close()
            throw error
        }
    }

    private init(_ link: PostgresLink, _ name: String) throws {
        let parts = name.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        sql = parts.map { quoted(String($0)) }.joined(separator: ".")
        var parameters = PostgresParameters()
        parameters.append(sql)
        let facts = try link.query(
            """
            SELECT current_setting('server_version_num')::bigint,
                current_setting('server_encoding'), to_regclass($1)::text,
                current_setting('zero_damaged_pages') = 'on',
                (WITH RECURSIVE parts(part) AS (
                    SELECT to_regclass($1)::oid
                    UNION ALL SELECT inhrelid FROM pg_inherits JOIN parts ON inhparent = part)
                SELECT bool_and(relkind IN ('r', 'm', 'p')) FROM parts
                    JOIN pg_class ON pg_class.oid = part)
            """, parameters)
        guard facts.bytes(0, 2) != nil else {
            throw StoreError.refused(store: name, problem: "there is no such table")
        }
        if facts.boolean(0, 3) {
            throw StoreError.refused(
                store: name,
                problem:
                    "the server passes over damaged pages: set zero_damaged_pages off, or rows that "
                    + "cannot be read would be taken for missing")
        }
        serverVersion = Int(facts.integer(0, 0) ?? 0)
        isUTF8 = facts.text(0, 1) == "UTF8"
        hasPages = facts.boolean(0, 4)
        let found = try link.query(
            """
            SELECT attname::text, format_type(basic.oid, NULL), basic.typtype = 'e'
            FROM pg_attribute JOIN pg_type AS own ON own.oid = atttypid
                JOIN pg_type AS basic ON basic.oid =
                    CASE WHEN own.typtype = 'd' THEN own.typbasetype ELSE own.oid END
            WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
            """, parameters)
        columns = (0..<found.rowCount).map { row in
            ComparedColumn(
                name: found.text(row, 0) ?? "", type: found.text(row, 1) ?? "",
                isEnumeration: found.boolean(row, 2))
        }
        let index = try link.query(
            """
            SELECT attname::text FROM pg_attribute JOIN (
                SELECT indkey FROM pg_index
                WHERE indrelid = to_regclass($1) AND indisunique AND indpred IS NULL
                    AND indexprs IS NULL AND indisvalid AND (indisprimary OR NOT EXISTS (
                        SELECT FROM pg_attribute WHERE attrelid = indrelid
                            AND attnum = ANY (indkey) AND NOT attnotnull))
                ORDER BY indisprimary DESC, indexrelid LIMIT 1) AS best ON attnum = ANY (indkey)
            WHERE attrelid = to_regclass($1) ORDER BY array_position(indkey::smallint[], attnum)
            """, parameters)
        key = (0..<index.rowCount).compactMap { index.text($0, 0) }
    }
}

extension PostgresSettings {
    /// For who reads whole tables: a part of one may take longer than a row does. Rows that a policy would
    /// hide are an error and not missing.
    var comparing: PostgresSettings {
        var settings = self
        settings.timeout = max(timeout, .seconds(60))
        settings.session = [
            "row_security=off", "default_transaction_read_only=on", "jit=off", "DateStyle=ISO",
            "IntervalStyle=iso_8601",
        ]
        return settings
    }
}
