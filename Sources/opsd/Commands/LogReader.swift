import Foundation

/// Reads a service's log with its older files, NAME.log.1 and so on, while it is written and cut.
struct LogReader {
    let path: String
    /// Of the live file, up to which it was read.
    private var position: UInt64 = 0
    /// The newest of the older files: another one shows that the live file was cut.
    private var older: (file: UInt64, bytes: UInt64)?
    private var unfinished: [UInt8] = []

    init(path: String) {
        self.path = path
    }

    /// The last lines, of the older files too. Throws when there is no log.
    mutating func last(_ count: Int) throws(CommandFailure) -> [[UInt8]] {
        older = Self.identity(path + ".1")
        guard var bytes = Self.read(path, from: 0) else {
            throw CommandFailure(.unknown, "\(path) cannot be read; has the service ever run?")
        }
        position = UInt64(bytes.count)
        for number in 1... {
            if Self.lineCount(bytes) > count { break }
            guard let before = Self.read("\(path).\(number)", from: 0) else { break }
            bytes = before + bytes
        }
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        unfinished = lines.popLast().map(Array.init) ?? []
        var shown = lines.suffix(count).map(Array.init)
        // Nothing more may come after it, so it is shown now when it is all that there is.
        if shown.isEmpty, !unfinished.isEmpty, count > 0 {
            shown = [unfinished]
            unfinished = []
        }
        return shown
    }

    /// The lines that were finished since the last look.
    mutating func more() -> [[UInt8]] {
        var bytes = unfinished
        let newest = Self.identity(path + ".1")
        if let newest, newest.file != older?.file {
            // The front of the live file is there now: with it goes what was read, or more.
            if position < newest.bytes {
                bytes += Self.read(path + ".1", from: position) ?? []
                position = 0
            } else {
                position -= newest.bytes
            }
        }
        older = newest
        let fresh = Self.read(path, from: position) ?? []
        position += UInt64(fresh.count)
        bytes += fresh
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        unfinished = lines.popLast().map(Array.init) ?? []
        return lines.map(Array.init)
    }

    private static func lineCount(_ bytes: [UInt8]) -> Int {
        bytes.count { $0 == UInt8(ascii: "\n") }
    }

    private static func identity(_ path: String) -> (file: UInt64, bytes: UInt64)? {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
            let file = attributes[.systemFileNumber] as? NSNumber,
            let bytes = attributes[.size] as? NSNumber
        else { return nil }
        return (file.uint64Value, bytes.uint64Value)
    }

    /// To the end; what is beyond the end is empty.
    private static func read(_ path: String, from position: UInt64) -> [UInt8]? {
        guard let file = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? file.close() }
        let size = (try? file.seekToEnd()) ?? 0
        guard position <= size, (try? file.seek(toOffset: position)) != nil else { return [] }
        return (try? file.readToEnd()).flatMap { $0 }.map(Array.init) ?? []
    }
}
