internal import Connections
public import Ledger

/// The engine's own hashing of a table's rows.
///
/// PostgreSQL's hash of a row is what its hash joins go by, so what is the same value has the same hash, 1.50
/// and 1.5000 too. What it passes over is added: of a number the sign, of times and whole numbers half of
/// their bits. It adds up the hashes of the fields, so that two rows which swap a value would have the same
/// sum; therefore it is hashed once more.
///
/// A table is read in parts by its pages, each part by a statement of its own, so that several connections
/// share the work and none is silent for long.
extension PostgresRows {
    /// Has the function that the hashes are made with.
    private static let versionMin = 140_000
    /// Pages of a part: of one that gives sums, of one that gives a line a row.
    private static let sumPages = 4_096
    private static let rowPages = 1_024
    private static let bucketMask: UInt64 = 4_095

    public func probe(seed: Int64) async throws(StoreError) -> String? {
        // JSON that is the same may be written otherwise.
        guard table.hasPages, table.isUTF8, table.serverVersion >= Self.versionMin,
            !schema.fields.contains(where: { $0.type == .json })
        else { return nil }
        let samples: [(FieldType, String)] = [
            (.text, "'\u{E4}'::text"), (.integer, "-1::bigint"), (.decimal, "-1.50::numeric"),
            (.timestamp, "'2001-02-03 04:05:06+00'::timestamptz"), (.boolean, "true"),
            (.text, "NULL::text"),
        ]
        let row = Self.hash(samples.map { Self.parts(of: $1, $0) }, seed)
        let key = Self.mixed(samples.map(\.1), seed)
        let sql = "SELECT (\(row))::text || ' ' || (\(key))::text"
        return try await look { link in try link.query(sql).text(0, 0) }
    }

    private func keyHash(_ seed: Int64) -> String {
        let keys = zip(columns, schema.keyFields).map { column, field in
            column.value(as: field.type) + (field.type == .text ? " COLLATE \"C\"" : "")
        }
        return Self.mixed(keys, seed)
    }

    private func rowHash(_ seed: Int64) -> String {
        Self.hash(
            zip(columns, schema.fields).map { Self.parts(of: $0.value(as: $1.type), $1.type) }, seed
        )
    }

    private static func hash(_ parts: [String], _ seed: Int64) -> String {
        mixed(["int8send(\(mixed(parts, seed)))"], seed)
    }

    private static func mixed(_ parts: [String], _ seed: Int64) -> String {
        "hash_record_extended(row(\(parts.joined(separator: ", "))), \(seed)::bigint)"
    }

    /// What goes into the hash of a value.
    private static func parts(of value: String, _ type: FieldType) -> String {
        switch type {
        // By its bytes, whatever the column takes for the same.
        case .text, .json: "\(value) COLLATE \"C\""
        case .integer: "int8send(\(value))"
        case .decimal:
            "\(value), CASE WHEN \(value) < 0 THEN 1 WHEN \(value) = 'NaN' THEN 2 ELSE 0 END"
        case .timestamp: "timestamptz_send(\(value))"
        case .boolean: value
        }
    }

    public func sum(seed: Int64) async throws(StoreError) -> Digest {
        let sums = try await sums("0::bigint, count(*), sum(\(rowHash(seed)))", "")
        return sums[0, default: .empty]
    }

    public func sums(seed: Int64) async throws(StoreError) -> [Int: Digest] {
        let bucket = "\(keyHash(seed)) & \(Self.bucketMask)"
        return try await sums("\(bucket), count(*), sum(\(rowHash(seed)))", " GROUP BY 1")
    }

    private func sums(
        _ values: String, _ grouping: String
    ) async throws(StoreError) -> [Int: Digest] {
        let sql = "SELECT \(values) FROM \(table.sql) AS opsd_rows"
        let sums = BucketSums()
        try await inParts(of: Self.sumPages) { link, part in
            let result = try link.query(sql + part + grouping)
            return try (0..<result.rowCount).map { row in
                guard let bucket = result.integer(row, 0), let count = result.integer(row, 1) else {
                    throw PostgresFailure(message: "a sum that is none")
                }
                // Of no rows it is null.
                let sum = result.bytes(row, 2).flatMap(NumericCoding.decode)
                guard let sum = sum ?? (count == 0 ? .zero : nil) else {
                    throw PostgresFailure(message: "a sum that is none")
                }
                return (
                    Int(bucket),
                    Digest(sum: UInt128(truncatingIfNeeded: sum.coefficient), count: count)
                )
            }
        } take: { (found: [(Int, Digest)]) async throws(StoreError) in
            await sums.add(found)
        }
        return await sums.sums
    }

