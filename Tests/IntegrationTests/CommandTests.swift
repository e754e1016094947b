import CurlClient
import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

@testable import opsd

extension RealProcesses {
    /// What the commands say and with which code they end: cron lines and runbooks rely on both.
    @Suite(.serialized) struct CommandTests {
        private func post(
            _ desk: Desk, _ text: OrderText, _ token: String
        ) async throws -> String {
            let answer = try await desk.api(.post, "/orders", token, body: text.body)
            #expect(answer.status == 202, "\(answer.text)")
            return try #require(answer.data?["order_id"]?.text)
        }

        private func code(_ desk: Desk, _ words: String...) async throws -> Int32 {
            let outcome = try await Desk.command(
                words + ["-c", desk.configurationFile], in: desk.directory)
            if words.contains("--json"), outcome.code <= 1 {
                #expect(!outcome.documents.isEmpty, "\(words)")
                #expect(!outcome.documents.contains { $0?.members == nil }, "\(words): \(outcome)")
            }
            if outcome.code > 1 { #expect(!outcome.errors.isEmpty, "\(words) said nothing") }
            return outcome.code
        }

        @Test(.timeLimit(.minutes(2)))
        func checkNamesThePlaceOfAMistake() async throws {
            try await Desk.run(starts: false) { desk in
                #expect(try await code(desk, "check") == 0)
                #expect(try await code(desk, "check", "--json") == 0)
                let text = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
                try text.replacing("node: desk-1", with: "nod: desk-1")
                    .write(toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                let outcome = try await desk.command("check")
                #expect(outcome.code == 2)
                #expect(outcome.errors.contains(/opsd\.yaml:\d+:\d+: .*nod/), "\(outcome)")
                #expect(outcome.errors.contains("node"))
                let none = try await Desk.command(["check", "-c", "none.yaml"], in: desk.directory)
                #expect(none.code == 2)
                let empty = try await Desk.command(["check"], in: try TemporaryDirectory())
                #expect(empty.code == 2)
                #expect(empty.errors.contains("opsd run"))
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func wrongWordsAreWrongInput() async throws {
            try await Desk.run(starts: false) { desk in
                for words in [
                    ["run"], ["check"], ["status"], ["core"], ["paper-broker"],
                    ["account", "list"],
                    ["account", "halt"], ["order", "show", "o1-1"], ["journal", "tail"],
                    ["journal", "check"], ["token"],
                ] {
                    let outcome = try await Desk.command(
                        words + ["--no-such-flag"], in: desk.directory)
                    #expect(outcome.code == 2, "\(words): \(outcome)")
                    let help = try await Desk.command(words + ["--help"], in: desk.directory)
                    #expect(help.code == 0)
                    #expect(help.output.contains("Example:"), "\(words)")
                }
                let token = ["token", "--account", "TRADE_001", "--role", "trader"]
                let command = { (words: [String]) in
                    try await Desk.command(
                        words + ["-c", desk.configurationFile], in: desk.directory)
                }
                #expect(try await command(token).code == 0)
                #expect(try await command(token + ["--ttl", "soon"]).code == 2)
                #expect(try await command(token + ["--ttl", "0h"]).code == 2)
                #expect(try await command(token + ["--ttl", "99999999999999999999d"]).code == 2)
                #expect(
                    try await code(desk, "token", "--account", "TRADE_001", "--role", "king") == 2)
                #expect(
                    try await code(desk, "token", "--account", "TRADE_999", "--role", "viewer") == 2
                )
                #expect(try await code(desk, "nonsense") == 2)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func theJournalIsReadWithTheDaemonUpAndDownAndAFlippedByteIsFound() async throws {
            try await Desk.run { desk in
                let token = try await desk.token("TRADE_001")
                for _ in 0..<20 { _ = try await post(desk, OrderText(account: "TRADE_001"), token) }
                for _ in 0..<2 {
                    #expect(try await code(desk, "journal", "tail", "-n", "3", "--json") == 0)
                    #expect(try await code(desk, "journal", "check", "--json") == 0)
                    #expect(try await code(desk, "journal", "show", "1-2", "--json") == 0)
                    #expect(try await code(desk, "journal", "show", "1-999999") == 2)
                    #expect(try await code(desk, "journal", "show", "word") == 2)
                    let tail = try await desk.command("journal", "tail", "-n", "3")
                    #expect(tail.output.split(separator: "\n").count == 3)
                    _ = try await desk.terminate()
                }
                try flipAByte(in: desk.data + "/journal")
                let check = try await desk.command("journal", "check")
                #expect(check.code == 1, "\(check)")
            }
        }

        /// SQLite drops a damaged end of its write-ahead log without a word.
        @Test(.timeLimit(.minutes(2)))
        func aLostEndOfTheJournalIsFound() async throws {
            try await Desk.run { desk in
                let token = try await desk.token("TRADE_001")
                for _ in 0..<20 { _ = try await post(desk, OrderText(account: "TRADE_001"), token) }
                try await eventually("all of it is in the checkpoint") {
                    let status = try await desk.get("\(desk.opsURL)/api/ops/status").data?["core"]
                    return try await desk.all("/orders?status=filled", token).count == 20
                        && status?["journal_sequence"] == status?["checkpoint_sequence"]
                }
                desk.killEverything()
                #expect(try await code(desk, "journal", "check", "--json") == 0)
                try flipAByte(in: desk.data + "/journal")
                let check = try await desk.command("journal", "check")
                #expect(check.code == 1, "\(check)")
            }
        }

        /// In the middle of a text that an entry holds.
        private func flipAByte(in journal: String) throws {
            var isFlipped = false
            for name in try FileManager.default.contentsOfDirectory(atPath: journal) {
                let path = "\(journal)/\(name)"
                var data = try Data(contentsOf: URL(fileURLWithPath: path))
                guard let place = data.lastRange(of: Data("TRADE_001".utf8)) else { continue }
                data[place.lowerBound + 3] ^= 1
                try data.write(to: URL(fileURLWithPath: path))
                isFlipped = true
            }
            #expect(isFlipped)
        }

        @Test(.timeLimit(.minutes(2)))
        func accountsAreHaltedAndResumedWithTheDaemonUpAndDown() async throws {
            try await Desk.run { desk in
                let token = try await desk.token("TRADE_001")
                let who = ["--operator", "lin", "--reason", "a test"]
                let command = { (words: [String]) in
                    try await Desk.command(
                        ["account"] + words + who + ["--json", "-c", desk.configurationFile],
                        in: desk.directory)
                }
                for round in 0..<2 {
                    let halted = try await command(["halt", "TRADE_001"])
                    #expect(halted.code == 0, "\(halted)")
                    #expect(halted.documents.last??["trading"]?.text == "halted", "\(halted)")
                    if round == 1 {
                        try await desk.start()
                        try await desk.waitUntilReady()
                    }
                    let refused = try await desk.api(
                        .post, "/orders", token, body: OrderText(account: "TRADE_001").body)
                    #expect(refused.status == 422, "\(refused.text)")
                    #expect(refused.json?["message"]?.text?.contains("a test") == true)
                    #expect(try await code(desk, "status", "--json") == 1)
                    if round == 1 { #expect(try await desk.terminate() == 0) }
                    let resumed = try await command(["resume", "--all"])
                    #expect(resumed.code == 0, "\(resumed)")
                    #expect(resumed.documents.count == 3)
                    if round == 0 {
                        #expect(try await code(desk, "status", "--json") == 0)
                        _ = try await post(desk, OrderText(account: "TRADE_001"), token)
                        #expect(try await desk.terminate() == 0)
                    }
                }
                #expect(try await command(["halt", "--all"]).code == 0)
                #expect(try await command(["halt", "TRADE_009"]).code == 2)
                #expect(try await command(["halt"]).code == 2)
                #expect(try await command(["halt", "TRADE_001", "--all"]).code == 2)
                #expect(
                    try await code(desk, "account", "halt", "TRADE_001", "--operator", "eve") == 2)
                let dry = try await command(["resume", "--all", "--dry-run"])
                #expect(dry.code == 0)
                #expect(!dry.documents.contains { $0?.members == nil }, "\(dry)")
                #expect(try await code(desk, "account", "list", "--json") == 0)
                let shown = try await desk.command("account", "show", "TRADE_002", "--json")
                #expect(shown.documents.last??["trading"]?.text == "halted")
                #expect(try await code(desk, "account", "show", "nobody") == 2)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func commandsLeaveTheLockToARunningCore() async throws {
            try await Desk.run { desk in
                let pid = try await desk.pid(of: "core")
                for words in [
                    ["account", "list"], ["account", "show", "TRADE_001"], ["journal", "check"],
                    ["status"],
                ] {
                    let outcome = try await Desk.command(
                        words + ["-c", desk.configurationFile], in: desk.directory)
                    #expect(outcome.code == 0, "\(words): \(outcome)")
                }
                #expect(try await desk.pid(of: "core") == pid)
                // A core that is alive and says nothing has its lock all the same.
                let core = try #require(pid)
                kill(core, SIGSTOP)
                defer { kill(core, SIGCONT) }
                let silent = try await desk.command("account", "list")
                #expect(silent.code == 3, "\(silent)")
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func ordersAreShownCancelledAndResolved() async throws {
            try await Desk.run { desk in
                let token = try await desk.token("TRADE_001")
                let who = ["--operator", "lin", "--reason", "a test"]
                let filled = try await post(desk, OrderText(account: "TRADE_001"), token)
                let far = try await post(desk, OrderText(account: "TRADE_001", limit: "1.5"), token)
                try await eventually("the orders have come to rest") {
                    let first = try await desk.api(.get, "/orders/\(filled)", token)
                    let second = try await desk.api(.get, "/orders/\(far)", token)
                    return first.data?["status"]?.text == "filled"
                        && second.data?["broker_order_id"]?.text != nil
                }
                let command = { (words: [String]) in
                    try await Desk.command(
                        ["order"] + words + ["--json", "-c", desk.configurationFile],
                        in: desk.directory)
                }
                #expect(
                    try await command(["show", filled]).documents.last??["status"]?.text == "filled"
                )
                #expect(try await command(["show", "o1-999999999999"]).code == 2)
                #expect(try await command(["show", "../../x y"]).code == 2)
                #expect(try await command(["cancel", filled] + who).code == 4)
                #expect(try await command(["cancel", "o1-999999999999"] + who).code == 2)
                #expect(try await command(["resolve", filled, "--as", "rejected"] + who).code == 4)
                #expect(try await command(["resolve", filled, "--as", "magic"] + who).code == 2)
                #expect(
                    try await command(["resolve", "o1-999999999999", "--as", "lookup"] + who).code
                        == 2)
                let dry = try await command(["cancel", far, "--dry-run"] + who)
                #expect(dry.code == 0)
                #expect(!dry.documents.contains { $0?.members == nil }, "\(dry)")
                #expect(try await command(["cancel", far] + who).code == 0)
                try await eventually("the order is cancelled") {
                    try await command(["show", far]).documents.last??["status"]?.text == "cancelled"
                }
                #expect(try await desk.terminate() == 0)
                #expect(try await command(["show", far]).code == 0)
                #expect(try await command(["show", "o1-999999999999"]).code == 2)
                #expect(try await command(["cancel", filled] + who).code == 4)
                #expect(try await command(["cancel", "o1-999999999999"] + who).code == 2)
                #expect(try await command(["resolve", far, "--as", "rejected"] + who).code == 4)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aDryRunSaysWhatTheCoreWouldRefuse() async throws {
            try await Desk.run { desk in
                let token = try await desk.token("TRADE_001")
                let filled = try await post(desk, OrderText(account: "TRADE_001"), token)
                try await eventually("the order is filled") {
                    try await desk.api(.get, "/orders/\(filled)", token).data?["status"]?.text
                        == "filled"
                }
                let who = ["--dry-run", "--operator", "lin"]
                for _ in 0..<2 {
                    for (words, expected) in [
                        (["cancel", "o1-999999999999"], Int32(2)), (["cancel", filled], 4),
                        (["resolve", "o1-999999999999", "--as", "rejected"], 2),
                        (["resolve", filled, "--as", "lookup"], 4),
                    ] {
                        let outcome = try await Desk.command(
                            ["order"] + words + who + ["-c", desk.configurationFile],
                            in: desk.directory)
                        #expect(outcome.code == expected, "\(words): \(outcome)")
                        #expect(!outcome.output.contains("would"))
                    }
                    _ = try await desk.terminate()
                }
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func whatOnlyLooksLeavesNothingBehindWhereThereIsNoJournal() async throws {
            try await Desk.run(starts: false) { desk in
                let names = { try FileManager.default.contentsOfDirectory(atPath: desk.data) }
                let before = Set(try names())
                for words in [
                    ["account", "list"], ["account", "show", "TRADE_001"],
                    ["order", "show", "o1-000000000001"],
                ] {
                    let outcome = try await Desk.command(
                        words + ["-c", desk.configurationFile], in: desk.directory)
                    #expect(outcome.code == 2, "\(words): \(outcome)")
                    #expect(outcome.errors.contains("opsd run"))
                }
                #expect(Set(try names()) == before)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aJournalThatIsGoneIsFoundByItsCheckpoint() async throws {
            try await Desk.run { desk in
                _ = try await desk.terminate()
                let checkpoint = desk.data + "/state.sqlite"
                let bytes = try Data(contentsOf: URL(fileURLWithPath: checkpoint))
                try FileManager.default.moveItem(
                    atPath: desk.data + "/journal", toPath: desk.directory.path("journal"))
                let check = try await desk.command("journal", "check")
                #expect(check.code == 1, "\(check)")
                #expect(check.errors.contains("put the journal back"))
                #expect(try Data(contentsOf: URL(fileURLWithPath: checkpoint)) == bytes)
                try FileManager.default.removeItem(atPath: checkpoint)
                #expect(try await code(desk, "journal", "check") == 2)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func aStartingCoreWaitsForTheLockOfACommand() async throws {
            try await Desk.run(starts: false) { desk in
                try PrivateFile.makeDirectory(desk.data + "/run")
                var lock = try FileLock(path: desk.data + "/run/core.lock")
                #expect(lock != nil)
                let core = try ChildProcess.start(
                    Desk.program, ["core", "-c", desk.configurationFile],
                    in: desk.directory.path, output: desk.directory.path("core.out"),
                    errors: desk.directory.path("core.err"))
                defer { core.endGroup() }
                #expect(try await core.exit(within: .seconds(2)) == nil)
                withExtendedLifetime(lock) { lock = nil }
                try await eventually("the core serves") {
                    FileManager.default.fileExists(atPath: desk.data + "/run/core.sock")
                }
                core.signal(SIGTERM)
                #expect(try await core.exit(within: .seconds(20)) == 0)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func haltingAllGoesOnAfterAFailure() async throws {
            try await Desk.run { desk in
                // An account that the running core does not know, before those that it does.
                for (file, old, new) in [
                    (
                        "trading", "trading_accounts:\n",
                        """
                        trading_accounts:
                          - account_id: "TRADE_000"
                            account_type: "trading"
                            master_account: "MASTER_001"
                            status: "active"
                            alpaca_credentials: {api_key: k, secret_key: s, paper_trading: true}

                        """
                    ),
                    (
                        "master", "      - \"TRADE_001\"\n",
                        "      - \"TRADE_000\"\n      - \"TRADE_001\"\n"
                    ),
                ] {
                    let path = "\(desk.data)/accounts/\(file)_accounts.yaml"
                    let text = try String(contentsOfFile: path, encoding: .utf8)
                    #expect(text.contains(old))
                    try text.replacing(old, with: new)
                        .write(toFile: path, atomically: true, encoding: .utf8)
                }
                let halted = try await desk.command(
                    "account", "halt", "--all", "--operator", "lin", "--json")
                #expect(halted.code == 2, "\(halted)")
                #expect(halted.errors.contains("TRADE_000: "))
                #expect(halted.documents.count == 3)
                for document in halted.documents {
                    #expect(document?["trading"]?.text == "halted", "\(halted)")
                }
            }
        }
    }
}
