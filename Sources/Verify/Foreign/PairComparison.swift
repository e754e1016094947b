public import Ledger

/// Compares the rows of two places of which neither has a journal.
///
///     engines hash → sum → hashes where sums differ → keys  ┐
///     both are read → hashes → keys                         ┴→ each of these rows, until it is known
///
/// Every row that is at rest is read once on each side. What the hashes tell apart is then looked at row by
/// row on both sides: no verdict is made from a hash.
public struct PairComparison: Sendable {
    let left: PairSide
    let right: PairSide
    let judge: PairJudge
    let limits: StoreCheck.Limits
    /// As the report names it.
    private let store: String

    /// Up to so many rows all hashes are asked for at once when the sums differ; of more only those in whose
    /// buckets they do.
    private static let wholeRowsMax = 5_000_000

    /// - Parameters:
    ///   - schema: of the rows that both sides give, named after the check.
    ///   - store: the right side's.
    ///   - left: what the right one should be.
    ///   - tolerance: by field.
    public init(
        _ schema: Schema, in store: String, left: PairSide, right: PairSide,
        tolerance: [String: PairTolerance] = [:], limits: StoreCheck.Limits = StoreCheck.Limits()
    ) {
        self.left = left
        self.right = right
        self.limits = limits
        self.store = store
        var places: [Int: PairTolerance] = [:]
        for (field, tolerance) in tolerance { places[schema.index(of: field) ?? -1] = tolerance }
        judge = PairJudge(
            schema: schema, tolerance: places.filter { $0.key >= schema.keyCount },
            left: left.name, right: right.name)
    }

    /// - Parameter progress: is told of rows read, of the left side and of the right one.
    public func run(
        _ progress: @escaping @Sendable (Int) async -> Void = { _ in }
    ) async -> CheckReport {
        var report = CheckReport(dataset: judge.schema.dataset, store: store)
        report.isOfPair = true
        do throws(StoreError) {
            var suspects = try await suspectsByEngine(&report)
            if suspects == nil { suspects = try await suspectsByReading(&report, progress) }
            guard let suspects else { return report }
            await PairRecheck(pair: self).run(suspects.keys, &report)
            for difference in try await strange(suspects) { report.add(difference) }
            addRepeated(suspects, to: &report)
            if suspects.unexamined > 0 {
                report.unexamined = suspects.unexamined
                if report.counts.allSatisfy({ $0.key == .unknown || $0.value == 0 }) {
                    // Of those that were looked at none was wrong.
                    report.unexamined = 0
                    report.fail(
                        "more rows were written meanwhile than can be looked at one by one: "
                            + "\(suspects.unexamined)")
                }
            }
        } catch {
            report.fail(error.description)
        }
        return report
    }

    /// Rows to be looked at.
    private struct Suspects {
        var keys: Set<RowKey> = []
        /// What is no row of any key, by its place: of the left side, and of the right one.
        var litter: [[String: DamagedRow]] = [[:], [:]]
        /// How many rows each side has of a key that came more often on one than on the other.
        var repeated: [RowKey: [Int]] = [:]
        /// Beyond the limit.
        var unexamined = 0
    }

    /// Does something with both sides at once. When one fails, the other one is told that it is in vain.
    func both<Side: Sendable, Result: Sendable>(
        _ left: Side, _ right: Side,
        _ body: @escaping @Sendable (Side) async throws(StoreError) -> Result
    ) async throws(StoreError) -> (left: Result, right: Result) {
        let sides = [left, right]
        var results = [Result?](repeating: nil, count: 2)
        var failure: StoreError?
        await withTaskGroup(of: (Int, Swift.Result<Result, StoreError>).self) { group in
            for (number, side) in sides.enumerated() {
                group.addTask { (number, await outcome(of: side, body)) }
            }
            for await (number, outcome) in group {
                switch outcome {
                case .success(let result): results[number] = result
                case .failure(let error):
                    failure = failure ?? error
                    group.cancelAll()
                }
            }
        }
        if let failure { throw failure }
        guard let one = results[0], let other = results[1] else {
            throw .unavailable(store: store, problem: "it was interrupted")
        }
        return (one, other)
    }

    private static func checkCancelled(_ name: String) throws(StoreError) {
        if Task.isCancelled { throw .unavailable(store: name, problem: "it was interrupted") }
    }