    public func hashes(
        seed: Int64, in buckets: Set<Int>?,
        _ consume: @Sendable ([(key: UInt64, row: UInt64)]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        let key = keyHash(seed)
        let sql = "SELECT \(key), \(rowHash(seed)) FROM \(table.sql) AS opsd_rows"
        var bits = [UInt8](repeating: 0, count: Int(Self.bucketMask + 1) / 8)
        for bucket in buckets ?? [] { bits[bucket / 8] |= 1 << (bucket % 8) }
        var wanted = PostgresParameters()
        wanted.append(octets: bits)
        let (parameters, isAll) = (wanted, buckets == nil)
        let chosen = isAll ? nil : "get_bit($1, \(key) & \(Self.bucketMask)) = 1"
        try await inParts(of: Self.rowPages, where: chosen) { link, part in
            let result = try link.query(
                sql + part, isAll ? PostgresParameters() : parameters)
            return try (0..<result.rowCount).map { row in
                guard let key = result.integer(row, 0), let hash = result.integer(row, 1) else {
                    throw PostgresFailure(message: "a hash that is none")
                }
                return (key: UInt64(bitPattern: key), row: UInt64(bitPattern: hash))
            }
        } take: { (found: [(key: UInt64, row: UInt64)]) async throws(StoreError) in
            try await consume(found)
        }
    }

    public func keys(
        seed: Int64, of hashes: Set<UInt64>
    ) async throws(StoreError) -> (keys: Set<RowKey>, damaged: [DamagedRow]) {
        let keys = zip(columns, schema.keyFields).map { $0.value(as: $1.type) }
        var wanted = PostgresParameters()
        wanted.append("{" + hashes.map { "\(Int64(bitPattern: $0))" }.joined(separator: ",") + "}")
        let parameters = wanted
        let sql =
            "SELECT \(keys.joined(separator: ", ")) FROM \(table.sql) AS opsd_rows JOIN "
            + "(SELECT unnest($1::text::bigint[]) AS opsd_hash) AS opsd_wanted "
            + "ON opsd_hash = \(keyHash(seed))"
        let found = FoundKeys()
        try await inParts(of: Self.sumPages) { link, part in
            let result = try link.query(sql + part, parameters)
            return (0..<result.rowCount).map { self.key(result, $0) }
        } take: { (some: [FoundRow]) async throws(StoreError) in
            await found.add(some)
        }
        return (await found.keys, await found.damaged)
    }

    /// A row of the key's values alone.
    private func key(_ result: PostgresResult, _ row: Int) -> FoundRow {
        var values: [Value] = []
        for (index, field) in schema.keyFields.enumerated() {
            guard let bytes = result.bytes(row, index) else {
                values.append(.null)
                continue
            }
            guard let value = BinaryValue.decode(bytes, as: field.type) else {
                return damage("\(field.name) is no \(field.type.rawValue) that opsd has", values)
            }
            values.append(value)
        }
        return .row(
            StampedRow(row: Row(dataset: schema.dataset, values: values), sequence: .none))
    }

    // MARK: Parts

    /// Asks for each part of the table.
    /// - Parameters:
    ///   - pages: of a part.
    ///   - condition: beside the part's own.
    ///   - ask: with the part's conditions.
    private func inParts<Found: Sendable>(
        of pages: Int, where condition: String? = nil,
        _ ask: @escaping @Sendable (PostgresLink, String) throws -> Found,
        take: @Sendable (Found) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        let before = try await extent()
        var parts = stride(from: 0, to: max(before.pages, 1), by: pages).map { start in
            var terms: [String] = condition.map { [$0] } ?? []
            if start > 0 { terms.append("opsd_rows.ctid >= '(\(start),0)'::tid") }
            // What was put behind the last page meanwhile belongs to the last part.
            if start + pages < before.pages {
                terms.append("opsd_rows.ctid < '(\(start + pages),0)'::tid")
            }
            return terms.isEmpty ? "" : " WHERE " + terms.joined(separator: " AND ")
        }[...]
        let failure = await withTaskGroup(of: Result<Found, StoreError>.self) { group in
            func next() {
                guard let part = parts.popFirst() else { return }
                group.addTask { await self.outcome { try ask($0, part) } }
            }
            for _ in 0..<parallelMax { next() }
            var failure: StoreError?
            for await outcome in group {
                do throws(StoreError) {
                    let found = try outcome.get()
                    if failure == nil, !Task.isCancelled { next() }
                    try await take(found)
                } catch {
                    failure = failure ?? error
                    parts = []
                }
            }
            return failure
        }
        if let failure { throw failure }
        guard parts.isEmpty else {
            throw .unavailable(store: name, problem: "it was interrupted")
        }
        guard try await extent().files == before.files else {
            throw .unavailable(
                store: name, problem: "the table \(table.sql) was rewritten meanwhile")
        }
    }

    private func outcome<Found: Sendable>(
        _ ask: @escaping @Sendable (PostgresLink) throws -> Found
    ) async -> Result<Found, StoreError> {
        do throws(StoreError) {
            return .success(try await look(ask))
        } catch {
            return .failure(error)
        }
    }

    private func look<Found: Sendable>(
        _ ask: @escaping @Sendable (PostgresLink) throws -> Found
    ) async throws(StoreError) -> Found {
        try await pool.with { connection throws(StoreError) in try await connection.look(ask) }
    }

    /// The pages of the largest of the table's parts, and what tells the files in which they lie.
    private func extent() async throws(StoreError) -> (pages: Int, files: String) {
        var parameters = PostgresParameters()
        parameters.append(table.sql)
        let query = PostgresQuery(
            sql: """
                WITH RECURSIVE parts(part) AS (
                    SELECT $1::text::regclass::oid
                    UNION ALL SELECT inhrelid FROM pg_inherits JOIN parts ON inhparent = part)
                SELECT max(pg_relation_size(part)) / current_setting('block_size')::bigint,
                    string_agg(pg_relation_filenode(part)::text, ' ' ORDER BY part)
                FROM parts
                """, parameters: parameters)
        return try await look { link in
            let result = try link.query(query.sql, query.parameters)
            return (Int(result.integer(0, 0) ?? 0), result.text(0, 1) ?? "")
        }
    }
}

private actor BucketSums {
    private(set) var sums: [Int: Digest] = [:]

    func add(_ found: [(Int, Digest)]) {
        for (bucket, sum) in found {
            sums[bucket, default: .empty] = sums[bucket, default: .empty] + sum
        }
    }
}

private actor FoundKeys {
    private(set) var keys: Set<RowKey> = []
    private(set) var damaged: [DamagedRow] = []

    func add(_ found: [FoundRow]) {
        for found in found {
            switch found {
            case .row(let row):
                keys.insert(RowKey(dataset: row.row.dataset, values: row.row.values))
            case .damaged(let damage): damaged.append(damage)
            }
        }
    }
}
