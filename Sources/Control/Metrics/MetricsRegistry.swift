public import CoreMetrics
internal import Synchronization

/// Holds every series that code makes through swift-metrics, and prints them for a scrape.
///
/// A swift-metrics label is the metric's name, its dimensions are the labels. Keep the handles:
/// recording to a handle is a few nanoseconds, finding the series again costs a hash and a lock.
///
/// Promises about what is printed: families sorted and not interleaved, one HELP and one TYPE each,
/// no series twice, buckets cumulative with `+Inf` equal to `_count`. A family has at most
/// `seriesPerFamilyMax` series; what is beyond goes to a handle that does nothing, and each such
/// attempt is counted in `opsd_metrics_dropped_series_total{metric}` and reported once a metric. So
/// is a name used as two kinds.
public final class MetricsRegistry: MetricsFactory, Sendable {
    public static let seriesPerFamilyDefault = 10_000
    static let droppedName = "opsd_metrics_dropped_series_total"

    public typealias Collector = @Sendable (inout MetricsSink) -> Void

    private struct State: Sendable {
        var families: MetricFamilies
        var collectors: [Collector] = []
        var sizeOfLastScrape = 0
        /// Metrics whose first dropped series has been reported.
        var reported: Set<String> = []
    }

    /// A lock, not an actor: swift-metrics makes handles synchronously. It is held for a look-up or
    /// for copying the list of series, never while recording, collecting or printing.
    private let state: Mutex<State>
    private let seriesPerFamilyMax: Int
    private let onFirstDrop: @Sendable (_ metric: String) -> Void

    /// - Parameter onFirstDrop: called once for each metric of which a series was dropped, by
    ///   whoever made it or scrapes: for the log.
    public init(
        descriptions: [MetricDescription] = [],
        seriesPerFamilyMax: Int = MetricsRegistry.seriesPerFamilyDefault,
        onFirstDrop: @escaping @Sendable (_ metric: String) -> Void = { _ in }
    ) {
        self.seriesPerFamilyMax = seriesPerFamilyMax
        self.onFirstDrop = onFirstDrop
        state = Mutex(
            State(
                families: MetricFamilies(
                    descriptions: descriptions, seriesPerFamilyMax: seriesPerFamilyMax)))
    }

    /// Calls the closure at each scrape, in the scraper's own task: it must not wait for anything.
    public func addCollector(_ collector: @escaping Collector) {
        state.withLock { $0.collectors.append(collector) }
    }

    private func series(
        _ label: String, _ dimensions: [(String, String)], kind: MetricDescription.Kind
    ) -> StoredSeries? {
        let name = MetricNames.metric(label)
        let labels = LabelText(dimensions)
        let made = state.withLock { $0.families.series(name, labels, kind: kind) }
        if made == nil { reportDrops(of: [name]) }
        return made
    }

    /// Outside the lock, because what is called may itself count something.
    private func reportDrops(of metrics: some Sequence<String>) {
        let new = state.withLock { state in
            metrics.filter { state.reported.insert($0).inserted }
        }
        for metric in new { onFirstDrop(metric) }
    }

    private func remove(_ family: String, _ labels: LabelText) {
        state.withLock { $0.families.remove(family, labels) }
    }
}

// MARK: - swift-metrics

extension MetricsRegistry {
    public func makeCounter(
        label: String, dimensions: [(String, String)]
    ) -> any CounterHandler {
        guard case .counter(let made)? = series(label, dimensions, kind: .counter) else {
            return NOOPMetricsHandler.instance
        }
        return made
    }

    public func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        guard case .counter(let made)? = series(label, dimensions, kind: .counter) else {
            return NOOPMetricsHandler.instance
        }
        return made
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        guard case .gauge(let made)? = series(label, dimensions, kind: .gauge) else {
            return NOOPMetricsHandler.instance
        }
        return made
    }

    /// A gauge, or a histogram of the values when `aggregate` asks for one. A description that says
    /// which of the two it is has the last word.
    public func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        let described = state.withLock { $0.families.kind(described: MetricNames.metric(label)) }
        let kind = described ?? (aggregate ? .histogram : .gauge)
        switch series(label, dimensions, kind: kind) {
        case .gauge(let made)?: return made
        case .histogram(let made)?: return made
        case .counter?, nil: return NOOPMetricsHandler.instance
        }
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        guard case .histogram(let made)? = series(label, dimensions, kind: .histogram) else {
            return NOOPMetricsHandler.instance
        }
        return made
    }

    public func destroyCounter(_ handler: any CounterHandler) {
        if let series = handler as? CounterSeries { remove(series.family, series.labels) }
    }

    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {
        if let series = handler as? CounterSeries { remove(series.family, series.labels) }
    }

    public func destroyMeter(_ handler: any MeterHandler) {
        if let series = handler as? GaugeSeries { remove(series.family, series.labels) }
    }

    public func destroyRecorder(_ handler: any RecorderHandler) {
        if let series = handler as? GaugeSeries { remove(series.family, series.labels) }
        if let series = handler as? HistogramSeries { remove(series.family, series.labels) }
    }

    public func destroyTimer(_ handler: any TimerHandler) {
        if let series = handler as? HistogramSeries { remove(series.family, series.labels) }
    }
}