    private func outcome<Side: Sendable, Result: Sendable>(
        of side: Side, _ body: @Sendable (Side) async throws(StoreError) -> Result
    ) async -> Swift.Result<Result, StoreError> {
        do throws(StoreError) {
            return .success(try await body(side))
        } catch {
            return .failure(error)
        }
    }

    // MARK: Engines that hash

    /// Nil where the two do not hash, or not alike.
    private func suspectsByEngine(
        _ report: inout CheckReport
    ) async throws(StoreError) -> Suspects? {
        // What may be apart has other hashes.
        guard judge.tolerance.isEmpty, limits.rowsPerSecond == nil,
            let leftRows = left.rows as? any EngineHashedRows,
            let rightRows = right.rows as? any EngineHashedRows
        else { return nil }
        let seed = Int64.random(in: .min ... .max)
        let probes = try await both(leftRows, rightRows) { rows async throws(StoreError) in
            try await rows.probe(seed: seed)
        }
        guard let probe = probes.left, probe == probes.right else { return nil }
        let sum = try await both(leftRows, rightRows) { rows async throws(StoreError) in
            try await rows.sum(seed: seed)
        }
        let count = Int(max(sum.left.count, sum.right.count))
        report.rowsCompared = count
        if sum.left == sum.right { return Suspects() }
        var differing: Set<Int>?
        if count > Self.wholeRowsMax {
            let sums = try await both(leftRows, rightRows) { rows async throws(StoreError) in
                try await rows.sums(seed: seed)
            }
            differing = Set(sums.left.keys).union(sums.right.keys).filter {
                sums.left[$0, default: .empty] != sums.right[$0, default: .empty]
            }
        }
        let buckets = differing
        let key = SipHashKey.random()
        let hashes = [PairHashes(judge, key, limits), PairHashes(judge, key, limits)]
        _ = try await both((leftRows, hashes[0]), (rightRows, hashes[1])) {
            side async throws(StoreError) in
            let (rows, hashes) = side
            try await rows.hashes(seed: seed, in: buckets) { some async throws(StoreError) in
                try Self.checkCancelled(store)
                try await hashes.take(some)
            }
        }
        let found = try await self.differing(hashes[0], hashes[1])
        var suspects = Suspects()
        suspects.unexamined = found.unexamined
        let wanted = found.hashes
        if wanted.isEmpty { return suspects }
        let keys = try await both(leftRows, rightRows) { rows async throws(StoreError) in
            try await rows.keys(seed: seed, of: wanted)
        }
        suspects.keys = keys.left.keys.union(keys.right.keys)
        for (side, damages) in [keys.left.damaged, keys.right.damaged].enumerated() {
            for damage in damages {
                if let key = damage.key {
                    suspects.keys.insert(key)
                } else {
                    suspects.litter[side][damage.place] = damage
                }
            }
        }
        return suspects
    }

    // MARK: Reading both

    private func suspectsByReading(
        _ report: inout CheckReport, _ progress: @escaping @Sendable (Int) async -> Void
    ) async throws(StoreError) -> Suspects {
        let key = SipHashKey.random()
        let hashes = [PairHashes(judge, key, limits), PairHashes(judge, key, limits)]
        let limits = limits
        _ = try await both((left.rows, hashes[0]), (right.rows, hashes[1])) {
            side async throws(StoreError) in
            let (rows, hashes) = side
            let pace = ScanPace(limits.rowsPerSecond)
            try await rows.scan { found async throws(StoreError) in
                try Self.checkCancelled(store)
                try await hashes.take(found)
                let count = await hashes.count
                await progress(count)
                await pace.wait(count)
            }
        }
        report.rowsCompared = max(await hashes[0].count, await hashes[1].count)
        let differing = try await differing(hashes[0], hashes[1])
        var suspects = Suspects()
        suspects.keys = await hashes[0].suspects.union(await hashes[1].suspects)
        suspects.litter = [await hashes[0].litter, await hashes[1].litter]
        suspects.unexamined =
            differing.unexamined + (await hashes[0].unexamined) + (await hashes[1].unexamined)
        if differing.hashes.isEmpty { return suspects }
        let wanted = SuspectKeys(differing.hashes, differing.repeated, key, judge.schema)
        for (number, side) in [left, right].enumerated() {
            if await wanted.isComplete { break }
            let pace = ScanPace(limits.rowsPerSecond)
            try await side.rows.scan { found async throws(StoreError) in
                await pace.wait(await wanted.take(found, side: number))
            }
        }
        suspects.keys.formUnion(await wanted.keys)
        suspects.repeated = await wanted.counts.filter { $0.value[0] != $0.value[1] }
        return suspects
    }

