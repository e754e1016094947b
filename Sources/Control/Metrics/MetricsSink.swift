/// One number that a collector reported at a scrape.
struct CollectedSample: Sendable {
    let labels: LabelText
    let value: Double
}

struct CollectedFamily: Sendable {
    let kind: MetricDescription.Kind
    let help: String?
    var samples: [LabelText: Double] = [:]

    var sorted: [CollectedSample] {
        samples.map { CollectedSample(labels: $0.key, value: $0.value) }
            .sorted { $0.labels < $1.labels }
    }
}

/// Takes the samples of collectors: state that is read when somebody scrapes, such as the depth of
/// a queue. Of a series reported twice the first value stays. A sample beyond the family's limit is
/// dropped and counted, as a series of the registry is.
public struct MetricsSink: Sendable {
    private(set) var families: [String: CollectedFamily] = [:]
    private(set) var dropped: [String: UInt64] = [:]
    private let seriesPerFamilyMax: Int

    init(seriesPerFamilyMax: Int) {
        self.seriesPerFamilyMax = seriesPerFamilyMax
    }

    public mutating func gauge(
        _ name: String, _ labels: [(String, String)] = [], _ value: Double, help: String? = nil
    ) {
        add(name, labels, value, kind: .gauge, help: help)
    }

    /// The value is the counter's present total, not what was added since the last scrape.
    public mutating func counter(
        _ name: String, _ labels: [(String, String)] = [], _ value: Double, help: String? = nil
    ) {
        add(name, labels, value, kind: .counter, help: help)
    }

    private mutating func add(
        _ name: String, _ labels: [(String, String)], _ value: Double,
        kind: MetricDescription.Kind, help: String?
    ) {
        let name = MetricNames.metric(name)
        let labels = LabelText(labels)
        var family = families[name] ?? CollectedFamily(kind: kind, help: help)
        // Emptied so that the samples are changed in place and not copied.
        families[name] = nil
        defer { families[name] = family }
        guard family.kind == kind else {
            dropped[name, default: 0] += 1
            return
        }
        guard family.samples[labels] == nil else { return }
        guard family.samples.count < seriesPerFamilyMax else {
            dropped[name, default: 0] += 1
            return
        }
        family.samples[labels] = value
    }
}
