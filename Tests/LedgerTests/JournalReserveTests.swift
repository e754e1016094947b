import Foundation
import Ledger
import TestSupport
import Testing

/// A small file system of its own, which fills up; mounting takes root.
private final class SmallDisk {
    let path: String

    init(megabytes: Int, at path: String) throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Self.run("mount", ["-t", "tmpfs", "-o", "size=\(megabytes)m", "tmpfs", path])
    }

    deinit {
        try? Self.run("umount", ["--lazy", path])
    }

    /// Writes until not one byte more fits.
    func fill() throws {
        let file = path + "/filler"
        try Data().write(to: URL(filePath: file))
        let handle = try #require(FileHandle(forWritingAtPath: file))
        for size in [1_000_000, 4_096] {
            while (try? handle.write(contentsOf: Data(count: size))) != nil {}
        }
    }

    func makeRoom() throws {
        try FileManager.default.removeItem(atPath: path + "/filler")
    }

    static var canBeMade: Bool { geteuid() == 0 }

    private static func run(_ program: String, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [program] + arguments
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(program) \(arguments)")
    }
}

@Suite(.enabled(if: SmallDisk.canBeMade, "mounting a small disk takes root"))
struct JournalReserveTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("reserve")
    }

    @Test func onAFullDiskTheReserveTakesOperatorsActsAndNothingIsLost() throws {
        let disk = try SmallDisk(megabytes: 60, at: folder.path("disk"))
        var options = SQLiteJournal.Options()
        options.checkpointPages = 50
        let drafts = Drafts.run(1...4_000)
        var written = 0
        do {
            let journal = try SQLiteJournal(directory: disk.path + "/journal", options: options)
            try journal.append([drafts[0]])
            try journal.keepReserve()
            written = 1
            try disk.fill()
            // What still fits beside the reserve is taken, and then no more.
            #expect {
                while written < 3_000 {
                    try journal.keepReserve()
                    try journal.append([drafts[written]])
                    written += 1
                }
            } throws: { error in
                if case .diskFull? = error as? JournalError { true } else { false }
            }
            #expect(written < 3_000)
            for _ in 0..<500 {
                try journal.append([drafts[written]])
                written += 1
            }
            #expect(throws: JournalError.self) { try journal.keepReserve() }
            try disk.makeRoom()
            try journal.keepReserve()
            try journal.append([drafts[written]])
            written += 1
        }
        let reader = try JournalReader(directory: disk.path + "/journal")
        let entries = try reader.entries(after: .none, limit: 10_000)
        #expect(entries.map(\.draft) == Array(drafts[..<written]))
    }

    @Test func aFileThatCannotBeRolledOnAFullDiskIsWrittenOn() throws {
        let disk = try SmallDisk(megabytes: 40, at: folder.path("disk"))
        var options = SQLiteJournal.Options()
        options.rollAtBytes = 5_000
        let drafts = Drafts.run(1...200)
        let journal = try SQLiteJournal(directory: disk.path + "/journal", options: options)
        try journal.append([drafts[0]])
        try journal.keepReserve()
        try disk.fill()
        for draft in drafts.dropFirst() { try journal.append([draft]) }
        #expect(Files.of(disk.path + "/journal").count == 1)
        let reader = try JournalReader(directory: disk.path + "/journal")
        #expect(try reader.entries(after: .none, limit: 1_000).map(\.draft) == drafts)
    }
}
