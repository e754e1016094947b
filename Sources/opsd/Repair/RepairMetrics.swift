import Control
import Trading

/// What the repairs have come to, from the journal: it is the same after a restart.
enum RepairMetrics {
    struct Outcome: Sendable {
        let name: String
        let count: @Sendable (RepairRecord.Counts) -> Int
    }

    static let outcomes = [
        Outcome(name: "repaired") { $0.repaired }, Outcome(name: "adopted") { $0.adopted },
        Outcome(name: "overtaken") { $0.overtaken }, Outcome(name: "failed") { $0.failed },
        Outcome(name: "undone") { $0.undone }, Outcome(name: "newer") { $0.newer },
    ]

    static let descriptions = [
        MetricDescription(
            "opsd_repair_rows_total",
            help: """
                Rows of repairs by what became of them; one that was undone is counted among the \
                repaired too.
                """,
            kind: .counter),
        MetricDescription(
            "opsd_review_open", help: "Repairs that wait for a person to approve or reject them.",
            kind: .gauge),
    ]

    /// - Parameter checks: those that have series from the first scrape on, so that an increase shows.
    static func collect(
        _ repairs: [RepairRecord], checks: Set<String>, into sink: inout MetricsSink
    ) {
        sink.gauge(
            "opsd_review_open", [], Double(repairs.count { $0.state == .waiting }))
        let byCheck = Dictionary(grouping: repairs, by: \.check)
        for check in checks.union(byCheck.keys) {
            for outcome in outcomes {
                let sum = byCheck[check, default: []].reduce(0) { $0 + outcome.count($1.counts) }
                sink.counter(
                    "opsd_repair_rows_total", [("check", check), ("outcome", outcome.name)],
                    Double(sum))
            }
        }
    }
}
