internal import Ledger

/// The rows of one file, or their stamps, as they lie: what is between them stays as it is when one of them
/// is exchanged, and what goes and comes back leaves the file of one program's making as it was.
struct RawRows {
    struct Item {
        /// Nil for what is no row.
        var name: String?
        var bytes: [UInt8]
        /// What stands between the one before and this one.
        var before: [UInt8]
    }

    var head: [UInt8]
    var items: [Item]
    var tail: [UInt8]
    /// Between two items where none tells.
    private let usualSeparator: [UInt8]

    /// By name; what has one name together. Nil where nothing has it.
    var byName: [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        for item in items {
            guard let name = item.name else { continue }
            found[name] = found[name].map { $0 + item.before + item.bytes } ?? item.bytes
        }
        return found
    }

    /// Nil where nothing is left.
    var bytes: [UInt8]? {
        items.isEmpty ? nil : head + items.flatMap { $0.before + $0.bytes } + tail
    }

    /// With these instead of those of the same names; nil for what is to go. What is new comes before the
    /// first one whose name is greater.
    func with(_ changes: [String: [UInt8]?]) -> RawRows {
        let names = Set(items.compactMap(\.name))
        var fresh = changes.compactMap { name, bytes in
            bytes.flatMap { names.contains(name) ? nil : (name: name, bytes: $0) }
        }.sorted { $1.name.utf8.lexicographicallyPrecedes($0.name.utf8) }
        let separator = items.dropFirst().first?.before ?? usualSeparator
        var left: [Item] = []
        var done: Set<String> = []
        for item in items {
            if let name = item.name {
                while let next = fresh.last, next.name.utf8.lexicographicallyPrecedes(name.utf8) {
                    left.append(Item(name: next.name, bytes: next.bytes, before: separator))
                    fresh.removeLast()
                }
                if let change = changes[name] {
                    guard done.insert(name).inserted, let change else { continue }
                    left.append(Item(name: name, bytes: change, before: item.before))
                    continue
                }
            }
            left.append(item)
        }
        for next in fresh.reversed() {
            left.append(Item(name: next.name, bytes: next.bytes, before: separator))
        }
        var rows = self
        // What stood first may stand elsewhere now, and something else first.
        let first = items.first?.before ?? (usualSeparator.isEmpty ? [] : [UInt8(ascii: "\n")])
        rows.items = left.enumerated().map { index, item in
            var item = item
            if index == 0 {
                item.before = first
            } else if item.before == first {
                item.before = separator
            }
            return item
        }
        return rows
    }
}

extension RawRows {
    /// Of a JSON object; nil where the bytes are none.
    /// - Parameter isRow: whether a member of this name is a row.
    init?(json bytes: [UInt8], isRow: (String) -> Bool) {
        guard let members = IgnoredMembers.all(in: bytes),
            let open = bytes.firstIndex(of: UInt8(ascii: "{")),
            let close = bytes.lastIndex(of: UInt8(ascii: "}"))
        else { return nil }
        self = .emptyObject
        head = Array(bytes[...open])
        if let last = members.last {
            tail = Array(bytes[last.place.upperBound...])
        } else {
            tail = [UInt8(ascii: "\n")] + bytes[close...]
        }
        var end = open + 1
        for (name, place) in members {
            items.append(
                Item(
                    name: isRow(name) ? name : nil, bytes: Array(bytes[place]),
                    before: Array(bytes[end..<place.lowerBound])))
            end = place.upperBound
        }
    }

    static let emptyObject = RawRows(
        head: Array("{".utf8), items: [], tail: Array("\n}\n".utf8),
        usualSeparator: Array(",\n".utf8))

    /// Of a file that is one row.
    init(one bytes: [UInt8]?) {
        self.init(
            head: [], items: bytes.map { [Item(name: "", bytes: $0, before: [])] } ?? [], tail: [],
            usualSeparator: [])
    }

    /// Of a CSV file with these bytes, which can be read.
    /// - Parameter name: of the row in a line; nil where none tells.
    init(csv bytes: [UInt8], name: ([UInt8]) -> String?) {
        self.init(head: [], items: [], tail: [], usualSeparator: [UInt8(ascii: "\n")])
        var (start, end, isQuoted) = (0, 0, false)
        func take(_ place: Range<Int>) {
            let line = Array(bytes[place])
            // An empty line stays between the others.
            if line.isEmpty { return }
            if start == 0, end == 0 {
                head = line
            } else {
                items.append(
                    Item(
                        name: name(line), bytes: line, before: Array(bytes[end..<place.lowerBound]))
                )
            }
            end = place.upperBound
        }
        for (index, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            guard byte == UInt8(ascii: "\n"), !isQuoted else { continue }
            let isReturn = index > start && bytes[index - 1] == UInt8(ascii: "\r")
            take(start..<(isReturn ? index - 1 : index))
            start = index + 1
        }
        if start < bytes.count { take(start..<bytes.count) }
        tail = Array(bytes[end...])
    }

    init(csvHeader line: [UInt8]) {
        self.init(
            head: line, items: [], tail: [UInt8(ascii: "\n")],
            usualSeparator: [UInt8(ascii: "\n")])
    }
}
