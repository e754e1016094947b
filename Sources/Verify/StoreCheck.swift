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

    public let name: String
    public let schema: Schema
    let store: any ScannableStore
    let journaled: any JournaledRows
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
            guard try await isOurs(&report) else { return report }
            let head = try await journaled.head()
            var position = sequence
            // A row that changed often is looked at often, and said once.
            var said: Set<RowKey> = []
            repeat {
                let changes = try await journaled.changes(after: position, in: schema.dataset)
                report.rowsCompared += changes.rows.count
                let known = report.differences.count
                await recheck.run(changes.rows.keys.filter { !said.contains($0) }, &report)
                said.formUnion(report.differences[known...].compactMap(\.key))
                position = changes.through
            } while position < head
            report.through = position
        } catch {
            report.fail(error.description)
        }
        return report
    }

    var recheck: RowRecheck {
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
        guard try await isOurs(&report) else { return true }
        let applied = try await StoreStanding.applied(of: self)
        let scan = StoreScan(self, applied: applied)
        try await scan.run(progress)
        let changes = try await journaled.changesAndDigests(after: applied, in: schema.dataset)
        report.digests = changes.digests
        let sums = try await scan.sums(against: changes)
        report.rowsCompared = max(await scan.hashes.count, sums.journaledRows)
        var suspects = await scan.suspects.union(changes.rows.keys)
        var unexamined = await scan.unexamined
        if !sums.differing.isEmpty {
            let search = DifferenceSearch(check: self, scan: scan, since: applied)
            let found = try await search.keys(in: sums.differing)
            unexamined += found.unexamined
            suspects.formUnion(found.keys)
        }
        await recheck.run(Array(suspects), &report)
        let second = SecondLook(self, litter: await scan.litter, repeated: sums.repeated)
        for difference in try await second.differences() { report.add(difference) }
        _ = try await StoreStanding.applied(of: self)
        report.through = changes.through
        let isConclusive = sums.differing.isEmpty || report.outcome != .equal
        // Of those nobody has looked at any, and none that was looked at was wrong.
        if report.outcome == .found { report.unexamined = unexamined }
        return isConclusive && (unexamined == 0 || report.outcome == .found)
    }

    /// Whether the store is a copy of this journal; said in the report where it is not.
    func isOurs(_ report: inout CheckReport) async throws(StoreError) -> Bool {
        guard case .ahead(let problem) = try await StoreStanding(of: self) else { return true }
        report.add(
            Difference(dataset: schema.dataset, key: nil, verdict: .ahead, problem: problem))
        return false
    }
}
