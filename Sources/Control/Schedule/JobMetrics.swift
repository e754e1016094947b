internal import CoreMetrics
internal import Ledger

/// The series of one job.
struct JobMetrics: Sendable {
    private let lastSuccess: Meter
    private let nextRun: Meter
    private let overdue: Meter
    private let duration: Timer
    private let failures: Counter
    private let statuses: [(outcome: JobOutcome, meter: Meter)]

    init(job: JobName, factory: any MetricsFactory) {
        let labels = [("job", job)]
        func meter(_ name: String, _ more: [(String, String)] = []) -> Meter {
            Meter(label: name, dimensions: labels + more, factory: factory)
        }
        lastSuccess = meter("opsd_job_last_success_timestamp_seconds")
        nextRun = meter("opsd_job_next_run_timestamp_seconds")
        overdue = meter("opsd_job_overdue")
        duration = Timer(
            label: "opsd_job_duration_seconds", dimensions: labels, factory: factory)
        failures = Counter(
            label: "opsd_job_failures_total", dimensions: labels, factory: factory)
        statuses = JobOutcome.allCases.map {
            ($0, meter("opsd_job_status", [("status", $0.rawValue)]))
        }
        failures.increment(by: 0)
        overdue.set(0)
        lastSuccess.set(0)
        set(nil)
    }

    /// Zero while it never had one, which is as long ago as it can be.
    func setLastSuccess(_ time: Timestamp?) {
        lastSuccess.set(Self.seconds(time))
    }

    /// 1 on the last outcome, 0 on the others.
    func set(_ outcome: JobOutcome?) {
        for (other, meter) in statuses { meter.set(other == outcome ? 1 : 0) }
    }

    func set(nextRun time: Timestamp?, isOverdue: Bool) {
        nextRun.set(Self.seconds(time))
        overdue.set(isOverdue ? 1 : 0)
    }

    func record(_ run: JobRun) {
        set(run.outcome)
        if run.outcome?.isFailure == true { failures.increment() }
        if let length = run.duration, run.exitCode != nil || run.signal != nil {
            duration.recordNanoseconds(length.microseconds * 1_000)
        }
    }

    func destroy() {
        for meter in [lastSuccess, nextRun, overdue] + statuses.map(\.meter) { meter.destroy() }
        duration.destroy()
        failures.destroy()
    }

    private static func seconds(_ time: Timestamp?) -> Double {
        time.map { Double($0.microseconds) / 1_000_000 } ?? 0
    }
}

extension JobScheduler {
    /// Descriptions of the metrics that a scheduler records, for the registry's catalogue.
    public static let metricDescriptions = [
        MetricDescription(
            "opsd_job_last_success_timestamp_seconds",
            help: "When the job last ended with exit code 0; 0 when it never did.", kind: .gauge),
        MetricDescription(
            "opsd_job_next_run_timestamp_seconds", help: "When the job is to run next.",
            kind: .gauge),
        MetricDescription(
            "opsd_job_overdue",
            help: "1 when two of the job's times have passed since it last did its work, else 0.",
            kind: .gauge),
        MetricDescription(
            "opsd_job_status",
            help:
                "1 on how the job's last run ended (\(JobOutcome.allCases.map(\.rawValue).joined(separator: ", "))), "
                + "0 on the others.", kind: .gauge),
        MetricDescription(
            "opsd_job_duration_seconds", help: "How long a run of the job took.", kind: .histogram,
            buckets: [0.1, 1, 10, 60, 300, 900, 1_800, 3_600, 14_400, 43_200, 86_400]),
        MetricDescription(
            "opsd_job_failures_total",
            help: "Runs that failed, took too long, or were refused by a guard.", kind: .counter),
    ]
}
