internal import ExactJSON

/// Members of a file's object that are no rows: another program's own. They are kept byte for byte, from the
/// first quote of the name to the end of the value.
enum IgnoredMembers {
    /// Those with these names, as they lie; none where the bytes are no JSON object.
    static func find(_ names: Set<String>, in bytes: [UInt8]) -> [[UInt8]] {
        (all(in: bytes) ?? []).filter { names.contains($0.name) }.map { Array(bytes[$0.place]) }
    }

    /// Every member of an object and where it lies; nil where the bytes are no JSON object.
    static func all(in bytes: [UInt8]) -> [(name: String, place: Range<Int>)]? {
        guard (try? JSONValue(parsing: bytes))?.members != nil,
            let start = bytes.firstIndex(of: UInt8(ascii: "{"))
        else { return nil }
        // The bytes are JSON, so it is enough to see where texts and brackets end.
        var found: [(name: String, place: Range<Int>)] = []
        var index = start + 1
        while let open = bytes[index...].firstIndex(of: UInt8(ascii: "\"")) {
            let nameEnd = end(ofText: open, bytes)
            let end = end(ofValue: nameEnd, bytes)
            if let name = (try? JSONValue(parsing: Array(bytes[open..<nameEnd])))?.text {
                found.append((name, open..<end))
            }
            index = end
        }
        return found
    }

    /// Behind the quote that closes a text.
    private static func end(ofText open: Int, _ bytes: [UInt8]) -> Int {
        var index = open + 1
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(index + 1, bytes.count)
    }

    /// Behind the last byte of the value that follows a name.
    private static func end(ofValue nameEnd: Int, _ bytes: [UInt8]) -> Int {
        var (index, depth, last) = (nameEnd, 0, nameEnd)
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                index = end(ofText: index, bytes)
                last = index
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return last }
                depth -= 1
            case UInt8(ascii: ","):
                if depth == 0 { return last }
            case 0x20, 0x0A, 0x0D, 0x09:
                index += 1
                continue
            default: break
            }
            index += 1
            last = index
        }
        return last
    }
}
