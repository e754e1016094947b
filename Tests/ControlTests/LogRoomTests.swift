import Foundation
import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Control

/// Log files on a disk without room, and on one that cannot cut a file's front.
@Suite(.serialized) struct LogRoomTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("logs")
    }

    /// Numbered lines of a hundred bytes, at the end of a file.
    private func write(_ range: Range<Int>, to path: String) throws {
        if !FileManager.default.fileExists(atPath: path) {
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
        }
        let file = try #require(FileHandle(forWritingAtPath: path))
        defer { try? file.close() }
        try file.seekToEnd()
        try file.write(contentsOf: Data(range.map(Self.line).joined().utf8))
    }

    private static func line(_ number: Int) -> String {
        let digits = String(number)
        return digits + String(repeating: ".", count: 99 - digits.count) + "\n"
    }

    /// The numbers of the whole lines in NAME.2, NAME.1, NAME, in this order.
    private func numbers(_ path: String) -> [Int] {
        var bytes = FileManager.default.contents(atPath: path) ?? Data()
        for number in 1... {
            guard let older = FileManager.default.contents(atPath: "\(path).\(number)") else {
                break
            }
            bytes = older + bytes
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
            .filter { $0.utf8.count == 99 }.compactMap { Int($0.prefix { $0 != "." }) }
    }

    private func size(_ path: String) -> Int {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.intValue ?? 0
    }

    /// What a disk of so many bytes has free, when only this folder is on it.
    private func room(of bytes: Int) -> LogFile.Room {
        { [folder] _ in
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
            return bytes + LogFile.spareBytes
                - names.reduce(0) { $0 + size(folder.path($1)) }
        }
    }

    @Test func withoutRoomTheOldestFilesGoAndNothingElse() throws {
        let path = folder.path("s.log")
        let rotation = LogRotation(atBytes: 100_000, keep: 4)
        for round in 0..<4 {
            try write(round * 1_000..<(round + 1) * 1_000, to: path)
            #expect(try LogFile.rotate(path, rotation) == .cut(lostBytes: 0))
        }
        let before = numbers(path)
        #expect(before == Array(0..<4_000))
        try write(4_000..<5_000, to: path)
        // All that there is takes 500,000 bytes, and a copy another 100,000. The oldest file is due to
        // go in any case, the one before it is not.
        let third = size(path + ".3")
        #expect(
            try LogFile.rotate(path, rotation, room: room(of: 420_000))
                == .cut(lostBytes: third))
        let after = numbers(path)
        #expect(after == Array((after.first ?? 0)..<5_000))
        #expect((1_900..<2_100).contains(after.first ?? 0), "\(after.first ?? 0)")
    }

    @Test func withoutAnyRoomTheNewerHalfStays() throws {
        let path = folder.path("s.log")
        try write(0..<10_000, to: path)
        let cut = try LogFile.rotate(
            path, LogRotation(atBytes: 1_000_000, keep: 3), room: { _ in 0 })
        guard case .cut(let lost) = cut else {
            Issue.record("\(cut)")
            return
        }
        #expect(lost > 0)
        let left = numbers(path)
        #expect(left.count * 100 + lost <= 1_000_100)
        // Where a file's front cannot be cut, and there is no room for a copy, nothing can stay.
        if size(path) > 0 {
            #expect(left == Array((10_000 - left.count)..<10_000))
            #expect((4_900...5_100).contains(left.count), "\(left.count)")
        }
    }

    @Test func nothingIsCopiedThatIsNotToBeKept() throws {
        let path = folder.path("s.log")
        try write(0..<1_000, to: path)
        let rotation = LogRotation(atBytes: 100_000, keep: 0)
        #expect(try LogFile.rotate(path, rotation, room: { _ in 0 }) == .cut(lostBytes: 0))
        #expect(size(path) < 10_000)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["s.log"])
    }

    @Test func whatFailedIsTriedAgainAfterAMinuteAndSaidOnce() async throws {
        let path = folder.path("s.log")
        try write(0..<1_000, to: path)
        // Nothing can be copied there.
        try FileManager.default.createDirectory(
            atPath: path + ".new", withIntermediateDirectories: true)
        // Under locks: the keeper's queue reads and writes them too.
        let time = Mutex(ContinuousClock.now)
        let said = Mutex<[String]>([])
        let files = [path: LogRotation(atBytes: 100_000, keep: 2)]
        let keeper = LogKeeper(
            files: { files }, now: { time.withLock { $0 } },
            onProblem: { text in said.withLock { $0.append(text) } })
        for _ in 0..<3 {
            await keeper.look()
            time.withLock { $0 += .seconds(61) }
        }
        #expect(said.withLock { $0.count } == 1)
        await keeper.look()
        try FileManager.default.removeItem(atPath: path + ".new")
        time.withLock { $0 += .seconds(59) }
        await keeper.look()
        #expect(size(path + ".1") == 0)
        time.withLock { $0 += .seconds(2) }
        await keeper.look()
        #expect(size(path + ".1") > 90_000)
        #expect(numbers(path) == Array(0..<1_000))
        #expect(said.withLock { $0.count } == 1)
    }

    // MARK: On a disk of its own

    private static let canMakeDisks: Comment = "mounting a small disk takes root"

    @Test(.enabled(if: SmallDisk.canBeMade, Self.canMakeDisks))
    func whereAFrontCannotBeCutTheFileIsCopiedAndEmptied() throws {
        let disk = try SmallDisk(megabytes: 20, at: folder.path("disk"))
        let path = disk.path + "/s.log"
        let rotation = LogRotation(atBytes: 100_000, keep: 20)
        for round in 0..<10 {
            try write(round * 1_000..<(round + 1) * 1_000, to: path)
            #expect(try LogFile.rotate(path, rotation) == .cut(lostBytes: 0))
            #expect(size(path) == 0, "all of it is in the copy")
        }
        #expect(numbers(path) == Array(0..<10_000))
        withExtendedLifetime(disk) {}
    }

    @Test(.enabled(if: SmallDisk.canBeMade, Self.canMakeDisks))
    func onAFullDiskLogsGiveWayAndSaySo() async throws {
        let disk = try SmallDisk(megabytes: 20, at: folder.path("disk"))
        let path = disk.path + "/s.log"
        // Under a lock: the keeper's queue writes it.
        let said = Mutex<[String]>([])
        let rotation = LogRotation(atBytes: 1_000_000, keep: 5)
        let keeper = LogKeeper(
            files: { [path: rotation] }, onProblem: { text in said.withLock { $0.append(text) } })
        for round in 0..<3 {
            try write(round * 10_000..<(round + 1) * 10_000, to: path)
            await keeper.look()
        }
        #expect(numbers(path) == Array(0..<30_000))
        #expect(said.withLock { $0 } == [])
        try write(30_000..<40_000, to: path)
        try disk.fill()
        // The older files are three times what is needed: the two oldest go for the copy and what
        // stays free beside it.
        await keeper.look()
        let left = numbers(path)
        #expect(left == Array((left.first ?? 0)..<40_000))
        #expect(left.first == 20_000 || left.first == 30_000, "\(left.first ?? 0)")
        #expect(size(path) == 0)
        #expect(said.withLock { $0.count } == 1)
        #expect(said.withLock { $0.first }?.contains("bytes are gone; make room") == true)
        // A service can write again, and what it writes is kept while there is room.
        try write(40_000..<50_000, to: path)
        try disk.makeRoom()
        await keeper.look()
        #expect(numbers(path).last == 49_999)
        #expect(said.withLock { $0.count } == 1)
    }
}
