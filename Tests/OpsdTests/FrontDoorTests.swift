import Foundation
import Ledger
import TestSupport
import Testing

@testable import opsd

/// Small decisions of the commands and processes.
@Suite struct FrontDoorTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func configuration(_ text: String? = nil) throws -> Configuration {
        let path = try EmbeddedDefault.write(in: folder.path("data"), loginName: "lin")
        guard let text else {
            return try Configuration.load(path, environment: { _ in nil }, loginName: "lin")
        }
        let own = folder.path("opsd.yaml")
        try text.write(toFile: own, atomically: true, encoding: .utf8)
        return try Configuration.load(own, environment: { _ in nil }, loginName: "lin")
    }

    @Test func aTokenIsPrintedOnlyWhereTheEmbeddedDefaultRuns() throws {
        let embedded = try configuration()
        for (isFirstRun, isTerminal) in [(true, false), (false, true), (true, true)] {
            #expect(
                Welcome.showsToken(embedded, isFirstRun: isFirstRun, isTerminal: isTerminal))
        }
        #expect(!Welcome.showsToken(embedded, isFirstRun: false, isTerminal: false))
        let own = try configuration("{}")
        #expect(!Welcome.showsToken(own, isFirstRun: true, isTerminal: true))
    }

    @Test func anAddressOfIPv6IsPrintedAsAURLNeedsIt() throws {
        let own = try configuration("listen: {ops: '[::1]:9464', trading: '[::1]:8080'}")
        let text = Welcome.addresses(own)
        #expect(text.contains("http://[::1]:8080/api/v1"), "\(text)")
        #expect(text.contains("http://[::1]:9464 "), "\(text)")
    }

    @Test func theLongestSocketMustFit() throws {
        var configuration = try configuration()
        let root = folder.path("d")
        // "/run/paper-broker.sock" has 22 bytes, and the kernel takes 107.
        configuration.dataDirectory =
            root + String(repeating: "x", count: 107 - 22 - root.utf8.count)
        let layout = DataLayout(configuration)
        try layout.prepare()
        #expect(layout.socket(of: "paper-broker").utf8.count == 107)
        configuration.dataDirectory += "x"
        let failure = #expect(throws: CommandFailure.self) {
            try DataLayout(configuration).prepare()
        }
        #expect(failure?.status == .badInput)
        #expect(failure?.message.contains("at most 85 bytes") == true)
    }

    @Test func severalFailuresEndWithTheWorstAndAreAllNamed() {
        let failures = [
            ("A", CommandFailure(.badInput, "no such account")),
            ("B", CommandFailure(.unknown, "no answer")), ("C", CommandFailure(.refused, "no")),
        ]
        let worst = CommandFailure.worst(of: failures)
        #expect(worst?.status == .unknown)
        #expect(worst?.message == "A: no such account\nB: no answer\nC: no")
        #expect(CommandFailure.worst(of: [failures[0], failures[2]])?.status == .refused)
        #expect(CommandFailure.worst(of: []) == nil)
    }

    @Test func patienceWaitsOutARefusalAndNothingElse() async throws {
        var attempts = 0
        let result = try await Patience(limit: .seconds(600)).retry { () throws(CommandFailure) in
            attempts += 1
            if attempts < 3 { throw CommandFailure(.refused, "held") }
            return attempts
        }
        #expect(result == 3)
        for (status, limit) in [(ExitStatus.unknown, Duration.seconds(60)), (.refused, .zero)] {
            attempts = 0
            let failure = await #expect(throws: CommandFailure.self) {
                try await Patience(limit: limit).retry { () throws(CommandFailure) in
                    attempts += 1
                    throw CommandFailure(status, "no")
                }
            }
            #expect(failure?.status == status)
            #expect(attempts == 1)
        }
    }

    @Test func aNameIsOneSegmentOfAPath() {
        #expect(ServiceClient.segment("o1-000000000042") == "o1-000000000042")
        #expect(ServiceClient.segment("../a b?c#d/é%") == "..%2Fa%20b%3Fc%23d%2F%C3%A9%25")
    }
}
