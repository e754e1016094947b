internal import Glibc

/// One line of the text format, taken apart without making strings. Positions are offsets into the
/// text that the line lies in.
enum ExpositionLine {
    /// An empty line, or a comment that says nothing to a scraper.
    case blank
    case help(name: Range<Int>, text: Range<Int>)
    case type(name: Range<Int>, type: Range<Int>)
    case sample(ExpositionSample)
    case malformed
}

struct ExpositionSample {
    let name: Range<Int>
    /// Each label's name, and its value still escaped.
    var labels: [(name: Range<Int>, value: Range<Int>)] = []
    /// From the name to the closing brace.
    var series: Range<Int>
    var value: Range<Int>
    var timestamp: Range<Int>?
    /// Whether series, value and timestamp stand as our own encoder writes them: one blank between,
    /// labels ascending, `le` or `quantile` last. `labels` is filled only when they do not.
    var isCanonical: Bool
}

/// Reads lines. Strict where Prometheus is strict, because one line that it refuses costs the whole
/// scrape: names, escapes, numbers and UTF-8 are checked.
struct ExpositionScanner {
    let text: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var end = 0

    init(_ text: UnsafeBufferPointer<UInt8>) {
        self.text = text
    }

    /// The line from `start` to `end`, its newline not included.
    mutating func scan(from start: Int, to end: Int) -> ExpositionLine {
        position = start
        self.end = end
        skipBlanks()
        guard position < end else { return .blank }
        if text[position] == UInt8(ascii: "#") { return scanComment() }
        guard var sample = scanSample(lineStart: start) else { return .malformed }
        if !sample.isCanonical, !collectLabels(&sample) { return .malformed }
        return .sample(sample)
    }

    // MARK: Comments

    private mutating func scanComment() -> ExpositionLine {
        position += 1
        skipBlanks()
        let word = scanWord()
        let isHelp = equals(word, "HELP")
        guard isHelp || equals(word, "TYPE") else { return .blank }
        skipBlanks()
        let nameStart = position
        guard scanName(allowingColon: true) else { return .malformed }
        let name = nameStart..<position
        guard position == end || isBlank(text[position]) else { return .malformed }
        skipBlanks()
        if isHelp {
            let rest = position..<end
            return isUTF8(rest) ? .help(name: name, text: rest) : .malformed
        }
        let type = scanWord()
        skipBlanks()
        return position == end && !type.isEmpty ? .type(name: name, type: type) : .malformed
    }

    // MARK: Samples

    private mutating func scanSample(lineStart: Int) -> ExpositionSample? {
        let start = position
        guard scanName(allowingColon: true) else { return nil }
        var sample = ExpositionSample(
            name: start..<position, series: start..<position, value: 0..<0,
            isCanonical: start == lineStart)
        let nameEnd = position
        skipBlanks()
        if position < end, text[position] == UInt8(ascii: "{") {
            if position != nameEnd { sample.isCanonical = false }
            guard scanLabels(&sample) else { return nil }
            sample.series = start..<position
        } else {
            position = nameEnd
        }
        guard let value = scanNext(&sample, isValid: isNumber) else { return nil }
        sample.value = value
        if position < end {
            let valueEnd = position
            skipBlanks()
            if position == end {
                sample.isCanonical = false
                return sample
            }
            position = valueEnd
            guard let timestamp = scanNext(&sample, isValid: isInteger) else { return nil }
            sample.timestamp = timestamp
            if position < end { sample.isCanonical = false }
            skipBlanks()
        }
        return position == end ? sample : nil
    }

    /// The next word after blanks.
    private mutating func scanNext(
        _ sample: inout ExpositionSample, isValid: (Range<Int>) -> Bool
    ) -> Range<Int>? {
        let before = position
        skipBlanks()
        if position != before + 1 || text[before] != UInt8(ascii: " ") {
            sample.isCanonical = false
        }
        // Between the name and the value there is a blank or a closing brace.
        guard position > before || text[before - 1] == UInt8(ascii: "}") else { return nil }
        let word = scanWord()
        return isValid(word) ? word : nil
    }

    private mutating func scanLabels(_ sample: inout ExpositionSample) -> Bool {
        let open = position
        position += 1
        var previous = 0..<0
        var count = 0
        var highBits: UInt8 = 0
        while true {
            skipBlanks(&sample)
            guard position < end else { return false }
            if text[position] == UInt8(ascii: "}") { break }
            let nameStart = position
            guard scanName(allowingColon: false) else { return false }
            let name = nameStart..<position
            skipBlanks(&sample)
            guard scan(UInt8(ascii: "=")) else { return false }
            skipBlanks(&sample)
            guard scanQuoted(&highBits) != nil else { return false }
            if count > 0, !isAscending(previous, name) { sample.isCanonical = false }
            previous = name
            count += 1
            skipBlanks(&sample)
            guard position < end else { return false }
            if text[position] == UInt8(ascii: ",") {
                position += 1
                // A comma before the brace is legal, but we do not write one.
                if position < end, text[position] == UInt8(ascii: "}") {
                    sample.isCanonical = false
                }
            } else if text[position] != UInt8(ascii: "}") {
                return false
            }
        }
        position += 1
        if count == 0 { sample.isCanonical = false }
        return highBits < 0x80 || isUTF8(open..<position)
    }

