public import Ledger

/// Compares one dataset in one store with what was journaled.
///
///     full:    where it stands → scan → what has changed meanwhile → digests → (the rows that differ)
///     recent:  what has changed after an entry → those rows
///
/// Rows that change while the store is scanned leave both sums and are looked at one by one, and so is
/// every row of which a difference is suspected: no verdict is made from a sum.
public struct StoreCheck: Sendable {
    public struct Limits: Sendable {
        /// How long a row may lag, and how long a store that fails is asked again.
        public var deadline = Duration.seconds(10)
        /// Rows that are looked at one by one at most.
        public var examinedMax = 100_000
        /// Rows whose hashes are kept in memory; more go to `directory`.
        public var memoryRowsMax = 2_000_000
        /// For files that vanish with the process.
        public var directory = "/tmp"
        /// Rows of the store that are read a second; nil for no limit.
        public var rowsPerSecond: Int?

        public init() {}
    }

    let name: String
    let store: any ScannableStore
    let journaled: any JournaledRows
    let schema: Schema
    let limits: Limits

    /// - Parameter name: the store's.
    public init(
        _ schema: Schema, in name: String, _ store: any ScannableStore,
        against journaled: any JournaledRows, limits: Limits = Limits()
    ) {
        self.schema = schema
        self.name = name
        self.store = store
        self.journaled = journaled
        self.limits = limits
    }

    // MARK: What changed

    /// Looks at the rows that changed after an entry.
    /// - Returns: a report that says through which entry.
    public func recent(after sequence: SequenceNumber) async -> CheckReport {
        var report = CheckReport(dataset: schema.dataset, store: name)
        do throws(StoreError) {
            let changes = try await journaled.changes(after: sequence, in: schema.dataset)
            report.rowsCompared = changes.rows.count
            await recheck.run(Array(changes.rows.keys), &report)
            report.through = changes.through
        } catch {
            report.fail(error.description)
        }
        return report
    }

    private var recheck: RowRecheck {
        RowRecheck(check: self)
    }

    // MARK: Everything

    /// Reads all rows of the store.
    /// - Parameter progress: is told of rows read.
    public func full(
        _ progress: @escaping @Sendable (Int) async -> Void = { _ in }
    ) async -> CheckReport {
        var report = CheckReport(dataset: schema.dataset, store: name)
        for attempt in 1...Self.attemptsMax {
            report = CheckReport(dataset: schema.dataset, store: name)
            do throws(StoreError) {
                if try await full(&report, progress) { break }
            } catch {
                report.fail(error.description)
                break
            }
            if attempt == Self.attemptsMax {
                report.fail(
                    "\(name) was in motion: its sum differed, and then every row was as journaled")
            }
        }
        return report
    }

    private static let attemptsMax = 3

    /// - Returns: false when the sums differ and no row does: the store was filled anew, say, meanwhile.
    private func full(
        _ report: inout CheckReport, _ progress: @escaping @Sendable (Int) async -> Void
    ) async throws(StoreError) -> Bool {
        let standing = try await StoreStanding(of: self)
        let scan = StoreScan(self)
        try await scan.run(progress)
        report.rowsCompared = await scan.hashes.count
        let changes = try await journaled.changes(after: standing.applied, in: schema.dataset)
        report.digests = changes.digests
        for damaged in await scan.damaged where damaged.key == nil {
            report.add(
                Difference(
                    dataset: schema.dataset, key: nil, verdict: .corrupt,
                    problem: "\(damaged.place): \(damaged.problem)"))
        }
        var suspects = await scan.suspects.union(changes.rows.keys)
        report.unexamined = await scan.unexamined
        let scopes = try await scan.scopesThatDiffer(from: changes)
        if !scopes.isEmpty {
            let search = DifferenceSearch(check: self, scan: scan, since: standing.applied)
            let found = try await search.keys(in: scopes)
            report.unexamined += found.unexamined
            suspects.formUnion(found.keys)
        }
        await recheck.run(Array(suspects), &report)
        report.through = changes.through
        return scopes.isEmpty || report.outcome != .equal
    }
}
