import Control
import CoreMetrics
import Testing

@Suite struct RegistryTests {
    static func text(_ registry: MetricsRegistry, _ format: ExpositionFormat = .text) -> String {
        String(decoding: registry.encode(format), as: UTF8.self)
    }

    @Test func printsFamiliesSortedWithOneHeaderEach() {
        let registry = MetricsRegistry(descriptions: [
            MetricDescription("b_total", help: "Bees.\nMany \\ \"more\".", kind: .counter)
        ])
        Counter(label: "b_total", dimensions: [("k", "2")], factory: registry).increment(by: 3)
        Counter(label: "b_total", dimensions: [("k", "1")], factory: registry).increment()
        Gauge(label: "a", factory: registry).record(1.5)
        #expect(
            Self.text(registry) == """
                # HELP a No description.
                # TYPE a gauge
                a 1.5
                # HELP b_total Bees.\\nMany \\\\ "more".
                # TYPE b_total counter
                b_total{k="1"} 1
                b_total{k="2"} 3

                """)
        #expect(
            Self.text(registry, .openMetrics) == """
                # HELP a No description.
                # TYPE a gauge
                a 1.5
                # HELP b Bees.\\nMany \\\\ \\"more\\".
                # TYPE b counter
                b_total{k="1"} 1
                b_total{k="2"} 3
                # EOF

                """)
    }

    @Test func aCounterWithoutTotalKeepsItsNameInOpenMetrics() {
        let registry = MetricsRegistry()
        Counter(label: "bees", factory: registry).increment()
        #expect(Self.text(registry, .openMetrics).contains("# TYPE bees unknown\nbees 1\n"))
    }

    @Test func numbersAreShortAndExact() {
        let registry = MetricsRegistry()
        let values: [(String, Double)] = [
            ("a", 0.1), ("b", 9_007_199_254_740_991), ("c", .nan), ("d", .infinity),
            ("e", -.infinity), ("f", -3), ("g", 1e300), ("h", .leastNonzeroMagnitude), ("i", -0.0),
        ]
        for (name, value) in values { Gauge(label: name, factory: registry).record(value) }
        let lines = Self.text(registry).split(separator: "\n").filter { !$0.hasPrefix("#") }
        #expect(
            lines == [
                "a 0.1", "b 9007199254740991", "c NaN", "d +Inf", "e -Inf", "f -3", "g 1e+300",
                "h 5e-324", "i 0",
            ])
    }

    @Test func illegalNamesAreReplacedTheSameWayEachTime() {
        let registry = MetricsRegistry()
        Counter(label: "9 lives-é", dimensions: [("a-b", "x"), ("9", "y")], factory: registry)
            .increment()
        Counter(label: "9 lives-é", dimensions: [("9", "y"), ("a-b", "x")], factory: registry)
            .increment()
        Counter(label: "", dimensions: [("", "z"), ("le", "1")], factory: registry).increment()
        let text = Self.text(registry)
        #expect(text.contains("_9_lives__{_9=\"y\",a_b=\"x\"} 2\n"))
        #expect(text.contains("_{_=\"z\",exported_le=\"1\"} 1\n"))
    }

    @Test func twoSpellingsOfOneLetterAreTwoSeries() {
        let registry = MetricsRegistry()
        for value in ["\u{E9}", "e\u{301}"] {
            Counter(label: "letters_total", dimensions: [("l", value)], factory: registry)
                .increment()
        }
        let series = Self.text(registry).split(separator: "\n").filter { $0.hasSuffix("} 1") }
        #expect(series.count == 2)
    }

    @Test func timersAddUpWholeNanoseconds() {
        let registry = MetricsRegistry(descriptions: [
            MetricDescription("t_seconds", help: "T.", kind: .histogram, buckets: [1, 0.1, 0.1])
        ])
        let timer = Timer(label: "t_seconds", dimensions: [("k", "v")], factory: registry)
        timer.recordNanoseconds(100_000_000)  // A bound belongs to its own bucket.
        timer.recordNanoseconds(100_000_001)
        timer.recordNanoseconds(2_000_000_000)
        timer.recordNanoseconds(-5)
        #expect(
            Self.text(registry) == """
                # HELP t_seconds T.
                # TYPE t_seconds histogram
                t_seconds_bucket{k="v",le="0.1"} 2
                t_seconds_bucket{k="v",le="1.0"} 3
                t_seconds_bucket{k="v",le="+Inf"} 4
                t_seconds_sum{k="v"} 2.200000001
                t_seconds_count{k="v"} 4

                """)
    }

    @Test func recordersAreHistogramsWhenTheyAggregateAndNobodySaidOtherwise() {
        let registry = MetricsRegistry(descriptions: [
            MetricDescription("size_bytes", help: "S.", kind: .histogram, buckets: [10, 100])
        ])
        let recorder = Recorder(label: "size_bytes", factory: registry)
        for value in [5.0, 50, 500.5, .nan] { recorder.record(value) }
        Recorder(label: "plain", aggregate: false, factory: registry).record(7)
        let text = Self.text(registry)
        #expect(text.contains("size_bytes_bucket{le=\"100.0\"} 2\n"))
        #expect(text.contains("size_bytes_bucket{le=\"+Inf\"} 4\n"))
        #expect(text.contains("size_bytes_sum NaN\nsize_bytes_count 4\n"))
        #expect(text.contains("# TYPE plain gauge\nplain 7\n"))
    }

    @Test func metersGoUpAndDown() {
        let registry = MetricsRegistry()
        let meter = Meter(label: "m", factory: registry)
        meter.set(10)
        meter.increment(by: 2.5)
        meter.decrement(by: 0.5)
        #expect(Self.text(registry).contains("m 12\n"))
    }

    @Test func countersNeverFall() {
        let registry = MetricsRegistry()
        let counter = FloatingPointCounter(label: "c_total", factory: registry)
        counter.increment(by: 0.5)
        counter.increment(by: -1)
        Counter(label: "c_total", factory: registry).increment(by: -3)
        Counter(label: "c_total", factory: registry).increment(by: 2)
        #expect(Self.text(registry).contains("c_total 2.5\n"))
    }

    @Test func aDestroyedSeriesIsNoLongerPrinted() {
        let registry = MetricsRegistry()
        let counter = Counter(label: "c_total", factory: registry)
        counter.increment()
        counter.destroy()
        #expect(Self.text(registry) == "")
    }

    @Test func theFamilysLimitHoldsAndWhatIsBeyondIsCounted() {
        let registry = MetricsRegistry(seriesPerFamilyMax: 3)
        for index in 0..<10 {
            Counter(label: "c_total", dimensions: [("i", "\(index)")], factory: registry)
                .increment()
        }
        registry.addCollector { sink in
            for index in 0..<5 { sink.gauge("depth", [("i", "\(index)")], 1) }
        }
        let text = Self.text(registry)
        #expect(text.split(separator: "\n").count { $0.hasPrefix("c_total{") } == 3)
        #expect(text.split(separator: "\n").count { $0.hasPrefix("depth{") } == 3)
        #expect(text.contains("opsd_metrics_dropped_series_total{metric=\"c_total\"} 7\n"))
        #expect(text.contains("opsd_metrics_dropped_series_total{metric=\"depth\"} 2\n"))
    }

    @Test func twentyThousandSeriesArePossible() {
        let registry = MetricsRegistry()
        for family in 0..<4 {
            for index in 0..<5_000 {
                Counter(
                    label: "f\(family)_total", dimensions: [("i", "\(index)")], factory: registry
                ).increment()
            }
        }
        let lines = Self.text(registry).split(separator: "\n")
        #expect(lines.count { !$0.hasPrefix("#") } == 20_000)
        #expect(Set(lines).count == lines.count)
    }

    @Test func aNameCannotBeTwoKinds() {
        let registry = MetricsRegistry()
        Timer(label: "x", factory: registry).recordNanoseconds(1)
        Counter(label: "x_count", factory: registry).increment()
        Gauge(label: "x", factory: registry).record(5)
        registry.addCollector { $0.gauge("x_sum", [], 1) }
        let text = Self.text(registry)
        #expect(text.contains("x_count 1\n"))
        #expect(!text.contains("# TYPE x_count"))
        #expect(!text.contains("# TYPE x_sum"))
        for name in ["x", "x_count", "x_sum"] {
            #expect(text.contains("opsd_metrics_dropped_series_total{metric=\"\(name)\"} 1\n"))
        }
    }

    @Test func collectorsAreReadAtEachScrapeAndSortedIn() {
        let registry = MetricsRegistry(descriptions: [
            MetricDescription("b", help: "Depth.", kind: .gauge)
        ])
        Gauge(label: "a", factory: registry).record(1)
        Gauge(label: "b", dimensions: [("q", "held")], factory: registry).record(1)
        Gauge(label: "d", factory: registry).record(1)
        registry.addCollector { sink in
            sink.gauge("b", [("q", "orders")], 4)
            sink.gauge("b", [("q", "held")], 9)
            sink.gauge("b", [("q", "orders")], 5)
            sink.counter("c_total", [], 2, help: "Sea.")
        }
        #expect(
            Self.text(registry) == """
                # HELP a No description.
                # TYPE a gauge
                a 1
                # HELP b Depth.
                # TYPE b gauge
                b{q="held"} 1
                b{q="orders"} 4
                # HELP c_total Sea.
                # TYPE c_total counter
                c_total 2
                # HELP d No description.
                # TYPE d gauge
                d 1

                """)
    }

    @Test func manyTasksLoseNoIncrement() async {
        let registry = MetricsRegistry()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    let counter = Counter(label: "c_total", factory: registry)
                    let fraction = FloatingPointCounter(label: "f_total", factory: registry)
                    let timer = Timer(label: "t_seconds", factory: registry)
                    for _ in 0..<5_000 {
                        counter.increment()
                        fraction.increment(by: 0.5)
                        timer.recordNanoseconds(1_000_000)
                    }
                }
            }
        }
        let text = Self.text(registry)
        #expect(text.contains("c_total 80000\n"))
        #expect(text.contains("f_total 40000\n"))
        #expect(text.contains("t_seconds_count 80000\n"))
        #expect(text.contains("t_seconds_sum 80\n"))
        #expect(text.contains("t_seconds_bucket{le=\"0.0005\"} 0\n"))
        #expect(text.contains("t_seconds_bucket{le=\"0.001\"} 80000\n"))
    }

    @Test func processMetricsCarryTheService() {
        let registry = MetricsRegistry()
        let process = ProcessMetrics(service: "core")
        registry.addCollector { process.collect(into: &$0) }
        let text = Self.text(registry)
        for name in [
            "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
            "process_start_time_seconds", "process_max_fds",
        ] {
            #expect(text.contains("\n\(name){service=\"core\"} "), "\(name)")
        }
    }

    @Test(
        arguments: [
            (nil, ExpositionFormat.text),
            ("", .text),
            ("*/*", .text),
            ("text/html", .text),
            ("application/openmetrics-text", .openMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", .openMetrics),
            ("application/openmetrics-text;version=0.0.1", .text),
            ("application/openmetrics-text;version=1.0.0;q=0", .text),
            (
                "application/openmetrics-text;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.5",
                .text
            ),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
                    + "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics
            ),
        ] as [(String?, ExpositionFormat)])
    func theAcceptHeaderChooses(accept: String?, format: ExpositionFormat) {
        #expect(ExpositionFormat(accept: accept) == format)
    }
}
