import Control
import Dispatch
import Foundation
import Ledger
import Synchronization

/// What the verifications have found, for a scrape and for `opsd status`: of each dataset over all of its
/// stores.
///
/// The lock guards what was read last; it is held to copy it. Files are read on a queue of their own, and
/// `collect` gives what they said.
final class VerificationMetrics: Sendable {
    private struct State {
        var configuration: Configuration
        var pages: [VerificationBook.Page] = []
        var progress: [String: VerificationProgress.Place] = [:]
    }

    private let state: Mutex<State>
    private let queue = DispatchQueue(label: "verification-metrics", qos: .utility)

    static let descriptions = [
        MetricDescription(
            "opsd_verify_rows_compared_total",
            help: "Rows that were compared with the journal, in all stores of the dataset.",
            kind: .counter),
        MetricDescription(
            "opsd_verify_differences",
            help: "Rows that were not as journaled when they were compared last, by verdict.",
            kind: .gauge),
        MetricDescription(
            "opsd_verify_last_success_timestamp_seconds",
            help: "When the store that was not found equal for longest was found so last.",
            kind: .gauge),
        MetricDescription(
            "opsd_verify_last_independent_timestamp_seconds",
            help: """
                When every row of the store for which that is longest ago was read from it, and was as \
                journaled.
                """,
            kind: .gauge),
        MetricDescription(
            "opsd_verify_cycle_seconds",
            help:
                "Within so long every row of every store is read again, as the configuration says.",
            kind: .gauge),
        MetricDescription(
            "opsd_verify_cycle_ratio",
            help: "How much of the present cycle is done, from 0 to 1.", kind: .gauge),
        MetricDescription(
            "opsd_verify_followed_sequence",
            help: "Every change up to this entry has been compared.", kind: .gauge),
    ]

    init(_ configuration: Configuration) {
        state = Mutex(State(configuration: configuration))
    }

    /// The configuration that was accepted last: the services that start from now on have it, and their
    /// stores are shown though other parts of it wait for a restart.
    func hold(_ configuration: Configuration) {
        state.withLock { $0.configuration = configuration }
    }

    func refresh() async {
        await withCheckedContinuation { continuation in
            queue.async { [self] in
                let configuration = state.withLock { $0.configuration }
                let layout = DataLayout(configuration)
                let pages = VerificationBook(layout).pages(of: configuration.bookedPlaces)
                let progress = VerificationProgress.all(layout)
                state.withLock { ($0.pages, $0.progress) = (pages, progress) }
                continuation.resume()
            }
        }
    }

    func collect(into sink: inout MetricsSink) {
        let state = state.withLock { $0 }
        let places = Dictionary(grouping: state.configuration.bookedPlaces, by: \.dataset)
        let pages = Dictionary(grouping: state.pages, by: \.dataset)
        for (dataset, pages) in pages {
            let check = ("check", state.configuration.checkName(of: dataset))
            sink.counter(
                "opsd_verify_rows_compared_total", [check],
                Double(pages.reduce(0) { $0 + $1.rowsComparedTotal }))
            for verdict in VerificationBook.verdicts {
                let count = pages.reduce(0) { $0 + ($1.verdicts[verdict] ?? 0) }
                sink.gauge("opsd_verify_differences", [check, ("verdict", verdict)], Double(count))
            }
            // A store that was never found equal has no such time, and the dataset then has none either.
            guard pages.count == places[dataset]?.count else { continue }
            if let time = Self.earliest(pages.map(\.equalAt)) {
                sink.gauge("opsd_verify_last_success_timestamp_seconds", [check], time)
            }
            if let time = Self.earliest(pages.map(\.provenAt)) {
                sink.gauge("opsd_verify_last_independent_timestamp_seconds", [check], time)
            }
        }
        for check in state.configuration.verify {
            guard let dataset = check.dataset?.dataset, let every = check.every else { continue }
            let label = ("check", check.name)
            sink.gauge("opsd_verify_cycle_seconds", [label], every / .seconds(1))
            for place in places[dataset] ?? [] {
                guard let progress = state.progress[VerificationProgress.name(place)] else {
                    continue
                }
                let labels = [label, ("store", place.store)]
                sink.gauge("opsd_verify_cycle_ratio", labels, progress.share)
                if let followed = progress.followed {
                    sink.gauge("opsd_verify_followed_sequence", labels, Double(followed))
                }
            }
        }
    }

    /// What `opsd status` says of each check of a dataset.
    /// - Parameter reviews: repairs that wait for a person, by check; nil when that is not known.
    func report(reviews: [String: Int]?) -> [StatusReport.Verification] {
        let state = state.withLock { $0 }
        return state.configuration.verify.compactMap { check in
            guard let dataset = check.dataset?.dataset, let every = check.every else { return nil }
            let places = state.configuration.verifiedPlaces.filter { $0.dataset == dataset }
            let pages = state.pages.filter { $0.dataset == dataset }
            let progress = places.compactMap {
                state.progress[VerificationProgress.name($0)]
            }
            var report = StatusReport.Verification(
                check: check.name, dataset: dataset, pages: pages, placeCount: places.count,
                progress: progress, cycle: every)
            report.reviews_open = reviews.map { $0[check.name] ?? 0 }
            return report
        }
    }

    /// In seconds; nil where one is.
    private static func earliest(_ microseconds: [Int64?]) -> Double? {
        let known = microseconds.compactMap { $0 }
        guard known.count == microseconds.count, let earliest = known.min() else { return nil }
        return Double(earliest) / 1e6
    }
}

extension StatusReport.Verification {
    fileprivate init(
        check: String, dataset: String, pages: [VerificationBook.Page], placeCount: Int,
        progress: [VerificationProgress.Place], cycle: Duration
    ) {
        let outcomes = Set(pages.map(\.outcome))
        let isKnown = pages.count == placeCount
        let doubtful = pages.filter { $0.outcome == "unknown" }
        let proven = pages.compactMap(\.provenAt)
        self.init(
            check: check, dataset: dataset,
            outcome: outcomes.contains("found")
                ? "found" : !isKnown ? nil : outcomes.contains("unknown") ? "unknown" : "equal",
            differences: pages.reduce(into: [:]) { sum, page in
                sum.merge(page.verdicts.filter { $0.value > 0 }, uniquingKeysWith: +)
            },
            unknown_stores: doubtful.map(\.store).sorted(),
            problem: doubtful.compactMap(\.problem).first,
            proven: isKnown && proven.count == placeCount
                ? proven.min().map { Timestamp(microseconds: $0).description } : nil,
            cycle_seconds: Int(cycle / .seconds(1)),
            cycle_share: progress.map(\.share).min(),
            cycle_problem: progress.compactMap(\.problem).first)
    }
}
