import Foundation

/// Reads a service's log with its older files, NAME.log.1 and so on, while it is written and cut.
///
/// The cut is two steps: the older part gets its name, then it is taken out of the live file. Whoever
/// looks between the two finds it twice. So a new older file counts only once the live file no longer
/// begins with it, and what was read counts only when no older file came meanwhile.
struct LogReader {
    let path: String
    /// Of the live file, up to which it was read.
    private var position: UInt64 = 0
    /// The newest of the older files that is taken into account.
    private var older: OlderFile?
    private var unfinished: [UInt8] = []
    /// The last bytes that were read: they are looked for when the live file has become shorter and
    /// its front was not kept.
    private var mark: [UInt8] = []
    /// Since when every look has been in the middle of a cut.
    private var waitingSince: ContinuousClock.Instant?
    private let patience: Duration

    private static let markBytes = 1_024
    private static let comparedBytes = 4_096
    /// Of one look, when older files come faster than they are read.
    private static let attemptsMax = 10

    private struct OlderFile: Equatable {
        let file: UInt64
        let bytes: UInt64
    }

    /// - Parameter patience: a cut that takes longer is taken for one that was interrupted for good,
    ///   by the end of the daemon.
    init(path: String, patience: Duration = .seconds(10)) {
        self.path = path
        self.patience = patience
    }

    /// The last lines, of the older files too. Throws when there is no log.
    mutating func last(_ count: Int) throws(CommandFailure) -> [[UInt8]] {
        var whole: [UInt8]?
        for _ in 0..<Self.attemptsMax {
            let newest = identity(1)
            guard let live = Self.read(path, from: 0) else {
                throw CommandFailure(.unknown, "\(path) cannot be read; has the service ever run?")
            }
            var bytes = live
            for number in 1... {
                if Self.lineCount(bytes) > count { break }
                guard let before = Self.read("\(path).\(number)", from: 0) else { break }
                bytes = before + bytes
            }
            whole = bytes
            (older, position, mark) = (newest, UInt64(live.count), live.suffix(Self.markBytes))
            // A missing first one is about to be put there.
            let isWhole = newest != nil || identity(2) == nil
            if isWhole, identity(1)?.file == newest?.file { break }
        }
        var lines = (whole ?? []).split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
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
        var fresh: [UInt8]?
        for _ in 0..<Self.attemptsMax where fresh == nil { fresh = look() }
        guard let fresh, !fresh.isEmpty else { return [] }
        mark = (mark + fresh).suffix(Self.markBytes)
        var lines = (unfinished + fresh).split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        unfinished = lines.popLast().map(Array.init) ?? []
        return lines.map(Array.init)
    }

    /// What was written since the last look; nil when the files were cut meanwhile.
    private mutating func look() -> [UInt8]? {
        let newest = identity(1)
        let (numbers, isWhole) = newOnes()
        let isInCut =
            !isWhole || newest.map { $0.file != older?.file && isStillInLiveFile($0) } == true
        let since = waitingSince ?? .now
        let isInterrupted = isInCut && since.duration(to: .now) > patience
        if isInCut, !isInterrupted {
            waitingSince = since
            return []
        }
        var (bytes, start): ([UInt8], UInt64) = ([], position)
        if !isInterrupted {
            // Each was the front of the live file, the first of them with what is not read yet.
            for number in numbers.reversed() {
                guard let file = identity(number) else { return nil }
                if start < file.bytes {
                    guard let part = Self.read("\(path).\(number)", from: start) else { return nil }
                    bytes += part
                    start = 0
                } else {
                    start -= file.bytes
                }
            }
        }
        let (fresh, end) = readLive(from: start)
        guard identity(1)?.file == newest?.file else { return nil }
        (older, position, waitingSince) = (newest, end, nil)
        return bytes + fresh
    }

    /// The numbers of the older files that have come since the last look, the newest first. Not whole
    /// when the one that was the newest then is not found: while files get their next numbers, one
    /// of them is missing for a moment.
    private func newOnes() -> (numbers: [Int], isWhole: Bool) {
        var numbers: [Int] = []
        for number in 1... {
            guard let file = identity(number) else { break }
            if file.file == older?.file { return (numbers, true) }
            numbers.append(number)
        }
        return (numbers, older == nil)
    }

    private func isStillInLiveFile(_ file: OlderFile) -> Bool {
        guard let live = Self.head(path, Self.comparedBytes),
            let kept = Self.head(path + ".1", Self.comparedBytes)
        else { return false }
        return live.size >= file.bytes && live.bytes.starts(with: kept.bytes)
    }

    /// The live file from a position to its end. Where it ends before that, its front is gone and no
    /// older file has it: it goes on after what was read last.
    private func readLive(from start: UInt64) -> (bytes: [UInt8], end: UInt64) {
        if let bytes = Self.read(path, from: start) {
            return (bytes, start + UInt64(bytes.count))
        }
        let whole = Self.read(path, from: 0) ?? []
        let place = Data(whole).lastRange(of: Data(mark))
        let known = mark.isEmpty ? 0 : place?.upperBound ?? 0
        return (Array(whole[known...]), UInt64(whole.count))
    }

    private static func lineCount(_ bytes: [UInt8]) -> Int {
        bytes.count { $0 == UInt8(ascii: "\n") }
    }

    private func identity(_ number: Int) -> OlderFile? {
        guard
            let attributes = try? FileManager.default.attributesOfItem(atPath: "\(path).\(number)"),
            let file = attributes[.systemFileNumber] as? NSNumber,
            let bytes = attributes[.size] as? NSNumber
        else { return nil }
        return OlderFile(file: file.uint64Value, bytes: bytes.uint64Value)
    }

    /// To the end; nil when the file is not there, or ends before the position.
    private static func read(_ path: String, from position: UInt64) -> [UInt8]? {
        guard let file = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? file.close() }
        guard let size = try? file.seekToEnd(), position <= size,
            (try? file.seek(toOffset: position)) != nil
        else { return nil }
        return (try? file.readToEnd()).map { $0.map(Array.init) ?? [] } ?? []
    }

    private static func head(_ path: String, _ count: Int) -> (bytes: [UInt8], size: UInt64)? {
        guard let file = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? file.close() }
        guard let size = try? file.seekToEnd(), (try? file.seek(toOffset: 0)) != nil,
            let data = try? file.read(upToCount: count)
        else { return nil }
        return (Array(data), size)
    }
}
