import Control
import CoreMetrics
import Testing

@Suite struct MergerTests {
    static func merge(
        _ texts: String..., format: ExpositionFormat = .text
    ) -> (text: String, output: ExpositionMerger.Output) {
        let output = ExpositionMerger.merge(texts.map { Array($0.utf8) }, format: format)
        return (String(decoding: output.bytes, as: UTF8.self), output)
    }

    @Test func aFamilysSamplesStandTogetherUnderOneHeader() {
        let (text, output) = Self.merge(
            "# HELP b B.\n# TYPE b gauge\nb{s=\"1\"} 1\n# HELP a A.\n# TYPE a counter\na 1\n",
            "# HELP b Other words.\n# TYPE b gauge\nb{s=\"2\"} 2")
        #expect(
            text == """
                # HELP a A.
                # TYPE a counter
                a 1
                # HELP b B.
                # TYPE b gauge
                b{s="1"} 1
                b{s="2"} 2

                """)
        #expect(output.duplicates + output.malformed + output.conflicting == 0)
    }

    @Test func aSeriesIsPrintedOnceHoweverItIsSpelled() {
        let (text, output) = Self.merge(
            "# TYPE g gauge\ng{a=\"1\",b=\"2\"} 1\ng 5\n",
            "# TYPE g gauge\ng{ b = \"2\" , a=\"1\", } 2\ng{} 6\n\tg{b=\"2\",a=\"2\"}\t 3 \n")
        #expect(text == "# TYPE g gauge\ng{a=\"1\",b=\"2\"} 1\ng 5\ng{a=\"2\",b=\"2\"} 3\n")
        #expect(output.duplicates == 2)
    }

    @Test func theFirstTypeWins() {
        let (text, output) = Self.merge(
            "# TYPE x gauge\nx 1\n",
            "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n# TYPE y gauge\ny 1\n"
        )
        #expect(text == "# TYPE x gauge\nx 1\n# TYPE y gauge\ny 1\n")
        #expect(output.conflicting == 3)
    }

    @Test func histogramsStayWholeAlsoWithoutASecondHeader() {
        let histogram = "h_bucket{s=\"1\",le=\"+Inf\"} 1\nh_sum{s=\"1\"} 1\nh_count{s=\"1\"} 1\n"
        let (text, output) = Self.merge(
            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n", histogram)
        #expect(text.split(separator: "\n").count == 7)
        #expect(!text.contains("# TYPE h_"))
        #expect(output.malformed == 0)
    }

    @Test(arguments: [
        "x", "x ", "x one", "9x 1", "x{a=1} 1", "x{a=\"1} 1", "x{a=\"\\t\"} 1", "x{a=\"1\"", "x{} ",
        "x{a=\"1\" b=\"2\"} 1", "x{a=\"1\",a=\"2\"} 1", "x-y 1", "x 1 2 3", "x 1 soon", "x 1e",
        "x .",
        "x 0x1", "x{9=\"1\"} 1", "# TYPE x", "# TYPE x flag", "# HELP 9 x", "x 1\r", "x {a=\"1\"}",
        "x{,} 1",
    ])
    func aMalformedLineIsDroppedAndCounted(line: String) {
        let (text, output) = Self.merge("ok 1\n\(line)\nfine 2\n")
        #expect(text == "# TYPE fine untyped\nfine 2\n# TYPE ok untyped\nok 1\n")
        #expect(output.malformed == 1)
    }

    @Test(arguments: [
        "x 1", "x -1.5e+10", "x +Inf", "x -Inf", "x NaN", "x .5", "x 5.", "x 1 1700000000000",
        "x{a=\"\"} 1", "x{a=\"\\\\\\\"\\n\"} 1", "x{a=\"é{},= #\"} 1", "x:y_z 1",
    ])
    func aGoodLineIsKeptAsItIs(line: String) {
        let (text, output) = Self.merge(line)
        #expect(text.hasSuffix("untyped\n\(line)\n"))
        #expect(output.malformed == 0)
    }

    @Test func bytesThatAreNotUTF8AreDropped() {
        let bad = Array("x{a=\"".utf8) + [0xFF] + Array("\"} 1\ny 1\n".utf8)
        let output = ExpositionMerger.merge([bad])
        #expect(String(decoding: output.bytes, as: UTF8.self) == "# TYPE y untyped\ny 1\n")
        #expect(output.malformed == 1)
    }

    @Test func openMetricsComesOutOfPlainText() {
        let (text, _) = Self.merge(
            "# HELP a_total Say \"a\".\n# TYPE a_total counter\na_total 1 1700000000000\nb 2\n",
            format: .openMetrics)
        #expect(
            text == """
                # HELP a Say \\"a\\".
                # TYPE a counter
                a_total 1
                # TYPE b unknown
                b 2
                # EOF

                """)
    }

    /// Merging one text changes nothing but the order of families, merging it with itself drops
    /// exactly its samples, and merging again is the same text.
    @Test func mergingIsIdempotent() {
        let registry = RoundTripTests.typicalRegistry(limit: 1_000)
        var random = SplitMix(state: 7)
        for _ in 0..<500 {
            Timer(
                label: "r\(Int.random(in: 0..<5, using: &random))_seconds",
                dimensions: [("v", RoundTripTests.randomValue(&random))], factory: registry
            ).recordNanoseconds(Int64.random(in: 0..<10_000_000_000, using: &random))
        }
        let text = registry.encode()
        let samples = text.split(separator: UInt8(ascii: "\n"))
            .count { $0.first != UInt8(ascii: "#") }
        let once = ExpositionMerger.merge([text])
        #expect(once == ExpositionMerger.Output(bytes: text))
        let twice = ExpositionMerger.merge([text, text, []])
        #expect(twice.bytes == text)
        #expect(twice.duplicates == samples)
    }

    /// Whatever arrives, what leaves is clean: a second merge finds nothing wrong with it.
    @Test func noiseNeverGetsThrough() {
        var random = SplitMix(state: 99)
        let good = RoundTripTests.typicalRegistry().encode()
        for _ in 0..<300 {
            var noisy = good
            for _ in 0..<20 {
                let index = Int.random(in: 0..<noisy.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: noisy[index] = UInt8.random(in: 0...255, using: &random)
                case 1: noisy.remove(at: index)
                default: noisy.insert(noisy[index], at: index)
                }
            }
            let first = ExpositionMerger.merge([noisy, good])
            let second = ExpositionMerger.merge([first.bytes])
            #expect(second == ExpositionMerger.Output(bytes: first.bytes))
        }
    }
}
