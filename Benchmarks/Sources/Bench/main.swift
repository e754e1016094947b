import Control
import Foundation
import Logging
import Metrics

LoggingSystem.bootstrap { label in
    var handler = StreamLogHandler.standardError(label: label)
    handler.logLevel = .error
    return handler
}

let benchMetrics = MetricsRegistry()
MetricsSystem.bootstrap(benchMetrics)

let benches: [(id: String, run: @Sendable () async throws -> Figure)] = [
    ("core.accept-batch", AcceptBench.batch),
    ("core.accept-one", AcceptBench.one),
    ("api.post-order", APIBench.postOrder),
    ("api.get-positions", APIBench.getPositions),
    ("klines.query", APIBench.klines),
    ("core.latency", DeskBench.latency),
    ("core.start", DeskBench.start),
    ("core.recovery", DeskBench.recovery),
    ("core.memory", DeskBench.memory),
    ("metrics.scrape", ScrapeBench.run),
    ("metrics.merge", ScrapeBench.merge),
    ("control.rest", RestBench.processor),
    ("control.rest-memory", RestBench.memory),
    ("postgres.insert", PostgresBench.insert),
    ("postgres.upsert", PostgresBench.upsert),
    ("postgres.deals", PostgresBench.deals),
    ("redis.rows", RedisBench.rows),
    ("redis.read", RedisBench.read),
    ("stores.accept", StoresBench.accept),
    ("stores.lag-redis", StoresBench.redisLag),
    ("stores.lag-postgres", StoresBench.postgresLag),
    ("stores.lag-files", StoresBench.filesLag),
    ("verify.stores", VerifyBench.stores),
    ("verify.pushdown-equal", PairBench.equal),
    ("verify.pushdown-differences", PairBench.differences),
]

let only = ProcessInfo.processInfo.environment["ONLY"] ?? ""
let wanted = only.isEmpty ? nil : only.split(separator: ",").map(String.init)
for name in wanted ?? [] where !benches.contains(where: { $0.id == name }) {
    print("there is no figure '\(name)'; there are: \(benches.map(\.id).joined(separator: ", "))")
    exit(2)
}
var figures: [Figure] = []
for bench in benches where wanted?.contains(bench.id) ?? true {
    do {
        let figure = try await bench.run()
        figures.append(figure)
        print(figure.line)
    } catch {
        print("\(bench.id) could not be measured: \(error)")
    }
}
try ResultsFile.add(figures, to: "RESULTS.md")
