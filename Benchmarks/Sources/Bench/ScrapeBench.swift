import Control
import CoreMetrics
import Foundation

/// `metrics.scrape`: 10,000 series against python's prometheus_client.
enum ScrapeBench {
    private static let python = """
        import time
        from prometheus_client import CollectorRegistry, Counter, generate_latest
        registry = CollectorRegistry()
        counter = Counter('bench_requests_total', 'Requests.', ['route', 'status'], registry=registry)
        for i in range(10000):
            counter.labels('route-%d' % (i // 10), str(200 + i % 10)).inc(i)
        times = []
        for _ in range(15):
            start = time.perf_counter()
            generate_latest(registry)
            times.append(time.perf_counter() - start)
        print(sorted(times)[7] * 1000)
        """

    static func run() async throws -> Figure {
        let registry = MetricsRegistry(seriesPerFamilyMax: 20_000)
        var handles: [Counter] = []
        for index in 0..<10_000 {
            let counter = Counter(
                label: "bench_requests_total",
                dimensions: [
                    ("route", "route-\(index / 10)"), ("status", String(200 + index % 10)),
                ], factory: registry)
            counter.increment(by: index)
            handles.append(counter)
        }
        var times: [Double] = []
        for _ in 0..<101 {
            for handle in handles { handle.increment() }
            let start = ContinuousClock.now
            let bytes = registry.encode(.text)
            times.append((ContinuousClock.now - start).seconds * 1_000)
            precondition(bytes.count > 100_000)
        }
        let text = try output(of: "python3", ["-c", python])
        let peer = Double(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
        let ours = median(times)
        return Figure(
            id: "metrics.scrape", what: "10,000 series encoded, against prometheus_client",
            ours: ours, peer: peer, unit: "ms", goal: .ratioAtMost(0.2))
    }
}
