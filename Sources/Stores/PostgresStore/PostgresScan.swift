internal import Connections
public import Ledger

/// Everything in a dataset's table, through a cursor in a read-only transaction of its own: as of one
/// moment. While it lasts the table cannot be emptied or altered; whoever wants to tries again.
extension PostgresStore: ScannableStore {
    private static let pageRows = 10_000
    private static let findMax = 1_000
    private static let fetch = "FETCH FORWARD \(pageRows) FROM opsd_scan"

    public func scan(
        _ dataset: String, account: String?,
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        try await scan(dataset, account: account, consume) { table, page in
            (0..<page.rowCount).map { table.found(page, $0) }
        }
    }

    public func scanHashes(
        _ dataset: String, _ hashing: RowHashing,
        _ consume: @Sendable (HashedRows) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        try await scan(dataset, account: nil, consume) { table, page in
            let hasher = RowHasher(hashing)
            for row in 0..<page.rowCount { table.hash(page, row, hasher) }
            return hasher.take()
        }
    }

    /// - Parameter read: makes of a page what is handed over.
    private func scan<Page: Sendable>(
        _ dataset: String, account: String?,
        _ consume: @Sendable (Page) async throws(StoreError) -> Void,
        _ read: @escaping @Sendable (PostgresTable, PostgresResult) -> Page
    ) async throws(StoreError) {
        guard let table = try await readyTable(dataset) else { return }
        let select = try table.scan(account: account)
        try await pool.with { connection async throws(StoreError) in
            // Somebody may have altered it since it was found fit.
            try await connection.look { try table.check($0) }
            try await connection.look(leavesTransaction: true) { link in
                // Who takes the rows may take his time
                // with a page, while the server has the next one ready and nobody takes it.
                try link.execute(
                    """
                    BEGIN READ ONLY; SET LOCAL statement_timeout = 0; \
                    SET LOCAL idle_in_transaction_session_timeout = 120000
                    """)
                _ = try link.query(
                    "DECLARE opsd_scan NO SCROLL CURSOR FOR \(select.sql)", select.parameters)
                try link.send(Self.fetch)
            }
            while true {
                let (page, isLast) = try await connection.look(leavesTransaction: true) { link in
                    let page = try link.receive()
                    let isLast = page.rowCount < Self.pageRows
                    // The server looks for the next page while this one is read.
                    if !isLast { try link.send(Self.fetch) }
                    return (read(table, page), isLast)
                }
                do throws(StoreError) {
                    try await consume(page)
                } catch {
                    try? await connection.run { link in
                        if !isLast { _ = try link.receive() }
                        try link.execute("ROLLBACK")
                    }
                    throw error
                }
                if isLast { break }
            }
            try await connection.look { try $0.execute("COMMIT") }
        }
    }

    public func find(_ keys: [RowKey]) async throws(StoreError) -> [FoundRow?] {
        guard let dataset = keys.first?.dataset else { return [] }
        guard let table = try await readyTable(dataset) else {
            return [FoundRow?](repeating: nil, count: keys.count)
        }
        var found: [FoundRow?] = []
        for start in stride(from: 0, to: keys.count, by: Self.findMax) {
            let some = Array(keys[start..<min(start + Self.findMax, keys.count)])
            let select = try table.find(some)
            found += try await pool.with { connection throws(StoreError) in
                try await connection.look { link in
                    table.found(try link.query(select.sql, select.parameters), some)
                }
            }
        }
        return found
    }
}

extension PostgresConnection {
    /// Reads. A page that the server cannot read is not known to hold anything, or nothing.
    func look<Result: Sendable>(
        leavesTransaction: Bool = false, _ body: @Sendable (PostgresLink) throws -> Result
    ) throws(StoreError) -> Result {
        do throws(StoreError) {
            return try run(leavesTransaction: leavesTransaction, body)
        } catch .damaged(let store, let problem) {
            throw .unavailable(store: store, problem: problem)
        } catch {
            throw error
        }
    }
}

