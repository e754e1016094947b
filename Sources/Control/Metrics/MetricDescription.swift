/// What the exposition says about a metric beside its numbers. Code declares it once, where the
/// registry is made; a metric that nobody described is still counted, with a generic help line.
public struct MetricDescription: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable {
        case counter
        case gauge
        case histogram
    }

    public let name: String
    public let help: String
    public let kind: Kind
    /// Upper bounds of a histogram's buckets, ascending, without +Inf; seconds for a timer.
    public let buckets: [Double]

    /// Bounds that are not finite or that repeat are left out, and the rest is sorted.
    public init(
        _ name: String, help: String, kind: Kind, buckets: [Double] = Self.defaultBuckets
    ) {
        self.name = name
        self.help = help
        self.kind = kind
        self.buckets = kind == .histogram ? Self.ordered(buckets) : []
    }

    /// Seconds, from half a millisecond to ten seconds: a request, a commit, a store's answer.
    public static let defaultBuckets: [Double] = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]

    static let genericHelp = "No description."

    private static func ordered(_ bounds: [Double]) -> [Double] {
        Set(bounds.filter(\.isFinite)).sorted()
    }
}