    private struct Differing {
        var hashes: Set<UInt64> = []
        /// Under which one side has several rows.
        var repeated: Set<UInt64> = []
        var unexamined = 0
    }

    private func differing(
        _ left: PairHashes, _ right: PairHashes
    ) async throws(StoreError) -> Differing {
        var all = Differing()
        for part in 0..<RowHashes.partCount {
            let found = try await PairHashes.differing(left, right, part: part)
            for hash in found.hashes {
                if all.hashes.count < limits.examinedMax {
                    all.hashes.insert(hash)
                    if found.repeated.contains(hash) { all.repeated.insert(hash) }
                } else {
                    all.unexamined += 1
                }
            }
        }
        return all
    }

    // MARK: What is no row

    /// Who finds rows by their keys may find one of several alone.
    private func addRepeated(_ suspects: Suspects, to report: inout CheckReport) {
        let known = Set(report.differences.compactMap(\.key))
        for (key, counts) in suspects.repeated.sorted(by: { "\($0.key)" < "\($1.key)" })
        where !known.contains(key) {
            report.add(
                Difference(
                    dataset: judge.schema.dataset, key: key, verdict: .corrupt,
                    problem:
                        "it lies \(counts[0]) times in \(left.name), and \(counts[1]) times in "
                        + right.name, left: nil, right: nil))
        }
    }

    /// What is no row of any key and still lies there at a second look.
    private func strange(_ suspects: Suspects) async throws(StoreError) -> [Difference] {
        var found: [Difference] = []
        for (side, litter) in zip([left, right], suspects.litter) where !litter.isEmpty {
            let again = Litter(among: litter)
            try await side.rows.scan { found async throws(StoreError) in await again.take(found) }
            for damage in await again.found.values.sorted(by: { $0.place < $1.place }) {
                found.append(
                    Difference(
                        dataset: judge.schema.dataset, key: nil, verdict: .corrupt,
                        problem: "in \(side.name): \(damage.place): \(damage.problem)", left: nil,
                        right: nil))
            }
        }
        return found
    }
}

/// Keys, looked for by their hashes, of both sides, since each may have what the other lacks.
private actor SuspectKeys {
    private let wanted: Set<UInt64>
    private let repeated: Set<UInt64>
    private var missing: Set<UInt64>
    private let hashKey: SipHashKey
    private let schema: Schema
    private(set) var keys: Set<RowKey> = []
    /// Of keys that came more than once: how often on each side.
    private(set) var counts: [RowKey: [Int]] = [:]
    private var rows = 0

    init(
        _ wanted: Set<UInt64>, _ repeated: Set<UInt64>, _ hashKey: SipHashKey, _ schema: Schema
    ) {
        self.wanted = wanted
        self.repeated = repeated
        missing = wanted
        self.hashKey = hashKey
        self.schema = schema
    }

    var isComplete: Bool { missing.isEmpty && repeated.isEmpty }

    /// - Returns: the rows that have come so far.
    func take(_ found: [FoundRow], side: Int) -> Int {
        for case .row(let stamped) in found {
            let key = stamped.row.key(in: schema)
            let hash = hashKey.keyHash(key)
            guard wanted.contains(hash) else { continue }
            keys.insert(key)
            missing.remove(hash)
            if repeated.contains(hash) { counts[key, default: [0, 0]][side] += 1 }
        }
        rows += found.count
        return rows
    }
}

private actor Litter {
    private let wanted: [String: DamagedRow]
    private(set) var found: [String: DamagedRow] = [:]

    init(among wanted: [String: DamagedRow]) {
        self.wanted = wanted
    }

    func take(_ rows: [FoundRow]) {
        for case .damaged(let damage) in rows where damage.key == nil && wanted[damage.place] != nil
        {
            found[damage.place] = damage
        }
    }
}
