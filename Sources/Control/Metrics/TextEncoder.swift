/// Writes families in one of the two formats. The caller gives them sorted by name and their series
/// sorted by labels; each family comes once.
struct TextEncoder {
    let format: ExpositionFormat
    private(set) var text: TextBuffer

    init(format: ExpositionFormat, capacity: Int) {
        self.format = format
        text = TextBuffer(capacity: capacity)
    }

    mutating func begin(family name: String, help: String, kind: MetricDescription.Kind) {
        Self.writeHeader(
            name: name, help: help, type: kind.rawValue, format: format, to: &text)
    }

    mutating func write(_ series: StoredSeries) {
        switch series {
        case .counter(let counter): counter.write(to: &text)
        case .gauge(let gauge): gauge.write(to: &text)
        case .histogram(let histogram): histogram.write(to: &text)
        }
    }

    mutating func write(_ sample: CollectedSample, family name: String) {
        text.append(SeriesText.head(name: name, labels: sample.labels))
        text.append(number: sample.value)
        text.append(byte: UInt8(ascii: "\n"))
    }

    mutating func finish() -> [UInt8] {
        if format == .openMetrics { text.append("# EOF\n") }
        return text.bytes
    }

    /// OpenMetrics names a counter's family without `_total`. A counter whose name does not end so
    /// is `unknown` there: the series keeps its name in both formats, and a scraper that changes
    /// from one to the other does not see a second series.
    private static func writeHeader(
        name: String, help: String, type: String, format: ExpositionFormat,
        to text: inout TextBuffer
    ) {
        let header = FamilyHeader(name: name, type: type, format: format)
        text.append("# HELP \(header.name) ")
        text.appendEscaped(help, quotes: format == .openMetrics)
        text.append("\n# TYPE \(header.name) \(header.type)\n")
    }
}

/// A family's name and type as one format spells them.
struct FamilyHeader: Equatable {
    let name: String
    let type: String

    init(name: String, type: String, format: ExpositionFormat) {
        switch (format, type) {
        case (.openMetrics, "counter") where name.hasSuffix("_total"):
            self.name = String(name.dropLast("_total".count))
            self.type = type
        case (.openMetrics, "counter"), (.openMetrics, "untyped"):
            self.name = name
            self.type = "unknown"
        default:
            self.name = name
            self.type = type
        }
    }
}
