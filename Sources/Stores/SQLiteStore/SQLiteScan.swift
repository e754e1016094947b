internal import GRDB
public import Ledger

/// Everything in a dataset's table, page by page: no transaction is longer than a page, so that the log can
/// be folded in meanwhile.
extension SQLiteStore: ScannableStore {
    private static let pageRows = 10_000
    private static let findMax = 1_000

    public func scan(
        _ dataset: String, account: String?,
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        var position: [DatabaseValue]?
        repeat {
            let after = position
            let page = try await look(dataset, else: StoreTable.Page()) { table, database in
                try table.page(after: after, account: account, rows: Self.pageRows, in: database)
            }
            if !page.rows.isEmpty { try await consume(page.rows) }
            position = page.end
        } while position != nil
    }

    public func find(_ keys: [RowKey]) async throws(StoreError) -> [FoundRow?] {
        guard let dataset = keys.first?.dataset else { return [] }
        var found: [FoundRow?] = []
        for start in stride(from: 0, to: keys.count, by: Self.findMax) {
            let some = Array(keys[start..<min(start + Self.findMax, keys.count)])
            let nothing = [FoundRow?](repeating: nil, count: some.count)
            found += try await look(dataset, else: nothing) { table, database in
                try some.map { try table.find($0, in: database) }
            }
        }
        return found
    }

    /// A part of a file that cannot be read is not known to hold anything, or nothing.
    func look<Result: Sendable>(
        _ dataset: String, else nothing: Result,
        _ body: @escaping @Sendable (StoreTable, Database) throws -> Result
    ) async throws(StoreError) -> Result {
        do throws(StoreError) {
            return try await read(dataset, else: nothing, body)
        } catch .damaged(let store, let problem) {
            throw .unavailable(
                store: store,
                problem:
                    "\(problem): the file is damaged, and what it holds cannot be read; move it away "
                    + "and fill it anew")
        } catch {
            throw error
        }
    }
}

extension StoreTable {
    struct Page: Sendable {
        var rows: [FoundRow] = []
        /// Where the next page goes on; nil behind the last one.
        var end: [DatabaseValue]?
    }

    /// The rows behind a place in the table, in the order in which it keeps them.
    /// - Parameter rows: so many at most.
    func page(
        after position: [DatabaseValue]?, account: String?, rows: Int, in database: Database
    ) throws -> Page {
        // A page ends between rows that stand in order: what a damaged key says is not where it lies, and
        // whoever looks for the rows behind it would pass over others.
        for limit in [rows, rows - 3, rows - 7] {
            if let page = try page(position, account, limit, mustEndInOrder: true, database) {
                return page
            }
        }
        return try page(position, account, rows, mustEndInOrder: false, database) ?? Page()
    }

    private func page(
        _ position: [DatabaseValue]?, _ account: String?, _ limit: Int, mustEndInOrder: Bool,
        _ database: Database
    ) throws -> Page? {
        let order = try physicalOrder(database)
        let names = order.joined(separator: ", ")
        var terms: [String] = []
        var arguments: [DatabaseValue] = []
        if let account, let index = schema.accountField {
            terms.append("\(column(index)) = ?")
            arguments.append(try stored(.text(account), index))
        }
        if let position {
            let marks = Array(repeating: "?", count: order.count).joined(separator: ", ")
            terms.append("(\(names)) > (\(marks))")
            arguments += position
        }
        let condition = terms.isEmpty ? "" : " WHERE " + terms.joined(separator: " AND ")
        // One more than wanted, to see that the last one stands before it.
        let statement = try database.cachedStatement(
            sql: "SELECT \(columns), \(names) FROM \(source)\(condition) ORDER BY \(names) "
                + "LIMIT \(limit + 1)")
        let cursor = try GRDB.Row.fetchCursor(statement, arguments: StatementArguments(arguments))
        var page = Page()
        var ends: [[DatabaseValue]] = []
        let first = schema.fields.count + 1
        var count = 0
        while let row = try cursor.next() {
            count += 1
            if count >= limit - 1 { ends.append(order.indices.map { row[first + $0] }) }
            if count <= limit { page.rows.append(found(row)) }
        }
        guard count > limit else { return page }
        let isInOrder = zip(ends, ends.dropFirst()).allSatisfy { $0.stands(before: $1) }
        if mustEndInOrder, !isInOrder { return nil }
        page.end = ends[ends.count - 2]
        return page
    }

    /// What the table is sorted by as it lies.
    private func physicalOrder(_ database: Database) throws -> [String] {
        guard isForeign else { return keyNames.map { "t.\($0)" } }
        let taken = Set(try database.columns(in: tableName).map { $0.name.lowercased() })
        for rowID in ["_rowid_", "oid", "rowid"] where !taken.contains(rowID) {
            // A table WITHOUT ROWID has none.
            guard (try? database.makeStatement(sql: "SELECT t.\(rowID) FROM \(name) AS t")) != nil
            else { break }
            return ["t." + rowID]
        }
        return try database.primaryKey(tableName).columns.map { "t.\(Self.quoted($0))" }
    }

    func find(_ key: RowKey, in database: Database) throws -> FoundRow? {
        guard key.dataset == schema.dataset, key.values.count == schema.keyCount else {
            throw StoreError.refused(
                store: schema.dataset, problem: "\(key) is no key of \(schema.dataset)")
        }
        // What its column cannot hold is not there.
        guard let select = try? select(key) else { return nil }
        let statement = try database.cachedStatement(sql: select.sql)
        let cursor = try GRDB.Row.fetchCursor(statement, arguments: select.arguments)
        return try cursor.next().map(found)
    }
}

extension [DatabaseValue] {
    /// As SQLite orders them: null, numbers, texts by their bytes, blobs.
    fileprivate func stands(before other: [DatabaseValue]) -> Bool {
        for (one, two) in zip(self, other) where one != two {
            switch (one.storage, two.storage) {
            case (.int64(let one), .int64(let two)): return one < two
            case (.string(let one), .string(let two)):
                return one.utf8.lexicographicallyPrecedes(two.utf8)
            case (.blob(let one), .blob(let two)): return one.lexicographicallyPrecedes(two)
            case (.double(let one), .double(let two)): return one < two
            case (.int64(let one), .double(let two)): return Double(one) < two
            case (.double(let one), .int64(let two)): return one < Double(two)
            default: return one.rank < two.rank
            }
        }
        return false
    }
}

extension DatabaseValue {
    fileprivate var rank: Int {
        switch storage {
        case .null: 0
        case .int64, .double: 1
        case .string: 2
        case .blob: 3
        }
    }
}
