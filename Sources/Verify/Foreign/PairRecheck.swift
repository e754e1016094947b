internal import Ledger

/// Looks at single rows of both sides, again and again, until it is known what to say of each.
struct PairRecheck {
    let pair: PairComparison

    private static let batchRows = 1_000
    private static let firstPause = Duration.milliseconds(250)
    private static let leastPause = Duration.milliseconds(20)

    func run(_ keys: Set<RowKey>, _ report: inout CheckReport) async {
        let patience = pair.limits.deadline
        var open = Dictionary(uniqueKeysWithValues: keys.map { ($0, PairSuspicion()) })
        let start = ContinuousClock.now
        // A row that moves begins anew, and not for ever.
        let end = start + patience * 3 + .seconds(1)
        var pause = max(Self.leastPause, min(Self.firstPause, patience))
        var failure: StoreError?
        var looks = 0
        while !open.isEmpty {
            if looks >= 2, ContinuousClock.now >= end || Task.isCancelled { break }
            if looks > 0 {
                // Not behind the moment at which the first of them can be told.
                let due = start + patience - .now
                try? await Task.sleep(for: due > .zero ? min(pause, due) : pause)
                pause = max(Self.leastPause, min(pause * 2, patience))
            }
            looks += 1
            failure = await look(&open, &report)
        }
        for (key, suspicion) in open { report.add(last(key, suspicion, failure)) }
    }

    /// - Returns: why some could not be looked at.
    private func look(
        _ open: inout [RowKey: PairSuspicion], _ report: inout CheckReport
    ) async -> StoreError? {
        let keys = Array(open.keys)
        for start in stride(from: 0, to: keys.count, by: Self.batchRows) {
            let batch = Array(keys[start..<min(start + Self.batchRows, keys.count)])
            do throws(StoreError) {
                let (left, right) = try await pair.both(pair.left.rows, pair.right.rows) {
                    rows async throws(StoreError) in
                    try await rows.find(batch)
                }
                let now = ContinuousClock.now
                for (index, key) in batch.enumerated() {
                    let difference = pair.judge.difference(key, left[index], right[index])
                    let outcome = open[key]?.take(
                        difference, left: left[index], right: right[index], at: now,
                        patience: pair.limits.deadline)
                    switch outcome {
                    case .equal: open[key] = nil
                    case .wrong(let difference):
                        report.add(difference)
                        open[key] = nil
                    case .open, nil: break
                    }
                }
            } catch {
                return error
            }
        }
        return nil
    }

    private func last(
        _ key: RowKey, _ suspicion: PairSuspicion, _ failure: StoreError?
    ) -> Difference {
        let verdict = failure == nil ? suspicion.verdict : .unknown
        let problem =
            failure?.description
            ?? (verdict == .lag
                ? "\(pair.right.name) has not come to what \(pair.left.name) has"
                : "the row is written all the time and was never the same on both sides")
        return Difference(
            dataset: key.dataset, key: key, verdict: verdict, problem: problem, left: nil,
            right: nil)
    }
}
