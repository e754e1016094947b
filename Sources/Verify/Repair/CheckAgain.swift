internal import Ledger

extension StoreCheck {
    /// Looks again at the rows that a report has found wrong.
    /// - Returns: the report with what is wrong now. Of what no look at a row tells it says what it said.
    public func again(_ report: CheckReport) async -> CheckReport {
        var later = CheckReport(dataset: report.dataset, store: report.store)
        later.rowsCompared = report.rowsCompared
        later.through = report.through
        later.digests = report.digests
        later.unexamined = report.unexamined
        for problem in report.problems { later.fail(problem) }
        var keys: Set<RowKey> = []
        for difference in report.differences {
            if let key = difference.key, difference.journaledSequence != nil {
                keys.insert(key)
            } else {
                later.add(difference)
            }
        }
        let kept = report.counts.values.reduce(0, +) - report.differences.count
        later.unexamined += kept
        await recheck.run(Array(keys), &later)
        return later
    }
}
