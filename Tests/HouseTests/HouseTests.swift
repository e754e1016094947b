import Dispatch
import Testing

/// The rules of the house, held against the working copy. CONTRIBUTING.md has them in words.
///
/// One after the other and on a queue of their own: they keep a processor busy for a while, and
/// other tests need the threads of the pool to keep time.
@Suite("The rules of the house", .serialized)
struct HouseTests {
    private static let queue = DispatchQueue(label: "house", qos: .utility)

    private func expectNone(
        _ location: SourceLocation = #_sourceLocation,
        _ rule: @escaping @Sendable (Repository) -> [Finding]
    ) async {
        let findings = await withCheckedContinuation { continuation in
            Self.queue.async { continuation.resume(returning: rule(Repository.onDisk)) }
        }
        for finding in findings {
            Issue.record("\(finding)", sourceLocation: location)
        }
    }

    @Test("The working copy is found")
    func repositoryIsRead() async {
        await expectNone { repository in
            repository.has("Package.swift") && repository.sources.count > 50
                ? []
                : [Finding(path: "Package.swift", line: 1, problem: "is not where it should be")]
        }
    }

    @Test("Rooms do not import each other")
    func rooms() async { await expectNone { $0.importsBetweenRooms() } }

    @Test("Nobody imports the front door")
    func frontDoor() async { await expectNone { $0.importsOfTheFrontDoor() } }

    @Test("A C library is imported by one target")
    func cLibraries() async { await expectNone { $0.importsOfCLibraries() } }

    @Test("Yams and GRDB stay where they belong")
    func keptLibraries() async { await expectNone { $0.importsOfKeptLibraries() } }

    @Test("Package.swift declares what each target imports, and nothing else")
    func declaredImports() async { await expectNone { $0.importsOtherThanDeclared() } }

    @Test("No call ends the process or blocks a thread")
    func forbiddenCalls() async { await expectNone { $0.forbiddenCalls() } }

    @Test("Nothing is marked as unfinished")
    func unfinishedMarks() async { await expectNone { $0.unfinishedMarks() } }

    @Test("Unchecked Sendable gives its reason")
    func uncheckedSendable() async { await expectNone { $0.uncheckedSendableWithoutReason() } }

    @Test("A lock says what it is for")
    func locks() async { await expectNone { $0.unexplainedLocks() } }

    @Test("The ledger and the trading core know no binary floating point")
    func floatingPoint() async { await expectNone { $0.binaryFloatingPoint() } }

    @Test("No source file has more than 500 lines")
    func fileLength() async { await expectNone { $0.longFiles() } }

    @Test("Links in documents lead somewhere")
    func links() async { await expectNone { $0.deadLinks() } }

    @Test("Paths in documents exist")
    func paths() async { await expectNone { $0.deadPaths() } }

    @Test("Make targets in documents exist")
    func targets() async { await expectNone { $0.unknownTargets() } }

    @Test("Each alert has its runbook and its test, and each runbook its alert")
    func alerts() async { await expectNone { $0.alertsWithoutRunbook() } }

    @Test("No file names a machine's own folders")
    func machinePaths() async { await expectNone { $0.machinePaths() } }
}
