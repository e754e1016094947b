/// Makes one exposition of several in text format 0.0.4: the supervisor's own and its children's.
///
/// A family's samples stand together, in the order of the inputs, under one HELP and one TYPE; the
/// first input that says what a family is decides. What cannot go in is dropped and counted, so that
/// one child's bad line never costs the scrape of all the others.
public struct ExpositionMerger {
    public struct Output: Sendable, Equatable {
        public var bytes: [UInt8]
        /// Samples whose series had been seen before.
        public var duplicates = 0
        /// Lines that are not text format.
        public var malformed = 0
        /// Samples of a family that an earlier input declared as another type.
        public var conflicting = 0

        public init(bytes: [UInt8] = []) {
            self.bytes = bytes
        }
    }

    /// Written in OpenMetrics the samples lose their timestamps, which that format counts in other
    /// units; opsd's own processes send none.
    public static func merge(
        _ texts: [[UInt8]], format: ExpositionFormat = .text
    ) -> Output {
        var inputs: [UInt8] = []
        inputs.reserveCapacity(texts.reduce(0) { $0 + $1.count + 1 })
        var bounds: [Range<Int>] = []
        for text in texts {
            let start = inputs.count
            inputs.append(contentsOf: text)
            if text.last != UInt8(ascii: "\n") { inputs.append(UInt8(ascii: "\n")) }
            bounds.append(start..<inputs.count)
        }
        return inputs.withUnsafeBufferPointer { inputs in
            var merge = MergeState(inputs, format: format)
            for range in bounds { merge.read(range) }
            return merge.finish()
        }
    }
}

/// The work of one merge.
private struct MergeState {
    /// A family of the result.
    struct Family {
        let name: String
        var help: Range<Int>?
        var type: String?
        var pieces: [SeriesSet.Place] = []
    }

    /// A family as the present input sees it.
    struct LocalFamily {
        let name: [UInt8]
        let global: Int
        /// What the family is by an earlier input, for an input that does not say it again.
        let inherited: String?
        var declared: String?
        /// The input declares another type than the family has: its samples are dropped.
        var isRejected = false

        /// Whether a sample of that name belongs to a family of this type.
        func owns(_ sample: UnsafeBufferPointer<UInt8>.SubSequence) -> Bool {
            let type = declared ?? inherited
            let isComposite = type == "histogram" || type == "summary"
            guard sample.count != name.count else {
                return type != "histogram" && sample.elementsEqual(name)
            }
            guard isComposite, sample.count > name.count, sample.starts(with: name) else {
                return false
            }
            let suffix = sample.dropFirst(name.count)
            return suffix.elementsEqual("_sum".utf8) || suffix.elementsEqual("_count".utf8)
                || (type == "histogram" && suffix.elementsEqual("_bucket".utf8))
        }
    }

    private let inputs: UnsafeBufferPointer<UInt8>
    private let format: ExpositionFormat
    private var scanner: ExpositionScanner
    private var output = ExpositionMerger.Output()
    private var families: [Family] = []
    private var indices: [String: Int] = [:]
    private var locals: [LocalFamily] = []
    private var localIndices: [String: Int] = [:]
    private var current: Int?
    /// Where the last sample's name was and what it resolved to: series of one name follow each
    /// other, so the next sample is usually a comparison away.
    private var lastName = 0..<0
    private var seen: SeriesSet
    /// Lines that our encoder would have written otherwise, written as it would.
    private var rewritten: [UInt8] = []

    init(_ inputs: UnsafeBufferPointer<UInt8>, format: ExpositionFormat) {
        self.inputs = inputs
        self.format = format
        scanner = ExpositionScanner(inputs)
        seen = SeriesSet(capacity: inputs.count / 48)
    }

    mutating func read(_ range: Range<Int>) {
        locals.removeAll(keepingCapacity: true)
        localIndices.removeAll(keepingCapacity: true)
        current = nil
        lastName = 0..<0
        var start = range.lowerBound
        while start < range.upperBound {
            let end = inputs.firstIndex(
                of: UInt8(ascii: "\n"), from: start, to: range.upperBound)
            read(scanner.scan(from: start, to: end), lineEnd: end)
            start = end + 1
        }
    }

