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

    func run(_ keys: [RowKey], _ report: inout CheckReport) async {
        for start in stride(from: 0, to: keys.count, by: Self.batchRows) {
            await batch(Array(keys[start..<min(keys.count, start + Self.batchRows)]), &report)
        }
    }

    private func batch(_ keys: [RowKey], _ report: inout CheckReport) async {
        let deadline = ContinuousClock.now + check.limits.deadline
        var open = keys
        /// What was found wrong once.
        var suspected: [RowKey: Difference] = [:]
        var failure: StoreError?
        while true {
            let isLast = ContinuousClock.now >= deadline || Task.isCancelled
            do throws(StoreError) {
                failure = nil
                var rest: [RowKey] = []
                for (key, difference) in zip(open, try await look(open)) {
                    guard let difference else { continue }
                    if suspected[key] == difference, difference.verdict != .lag {
                        report.add(difference)
                    } else {
                        suspected[key] = difference
                        rest.append(key)
                    }
                }
                open = rest
            } catch {
                failure = error
            }
            if open.isEmpty { return }
            if isLast { break }
            try? await Task.sleep(for: Self.pause)
        }
        for key in open { report.add(last(key, suspected[key], failure)) }
    }

    private func look(_ keys: [RowKey]) async throws(StoreError) -> [Difference?] {
        let standing = try await StoreStanding(of: check)
        let found = try await check.store.find(keys)
        let journaled = try await check.journaled.rows(keys)
        _ = try await StoreStanding(of: check)
        let judge = RowJudge(schema: check.schema)
        return zip(journaled, found).map {
            judge.difference($0, found: $1, applied: standing.applied)
        }
    }

    /// What is to be said when the time is over.
    private func last(_ key: RowKey, _ suspected: Difference?, _ failure: StoreError?) -> Difference
    {
        if let suspected, failure == nil, suspected.verdict == .lag { return suspected }
        let problem = failure?.description ?? "\(check.name) would not hold still"
        return Difference(
            dataset: key.dataset, key: key, verdict: .unknown, problem: problem)
    }
}
