// Names and labels as the exposition formats want them. What is not legal is replaced, always in
// the same way, so that the same input gives the same series in every run.

enum MetricNames {
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`; every other scalar becomes one underscore.
    static func metric(_ name: String) -> String {
        sanitised(name, allowingColon: true)
    }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`. `le` belongs to histograms, so a label of that name moves away as
    /// Prometheus itself moves a label that collides.
    static func label(_ name: String) -> String {
        name == "le" ? "exported_le" : sanitised(name, allowingColon: false)
    }

    private static func sanitised(_ name: String, allowingColon: Bool) -> String {
        if isLegal(name, allowingColon: allowingColon) { return name }
        var result = String()
        for scalar in name.unicodeScalars {
            let legal =
                scalar.isASCII
                && isNameByte(UInt8(truncatingIfNeeded: scalar.value), allowingColon: allowingColon)
            if result.isEmpty, ("0"..."9").contains(scalar) { result.append("_") }
            result.unicodeScalars.append(legal ? scalar : "_")
        }
        return result.isEmpty ? "_" : result
    }

    private static func isLegal(_ name: String, allowingColon: Bool) -> Bool {
        guard let first = name.utf8.first, !isDigit(first) else { return false }
        return name.utf8.allSatisfy { isNameByte($0, allowingColon: allowingColon) }
    }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    @inline(__always)
    static func isNameByte(_ byte: UInt8, allowingColon: Bool) -> Bool {
        (byte | 0x20) &- 0x61 < 26 || isDigit(byte) || byte == UInt8(ascii: "_")
            || (allowingColon && byte == UInt8(ascii: ":"))
    }
}

/// The labels of one series as they are printed between the braces: sorted by name, escaped,
/// without braces. Compared by bytes, because Swift's String holds two spellings of `é` to be equal
/// and Prometheus does not.
struct LabelText: Hashable, Comparable, Sendable {
    let bytes: [UInt8]

    static let none = LabelText(bytes: [])

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Of labels that end up with the same name the first one stays.
    init(_ dimensions: [(String, String)]) {
        guard !dimensions.isEmpty else {
            self = .none
            return
        }
        var labels: [(name: String, value: String)] = []
        labels.reserveCapacity(dimensions.count)
        for (name, value) in dimensions {
            let legal = MetricNames.label(name)
            if !labels.contains(where: { $0.name == legal }) { labels.append((legal, value)) }
        }
        labels.sort { $0.name < $1.name }
        var text = TextBuffer()
        for (index, label) in labels.enumerated() {
            if index > 0 { text.append(",") }
            text.append(label.name)
            text.append("=\"")
            text.appendEscaped(label.value, quotes: true)
            text.append("\"")
        }
        bytes = text.bytes
    }

    static func < (left: LabelText, right: LabelText) -> Bool {
        left.bytes.withUnsafeBufferPointer { left in
            right.bytes.withUnsafeBufferPointer { right in
                left.lexicographicallyPrecedes(right)
            }
        }
    }
}
