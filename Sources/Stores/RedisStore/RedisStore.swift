public import Connections
public import Ledger

/// A copy of the rows in a Redis, in layouts that other programs read.
///
/// The data keys are as the layouts say. Beside them lie opsd's own: a hash of stamps for each data
/// key (`opsd:v:DATASET:KEY`), an index of keys where a row's key does not name its data key
/// (`opsd:k:DATASET`; rows that others put there are found by queries only), the position
/// (`opsd:store`) and the digests (`opsd:digests`).
public final class RedisStore: RowStore {
    let name: String
    private let layouts: [String: RedisLayout]
    private let codings: [String: RowCoding]
    private let identities: [String: String]
    let pool: ConnectionPool<RedisConnection>
    /// One connection: what changes the store's record goes one after the other.
    private let writer: ConnectionPool<RedisConnection>
    /// Of one transaction.
    let rowsMax: Int

    /// Makes no connection yet.
    /// - Parameters:
    ///   - name: the store's, for errors.
    ///   - timeout: for a connection, and for each next byte of an answer.
    ///   - rowsMax: how many rows one transaction has at most.
    public init(
        name: String, url: RedisURL, layouts: [RedisLayout], limits: PoolLimits = PoolLimits(),
        timeout: Duration = .seconds(5), rowsMax: Int = 200
    ) throws(StoreError) {
        self.name = name
        self.rowsMax = max(1, rowsMax)
        var known: [String: RedisLayout] = [:]
        for layout in layouts {
            if let other = known.values.first(where: layout.overlaps) {
                throw .refused(
                    store: name,
                    problem:
                        "the keys of \(layout.schema.dataset) ('\(layout.key)') may be those of "
                        + "\(other.schema.dataset) ('\(other.key)'): give one of them another key")
            }
            guard known.updateValue(layout, forKey: layout.schema.dataset) == nil else {
                throw .refused(
                    store: name, problem: "\(layout.schema.dataset) has two layouts")
            }
        }
        self.layouts = known
        codings = known.mapValues(\.coding)
        identities = known.mapValues(\.identity)
        let connector = RedisConnector(store: name, url: url, timeout: timeout)
        pool = ConnectionPool(store: name, limits: limits) { () async throws(StoreError) in
            try await connector.open()
        }
        var one = PoolLimits(min: 0, max: 1)
        one.idleTimeout = limits.idleTimeout
        // Writers wait for each other, and the one in front of them for the server.
        one.acquireTimeout = max(limits.acquireTimeout, timeout * 4)
        writer = ConnectionPool(store: name, limits: one) { () async throws(StoreError) in
            try await connector.open()
        }
    }

    /// Keeps the smallest number of connections open, and closes those that nobody needs. For a caller
    /// who does this every few seconds.
    public func maintain() async {
        await pool.maintain()
        await writer.maintain()
    }

    public func close() async {
        await pool.close()
        await writer.close()
    }

    /// Of the connections for reading and filling; one more writes.
    public var use: PoolUse { get async { await pool.use } }

    public func appliedSequence() async throws(StoreError) -> SequenceNumber {
        try await position().applied
    }

    public func apply(_ batch: StoreBatch) async throws(StoreError) {
        try check(batch.changes)
        let (codings, rowsMax) = (codings, rowsMax)
        try await perform(on: writer) { connection throws(StoreError) in
            try connection.apply(batch, codings, rowsMax: rowsMax)
        }
    }

