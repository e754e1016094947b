import CurlClient
import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

extension RealProcesses {
    /// Who may write what, and what the commands do while the one who may is down. A test for each
    /// cell: what is written, by who is up.
    ///
    /// | | both up | core down | supervisor down | both down |
    /// | --- | --- | --- | --- | --- |
    /// | journal, trading state | core | a command, with the lock | core | a command, with the lock |
    /// | control.sqlite | supervisor | supervisor | nobody, commands read | nobody, commands read |
    /// | metrics | each its own, merged | the core's absent, up 0 | each its own | none |
    @Suite(.serialized) struct WhoWritesWhatTests {
        enum Down { case nobody, core, supervisor, both }

        private func run(
            _ down: Down, accounts: Int = 2, _ body: (Desk) async throws -> Void
        ) async throws {
            var settings = DeskSettings(accounts: accounts)
            // A core that is down stays down for the test.
            settings.backoff = down == .core ? "60s" : "100ms"
            try await Desk.run(settings) { desk in
                switch down {
                case .nobody: break
                case .core: try await desk.kill9("core")
                case .supervisor: try await desk.killDaemon()
                case .both: desk.killEverything()
                }
                try await body(desk)
            }
        }

        // MARK: What a cell says

        /// The processes of the desk that have a file of this name open for writing, by what they
        /// are: `run` is the supervisor.
        private func writers(of name: String, _ desk: Desk) -> [String] {
            ProcessesOf.directory(desk.directory.path).filter { pid in
                let folder = "/proc/\(pid)/fd"
                let numbers = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
                return numbers.contains { number in
                    let file = try? FileManager.default.destinationOfSymbolicLink(
                        atPath: "\(folder)/\(number)")
                    guard file?.hasPrefix(desk.data + "/" + name) == true else { return false }
                    let info = FileManager.default.contents(atPath: "/proc/\(pid)/fdinfo/\(number)")
                    let text = String(decoding: info ?? Data(), as: UTF8.self)
                    let flags = text.firstMatch(of: /flags:\s+(\d+)/).flatMap {
                        Int($0.output.1, radix: 8)
                    }
                    return (flags ?? 0) & 3 != 0
                }
            }.map { pid in
                let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
                let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
                return words.count > 1 ? words[1] : "?"
            }.sorted()
        }

        private func entries(_ desk: Desk) async throws -> Int {
            let check = try await desk.command("journal", "check", "--json")
            #expect(check.code == 0, "\(check)")
            return try #require(check.documents.last??["entries"]?.integer)
        }

        private func halt(
            _ desk: Desk, _ account: String = "TRADE_001", verb: String = "halt"
        ) async throws -> Desk.Outcome {
            try await desk.command(
                "account", verb, account, "--operator", "lin", "--reason", "a test", "--json")
        }

        /// A command halts an account: one entry, in the operator's name; the account is halted.
        private func expectHaltIsJournaled(_ desk: Desk) async throws {
            let before = try await entries(desk)
            let halted = try await halt(desk)
            #expect(halted.code == 0, "\(halted)")
            #expect(halted.documents.last??["trading"]?.text == "halted", "\(halted)")
            let tail = try await desk.command("journal", "tail", "-n", "20", "--json")
            let own = tail.documents.filter { $0?["actor"]?.text == "lin" }
            #expect(own.count == 1, "\(tail)")
            #expect(try await entries(desk) > before)
            let list = try await desk.command("account", "list", "--json")
            let line = list.documents.first { $0?["account_id"]?.text == "TRADE_001" }
            #expect(line??["trading"]?.text == "halted", "\(list)")
        }

        private func expectCoreRefusesTheHaltedAccount(_ desk: Desk) async throws {
            let token = try await desk.token("TRADE_001")
            try await eventually("the core serves", within: .seconds(30)) {
                let answer = try await desk.api(
                    .post, "/orders", token, body: OrderText(account: "TRADE_001").body)
                return answer.status == 422 && answer.text.contains("halted")
            }
        }

        // MARK: Journal and trading state

