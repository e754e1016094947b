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

    // MARK: - Merge

    /// `metrics.merge`: the pages of four services with 5,000 series each made one, against the time
    /// that encoding the same 20,000 series takes.
    static func merge() async throws -> Figure {
        let whole = MetricsRegistry(seriesPerFamilyMax: 20_000)
        let parts = (0..<4).map { _ in MetricsRegistry() }
        for index in 0..<20_000 {
            let labels = [
                ("route", "route-\(index / 10)"), ("service", "service-\(index % 4)"),
                ("status", String(200 + index % 10)),
            ]
            for registry in [whole, parts[index % 4]] {
                Counter(label: "bench_requests_total", dimensions: labels, factory: registry)
                    .increment(by: index)
            }
        }
        let texts = parts.map { $0.encode(.text) }
        var merging: [Double] = []
        var encoding: [Double] = []
        for _ in 0..<51 {
            var start = ContinuousClock.now
            let merged = ExpositionMerger.merge(texts)
            merging.append((ContinuousClock.now - start).seconds * 1_000)
            start = ContinuousClock.now
            let encoded = whole.encode(.text)
            encoding.append((ContinuousClock.now - start).seconds * 1_000)
            precondition(merged.bytes.count == encoded.count, "a series was lost")
            precondition(merged.duplicates + merged.malformed + merged.conflicting == 0)
        }
        return Figure(
            id: "metrics.merge",
            what: "20,000 series of four services merged, against encoding them",
            ours: median(merging), peer: median(encoding), unit: "ms", goal: .ratioAtMost(2))
    }
}
