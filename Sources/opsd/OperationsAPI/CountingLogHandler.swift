import Control
import CoreMetrics
import Logging

/// Counts what is logged as an error or worse, and hands everything on.
struct CountingLogHandler: LogHandler {
    private var wrapped: any LogHandler
    private let errors: Counter

    static let metricDescriptions = [
        MetricDescription(
            "opsd_log_errors_total",
            help: "Lines logged as error or critical, by the process and the part of it.",
            kind: .counter),
        MetricDescription(
            "opsd_log_dropped_total",
            help: "Lines of the log that were not written, because nobody took them.",
            kind: .counter),
    ]

    init(_ wrapped: any LogHandler, errors: Counter) {
        self.wrapped = wrapped
        self.errors = errors
    }

    func log(event: LogEvent) {
        if event.level >= .error { errors.increment() }
        wrapped.log(event: event)
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { wrapped[metadataKey: key] }
        set { wrapped[metadataKey: key] = newValue }
    }

    var metadata: Logger.Metadata {
        get { wrapped.metadata }
        set { wrapped.metadata = newValue }
    }

    var metadataProvider: Logger.MetadataProvider? {
        get { wrapped.metadataProvider }
        set { wrapped.metadataProvider = newValue }
    }

    var logLevel: Logger.Level {
        get { wrapped.logLevel }
        set { wrapped.logLevel = newValue }
    }
}

/// What each process of opsd sets up before anything else: its metrics, and logs that are counted.
enum Telemetry {
    /// - Parameter process: `supervisor`, `core`, `paper-broker`: series of two processes must not
    ///   have the same labels, so the component begins with it.
    static func bootstrap(
        process: String, descriptions: [MetricDescription]
    ) -> MetricsRegistry {
        let registry = MetricsRegistry(
            descriptions: descriptions + CountingLogHandler.metricDescriptions,
            onFirstDrop: { metric in
                Logger(label: process).warning(
                    "series of \(metric) are dropped: it has too many, or its name means two kinds",
                    metadata: ["counted_in": "opsd_metrics_dropped_series_total"])
            })
        MetricsSystem.bootstrap(registry)
        let dropped = Counter(
            label: "opsd_log_dropped_total", dimensions: [("component", process)],
            factory: registry)
        let queue = LogQueue.standardError
        queue.countDrops { dropped.increment(by: Int64($0)) }
        LoggingSystem.bootstrap { label in
            let component = label == process ? process : "\(process).\(label)"
            return CountingLogHandler(
                StreamLogHandler(label: label, stream: LogQueueStream(queue: queue)),
                errors: Counter(
                    label: "opsd_log_errors_total", dimensions: [("component", component)],
                    factory: registry))
        }
        registry.addCollector(ProcessMetrics(service: process).collect)
        return registry
    }
}
