public import Ledger

// A store is read again and again, a little at a time, so that a fault of what rests is found within one
// cycle. Each cycle walks twice: first the journaled rows, key after key, each read from the store and
// judged by itself; then all that lies in the store, for what nobody journaled. So every row is read from
// the store, a walk can be put down after any key and taken up by another process, and what was found is
// known at once and not when a sum is complete.

extension StoreCheck {
    /// Looks at some rows, whatever has become of them.
    public func examine(_ keys: [RowKey]) async -> CheckReport {
        var report = CheckReport(dataset: schema.dataset, store: name)
        do throws(StoreError) {
            guard try await isOurs(&report) else { return report }
            report.rowsCompared = keys.count
            await recheck.run(keys, &report)
        } catch {
            report.fail(error.description)
        }
        return report
    }

    /// Reads all that lies in the store for what is no journaled row: rows of nobody, things that are none,
    /// keys that lie twice.
    /// - Parameter wait: is told of rows read, and returns when more may be.
    public func strays(_ wait: @escaping @Sendable (Int) async -> Void) async -> CheckReport {
        var report = CheckReport(dataset: schema.dataset, store: name)
        do throws(StoreError) {
            guard try await isOurs(&report) else { return report }
            let walk = StrayWalk(self)
            try await store.scan(schema.dataset, account: nil) { found async throws(StoreError) in
                try await walk.take(found)
                await wait(found.count)
            }
            report.unexamined = await walk.unexamined
            await recheck.run(Array(await walk.suspects), &report)
            let repeated = try await walk.repeated()
            let second = SecondLook(self, litter: await walk.litter, repeated: repeated)
            for difference in try await second.differences() { report.add(difference) }
            _ = try await StoreStanding.applied(of: self)
        } catch {
            report.fail(error.description)
        }
        return report
    }

    /// Throws `damaged` where what a store is compared with does not itself add up to the journal's digests.
    public func expectWholeJournaled() async throws(StoreError) {
        let head = try await journaled.head()
        let known = try await journaled.changesAndDigests(after: head, in: schema.dataset)
        let accounts = Set(known.digests.keys.map(\.account))
        let hashes = JournaledHashes(self)
        let asOf = try await hashes.run(accounts)
        let changes = try await journaled.changesAndDigests(after: asOf, in: schema.dataset)
        try await hashes.expectWhole(accounts, against: changes)
    }

    /// How many rows there should be.
    public func journaledCount() async throws(StoreError) -> Int {
        let changes = try await journaled.changesAndDigests(
            after: try await journaled.head(), in: schema.dataset)
        return changes.digests.values.reduce(0) { $0 + Int($1.count) }
    }

    public func keys(after key: RowKey?, limit: Int) async throws(StoreError) -> [RowKey] {
        try await journaled.keys(in: schema.dataset, after: key, limit: limit)
    }
}

/// What is kept of a walk through a store: what nobody journaled, and which keys there were.
private actor StrayWalk {
    private let check: StoreCheck
    private let hashes: RowHashes
    private(set) var suspects: Set<RowKey> = []
    private(set) var litter: [String: DamagedRow] = [:]
    private(set) var unexamined = 0

    init(_ check: StoreCheck) {
        self.check = check
        hashes = RowHashes(
            directory: check.limits.directory, memoryMax: check.limits.memoryRowsMax)
    }

    func take(_ found: [FoundRow]) async throws(StoreError) {
        var keys: [RowKey] = []
        for row in found {
            switch row {
            case .row(let stamped): keys.append(stamped.row.key(in: check.schema))
            case .damaged(let damaged):
                if let key = damaged.key {
                    suspect(key)
                } else if litter.count < check.limits.examinedMax {
                    litter[damaged.place] = damaged
                } else {
                    unexamined += 1
                }
            }
        }
        let digestKey = check.journaled.digestKey
        try await hashes.append(
            keys.map { HashedRow(key: digestKey.keyHash($0), row: 0, account: 0) })
        for row in try await check.journaled.rows(keys) where row.row == nil { suspect(row.key) }
    }

    private func suspect(_ key: RowKey) {
        if suspects.count < check.limits.examinedMax {
            suspects.insert(key)
        } else if !suspects.contains(key) {
            unexamined += 1
        }
    }

    /// The hashes of keys that came more than once.
    func repeated() async throws(StoreError) -> Set<UInt64> {
        var repeated: Set<UInt64> = []
        for part in 0..<RowHashes.partCount {
            var seen: Set<UInt64> = []
            for entry in try await hashes.part(part) where !seen.insert(entry.key).inserted {
                repeated.insert(entry.key)
            }
        }
        return repeated
    }
}

/// How fast a store is read so that a cycle ends in time: a plain value.
public struct ScrubPace: Sendable {
    /// Within it every row is read.
    public let cycle: Duration
    /// Of one dataset in one store, however short the cycle is.
    public static let rowsPerSecondMax = 20_000.0
    /// The walk through the journaled rows takes this part of a cycle, so that a store that is slow for a
    /// while does not break it.
    private static let walkPart = 0.7
    private static let part = 0.8
    /// Rows that are read at once, at most.
    private static let pageRowsMax = 1_000.0
    private static let pageSeconds = 0.25
    /// The walk through the store takes no longer, if it can be: a store may read it in one transaction,
    /// which is not to stay open.
    private static let straySeconds = 60.0
    private static let strayRowsPerSecondMin = 2_000.0

    public init(cycle: Duration) {
        self.cycle = cycle
    }

    private var seconds: Double { cycle / .seconds(1) * Self.walkPart }

    /// - Parameters:
    ///   - rest: of `rows`, those that are still to be looked at in the cycle.
    ///   - elapsed: since it began.
    public func rowsPerSecond(rows: Int, rest: Int, elapsed: Duration) -> Double {
        let left = max(seconds - elapsed / .seconds(1), seconds / 20)
        let even = Double(max(rows, 1)) / seconds
        return min(max(even, Double(rest) / left), Self.rowsPerSecondMax)
    }

    /// Rows to look at at once, and how long after their beginning the next ones are.
    public func page(rows: Int, rest: Int, elapsed: Duration) -> (rows: Int, pause: Duration) {
        let rate = rowsPerSecond(rows: rows, rest: rest, elapsed: elapsed)
        let page = max(1, min(Self.pageRowsMax, (rate * Self.pageSeconds).rounded()))
        return (Int(page), .seconds(page / rate))
    }

    /// Of the walk through the store, which has about so many rows.
    public func strayRowsPerSecond(rows: Int) -> Double {
        let even = Double(rows) / min(Self.straySeconds, seconds / 10)
        return min(max(even, Self.strayRowsPerSecondMin), Self.rowsPerSecondMax)
    }

    /// Why so many rows do not fit into a cycle; nil where they do.
    public func problem(rows: Int) -> String? {
        guard Double(rows) / seconds > Self.rowsPerSecondMax else { return nil }
        let takes = Double(rows) / Self.rowsPerSecondMax / Self.walkPart
        return
            "a cycle takes \(Int(takes)) s and not the \(Int(cycle / .seconds(1))) s of 'every': "
            + "at most \(Int(Self.rowsPerSecondMax)) rows a second are read"
    }

    /// How long a cycle lasts at least, so that one with nothing to read is no loop without end.
    public var shortest: Duration { cycle * Self.part }
}