    private mutating func read(_ line: ExpositionLine, lineEnd: Int) {
        switch line {
        case .blank: break
        case .malformed: output.malformed += 1
        case .help(let name, let text): readHelp(name, text)
        case .type(let name, let type): readType(name, type)
        case .sample(let sample): readSample(sample, lineEnd: lineEnd)
        }
    }

    // MARK: Headers

    private mutating func readHelp(_ name: Range<Int>, _ text: Range<Int>) {
        let global = locals[local(named: string(name))].global
        if families[global].help == nil { families[global].help = text }
    }

    private mutating func readType(_ name: Range<Int>, _ range: Range<Int>) {
        let type = string(range)
        let index = local(named: string(name))
        let isKnown = ["counter", "gauge", "histogram", "summary", "untyped"].contains(type)
        guard isKnown, locals[index].declared == nil || locals[index].declared == type else {
            output.malformed += 1
            return
        }
        locals[index].declared = type
        current = index
        lastName = 0..<0
        let global = locals[index].global
        if let declared = families[global].type {
            locals[index].isRejected = declared != type
        } else if families[global].pieces.isEmpty || (type != "histogram" && type != "summary") {
            families[global].type = type
        } else {
            locals[index].isRejected = true
        }
    }

    // MARK: Samples

    private mutating func readSample(_ sample: ExpositionSample, lineEnd: Int) {
        guard let index = localFamily(of: sample) else {
            output.malformed += 1
            return
        }
        guard !locals[index].isRejected else {
            output.conflicting += 1
            return
        }
        var series = SeriesSet.Place(isRewritten: false, range: sample.series)
        var line = SeriesSet.Place(
            isRewritten: false,
            range: sample.series
                .lowerBound..<(format == .openMetrics ? sample.value.upperBound : lineEnd))
        let mark = rewritten.count
        if !sample.isCanonical { (series, line) = rewrite(sample) }
        guard seen.insert(series, inputs: inputs, rewritten: rewritten) else {
            rewritten.removeLast(rewritten.count - mark)
            output.duplicates += 1
            return
        }
        append(line, to: locals[index].global)
    }

    /// Lines that follow each other are one piece: most of a text is copied in a few moves.
    private mutating func append(_ line: SeriesSet.Place, to family: Int) {
        let last = families[family].pieces.count - 1
        if last >= 0, families[family].pieces[last].isRewritten == line.isRewritten,
            families[family].pieces[last].range.upperBound + 1 == line.range.lowerBound
        {
            let start = families[family].pieces[last].range.lowerBound
            families[family].pieces[last].range = start..<line.range.upperBound
        } else {
            families[family].pieces.append(line)
        }
    }

    private mutating func rewrite(
        _ sample: ExpositionSample
    ) -> (series: SeriesSet.Place, line: SeriesSet.Place) {
        let start = rewritten.count
        rewritten.append(contentsOf: inputs[sample.name])
        for (index, label) in sample.labels.enumerated() {
            rewritten.append(UInt8(ascii: index == 0 ? "{" : ","))
            rewritten.append(contentsOf: inputs[label.name])
            rewritten.append(contentsOf: "=\"".utf8)
            rewritten.append(contentsOf: inputs[label.value])
            rewritten.append(UInt8(ascii: "\""))
        }
        if !sample.labels.isEmpty { rewritten.append(UInt8(ascii: "}")) }
        let seriesEnd = rewritten.count
        rewritten.append(UInt8(ascii: " "))
        rewritten.append(contentsOf: inputs[sample.value])
        if let timestamp = sample.timestamp, format == .text {
            rewritten.append(UInt8(ascii: " "))
            rewritten.append(contentsOf: inputs[timestamp])
        }
        let lineEnd = rewritten.count
        rewritten.append(UInt8(ascii: "\n"))
        return (
            SeriesSet.Place(isRewritten: true, range: start..<seriesEnd),
            SeriesSet.Place(isRewritten: true, range: start..<lineEnd)
        )
    }

