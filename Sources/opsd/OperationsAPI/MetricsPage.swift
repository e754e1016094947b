import Control
import CoreMetrics

/// The page that Prometheus reads: the supervisor's own series, the machine's, and those of every
/// built-in service that answers.
struct MetricsPage: Sendable {
    let registry: MetricsRegistry
    let children: BuiltinChildren
    let host: HostMetrics
    let verification: VerificationMetrics
    private let merges: MergeMetrics

    static let descriptions =
        Supervisor.metricDescriptions + HealthMonitor.metricDescriptions + MergeMetrics.descriptions
        + CountingLogHandler.metricDescriptions + LogKeeper.metricDescriptions
        + VerificationMetrics.descriptions + JobScheduler.metricDescriptions

    init(
        registry: MetricsRegistry, children: BuiltinChildren, dataDirectory: String,
        verification: VerificationMetrics
    ) {
        self.registry = registry
        self.children = children
        host = HostMetrics(holding: dataDirectory)
        merges = MergeMetrics(factory: registry)
        registry.addCollector(host.collect)
        self.verification = verification
        registry.addCollector(verification.collect)
    }

    func scrape(_ format: ExpositionFormat) async -> [UInt8] {
        async let refreshed: Void = host.refresh()
        let answers = await answers()
        await refreshed
        await verification.refresh()
        let silent = answers.filter { $0.page == nil }.map(\.service)
        // What stands first wins.
        let texts =
            [Self.down(silent), registry.encode(.text)] + answers.compactMap(\.page)
        let merged = ExpositionMerger.merge(texts, format: format)
        merges.record(merged, expectedDuplicates: silent.count)
        return merged.bytes
    }

    /// In the order of the services' names, so that the page reads the same each time.
    private func answers() async -> [(service: ServiceName, page: [UInt8]?)] {
        let pages = await withTaskGroup(of: (ServiceName, [UInt8]?).self) { group in
            for name in children.names {
                group.addTask { (name, await children.page(of: name)) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        return children.names.map { ($0, pages[$0] ?? nil) }
    }

    /// A service whose series are absent is not up, whatever its process does: it hangs, or is on
    /// its way out and the supervisor has not seen it yet.
    private static func down(_ services: [ServiceName]) -> [UInt8] {
        let registry = MetricsRegistry(descriptions: Supervisor.metricDescriptions)
        for service in services {
            Meter(
                label: "opsd_service_up", dimensions: [("service", service)], factory: registry
            ).set(0)
        }
        return registry.encode(.text)
    }
}
