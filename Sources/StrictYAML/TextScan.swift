/// What is looked for in the raw text, before a parser sees it.
struct TextScan {
    let file: String
    let findings: Findings

    /// Aliases are refused for good after parsing, by their anchors. But a parser follows them
    /// first, and a few dozen are enough to make that take forever; this many are harmless.
    static let aliasCountMax = 12
    private static let tabFindingsMax = 20

    func scan(_ text: String) {
        guard text.utf8.count <= YAMLDocument.byteCountMax else {
            return findings.error(
                Place(file: file, line: 1, column: 1),
                "the file has \(text.utf8.count) bytes, more than \(YAMLDocument.byteCountMax)",
                "split it into several files")
        }
        var line = Line(number: 1)
        var tabs = 0
        var aliases = 0
        var separators = 0
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\n"), UInt8(ascii: ":"), UInt8(ascii: ","): separators += 1
            default: break
            }
            if byte == UInt8(ascii: "\n") {
                line = Line(number: line.number + 1)
                continue
            }
            if byte == UInt8(ascii: "\t"), line.isIndentation, tabs < Self.tabFindingsMax {
                tabs += 1
                refuseTab(line)
            }
            if byte == UInt8(ascii: "*"), line.startsValue {
                aliases += 1
                if aliases == Self.aliasCountMax { refuseAliases(line) }
            }
            line.advance(over: byte)
        }
        if separators > YAMLDocument.separatorCountMax {
            findings.error(
                Place(file: file, line: 1, column: 1),
                "the file has more than \(YAMLDocument.separatorCountMax) line breaks, colons and commas",
                "split it into several files")
        }
    }

    private func refuseTab(_ line: Line) {
        findings.error(
            Place(file: file, line: line.number, column: line.column), "a tab in the indentation",
            "write spaces")
    }

    private func refuseAliases(_ line: Line) {
        findings.error(
            Place(file: file, line: line.number, column: line.column),
            "YAML aliases (*name) are refused",
            "write the value out (quote a text that begins with *)")
    }

    /// Just enough of a line's state to tell where a value may start.
    private struct Line {
        let number: Int
        var column = 1
        var isIndentation = true
        /// True after indentation and after `- `, `: `, `? `, `[`, `{` and `,`.
        var startsValue = true
        private var isComment = false
        private var hasQuote = false

        init(number: Int) {
            self.number = number
        }

        mutating func advance(over byte: UInt8) {
            // Continuation bytes of UTF-8 do not make a new column.
            if byte & 0xC0 != 0x80 { column += 1 }
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { hasQuote = true }
            // Within quotes a # is text. Taking a comment for text does no harm; the other way
            // round it would hide what follows.
            if byte == UInt8(ascii: "#"), !hasQuote { isComment = true }
            switch byte {
            case _ where isComment:
                startsValue = false
                isIndentation = false
            case UInt8(ascii: " "), UInt8(ascii: "\t"):
                break
            case UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "?"), UInt8(ascii: "["),
                UInt8(ascii: "{"), UInt8(ascii: ","):
                startsValue = true
                isIndentation = false
            default:
                startsValue = false
                isIndentation = false
            }
        }
    }
}
