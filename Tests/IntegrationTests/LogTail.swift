import Foundation

/// Counts what a log says while it grows. Each byte is read once.
struct LogTail {
    private let path: String
    private var position: UInt64 = 0
    private var rest: [UInt8] = []
    private var counts: [String: Int]

    /// - Parameter phrases: each at most once a line.
    init(_ path: String, _ phrases: [String]) {
        self.path = path
        counts = Dictionary(phrases.map { ($0, 0) }, uniquingKeysWith: { first, _ in first })
    }

    /// How many lines have the phrase by now.
    mutating func count(_ phrase: String) -> Int {
        read()
        return counts[phrase] ?? 0
    }

    private mutating func read() {
        guard let file = FileHandle(forReadingAtPath: path) else { return }
        defer { try? file.close() }
        guard (try? file.seek(toOffset: position)) != nil,
            let fresh = (try? file.readToEnd()).flatMap({ $0 })
        else { return }
        position += UInt64(fresh.count)
        var lines = (rest + fresh).split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        rest = lines.popLast().map(Array.init) ?? []
        for line in lines {
            let text = String(decoding: line, as: UTF8.self)
            for phrase in counts.keys where text.contains(phrase) {
                counts[phrase, default: 0] += 1
            }
        }
    }
}
