import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Control
@testable import opsd

/// Following a log across its cuts: each line once.
@Suite(.serialized) struct LogReaderTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("follow")
    }

    private func append(_ range: ClosedRange<Int>, to path: String) throws {
        if !FileManager.default.fileExists(atPath: path) {
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
        }
        let file = try #require(FileHandle(forWritingAtPath: path))
        defer { try? file.close() }
        try file.seekToEnd()
        try file.write(contentsOf: Data(range.map { "\($0)\n" }.joined().utf8))
    }

    private func numbers(_ lines: [[UInt8]]) -> [Int] {
        lines.compactMap { Int(String(decoding: $0, as: UTF8.self)) }
    }

    /// The reader looks at every moment of a cut.
    @Test(.timeLimit(.minutes(2)))
    func eachLineComesOnceWhileAServiceWritesAndTheFileIsCut() async throws {
        let path = folder.path("s.log")
        #expect(FileManager.default.createFile(atPath: path, contents: nil))
        let script = """
            n=0
            while [ $n -lt 60 ]; do
                seq $((n * 3000 + 1)) $(((n + 1) * 3000)) >> \(path); n=$((n + 1)); sleep 0.02
            done
            """
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", script]
        try process.run()
        let keeper = LogKeeper(files: { [path: LogRotation(atBytes: 20_000, keep: 1_000)] })
        let rotating = Task {
            while !Task.isCancelled { await keeper.look() }
        }
        var reader = LogReader(path: path)
        var found = numbers(try reader.last(1_000_000))
        while process.isRunning || found.last != 180_000 {
            let fresh = numbers(reader.more())
            found += fresh
            if fresh.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
        }
        rotating.cancel()
        await rotating.value
        let wrong = zip(found, 1...).first { $0 != $1 }
        #expect(wrong == nil && found.count == 180_000, "\(found.count) lines")
        #expect(FileManager.default.fileExists(atPath: path + ".1"))
        #expect(reader.more().isEmpty)
    }

    @Test func severalCutsBetweenTwoLooksAreReadInTheirOrder() throws {
        let path = folder.path("s.log")
        try append(1...10_000, to: path)
        var reader = LogReader(path: path)
        var found = numbers(try reader.last(1_000_000))
        for round in 1...4 {
            try append(round * 10_000 + 1...(round + 1) * 10_000, to: path)
            #expect(
                try LogFile.rotate(path, LogRotation(atBytes: 1_000, keep: 9)) != .notNeeded)
        }
        found += numbers(reader.more())
        #expect(found == Array(1...50_000))
    }

    @Test(.enabled(if: SmallDisk.canBeMade, "mounting a small disk takes root"))
    func whereTheFileIsCopiedAndEmptiedEachLineComesOnceToo() throws {
        let disk = try SmallDisk(megabytes: 20, at: folder.path("disk"))
        let path = disk.path + "/s.log"
        try append(1...1_000, to: path)
        var reader = LogReader(path: path)
        var found = numbers(try reader.last(1_000_000))
        for round in 1...20 {
            try append(round * 1_000 + 1...round * 1_000 + 500, to: path)
            if round % 2 == 0 { found += numbers(reader.more()) }
            #expect(
                try LogFile.rotate(path, LogRotation(atBytes: 1_000, keep: 30)) != .notNeeded)
            if round % 3 == 0 { found += numbers(reader.more()) }
            try append(round * 1_000 + 501...(round + 1) * 1_000, to: path)
        }
        found += numbers(reader.more())
        #expect(found == Array(1...21_000))
        withExtendedLifetime(disk) {}
    }

    /// Between the two steps of a cut the older part is there twice.
    @Test func aPartThatIsThereTwiceIsReadOnce() async throws {
        let path = folder.path("s.log")
        try append(1...5_000, to: path)
        var reader = LogReader(path: path, patience: .milliseconds(300))
        var found = numbers(try reader.last(10_000))
        try FileManager.default.copyItem(atPath: path, toPath: path + ".1")
        #expect(reader.more().isEmpty)
        try append(5_001...5_100, to: path)
        // The daemon died there: after a while it is followed all the same.
        while found.count < 5_100 {
            try await Task.sleep(for: .milliseconds(20))
            found += numbers(reader.more())
        }
        #expect(found == Array(1...5_100))
    }

    /// A full disk leaves no copy of what is cut away.
    @Test func whereTheFrontIsGoneItGoesOnAfterTheLastLine() throws {
        let path = folder.path("s.log")
        try append(1...10_000, to: path)
        var reader = LogReader(path: path)
        var found = numbers(try reader.last(100_000))
        #expect(
            try LogFile.rotate(path, LogRotation(atBytes: 1_000, keep: 3), room: { _ in 0 })
                != .notNeeded)
        try append(10_001...10_010, to: path)
        found += numbers(reader.more())
        #expect(found == Array(1...10_010))
    }
}
