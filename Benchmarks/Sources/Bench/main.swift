import Foundation

if CommandLine.arguments.contains("decide") {
    try probeDecide()
    exit(0)
}
let directory = FileManager.default.temporaryDirectory.path + "/opsd-bench-\(getpid())"
let bench = AcceptBench(directory: directory)
let (latencies, seconds) = try await bench.accepts(clients: 64, each: 4_000)
print("accepts/s", Double(latencies.count) / seconds, "p50 µs", latencies[latencies.count / 2] / 1_000)
let (bare, bareSeconds) = try bench.bareLoop(batch: 64, most: 256_000)
print("bare/s", Double(bare.count * 64) / bareSeconds, "commit p50 µs", bare[bare.count / 2] / 1_000)
try? FileManager.default.removeItem(atPath: directory)
let one = AcceptBench(directory: directory + "-one")
let (single, _) = try await one.accepts(clients: 1, each: 4_000)
let (bareOne, _) = try one.bareLoop(batch: 1, most: 4_000)
print("one p50 µs", single[single.count / 2] / 1_000, "bare p50 µs", bareOne[bareOne.count / 2] / 1_000)
try? FileManager.default.removeItem(atPath: directory + "-one")
