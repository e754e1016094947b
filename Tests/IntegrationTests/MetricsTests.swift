import CurlClient
import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// The page that Prometheus reads.
    @Suite(.serialized) struct MetricsTests {
        private static let parse = """
            import sys
            from prometheus_client.parser import text_string_to_metric_families as parse
            families = list(parse(open(sys.argv[1]).read()))
            names = [family.name for family in families]
            assert len(names) == len(set(names)), "a family occurs twice"
            seen = set()
            for family in families:
                for sample in family.samples:
                    key = (sample.name, tuple(sorted(sample.labels.items())))
                    assert key not in seen, key
                    seen.add(key)
            print(len(seen))
            """

        private func run(_ desk: Desk, _ words: [String]) async throws -> Desk.Outcome {
            try await Desk.command(words, in: desk.directory, program: "/usr/bin/env")
        }

        private func checkPage(_ desk: Desk) async throws -> String {
            let page = try await desk.get("\(desk.opsURL)/metrics")
            #expect(page.status == 200)
            let file = desk.directory.path("page.txt")
            try Data(page.body).write(to: URL(fileURLWithPath: file))
            let promtool = try await run(
                desk, ["sh", "-c", "promtool check metrics < '\(file)'"])
            #expect(promtool.code == 0, "\(promtool)")
            #expect(promtool.output + promtool.errors == "", "\(promtool)")
            let python = try await run(desk, ["python3", "-c", Self.parse, file])
            #expect(python.code == 0, "\(python)")
            return page.text
        }

        @Test(.timeLimit(.minutes(2)))
        func thePageIsCleanUnderLoadAndADeadCoreIsAbsentFromIt() async throws {
            var settings = DeskSettings(cash: 50_000_000)
            // Long enough to look at the desk without its core.
            settings.backoff = "8s"
            try await Desk.run(settings) { desk in
                let load = try await OrderLoad(desk)
                try await load.run(pause: .milliseconds(1)) {
                    try await eventually("some orders are accepted", within: .seconds(40)) {
                        load.acceptedCount >= 150
                    }
                    _ = try await checkPage(desk)
                    try await eventually("hundreds of orders are accepted", within: .seconds(40)) {
                        load.acceptedCount >= 400
                    }
                }
                let page = try await checkPage(desk)
                for name in [
                    "opsd_build_info{", "opsd_journal_last_sequence ", "opsd_orders_total{",
                    "opsd_journal_commit_duration_seconds_bucket{", "opsd_queue_depth{",
                    "opsd_order_accept_duration_seconds_count ", "opsd_store_applied_sequence{",
                    "opsd_http_request_duration_seconds_bucket{", "opsd_orders_unknown ",
                    #"opsd_store_lag_seconds{store="checkpoint"} "#,
                    #"opsd_store_operation_duration_seconds_count{operation="apply","#,
                    #"opsd_service_up{service="core"} 1"#,
                    #"opsd_service_up{service="broker"} 1"#,
                ] {
                    #expect(page.contains("\n" + name), "\(name)")
                }
                #expect(!page.contains("TRADE_001-"), "client order ids are no labels")

                try await desk.kill9("core")
                let without = try await checkPage(desk)
                #expect(without.contains(#"opsd_service_up{service="core"} 0"#))
                for name in ["opsd_journal_last_sequence", "opsd_orders_total", "opsd_queue_depth"]
                {
                    #expect(!without.contains("\n" + name), "\(name) is stale")
                }
                let status = try await desk.command("status")
                #expect(status.code == 1, "\(status)")
                #expect(try await desk.get("\(desk.opsURL)/readyz").status == 503)
                #expect(try await desk.get("\(desk.opsURL)/healthz").status == 200)
            }
        }
    }
}
