import Control
import Dispatch
import Foundation
import Synchronization

/// What the verifications have found, for a scrape: of each dataset over all of its stores.
///
/// The lock guards what was read last; it is held to copy it. Files are read on a queue of their own, and
/// `collect` gives what they said.
final class VerificationMetrics: Sendable {
    private let current: @Sendable () -> Configuration
    private let pages = Mutex<[VerificationBook.Page]>([])
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
    ]

    init(current: @escaping @Sendable () -> Configuration) {
        self.current = current
    }

    func refresh() async {
        await withCheckedContinuation { continuation in
            queue.async { [self] in
                let configuration = current()
                let read = VerificationBook(DataLayout(configuration)).pages(
                    of: configuration.bookedPlaces)
                pages.withLock { $0 = read }
                continuation.resume()
            }
        }
    }

    func collect(into sink: inout MetricsSink) {
        let configuration = current()
        let places = Dictionary(grouping: configuration.bookedPlaces, by: \.dataset)
        let pages = Dictionary(grouping: pages.withLock { $0 }, by: \.dataset)
        for (dataset, pages) in pages {
            let check = ("check", configuration.checkName(of: dataset))
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
    }

    /// In seconds; nil where one is.
    private static func earliest(_ microseconds: [Int64?]) -> Double? {
        let known = microseconds.compactMap { $0 }
        guard known.count == microseconds.count, let earliest = known.min() else { return nil }
        return Double(earliest) / 1e6
    }
}
