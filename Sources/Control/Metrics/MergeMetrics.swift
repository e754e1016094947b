public import CoreMetrics

/// Counts what merges had to leave out, so that a child's broken page is noticed.
public struct MergeMetrics: Sendable {
    private let duplicates: Counter
    private let malformed: Counter
    private let conflicting: Counter

    static let name = "opsd_metrics_merge_dropped_total"

    public static let descriptions = [
        MetricDescription(
            name,
            help: "Lines of the services' metrics that the merged page leaves out, by reason: "
                + "duplicate series, malformed line, conflicting type.", kind: .counter)
    ]

    public init(factory: any MetricsFactory) {
        func counter(_ reason: String) -> Counter {
            Counter(label: Self.name, dimensions: [("reason", reason)], factory: factory)
        }
        duplicates = counter("duplicate")
        malformed = counter("malformed")
        conflicting = counter("conflicting")
    }

    /// - Parameter expectedDuplicates: series that were given twice on purpose.
    public func record(_ output: ExpositionMerger.Output, expectedDuplicates: Int = 0) {
        duplicates.increment(by: max(0, output.duplicates - expectedDuplicates))
        malformed.increment(by: output.malformed)
        conflicting.increment(by: output.conflicting)
    }
}
