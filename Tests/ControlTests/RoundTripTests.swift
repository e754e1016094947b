import Control
import CoreMetrics
import Foundation
import Testing

/// What others read in our text.
@Suite struct RoundTripTests {
    /// Prints each sample as one JSON line: name, labels, value.
    static let parser = """
        import json, sys
        from prometheus_client.parser import text_string_to_metric_families as text
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as om
        data = open(0, newline="", encoding="utf-8").read()
        for family in (om if sys.argv[1] == "om" else text)(data):
            for s in family.samples:
                print(json.dumps([s.name, s.labels, str(s.value)]))
        """

    static func randomValue(_ random: inout SplitMix) -> String {
        var text = String.UnicodeScalarView()
        let pieces: [Unicode.Scalar] = ["\\", "\"", "\n", "n", "{", "}", ",", "=", " ", "\r", "\t"]
        for _ in 0..<Int.random(in: 0...12, using: &random) {
            if Bool.random(using: &random), let piece = pieces.randomElement(using: &random) {
                text.append(piece)
            } else if let scalar = Unicode.Scalar(UInt32.random(in: 1...0x10FFFF, using: &random)) {
                text.append(scalar)
            }
        }
        return String(text)
    }

    @Test(
        .enabled(if: ExternalTools.runsPrometheusClient, "python3 has no prometheus_client"),
        arguments: ["text", "om"])
    func tenThousandRandomLabelValuesComeBack(dialect: String) throws {
        var random = SplitMix(state: 20_261_121)
        let registry = MetricsRegistry(seriesPerFamilyMax: 20_000)
        var expected: Set<[UInt8]> = []
        while expected.count < 10_000 {
            let value = Self.randomValue(&random)
            guard expected.insert(Array(value.utf8)).inserted else { continue }
            Gauge(label: "g", dimensions: [("v", value)], factory: registry).record(1)
        }
        let text = Data(registry.encode(dialect == "om" ? .openMetrics : .text))
        let result = try ExternalTools.run("python3", ["-c", Self.parser, dialect], input: text)
        try #require(
            result.code == 0, "\(String(decoding: result.output.suffix(2_000), as: UTF8.self))")
        var found: Set<[UInt8]> = []
        for line in result.output.split(separator: UInt8(ascii: "\n")) {
            let row = try JSONSerialization.jsonObject(with: line) as? [Any]
            let labels = row?[1] as? [String: String]
            found.insert(Array(try #require(labels?["v"]).utf8))
        }
        #expect(found == expected)
    }

    /// With the default limit of one series a family, so that something is dropped too.
    static func typicalRegistry(limit: Int = 1) -> MetricsRegistry {
        let registry = MetricsRegistry(
            descriptions: Supervisor.metricDescriptions + [
                MetricDescription("opsd_orders_total", help: "Orders.", kind: .counter),
                MetricDescription(
                    "opsd_journal_commit_duration_seconds", help: "Commits.", kind: .histogram),
                MetricDescription("opsd_journal_last_sequence", help: "Last.", kind: .gauge),
            ], seriesPerFamilyMax: limit)
        for status in ["filled", "rejected"] {
            Counter(label: "opsd_orders_total", dimensions: [("status", status)], factory: registry)
                .increment()
        }
        Timer(label: "opsd_journal_commit_duration_seconds", factory: registry)
            .recordNanoseconds(1_234_567)
        Gauge(label: "opsd_journal_last_sequence", factory: registry).record(1_099_511_627_776)
        Gauge(label: "opsd_service_up", dimensions: [("service", "core")], factory: registry)
            .record(1)
        let process = ProcessMetrics(service: "core")
        registry.addCollector { process.collect(into: &$0) }
        return registry
    }

    @Test(.enabled(if: ExternalTools.runsPromtool, "promtool is not installed"))
    func promtoolFindsNothing() throws {
        let text = Self.typicalRegistry().encode()
        let result = try ExternalTools.run("promtool", ["check", "metrics"], input: Data(text))
        #expect(result.code == 0, "\(String(decoding: result.output, as: UTF8.self))")
        #expect(result.output.isEmpty, "\(String(decoding: result.output, as: UTF8.self))")
    }

    @Test(.enabled(if: ExternalTools.runsPromtool, "promtool is not installed"))
    func promtoolFindsNothingInWhatWasMerged() throws {
        let other = MetricsRegistry(descriptions: [
            MetricDescription("opsd_orders_total", help: "Orders.", kind: .counter)
        ])
        Counter(label: "opsd_orders_total", dimensions: [("status", "new")], factory: other)
            .increment()
        let process = ProcessMetrics(service: "verify")
        other.addCollector { process.collect(into: &$0) }
        let merged = ExpositionMerger.merge([Self.typicalRegistry().encode(), other.encode()])
        #expect(merged.duplicates + merged.malformed + merged.conflicting == 0)
        let result = try ExternalTools.run(
            "promtool", ["check", "metrics"], input: Data(merged.bytes))
        #expect(result.code == 0, "\(String(decoding: result.output, as: UTF8.self))")
    }

    @Test(.enabled(if: ExternalTools.runsPrometheusClient, "python3 has no prometheus_client"))
    func openMetricsIsAcceptedByItsStrictParser() throws {
        let registry = Self.typicalRegistry()
        let merged = ExpositionMerger.merge([registry.encode()], format: .openMetrics)
        #expect(merged.duplicates + merged.malformed + merged.conflicting == 0)
        for text in [registry.encode(.openMetrics), merged.bytes] {
            let result = try ExternalTools.run(
                "python3", ["-c", Self.parser, "om"], input: Data(text))
            #expect(result.code == 0, "\(String(decoding: result.output, as: UTF8.self))")
        }
    }
}
