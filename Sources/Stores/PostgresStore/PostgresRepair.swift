internal import Connections
public import Ledger

/// What lies in the places of rows, and putting something else there: a transaction for each five hundred
/// rows, in which nobody else writes the table. Who waits for that waits some milliseconds; where others
/// hold it for long, opsd gives up at the store's time limit.
///
/// An image is the server's own text of every row that has the key, with the columns that opsd does not
/// know, and of its stamps where those lie in a table beside it: `[1,["(…)"],["(…)"]]`.
extension PostgresStore: RepairableStore {
    private static let rowsMax = 500

    public func images(_ keys: [RowKey]) async throws(StoreError) -> [RowImage] {
        guard let dataset = keys.first?.dataset else { return [] }
        guard let table = try await readyTable(dataset) else {
            return [RowImage](repeating: PostgresTable.image(nil, nil), count: keys.count)
        }
        var images: [RowImage] = []
        for start in stride(from: 0, to: keys.count, by: Self.rowsMax) {
            let some = Array(keys[start..<min(start + Self.rowsMax, keys.count)])
            images += try await pool.with { connection throws(StoreError) in
                try await connection.look { link in
                    try link.transaction {
                        try link.execute(PostgresTable.sameText)
                        return try table.images(some, link)
                    }
                }
            }
        }
        return images
    }

    public func replace(
        _ replacements: [RowReplacement]
    ) async throws(StoreError) -> [RowImage?] {
        try checkWritable()
        guard let dataset = replacements.first?.key.dataset else { return [] }
        let table = try table(dataset)
        let shape = try await shape(of: table)
        let repair = TableRepair(table: table.lying(as: shape), shape: shape)
        var images: [RowImage?] = []
        for start in stride(from: 0, to: replacements.count, by: Self.rowsMax) {
            let some = Array(replacements[start..<min(start + Self.rowsMax, replacements.count)])
            images += try await use { link in
                try link.transaction { try repair.replace(some, link) }
            }
        }
        return images
    }
}

extension PostgresTable {
    /// Whatever the server and the store's url say of how values are written.
    fileprivate static let sameText = """
        SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres';
        SET LOCAL timezone = 'UTC'; SET LOCAL extra_float_digits = 3;
        SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'
        """

    /// - Parameters: lists of texts in JSON, as the server writes them.
    fileprivate static func image(_ rows: String?, _ stamps: String?) -> RowImage {
        RowImage(bytes: Array("[1,\(rows ?? "[]"),\(stamps ?? "[]")]".utf8))
    }

    fileprivate func images(_ keys: [RowKey], _ link: PostgresLink) throws -> [RowImage] {
        var parameters = PostgresParameters()
        let wanted = try wanted(keys, &parameters)
        func lists(_ table: String, _ columns: [String]) -> String {
            let matches = zip(columns, wanted.names).map { "opsd_t.\($0) = \($1)" }
            return """
                SELECT opsd_place, json_agg(opsd_t::text ORDER BY opsd_t::text COLLATE "C")::text \
                AS opsd_list FROM opsd_wanted JOIN \(table) AS opsd_t \
                ON \(matches.joined(separator: " AND ")) GROUP BY opsd_place
                """
        }
        let stamps =
            isForeign && hasStamps
            ? lists(stamps, stampKeys)
            : "SELECT 0::bigint AS opsd_place, '' AS opsd_list WHERE false"
        let found = try link.query(
            """
            WITH \(wanted.table), opsd_rows AS (\(lists(name, keyColumns))), \
            opsd_stamps AS (\(stamps))
            SELECT opsd_place, opsd_rows.opsd_list, opsd_stamps.opsd_list
            FROM opsd_rows FULL JOIN opsd_stamps USING (opsd_place)
            """, parameters)
        var images = [RowImage](repeating: Self.image(nil, nil), count: keys.count)
        for row in 0..<found.rowCount {
            guard let place = found.integer(row, 0).map(Int.init), images.indices.contains(place)
            else { continue }
            images[place] = Self.image(found.text(row, 1), found.text(row, 2))
        }
        return images
    }

    /// Puts rows and stamps of images back.
    fileprivate func restoring(
        _ images: [RowImage], _ link: PostgresLink
    ) throws -> [PostgresLink.Statement] {
        if images.isEmpty { return [] }
        var statements = [restoring(1, into: name, try writableColumns(link))]
        if isForeign { statements.append(restoring(2, into: stamps, stampKeys + [Self.stamp])) }
        return try images.flatMap { image in
            guard image.bytes.starts(with: Array("[1,".utf8)) else {
                throw StoreError.refused(
                    store: schema.dataset, problem: "an image is not one of this opsd's")
            }
            var parameters = PostgresParameters()
            parameters.append(String(decoding: image.bytes, as: UTF8.self))
            return statements.map { PostgresLink.Statement(sql: $0, parameters: parameters) }
        }
    }

    private func restoring(_ member: Int, into table: String, _ columns: [String]) -> String {
        let values = columns.map { "(opsd_r.opsd_v).\($0)" }
        return """
            INSERT INTO \(table) (\(columns.joined(separator: ", "))) OVERRIDING SYSTEM VALUE \
            SELECT \(values.joined(separator: ", ")) FROM (SELECT opsd_x::\(table) AS opsd_v \
            FROM json_array_elements_text($1::json -> \(member)) AS opsd_x) AS opsd_r
            """
    }

    /// Not those that the server computes.
    private func writableColumns(_ link: PostgresLink) throws(PostgresFailure) -> [String] {
        var parameters = PostgresParameters()
        parameters.append(name)
        let found = try link.query(
            """
            SELECT attname::text FROM pg_attribute
            WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
                AND attgenerated = ''
            ORDER BY attnum
            """, parameters)
        return (0..<found.rowCount).compactMap { found.text($0, 0).map(quoted) }
    }
}

/// Replaces rows of one table, in a transaction that somebody else has begun.
private struct TableRepair: Sendable {
    let table: PostgresTable
    let shape: TableShape

    func replace(
        _ replacements: [RowReplacement], _ link: PostgresLink
    ) throws -> [RowImage?] {
        let keys = replacements.map(\.key)
        try link.execute(PostgresTable.sameText)
        // A row that is not there has no lock of its own to wait for.
        let tables = [table.name] + (table.isForeign ? [table.stamps] : [])
        try link.execute(
            "LOCK TABLE \(tables.joined(separator: ", ")) IN SHARE ROW EXCLUSIVE MODE")
        var seen: Set<RowKey> = []
        let found = try table.images(keys, link)
        let isWanted = zip(replacements, found).map {
            $0.expected == $1 && seen.insert($0.key).inserted
        }
        var (put, gone, restored): ([StampedRow], [RowKey], [RowImage]) = ([], [], [])
        for (replacement, _) in zip(replacements, isWanted).filter({ $1 }) {
            switch replacement.content {
            case .row(let stamped):
                guard stamped.row.key(in: table.schema) == replacement.key else {
                    throw StoreError.refused(
                        store: table.schema.dataset,
                        problem: "the row for \(replacement.key) has another key")
                }
                put.append(stamped)
            case .nothing: gone.append(replacement.key)
            case .image(let image):
                gone.append(replacement.key)
                restored.append(image)
            }
        }
        let statements =
            try TableWrite(table, shape, put: put, delete: gone).copy(link)
            + table.restoring(restored, link)
        if !statements.isEmpty { try link.pipeline(statements) }
        return zip(try table.images(keys, link), isWanted).map { $1 ? $0 : nil }
    }
}