    public func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        let coding = try coding(key.dataset)
        guard key.values.count == coding.schema.keyCount else {
            throw .refused(store: name, problem: "\(key) is no key of \(key.dataset)")
        }
        return try await look(coding) { connection throws(StoreError) in
            guard let reach = try connection.reach(of: key, coding) else { return nil }
            var found: StampedRow?
            try connection.each(coding, reach) { rows in found = rows.first }
            return found
        }
    }

    public func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        let (coding, name) = (try coding(query.dataset), name)
        let schema = coding.schema
        // Refuses a field that is none before anything is read.
        _ = try query.page(of: [], in: schema, store: name)
        let (end, isWhole) = query.offset.addingReportingOverflow(query.limit)
        var firsts = query
        firsts.offset = 0
        firsts.limit = isWhole ? .max : end
        let keptMax = isWhole || end > .max / 4 ? .max : max(10_000, 2 * end)
        let (page, reach) = (firsts, coding.reach(of: query))
        return try await look(coding) { connection throws(StoreError) in
            var kept: [StampedRow] = []
            try connection.each(coding, reach) { rows throws(StoreError) in
                kept += try query.matches(among: rows, in: schema, store: name)
                // What is past the page's end stays so.
                if kept.count > keptMax { kept = try page.page(of: kept, in: schema, store: name) }
            }
            return try query.page(of: kept, in: schema, store: name)
        }
    }

    public func count(_ query: RowQuery) async throws(StoreError) -> Int {
        let (coding, name) = (try coding(query.dataset), name)
        let schema = coding.schema
        _ = try query.page(of: [], in: schema, store: name)
        let reach = coding.reach(of: query)
        return try await look(coding) { connection throws(StoreError) in
            if coding.findsAll(query, within: reach), !coding.isOneRowAKey {
                return try connection.count(coding, reach)
            }
            var count = 0
            try connection.each(coding, reach) { rows throws(StoreError) in
                count += try query.matches(among: rows, in: schema, store: name).count
            }
            return count
        }
    }

    public func digests() async throws(StoreError) -> [DigestStamp] {
        try await perform(on: pool) { connection throws(StoreError) in
            try connection.digests()
        }
    }

    // MARK: -

    func coding(_ dataset: String) throws(StoreError) -> RowCoding {
        guard let coding = codings[dataset] else {
            throw .refused(store: name, problem: "no dataset '\(dataset)' is known")
        }
        return coding
    }

    /// Before anything is written: a batch that cannot be taken whole is not taken at all.
    private func check(_ changes: [StoreBatch.Change]) throws(StoreError) {
        for change in changes {
            if let problem = try coding(change.key.dataset).problem(of: change) {
                throw .refused(store: name, problem: "\(change.key): \(problem)")
            }
        }
    }

    /// Reads. Damage is said when it is still there a moment later: a batch that takes the last rows out
    /// of a key moves the digests right after it. A cache has none.
    private func look<Result: Sendable>(
        _ coding: RowCoding,
        _ body: @escaping @Sendable (isolated RedisConnection) throws(StoreError) -> Result
    ) async throws(StoreError) -> Result {
        for _ in 0..<(coding.timeToLive == nil ? 3 : 0) {
            do throws(StoreError) {
                return try await perform(on: pool, body)
            } catch .damaged {
                try? await Task.sleep(for: .milliseconds(20))
            } catch {
                throw error
            }
        }
        return try await perform(on: pool, body)
    }

    /// Over a connection of those for reading and filling.
    func perform<Result: Sendable>(
        _ body: @escaping @Sendable (isolated RedisConnection) throws(StoreError) -> Result
    ) async throws(StoreError) -> Result {
        try await perform(on: pool, body)
    }

    private func perform<Result: Sendable>(
        on pool: ConnectionPool<RedisConnection>,
        _ body: @escaping @Sendable (isolated RedisConnection) throws(StoreError) -> Result
    ) async throws(StoreError) -> Result {
        try await pool.with { connection async throws(StoreError) in
            try await connection.perform(body)
        }
    }
}

extension RedisStore: ReplicaStore {
    public func position() async throws(StoreError) -> StorePosition {
        let identities = identities
        return try await perform(on: pool) { connection throws(StoreError) in
            try connection.position(identities)
        }
    }

    public func begin(
        _ datasets: Set<String>, from found: StorePosition?, as begun: StorePosition
    ) async throws(StoreError) {
        var emptied: [RowCoding] = []
        for dataset in datasets.sorted() { emptied.append(try coding(dataset)) }
        let identities = identities
        try await perform(on: writer) { connection throws(StoreError) in
            try connection.begin(datasets, from: found, as: begun, layouts: identities)
        }
        let codings = emptied
        try await perform(on: pool) { connection throws(StoreError) in
            for coding in codings { try connection.empty(coding) }
        }
    }

    public func fill(
        _ rows: [StampedRow], at begun: StorePosition?
    ) async throws(StoreError) {
        var changes: [StoreBatch.Change] = []
        changes.reserveCapacity(rows.count)
        for stamped in rows {
            let schema = try coding(stamped.row.dataset).schema
            changes.append(
                .init(
                    key: stamped.row.key(in: schema), row: stamped.row, sequence: stamped.sequence))
        }
        try check(changes)
        let (filled, codings, identities, rowsMax) = (changes, codings, identities, rowsMax)
        try await perform(on: pool) { connection throws(StoreError) in
            try connection.fill(
                filled, at: begun, codings, layouts: identities, rowsMax: rowsMax)
        }
    }

    public func finish(
        _ position: StorePosition, from begun: StorePosition?, digests: [DigestStamp]
    ) async throws(StoreError) {
        let identities = identities
        try await perform(on: writer) { connection throws(StoreError) in
            try connection.finish(
                position, from: begun, digests: digests, layouts: identities)
        }
    }
}