    // MARK: Families

    private mutating func localFamily(of sample: ExpositionSample) -> Int? {
        if let current, sample.name.count == lastName.count,
            inputs.compare(sample.name, lastName, count: lastName.count) == 0
        {
            return current
        }
        guard let found = findFamily(sample.name) else { return nil }
        current = found
        lastName = sample.name
        return found
    }

    /// The family that a sample's name belongs to: what the input declared goes before what other
    /// inputs did, and the whole name before the name without a histogram's suffix. Nil for a bare
    /// sample in a histogram.
    private mutating func findFamily(_ range: Range<Int>) -> Int? {
        if let current, locals[current].owns(inputs[range]) { return current }
        let name = string(range)
        if let index = localIndices[name] {
            return locals[index].owns(inputs[range]) ? index : nil
        }
        let bases = ["_bucket", "_sum", "_count"].filter { name.hasSuffix($0) }
            .map { String(name.dropLast($0.count)) }
        for base in bases {
            if let index = localIndices[base], locals[index].owns(inputs[range]) { return index }
        }
        for base in bases where indices[name] == nil {
            guard indices[base] != nil else { continue }
            let index = local(named: base)
            if locals[index].owns(inputs[range]) { return index }
        }
        let index = local(named: name)
        return locals[index].owns(inputs[range]) ? index : nil
    }

    private mutating func local(named name: String) -> Int {
        if let index = localIndices[name] { return index }
        let global = global(named: name)
        localIndices[name] = locals.count
        locals.append(
            LocalFamily(
                name: Array(name.utf8), global: global, inherited: families[global].type))
        return locals.count - 1
    }

    private mutating func global(named name: String) -> Int {
        if let index = indices[name] { return index }
        indices[name] = families.count
        families.append(Family(name: name))
        return families.count - 1
    }

    private func string(_ range: Range<Int>) -> String {
        String(decoding: inputs[range], as: UTF8.self)
    }

    // MARK: Output

    consuming func finish() -> ExpositionMerger.Output {
        var text = TextBuffer(capacity: inputs.count + rewritten.count + 64)
        for family in families.sorted(by: { $0.name < $1.name }) where !family.pieces.isEmpty {
            write(family, to: &text)
        }
        if format == .openMetrics { text.append("# EOF\n") }
        output.bytes = text.bytes
        return output
    }

    private func write(_ family: Family, to text: inout TextBuffer) {
        var header = FamilyHeader(
            name: family.name, type: family.type ?? "untyped", format: format)
        if header.name != family.name, indices[header.name] != nil {
            // Another family has the name that the counter has without `_total`.
            header = FamilyHeader(name: family.name, type: "untyped", format: format)
        }
        if let help = family.help {
            text.append("# HELP \(header.name) ")
            writeHelp(help, to: &text)
            text.append(byte: UInt8(ascii: "\n"))
        }
        text.append("# TYPE \(header.name) \(header.type)\n")
        for piece in family.pieces {
            if piece.isRewritten {
                rewritten.withUnsafeBytes {
                    text.append(UnsafeRawBufferPointer(rebasing: $0[piece.range]))
                }
            } else {
                text.append(
                    UnsafeRawBufferPointer(
                        rebasing: UnsafeRawBufferPointer(inputs)[piece.range]))
            }
            text.append(byte: UInt8(ascii: "\n"))
        }
    }

    /// OpenMetrics wants double quotes escaped in HELP, the text format has them bare.
    private func writeHelp(_ range: Range<Int>, to text: inout TextBuffer) {
        for byte in inputs[range] {
            if format == .openMetrics, byte == UInt8(ascii: "\"") {
                text.append(byte: UInt8(ascii: "\\"))
            }
            text.append(byte: byte)
        }
    }
}
