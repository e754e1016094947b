import DualWrite
import Foundation
import Ledger
import TestSupport
import Testing

@testable import opsd

/// What is degraded, over a restart of the core.
@Suite struct DegradationFileTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory("degraded")
    }

    private var path: String { folder.path("degraded.json") }

    private static let found = HybridReader.Degradation(
        dataset: "held_days", store: "hot", since: Timestamp(microseconds: 1_700_000_000_000_001),
        problem: "a \"quoted\" problem\nof two lines")

    @Test func whatIsKeptIsThereAgainAndGoesWhenItIsOver() async throws {
        #expect(try DegradationFile(path: path).kept() == [])
        let file = DegradationFile(path: path)
        for _ in 0..<2 {
            try await file.keep { [Self.found] }
            #expect(try DegradationFile(path: path).kept() == [Self.found])
        }
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        for _ in 0..<2 { try await file.keep { [] } }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }

    @Test(arguments: ["", "[", "{}", #"[{"dataset":"x"}]"#])
    func aFileThatCannotBeReadIsNoEmptyOne(_ text: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        let error = #expect(throws: StoreError.self) { try DegradationFile(path: path).kept() }
        guard case .damaged? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }
}
