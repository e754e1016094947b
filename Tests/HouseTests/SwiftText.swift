/// A Swift file taken apart by line: its code, and its comments. A text in quotes is neither, only
/// the quotes are left of it; what is interpolated into it is code.
struct SwiftText {
    let code: [String]
    let comments: [String]

    init(_ text: String) {
        var scan = SwiftScan(bytes: Array(text.utf8))
        scan.run()
        code = scan.code.lines
        comments = scan.comments.lines
    }
}

/// Bytes gathered by line.
private struct LineWriter {
    var lines: [String] = []
    private var line: [UInt8] = []

    mutating func add(_ byte: UInt8) { line.append(byte) }

    mutating func endLine() {
        lines.append(String(decoding: line, as: UTF8.self))
        line = []
    }
}

private struct SwiftScan {
    private enum Mode {
        /// `parentheses`: how many are open, counted within an interpolation.
        case code(parentheses: Int)
        case text(hashes: Int, quotes: Int)
        case lineComment
        case blockComment
    }

    let bytes: [UInt8]
    private(set) var code = LineWriter()
    private(set) var comments = LineWriter()
    private var modes: [Mode] = [.code(parentheses: 0)]
    private var position = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func run() {
        while position < bytes.count {
            if bytes[position] == UInt8(ascii: "\n") {
                endLine()
                continue
            }
            switch modes.last ?? .code(parentheses: 0) {
            case .code(let parentheses): takeCode(parentheses)
            case .text(let hashes, let quotes): takeText(hashes, quotes)
            case .lineComment: takeComment(1)
            case .blockComment: takeBlockComment()
            }
        }
        endLine()
    }

    private mutating func endLine() {
        switch modes.last {
        // A line comment ends here; so does a text of one line, even when the scan misread it.
        case .lineComment, .text(_, quotes: 1): modes.removeLast()
        default: break
        }
        code.endLine()
        comments.endLine()
        position += 1
    }

    private mutating func takeCode(_ parentheses: Int) {
        if stands("//") {
            modes.append(.lineComment)
            return takeComment(2)
        }
        if stands("/*") {
            modes.append(.blockComment)
            return takeComment(2)
        }
        if let (hashes, quotes) = opening() {
            modes.append(.text(hashes: hashes, quotes: quotes))
            return takeCodeBytes(hashes + quotes)
        }
        if modes.count > 1, stands("(") {
            modes[modes.count - 1] = .code(parentheses: parentheses + 1)
        } else if modes.count > 1, stands(")") {
            modes[modes.count - 1] = .code(parentheses: parentheses - 1)
            if parentheses == 1 { modes.removeLast() }
        }
        takeCodeBytes(1)
    }

    /// The `#`s and quotes of a text that begins here.
    private func opening() -> (hashes: Int, quotes: Int)? {
        var quote = position
        while quote < bytes.count, bytes[quote] == UInt8(ascii: "#") { quote += 1 }
        guard stands("\"", at: quote) else { return nil }
        return (quote - position, stands("\"\"\"", at: quote) ? 3 : 1)
    }

    private mutating func takeText(_ hashes: Int, _ quotes: Int) {
        let marks = String(repeating: "#", count: hashes)
        if stands("\\" + marks + "(") {
            modes.append(.code(parentheses: 1))
            position += hashes + 1
            takeCodeBytes(1)
        } else if stands("\\" + marks) {
            // The escaped character with it, unless that is the end of the line.
            position += hashes + 1
            if position < bytes.count, bytes[position] != UInt8(ascii: "\n") { position += 1 }
        } else if stands(String(repeating: "\"", count: quotes) + marks) {
            modes.removeLast()
            takeCodeBytes(quotes + hashes)
        } else {
            position += 1
        }
    }

    private mutating func takeBlockComment() {
        if stands("/*") {
            modes.append(.blockComment)
            takeComment(2)
        } else if stands("*/") {
            modes.removeLast()
            takeComment(2)
        } else {
            takeComment(1)
        }
    }

    private mutating func takeCodeBytes(_ count: Int) {
        for byte in bytes[position..<min(position + count, bytes.count)] { code.add(byte) }
        position += count
    }

    private mutating func takeComment(_ count: Int) {
        for byte in bytes[position..<min(position + count, bytes.count)] { comments.add(byte) }
        position += count
    }

    private func stands(_ text: String, at start: Int? = nil) -> Bool {
        var index = start ?? position
        for byte in text.utf8 {
            guard index < bytes.count, bytes[index] == byte else { return false }
            index += 1
        }
        return true
    }
}
