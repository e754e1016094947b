// The registry's state as a plain value: which families and series there are, which names they
// claim, and what was refused. The registry keeps it behind its lock.

enum StoredSeries: Sendable {
    case counter(CounterSeries)
    case gauge(GaugeSeries)
    case histogram(HistogramSeries)
}

struct MetricFamily: Sendable {
    let name: String
    let help: String
    let kind: MetricDescription.Kind
    let bounds: HistogramBounds
    private(set) var series: [LabelText: StoredSeries] = [:]
    /// The series in the order of their labels; nil after one came or went.
    private var ordered: [StoredSeries]?

    init(name: String, help: String, kind: MetricDescription.Kind, bounds: HistogramBounds) {
        self.name = name
        self.help = help
        self.kind = kind
        self.bounds = bounds
    }

    mutating func make(_ labels: LabelText) -> StoredSeries {
        let made: StoredSeries =
            switch kind {
            case .counter: .counter(CounterSeries(family: name, labels: labels))
            case .gauge: .gauge(GaugeSeries(family: name, labels: labels))
            case .histogram:
                .histogram(HistogramSeries(family: name, labels: labels, bounds: bounds))
            }
        series[labels] = made
        ordered = nil
        return made
    }

    mutating func remove(_ labels: LabelText) {
        if series.removeValue(forKey: labels) != nil { ordered = nil }
    }

    mutating func inOrder() -> [StoredSeries] {
        if let ordered { return ordered }
        let sorted = series.sorted { $0.key < $1.key }.map(\.value)
        ordered = sorted
        return sorted
    }
}

struct MetricFamilies: Sendable {
    private(set) var families: [String: MetricFamily] = [:]
    /// Series that were refused, by metric: too many, or a name that means another kind already.
    private(set) var dropped: [String: UInt64] = [:]
    private(set) var claims = NameClaims()
    private let descriptions: [String: MetricDescription]
    private let seriesPerFamilyMax: Int

    init(descriptions: [MetricDescription], seriesPerFamilyMax: Int) {
        self.descriptions = Dictionary(
            descriptions.map { (MetricNames.metric($0.name), $0) }, uniquingKeysWith: { $1 })
        self.seriesPerFamilyMax = seriesPerFamilyMax
    }

    /// The series of that name and those labels, made when there is none yet; nil, and counted,
    /// when it must not be.
    mutating func series(
        _ name: String, _ labels: LabelText, kind: MetricDescription.Kind
    ) -> StoredSeries? {
        if families[name] == nil { addFamily(name, kind: kind) }
        guard let family = families[name], family.kind == kind else {
            dropped[name, default: 0] += 1
            return nil
        }
        if let found = family.series[labels] { return found }
        guard family.series.count < seriesPerFamilyMax else {
            dropped[name, default: 0] += 1
            return nil
        }
        return families[name]?.make(labels)
    }

    mutating func remove(_ name: String, _ labels: LabelText) {
        families[name]?.remove(labels)
    }

    func kind(described name: String) -> MetricDescription.Kind? { descriptions[name]?.kind }

    func help(_ name: String) -> String {
        descriptions[name]?.help ?? MetricDescription.genericHelp
    }

    /// Sorted by name, without those whose series are all gone.
    mutating func inOrder() -> [(family: MetricFamily, series: [StoredSeries])] {
        families.keys.sorted().compactMap { name in
            guard let series = families[name]?.inOrder(), !series.isEmpty,
                let family = families[name]
            else { return nil }
            return (family, series)
        }
    }

    private mutating func addFamily(_ name: String, kind: MetricDescription.Kind) {
        let description = descriptions[name]
        if let description, description.kind != kind { return }
        guard claims.claim(name, kind: kind) else { return }
        let buckets = description?.buckets ?? MetricDescription.defaultBuckets
        families[name] = MetricFamily(
            name: name, help: help(name), kind: kind,
            bounds: HistogramBounds(kind == .histogram ? buckets : []))
    }
}

/// Which names the families' headers and samples use in either format, so that a counter
/// `x_count` cannot print the same series as a histogram `x`.
struct NameClaims: Sendable {
    private var owners: [String: String] = [:]

    /// False when another family uses one of the names already.
    mutating func claim(_ family: String, kind: MetricDescription.Kind) -> Bool {
        let names = Self.names(family, kind: kind)
        guard names.allSatisfy({ owners[$0] == nil || owners[$0] == family }) else { return false }
        for name in names { owners[name] = family }
        return true
    }

    private static func names(_ family: String, kind: MetricDescription.Kind) -> [String] {
        switch kind {
        case .gauge: [family]
        case .counter:
            family.hasSuffix("_total") ? [family, String(family.dropLast(6))] : [family]
        case .histogram: [family, "\(family)_bucket", "\(family)_sum", "\(family)_count"]
        }
    }
}