        @Test(.timeLimit(.minutes(2)))
        func journalBothUpTheCoreWritesAndCommandsHandItTheirWork() async throws {
            try await run(.nobody) { desk in
                #expect(writers(of: "journal/", desk) == ["core"])
                #expect(writers(of: "state.sqlite", desk) == ["core"])
                try await expectHaltIsJournaled(desk)
                #expect(writers(of: "journal/", desk) == ["core"])
                try await expectCoreRefusesTheHaltedAccount(desk)
                let lock = try FileLock(path: desk.data + "/journal/writer.lock")
                #expect(lock == nil, "nobody else gets the journal's lock")
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func journalCoreDownACommandTakesTheLockAndTheNextCoreSeesItsEntry() async throws {
            try await run(.core) { desk in
                #expect(writers(of: "journal/", desk) == [])
                try await expectHaltIsJournaled(desk)
                #expect(writers(of: "journal/", desk) == [])
                // It has let go of the lock.
                #expect(try FileLock(path: desk.data + "/journal/writer.lock") != nil)
                let restarted = try await desk.command(
                    "service", "restart", "core", "--operator", "lin", "--reason", "a test")
                #expect(restarted.code == 0, "\(restarted)")
                try await expectCoreRefusesTheHaltedAccount(desk)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func journalSupervisorDownTheCoreWritesAsBefore() async throws {
            try await run(.supervisor) { desk in
                #expect(writers(of: "journal/", desk) == ["core"])
                try await expectHaltIsJournaled(desk)
                try await expectCoreRefusesTheHaltedAccount(desk)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func journalBothDownACommandTakesTheLockAndTheNextDaemonGoesOn() async throws {
            try await run(.both) { desk in
                #expect(writers(of: "journal/", desk) == [])
                try await expectHaltIsJournaled(desk)
                try await desk.start()
                try await desk.waitUntilReady()
                try await expectCoreRefusesTheHaltedAccount(desk)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func journalACoreThatStartsWaitsForTheLockOfACommand() async throws {
            try await run(.core) { desk in
                // As a command holds it while it works.
                var locks = [
                    try FileLock(path: desk.data + "/run/core.lock"),
                    try FileLock(path: desk.data + "/journal/writer.lock"),
                ]
                #expect(locks.allSatisfy { $0 != nil })
                let log = desk.text("data/log/core.log").count
                _ = try await desk.command(
                    "service", "restart", "core", "--operator", "lin", "--reason", "a test")
                try await Task.sleep(for: .seconds(2))
                let waiting = try #require(try await desk.pid(of: "core"))
                #expect(writers(of: "state.sqlite", desk) == [])
                // Another command is refused meanwhile, and says why.
                let refused = try await halt(desk)
                #expect(refused.code == 4, "\(refused)")
                #expect(refused.errors.contains("another core is running"), "\(refused)")
                withExtendedLifetime(locks) { locks = [] }
                try await desk.waitUntilReady()
                #expect(try await desk.pid(of: "core") == waiting, "it did not give up")
                #expect(desk.text("data/log/core.log").count >= log)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func journalTwoCommandsAtOnceEachWriteWholeOrAreRefused() async throws {
            try await run(.both, accounts: 6) { desk in
                let before = try await entries(desk)
                let outcomes = try await withThrowingTaskGroup(of: Desk.Outcome.self) { group in
                    for account in desk.settings.accountIDs {
                        group.addTask { try await halt(desk, account) }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                let done = outcomes.count { $0.code == 0 }
                #expect(done >= 1)
                #expect(outcomes.allSatisfy { $0.code == 0 || $0.code == 4 }, "\(outcomes)")
                let now = try await entries(desk)
                #expect(now == before + done, "\(now) \(before) \(outcomes)")
            }
        }

        // MARK: control.sqlite

        private func records(_ desk: Desk) async throws -> Desk.Outcome {
            let list = try await desk.command("service", "list", "--json")
            #expect(list.code == 0, "\(list)")
            #expect(list.documents.count == 2)
            return list
        }

        private func restart(_ desk: Desk) async throws -> Desk.Outcome {
            try await desk.command(
                "service", "restart", "broker", "--operator", "lin", "--reason", "a test")
        }

        @Test(.timeLimit(.minutes(2)))
        func controlStateBothUpTheSupervisorWritesAndCommandsAskIt() async throws {
            try await run(.nobody) { desk in
                #expect(writers(of: "control.sqlite", desk) == ["run"])
                #expect(try await restart(desk).code == 0)
                let list = try await records(desk)
                #expect(list.documents.allSatisfy { $0?["supervised"] == .bool(true) }, "\(list)")
                #expect(writers(of: "control.sqlite", desk) == ["run"])
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func controlStateCoreDownTheSupervisorWritesItDown() async throws {
            try await run(.core) { desk in
                #expect(writers(of: "control.sqlite", desk) == ["run"])
                let core = try await records(desk).documents.first {
                    $0?["service"]?.text == "core"
                }
                #expect(core??["state"]?.text == "backing-off")
                #expect(core??["last_exit"]?.text?.contains("signal 9") == true, "\(core as Any)")
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func controlStateSupervisorDownNobodyWritesAndCommandsSaySo() async throws {
            try await run(.supervisor) { desk in try await expectUnwritten(desk, "running") }
        }

        @Test(.timeLimit(.minutes(2)))
        func controlStateBothDownNobodyWritesAndCommandsSaySo() async throws {
            try await run(.both) { desk in try await expectUnwritten(desk, "gone") }
        }

        private func expectUnwritten(_ desk: Desk, _ state: String) async throws {
            #expect(writers(of: "control.sqlite", desk) == [])
            let file = desk.data + "/control.sqlite"
            let before = FileManager.default.contents(atPath: file)
            let list = try await records(desk)
            for document in list.documents {
                #expect(document?["state"]?.text == state, "\(list)")
                #expect(document?["supervised"] == .bool(false), "\(list)")
            }
            #expect(list.errors.contains("the daemon does not run"), "\(list)")
            let refused = try await restart(desk)
            #expect(refused.code == 3, "\(refused)")
            #expect(refused.errors.contains("start it with 'opsd run'"), "\(refused)")
            #expect(FileManager.default.contents(atPath: file) == before)
        }

        // MARK: Metrics

        private static let coreSeries = "\nopsd_journal_last_sequence "

        /// What a process says of itself at its socket; nil when nobody answers there.
        private func own(_ desk: Desk, _ service: String) async -> String? {
            let request = CurlRequest(
                .get, "http://\(service)/metrics", timeout: .seconds(5),
                unixSocketPath: desk.data + "/run/\(service).sock")
            return try? await desk.curl.send(request).text
        }

        @Test(.timeLimit(.minutes(2)))
        func metricsBothUpEachHasItsOwnAndThePageHasAll() async throws {
            try await run(.nobody) { desk in
                let page = try await desk.get("\(desk.opsURL)/metrics").text
                for service in ["core", "broker"] {
                    #expect(page.contains("\nopsd_service_up{service=\"\(service)\"} 1\n"))
                }
                #expect(page.contains(Self.coreSeries))
                #expect(await own(desk, "core")?.contains(Self.coreSeries) == true)
                // The supervisor's own are nobody else's.
                #expect(await own(desk, "core")?.contains("opsd_service_up") == false)
                #expect(await own(desk, "supervisor")?.contains(Self.coreSeries) == false)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func metricsCoreDownItsSeriesAreAbsentAndItIsNotUp() async throws {
            try await run(.core) { desk in
                let page = try await desk.get("\(desk.opsURL)/metrics").text
                #expect(page.contains("\nopsd_service_up{service=\"core\"} 0\n"))
                #expect(page.contains("\nopsd_service_up{service=\"broker\"} 1\n"))
                #expect(!page.contains(Self.coreSeries), "stale")
                #expect(!page.contains(#"service="core",le"#), "stale")
                #expect(await own(desk, "core") == nil)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func metricsSupervisorDownThereIsNoPageAndEachStillHasItsOwn() async throws {
            try await run(.supervisor) { desk in
                await #expect(throws: CurlError.self) {
                    try await desk.get("\(desk.opsURL)/metrics")
                }
                #expect(await own(desk, "core")?.contains(Self.coreSeries) == true)
                #expect(await own(desk, "paper-broker") != nil)
                #expect(await own(desk, "supervisor") == nil)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func metricsBothDownThereAreNone() async throws {
            try await run(.both) { desk in
                await #expect(throws: CurlError.self) {
                    try await desk.get("\(desk.opsURL)/metrics")
                }
                #expect(await own(desk, "core") == nil)
                let status = try await desk.command("status")
                #expect(status.code == 3, "\(status)")
            }
        }
    }
}
