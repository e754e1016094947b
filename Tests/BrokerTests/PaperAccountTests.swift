import CurlClient
import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

@testable import PaperBroker

/// What the paper broker's file and answers call an account: never by its key.
@Suite struct PaperAccountTests {
    @Test func aKeyHasOneIDAndTheIDShowsNothingOfIt() {
        let id = PaperAccountID.of(keyID: "key")
        #expect(id == PaperAccountID.of(keyID: "key") && id != PaperAccountID.of(keyID: "key-2"))
        #expect(id.wholeMatch(of: /PA[0-9A-F]{32}/) != nil)
    }

    @Test func theAnswersAndTheFileDoNotHaveTheKey() async throws {
        let directory = try TemporaryDirectory()
        try await Harness.run(directory, configure: { $0.accounts[0] = Self.account }) { harness in
            let answer = try await harness.call(.get, "/v2/account", key: Self.key)
            #expect(answer.status == 200)
            #expect(!answer.text.contains(Self.key))
            #expect(answer.text.contains(PaperAccountID.of(keyID: Self.key)))
        }
        try expectNoKey(in: directory)
    }

    /// A file of the first version, whose accounts are called by their keys.
    @Test func anOlderFileKeepsItsOrdersAndLosesItsKeys() async throws {
        let directory = try TemporaryDirectory()
        var before: [JSONValue?] = []
        let read: @Sendable (Harness) async throws -> [JSONValue?] = { harness in
            var answers: [JSONValue?] = []
            for path in [
                "/v2/positions", "/v2/orders?status=all", "/v2/account/activities/FILL",
            ] {
                let answer = try await harness.call(.get, path, key: Self.key)
                #expect(answer.status == 200, "\(answer.text)")
                let rows = try JSONValue(parsing: answer.body)
                // The market begins anew with each start, and with it what a position is worth.
                let isPositions = path == "/v2/positions"
                answers +=
                    isPositions
                    ? (rows.elements ?? []).map { $0["qty"] ?? $0 } : [rows]
            }
            let account = try await harness.call(.get, "/v2/account", key: Self.key)
            return answers + [try JSONValue(parsing: account.body)["cash"]]
        }
        try await Harness.run(directory, configure: { $0.accounts[0] = Self.account }) { harness in
            let order = #"{"symbol":"AAPL","qty":"3","side":"buy","type":"market","#
            let answer = try await harness.call(
                .post, "/v2/orders", order + #""time_in_force":"day"}"#, key: Self.key)
            #expect(answer.status == 200, "\(answer.text)")
            try await harness.paper.advanceMarket()
            before = try await read(harness)
            #expect(before[0]?.text == "3")
        }
        try makeOld(directory.path("paper.sqlite"))
        try await Harness.run(directory, configure: { $0.accounts[0] = Self.account }) { harness in
            let after = try await read(harness)
            #expect(after == before)
        }
        try expectNoKey(in: directory)
    }

    private static let key = "PK-recognisable-key"
    private static let account = PaperBrokerConfiguration.Account(
        keyID: key, secret: "secret", initialCash: ExactDecimal(100_000))

    private func makeOld(_ path: String) throws {
        let script = """
            import sqlite3, sys
            base = sqlite3.connect(sys.argv[1])
            new, old = sys.argv[2:4]
            base.execute("UPDATE accounts SET id = ? WHERE id = ?", (old, new))
            for table in ["positions", "orders", "fills"]:
                base.execute(f"UPDATE {table} SET account = ? WHERE account = ?", (old, new))
            base.execute("PRAGMA user_version = 0")
            base.commit()
            """
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c", script, path, PaperAccountID.of(keyID: Self.key), Self.key,
        ]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(bytes.firstRange(of: Data(Self.key.utf8)) != nil)
    }

    private func expectNoKey(in directory: TemporaryDirectory) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: directory.path(name)))
            #expect(bytes.firstRange(of: Data(Self.key.utf8)) == nil, "\(name)")
        }
    }
}