extension PostgresTable {
    fileprivate func scan(account: String?) throws(StoreError) -> PostgresQuery {
        var parameters = PostgresParameters()
        guard let account, let index = schema.accountField else {
            return PostgresQuery(sql: selection, parameters: parameters)
        }
        try append(.text(account), of: schema.fields[index], to: &parameters)
        return PostgresQuery(
            sql: "\(selection) WHERE \(column(index)) = $1", parameters: parameters)
    }

    /// The rows of some keys, each with the place of its key.
    fileprivate func find(_ keys: [RowKey]) throws(StoreError) -> PostgresQuery {
        var parameters = PostgresParameters()
        let wanted = try wanted(keys, &parameters)
        let matches = zip(keyColumns, wanted.names).map { "\($0) = \($1)" }
        return PostgresQuery(
            sql: """
                WITH \(wanted.table) SELECT \(selected), opsd_place FROM \(source) \
                JOIN opsd_wanted ON \(matches.joined(separator: " AND "))
                """, parameters: parameters)
    }

    /// Keys as a table for WITH, each with its place among them, and the names of its other columns.
    func wanted(
        _ keys: [RowKey], _ parameters: inout PostgresParameters
    ) throws(StoreError) -> (table: String, names: [String]) {
        var wanted: [String] = []
        for (place, key) in keys.enumerated() {
            guard key.dataset == schema.dataset, key.values.count == schema.keyCount else {
                throw .refused(
                    store: schema.dataset, problem: "\(key) is no key of \(schema.dataset)")
            }
            var marks = ["\(place)::bigint"]
            for (value, field) in zip(key.values, schema.keyFields) {
                // What no column can hold is not there, and neither is null.
                let isPossible = BinaryValue.problem(value) == nil
                try append(isPossible ? value : .null, of: field, to: &parameters)
                marks.append("$\(parameters.count)")
            }
            wanted.append("(\(marks.joined(separator: ", ")))")
        }
        let names = (0..<schema.keyCount).map { "opsd_w\($0)" }
        let table = """
            opsd_wanted (opsd_place, \(names.joined(separator: ", "))) AS (VALUES \
            \(wanted.joined(separator: ", ")))
            """
        return (table, names)
    }

    /// Straight from the result's bytes, where each value is a plain one.
    fileprivate func hash(_ result: PostgresResult, _ row: Int, _ hasher: RowHasher) {
        guard hashValues(result, row, hasher), let raw = result.integer(row, schema.fields.count)
        else { return hasher.append(found(result, row)) }
        if !hasher.end(SequenceNumber(rawValue: raw)) { hasher.appendStrange(found(result, row)) }
    }

    private func hashValues(_ result: PostgresResult, _ row: Int, _ hasher: RowHasher) -> Bool {
        hasher.begin()
        for (index, field) in schema.fields.enumerated() {
            guard let bytes = result.bytes(row, index) else {
                guard field.isOptional else { return false }
                hasher.null()
                continue
            }
            if field.type == .text, bytes.allSatisfy({ $0 < 0x80 }) {
                hasher.text(bytes)
            } else if let value = BinaryValue.decode(bytes, as: field.type) {
                hasher.value(value)
            } else {
                return false
            }
        }
        return true
    }

    fileprivate func found(_ result: PostgresResult, _ keys: [RowKey]) -> [FoundRow?] {
        var all = [FoundRow?](repeating: nil, count: keys.count)
        for index in 0..<result.rowCount {
            guard let place = result.integer(index, schema.fields.count + 1).map(Int.init),
                keys.indices.contains(place)
            else { continue }
            switch found(result, index) {
            // A database may take for equal what is not.
            case .row(let row) where row.row.key(in: schema) != keys[place]: continue
            case .row(let row): all[place] = .row(row)
            case .damaged(let damage):
                all[place] = .damaged(
                    DamagedRow(key: keys[place], place: damage.place, problem: damage.problem))
            }
        }
        return all
    }
}
