import CurlClient
import ExactJSON
import Foundation
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#endif

extension RealProcesses {
    /// A real Prometheus reads the daemon, and is asked whether each of its scrapes went well.
    @Suite(.serialized) struct PrometheusTests {
        static let isInstalled = ["/usr/bin", "/usr/local/bin", "/bin"].contains {
            access("\($0)/prometheus", X_OK) == 0
        }
        static let isCI = ProcessInfo.processInfo.environment["CI"] != nil

        /// OPSD_SCRAPE_SECONDS says how long; `make soak` takes five minutes.
        static let seconds =
            ProcessInfo.processInfo.environment["OPSD_SCRAPE_SECONDS"].flatMap { Int($0) } ?? 10

        @Test(
            .enabled(if: isInstalled || isCI, "prometheus is not installed"),
            .timeLimit(.minutes(10)))
        func aRealPrometheusScrapesWithoutAFailureUnderLoad() async throws {
            try await Desk.run(DeskSettings(cash: 50_000_000)) { desk in
                let prometheus = try RealPrometheus(desk)
                defer { prometheus.end() }
                let load = try await OrderLoad(desk)
                try await load.run(pause: .milliseconds(2)) {
                    try await eventually("prometheus has scraped once", within: .seconds(40)) {
                        try await prometheus.number("count_over_time(up[10m])") >= 1
                    }
                    try await Task.sleep(for: .seconds(Self.seconds))
                }
                #expect(load.acceptedCount > 0)
                let window = "[\(Self.seconds + 120)s]"
                let scrapes = try await prometheus.number("count_over_time(up\(window))")
                #expect(scrapes >= Double(Self.seconds) / 2, "one a second")
                #expect(try await prometheus.number("min_over_time(up\(window))") == 1)
                #expect(
                    try await prometheus.number("min_over_time(scrape_samples_scraped\(window))")
                        > 100)
                let refused = "scrape_samples_scraped - scrape_samples_post_metric_relabeling"
                #expect(try await prometheus.number(refused) == 0)
                #expect(try await prometheus.number("opsd_service_up{service=\"core\"}") == 1)
                #expect(
                    try await prometheus.number(
                        "opsd_health_status{check=\"disk\",status=\"healthy\"}") == 1)
                #expect(try await prometheus.number("sum(rate(opsd_orders_total[30s]))") > 0)
                // It says at its own log what it does not like in a page.
                let log = prometheus.log
                for word in ["duplicate", "out-of-order", "Error on ingesting", "append failed"] {
                    #expect(!log.contains(word), "\(log.suffix(2_000))")
                }
            }
        }
    }
}

/// A Prometheus of its own for one test, which scrapes one desk each second.
struct RealPrometheus {
    private let desk: Desk
    private let process: ChildProcess
    private let url: String

    init(_ desk: Desk) throws {
        self.desk = desk
        let port = try freePort()
        url = "http://127.0.0.1:\(port)"
        let target = desk.opsURL.dropFirst("http://".count)
        try """
        global: {scrape_interval: 1s, scrape_timeout: 1s}
        scrape_configs:
          - job_name: opsd
            static_configs: [{targets: ["\(target)"]}]
        """.write(toFile: desk.directory.path("prometheus.yml"), atomically: true, encoding: .utf8)
        process = try ChildProcess.start(
            "prometheus",
            [
                "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus-data",
                "--web.listen-address=127.0.0.1:\(port)", "--log.level=info",
            ], in: desk.directory.path, output: desk.directory.path("prometheus.out"),
            errors: desk.directory.path("prometheus.err"))
    }

    func end() { process.endGroup() }

    var log: String { desk.text("prometheus.err") }

    /// The value of a query that has exactly one.
    func number(_ query: String) async throws -> Double {
        var parts = URLComponents()
        parts.queryItems = [URLQueryItem(name: "query", value: query)]
        // A plus sign in a query string means a blank.
        let text = (parts.percentEncodedQuery ?? "").replacing("+", with: "%2B")
        let answer = try await desk.get("\(url)/api/v1/query?\(text)")
        let results = answer.data?["result"]?.elements ?? []
        guard answer.status == 200, results.count == 1,
            let value = results[0]["value"]?.elements?.last?.text.flatMap({ Double($0) })
        else {
            throw ChildProcess.Failure(description: "\(query): \(answer.text.prefix(300))")
        }
        return value
    }
}