// MARK: - Scrape

extension MetricsRegistry {
    /// Everything as UTF-8 text in the given format, as it is now.
    public func encode(_ format: ExpositionFormat = .text) -> [UInt8] {
        let collected = collect()
        let scrape = state.withLock { state in
            Scrape(
                families: state.families.inOrder(), claims: state.families.claims,
                collected: collected, catalogue: state.families)
        }
        let capacity = state.withLock { $0.sizeOfLastScrape }
        let (bytes, dropped) = scrape.encode(format, capacity: capacity + capacity / 8)
        state.withLock { $0.sizeOfLastScrape = bytes.count }
        reportDrops(of: dropped.keys.sorted())
        return bytes
    }

    private func collect() -> MetricsSink {
        var sink = MetricsSink(seriesPerFamilyMax: seriesPerFamilyMax)
        let collectors = state.withLock { $0.collectors }
        for collector in collectors { collector(&sink) }
        return sink
    }
}

/// What one scrape prints: the registry's families and the collectors' in one order.
private struct Scrape: Sendable {
    let families: [(family: MetricFamily, series: [StoredSeries])]
    var claims: NameClaims
    let collected: MetricsSink
    let catalogue: MetricFamilies

    consuming func encode(
        _ format: ExpositionFormat, capacity: Int
    ) -> (bytes: [UInt8], dropped: [String: UInt64]) {
        var encoder = TextEncoder(format: format, capacity: capacity)
        var dropped = catalogue.dropped.merging(collected.dropped, uniquingKeysWith: +)
        var extra: [String: CollectedFamily] = [:]
        for name in collected.families.keys.sorted() {
            guard let family = collected.families[name], name != MetricsRegistry.droppedName
            else { continue }
            if claims.claim(name, kind: family.kind),
                catalogue.families[name].map({ $0.kind == family.kind }) ?? true
            {
                extra[name] = family
            } else {
                dropped[name, default: 0] += UInt64(family.samples.count)
            }
        }
        if !dropped.isEmpty { extra[MetricsRegistry.droppedName] = Self.droppedFamily(dropped) }
        write(extra, with: &encoder)
        return (encoder.finish(), dropped)
    }

    private func write(_ extra: [String: CollectedFamily], with encoder: inout TextEncoder) {
        var names = extra.keys.sorted()[...]
        for (family, series) in families {
            while let name = names.first, name < family.name {
                names.removeFirst()
                if let collected = extra[name] { write(name, collected, with: &encoder) }
            }
            encoder.begin(family: family.name, help: family.help, kind: family.kind)
            for one in series { encoder.write(one) }
            if names.first == family.name {
                names.removeFirst()
                // The registry's own series come first, and none of them is printed again.
                for sample in extra[family.name]?.sorted ?? []
                where family.series[sample.labels] == nil {
                    encoder.write(sample, family: family.name)
                }
            }
        }
        for name in names {
            if let collected = extra[name] { write(name, collected, with: &encoder) }
        }
    }

    private func write(_ name: String, _ family: CollectedFamily, with encoder: inout TextEncoder) {
        encoder.begin(
            family: name, help: family.help ?? catalogue.help(name), kind: family.kind)
        for sample in family.sorted { encoder.write(sample, family: name) }
    }

    private static func droppedFamily(_ dropped: [String: UInt64]) -> CollectedFamily {
        var family = CollectedFamily(
            kind: .counter,
            help: "Series not kept: beyond the family's limit, or a name used as two kinds.")
        for (name, count) in dropped {
            family.samples[LabelText([("metric", name)])] = Double(count)
        }
        return family
    }
}
