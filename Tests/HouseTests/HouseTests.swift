import Testing

/// The rules of the house, held against the working copy. CONTRIBUTING.md has them in words.
///
/// One after the other: each takes a processor for a while, and other tests keep time meanwhile.
@Suite("The rules of the house", .serialized)
struct HouseTests {
    private let repository = Repository.onDisk

    private func expectNone(_ findings: [Finding], _ location: SourceLocation = #_sourceLocation) {
        for finding in findings {
            Issue.record("\(finding)", sourceLocation: location)
        }
    }

    @Test("The working copy is found")
    func repositoryIsRead() {
        #expect(repository.has("Package.swift"))
        #expect(repository.sources.count > 50)
    }

    @Test("Rooms do not import each other")
    func rooms() { expectNone(repository.importsBetweenRooms()) }

    @Test("Nobody imports the front door")
    func frontDoor() { expectNone(repository.importsOfTheFrontDoor()) }

    @Test("A C library is imported by one target")
    func cLibraries() { expectNone(repository.importsOfCLibraries()) }

    @Test("Yams and GRDB stay where they belong")
    func keptLibraries() { expectNone(repository.importsOfKeptLibraries()) }

    @Test("No call ends the process or blocks a thread")
    func forbiddenCalls() { expectNone(repository.forbiddenCalls()) }

    @Test("Nothing is marked as unfinished")
    func unfinishedMarks() { expectNone(repository.unfinishedMarks()) }

    @Test("Unchecked Sendable gives its reason")
    func uncheckedSendable() { expectNone(repository.uncheckedSendableWithoutReason()) }

    @Test("A lock says what it is for")
    func locks() { expectNone(repository.unexplainedLocks()) }

    @Test("The ledger and the trading core know no binary floating point")
    func floatingPoint() { expectNone(repository.binaryFloatingPoint()) }

    @Test("No source file has more than 500 lines")
    func fileLength() { expectNone(repository.longFiles()) }

    @Test("Links in documents lead somewhere")
    func links() { expectNone(repository.deadLinks()) }

    @Test("Paths in documents exist")
    func paths() { expectNone(repository.deadPaths()) }

    @Test("Make targets in documents exist")
    func targets() { expectNone(repository.unknownTargets()) }

    @Test("No file names a machine's own folders")
    func machinePaths() { expectNone(repository.machinePaths()) }
}
