import Foundation
import Ledger
import TestSupport
import Testing

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