    /// Reads the labels of a line that is known to be well formed a second time and keeps where they
    /// are. Only lines that our encoder did not write come here. False when a name stands twice.
    private func collectLabels(_ sample: inout ExpositionSample) -> Bool {
        var copy = self
        copy.position = sample.name.upperBound
        copy.skipBlanks()
        guard copy.scan(UInt8(ascii: "{")) else { return true }
        var ignored: UInt8 = 0
        while true {
            copy.skipBlanks()
            if copy.scan(UInt8(ascii: ",")) { continue }
            if copy.scan(UInt8(ascii: "}")) { break }
            let start = copy.position
            guard copy.scanName(allowingColon: false) else { return false }
            let name = start..<copy.position
            copy.skipBlanks()
            guard copy.scan(UInt8(ascii: "=")) else { return false }
            copy.skipBlanks()
            guard let value = copy.scanQuoted(&ignored) else { return false }
            sample.labels.append((name, value))
        }
        sample.labels.sort { isAscending($0.name, $1.name) }
        return zip(sample.labels, sample.labels.dropFirst()).allSatisfy {
            isAscending($0.name, $1.name)
        }
    }

    private mutating func scanQuoted(_ highBits: inout UInt8) -> Range<Int>? {
        guard scan(UInt8(ascii: "\"")) else { return nil }
        let start = position
        while position < end {
            let byte = text[position]
            highBits |= byte
            position &+= 1
            if byte == UInt8(ascii: "\"") { return start..<(position - 1) }
            if byte == UInt8(ascii: "\\") {
                guard position < end else { return nil }
                switch text[position] {
                case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "n"): position &+= 1
                default: return nil
                }
            }
        }
        return nil
    }
}

// MARK: - Words

extension ExpositionScanner {
    @inline(__always)
    private func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }

    @inline(__always)
    private mutating func skipBlanks() {
        while position < end, isBlank(text[position]) { position &+= 1 }
    }

    @inline(__always)
    private mutating func skipBlanks(_ sample: inout ExpositionSample) {
        let before = position
        skipBlanks()
        if position != before { sample.isCanonical = false }
    }

    @inline(__always)
    private mutating func scan(_ byte: UInt8) -> Bool {
        guard position < end, text[position] == byte else { return false }
        position &+= 1
        return true
    }

    private mutating func scanName(allowingColon: Bool) -> Bool {
        guard position < end, !MetricNames.isDigit(text[position]) else { return false }
        let start = position
        while position < end,
            MetricNames.isNameByte(text[position], allowingColon: allowingColon)
        {
            position &+= 1
        }
        return position > start
    }

    private mutating func scanWord() -> Range<Int> {
        let start = position
        while position < end, !isBlank(text[position]) { position &+= 1 }
        return start..<position
    }

    /// By name, and what a histogram or summary adds to its series' labels comes last.
    private func isAscending(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
        let isLeftAdded = equals(left, "le") || equals(left, "quantile")
        let isRightAdded = equals(right, "le") || equals(right, "quantile")
        if isLeftAdded != isRightAdded { return isRightAdded }
        let order = text.compare(left, right, count: min(left.count, right.count))
        return order < 0 || (order == 0 && left.count < right.count)
    }

    private func equals(_ range: Range<Int>, _ word: StaticString) -> Bool {
        guard range.count == word.utf8CodeUnitCount, let base = text.baseAddress else {
            return false
        }
        return memcmp(base + range.lowerBound, word.utf8Start, range.count) == 0
    }

    private func isUTF8(_ range: Range<Int>) -> Bool {
        String(validating: text[range], as: UTF8.self) != nil
    }

    private func isInteger(_ range: Range<Int>) -> Bool {
        var rest = text[range]
        if let first = rest.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            rest.removeFirst()
        }
        return !rest.isEmpty && rest.allSatisfy(MetricNames.isDigit)
    }

    /// A decimal number with an optional exponent, or NaN and Inf as Go reads them.
    private func isNumber(_ range: Range<Int>) -> Bool {
        var index = range.lowerBound
        let end = range.upperBound
        if index < end, text[index] == UInt8(ascii: "-") || text[index] == UInt8(ascii: "+") {
            index += 1
        }
        var digits = 0
        while index < end, MetricNames.isDigit(text[index]) { (index, digits) = (index + 1, 1) }
        if index < end, text[index] == UInt8(ascii: ".") {
            index += 1
            while index < end, MetricNames.isDigit(text[index]) { (index, digits) = (index + 1, 1) }
        }
        guard digits > 0 else { return isSpecial(range) }
        if index == end { return true }
        guard text[index] | 0x20 == UInt8(ascii: "e") else { return false }
        return index + 1 < end && isInteger((index + 1)..<end)
    }

    private func isSpecial(_ range: Range<Int>) -> Bool {
        guard range.count <= 9 else { return false }
        switch String(decoding: text[range], as: UTF8.self).lowercased() {
        case "nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity": return true
        default: return false
        }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// memcmp(3) of the first bytes of two places in this text.
    @inline(__always)
    func compare(_ left: Range<Int>, _ right: Range<Int>, count: Int) -> Int32 {
        guard let baseAddress else { return 0 }
        return memcmp(baseAddress + left.lowerBound, baseAddress + right.lowerBound, count)
    }

    /// Where the byte stands next; `end` when it does not before that.
    @inline(__always)
    func firstIndex(of byte: UInt8, from start: Int, to end: Int) -> Int {
        guard let baseAddress,
            let found = memchr(baseAddress + start, Int32(byte), end - start)
        else { return end }
        return UnsafeRawPointer(found) - UnsafeRawPointer(baseAddress)
    }
}
