internal import Ledger

/// Looks at single rows until it is known what to say of each.
///
///     where the store stands → its rows → what was journaled → judge;  again what lags or was not read
///
/// In this order, so that a row that changes on the way is taken for late and never for wrong. A row that
/// is wrong is looked at twice, with the store standing whole before and after.
struct RowRecheck {
    let check: StoreCheck

    private static let batchRows = 1_000
    private static let pause = Duration.milliseconds(20)

    /// The deadline is one for all of them; each is looked at twice all the same.
    func run(_ keys: [RowKey], _ report: inout CheckReport) async {
        let deadline = ContinuousClock.now + check.limits.deadline
        for start in stride(from: 0, to: keys.count, by: Self.batchRows) {
            let batch = Array(keys[start..<min(keys.count, start + Self.batchRows)])
            await run(batch, until: deadline, &report)
        }
    }

    private func run(
        _ keys: [RowKey], until deadline: ContinuousClock.Instant, _ report: inout CheckReport
    ) async {
        var suspicions = Dictionary(uniqueKeysWithValues: keys.map { ($0, RowSuspicion()) })
        var failure: StoreError?
        var looks = 0
        while !suspicions.isEmpty {
            let isLast = looks >= 2 && (ContinuousClock.now >= deadline || Task.isCancelled)
            if isLast { break }
            if looks > 0 { try? await Task.sleep(for: Self.pause) }
            looks += 1
            do throws(StoreError) {
                failure = nil
                for (key, difference) in try await look(suspicions) {
                    switch suspicions[key]?.take(difference, at: .now) {
                    case .equal: suspicions[key] = nil
                    case .wrong(let difference):
                        report.add(difference)
                        suspicions[key] = nil
                    case .open, nil: break
                    }
                }
            } catch {
                failure = error
            }
        }
        for (key, suspicion) in suspicions {
            if failure == nil, suspicion.isMoving, await isOfItsEntry(suspicion.difference) {
                continue
            }
            report.add(last(key, suspicion, failure))
        }
    }

    /// A row that changes faster than it can be looked at is right when it is as the entry put it that its
    /// stamp names.
    private func isOfItsEntry(_ difference: Difference?) async -> Bool {
        guard let difference, let key = difference.key, let found = difference.found else {
            return false
        }
        let put = try? await check.journaled.row(key, putBy: found.sequence)
        return put == found.row
    }

    /// Looks once. Nil where the store has the row as it was journaled.
    func look(
        _ suspicions: [RowKey: RowSuspicion]
    ) async throws(StoreError) -> [(RowKey, Difference?)] {
        let keys = Array(suspicions.keys)
        let applied = try await StoreStanding.applied(of: check)
        let found = try await check.store.find(keys)
        let journaled = try await check.journaled.rows(keys)
        _ = try await StoreStanding.applied(of: check)
        let judge = RowJudge(schema: check.schema)
        return zip(journaled, found).map { journaled, found in
            let difference = judge.difference(
                journaled, found: found, applied: applied,
                awaited: suspicions[journaled.key]?.awaited)
            return (journaled.key, difference)
        }
    }

    /// What is to be said when the time is over.
    private func last(
        _ key: RowKey, _ suspicion: RowSuspicion, _ failure: StoreError?
    ) -> Difference {
        if failure == nil, !suspicion.isMoving, let found = suspicion.difference,
            found.verdict == .lag
        {
            return found
        }
        let problem = failure?.description ?? "\(check.name) would not hold still"
        return Difference(
            dataset: key.dataset, key: key, verdict: .unknown, problem: problem)
    }
}

/// What is known of a row that was looked at and is not settled.
struct RowSuspicion: Sendable {
    /// What the last look has found.
    private(set) var difference: Difference?
    /// Since when the store has been late with the same entry.
    private(set) var lateSince: ContinuousClock.Instant?
    /// Whether it was late with one entry, and then with another one.
    private(set) var isMoving = false

    enum Outcome {
        case equal
        case wrong(Difference)
        case open
    }

    /// The entry that the store was late with.
    var awaited: SequenceNumber? {
        difference.flatMap { $0.verdict == .lag ? $0.journaledSequence : nil }
    }

    mutating func take(_ found: Difference?, at now: ContinuousClock.Instant) -> Outcome {
        guard let found else { return .equal }
        if found.verdict != .lag, let difference, difference.isSame(as: found) {
            return .wrong(found)
        }
        // A row that changes all the time is always late with its newest entry.
        if found.verdict != .lag || awaited != found.journaledSequence {
            isMoving = found.verdict == .lag && awaited != nil
            lateSince = now
        }
        difference = found
        return .open
    }
}
