/// Comma-separated values as RFC 4180 has them. An absent value is nothing between two commas, the empty
/// text is `""`.
enum CSV {
    static func line(_ values: [String?]) -> String {
        values.map { value in
            guard let value else { return "" }
            let isPlain =
                !value.isEmpty
                && !value.utf8.contains { [0x22, 0x2C, 0x0A, 0x0D].contains($0) }
            if isPlain { return value }
            // By bytes: a quote with a combining mark after it is another character, and still a quote.
            var quoted: [UInt8] = [0x22]
            for byte in value.utf8 {
                if byte == 0x22 { quoted.append(byte) }
                quoted.append(byte)
            }
            return String(decoding: quoted + [0x22], as: UTF8.self)
        }.joined(separator: ",") + "\n"
    }

    /// Nil when a quote is not closed. An empty line is passed over.
    static func lines(_ text: String) -> [[String?]]? {
        var lines: [[String?]] = []
        var line: [String?] = []
        var value: [UInt8] = []
        var isQuoted = false
        var wasQuoted = false
        func end() {
            let text = String(decoding: value, as: UTF8.self)
            line.append(value.isEmpty && !wasQuoted ? nil : text)
            value = []
            wasQuoted = false
        }
        func endLine() {
            if line.isEmpty, value.isEmpty, !wasQuoted { return }
            end()
            lines.append(line)
            line = []
        }
        let bytes = Array(text.utf8)
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if isQuoted {
                if byte != 0x22 {
                    value.append(byte)
                } else if index < bytes.count, bytes[index] == 0x22 {
                    value.append(byte)
                    index += 1
                } else {
                    isQuoted = false
                }
                continue
            }
            switch byte {
            case 0x22:
                isQuoted = true
                wasQuoted = true
            case 0x2C: end()
            case 0x0A: endLine()
            case 0x0D where index == bytes.count || bytes[index] == 0x0A: break
            default: value.append(byte)
            }
        }
        if isQuoted { return nil }
        endLine()
        return lines
    }
}
