internal import Metrics

/// Counts what a cache had and had not, and how long it took to say so.
struct CacheMeter: Sendable {
    enum Cache: String { case memory, redis }
    enum Key: String { case quote, bars }

    private let hits: Counter
    private let misses: Counter
    private let latency: Metrics.Timer

    init(_ cache: Cache, _ key: Key) {
        let labels = [("cache_type", cache.rawValue), ("key_type", key.rawValue)]
        hits = Counter(label: "cache_hits_total", dimensions: labels)
        misses = Counter(label: "cache_misses_total", dimensions: labels)
        latency = Metrics.Timer(label: "cache_latency_seconds", dimensions: labels)
    }

    func record(isHit: Bool, since start: ContinuousClock.Instant) {
        (isHit ? hits : misses).increment()
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        latency.recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
