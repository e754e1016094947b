internal import CoreMetrics

/// The series of one check.
struct HealthMetrics: Sendable {
    private let statuses: [(status: HealthStatus, meter: Meter)]
    private let duration: Timer

    init(check: HealthCheckName, factory: any MetricsFactory) {
        statuses = HealthStatus.allCases.map { status in
            (
                status,
                Meter(
                    label: "opsd_health_status",
                    dimensions: [("check", check), ("status", status.rawValue)], factory: factory)
            )
        }
        duration = Timer(
            label: "opsd_health_check_duration_seconds", dimensions: [("check", check)],
            factory: factory)
    }

    /// 1 on the present status, 0 on the others.
    func set(_ present: HealthStatus) {
        for (status, meter) in statuses { meter.set(status == present ? 1 : 0) }
    }

    func record(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.duration.recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }

    func destroy() {
        for (_, meter) in statuses { meter.destroy() }
        duration.destroy()
    }
}

extension HealthMonitor {
    /// Descriptions of the metrics that a monitor records, for the registry's catalogue.
    public static let metricDescriptions = [
        MetricDescription(
            "opsd_health_status",
            help: "1 on the check's present status (healthy, degraded, unhealthy, unknown), "
                + "0 on the others.", kind: .gauge),
        MetricDescription(
            "opsd_health_check_duration_seconds",
            help: "How long a run of the check took; one that was given up counts its timeout.",
            kind: .histogram),
    ]
}
