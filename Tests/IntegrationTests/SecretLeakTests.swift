import CurlClient
import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// A secret is where somebody has put it, and nowhere else: not in what a process prints, logs,
    /// answers or keeps.
    @Suite(.serialized) struct SecretLeakTests {
        /// What is planted, by where it is put. Each can be told from every other text.
        private enum Planted {
            static let jwt = "planted-jwt-key-of-more-than-thirty-two-bytes"
            static let inVariable = "planted-in-a-variable"
            static let inFile = "planted-in-a-file"
            static let encrypted = "planted-and-encrypted"
            static let environment = "planted-in-a-services-environment"
            static let changed = "planted-in-a-changed-environment"
            static let argument = "planted-in-an-argument"
            static let urlPassword = "planted-in-a-urls-password"
            static let urlQuery = "planted-in-a-urls-query"
            static let urlFragment = "planted-in-a-urls-fragment"
            static let wrongKey = "planted-wrong-key-of-the-broker"
            static let all = [
                jwt, inVariable, inFile, encrypted, environment, changed, argument, urlPassword,
                urlQuery, urlFragment, wrongKey,
            ]
            static let variable = "OPSD_TEST_PLANTED=\(inVariable)"
        }

        /// Files in which secrets are put, here or by the daemon.
        private static let homes = [
            "opsd.yaml", "master_accounts.yaml", "trading_accounts.yaml", "data_accounts.yaml",
            "backup_accounts.yaml", "secret.key", "jwt.key", "trade.secret", "needles",
        ]

        private func opsd(_ desk: Desk, _ words: String...) async throws -> Desk.Outcome {
            try await Desk.command(
                [Planted.variable, Desk.program] + words + ["-c", desk.configurationFile],
                in: desk.directory, program: "/usr/bin/env")
        }

        private func edit(_ path: String, _ changes: [(String, String)]) throws {
            var text = try String(contentsOfFile: path, encoding: .utf8)
            for (old, new) in changes {
                #expect(text.contains(old), "\(path) has no '\(old)'")
                text = text.replacing(old, with: new)
            }
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        }

        private func put(_ name: String, _ text: String, _ desk: Desk) throws {
            let path = desk.directory.path(name)
            #expect(
                FileManager.default.createFile(
                    atPath: path, contents: Data(text.utf8),
                    attributes: [.posixPermissions: 0o600]))
        }

        /// The same secret written in every way that the configuration understands.
        private func plant(in desk: Desk) async throws {
            try put("data/trade.secret", Planted.inFile, desk)
            try put("needle.txt", Planted.encrypted, desk)
            let encrypted = try await Desk.command(
                [
                    "-c",
                    "'\(Desk.program)' secret encrypt -c '\(desk.configurationFile)' < needle.txt",
                ], in: desk.directory, program: "/bin/sh")
            let cipher = encrypted.output.trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(cipher.hasPrefix("enc:v1:"), "\(encrypted)")
            try FileManager.default.removeItem(atPath: desk.directory.path("needle.txt"))
            let secret = { "secret_key: \"\(DeskSettings.secret($0))\"" }
            try edit(
                desk.data + "/accounts/trading_accounts.yaml",
                [
                    (secret("TRADE_001"), "secret_key: \"${env:OPSD_TEST_PLANTED}\""),
                    (secret("TRADE_002"), "secret_key: \"${file:../trade.secret}\""),
                    (secret("TRADE_003"), "secret_key: \"\(cipher)\""),
                ])
            let password = "http://somebody:\(Planted.urlPassword)@127.0.0.1:1/a"
            try edit(
                desk.configurationFile,
                [
                    ("jwt: ${file:./jwt.key}", "jwt: \(Planted.jwt)"),
                    (
                        "\nservices:",
                        """

                        health:
                          - {name: page, http: "\(password)?token=\(Planted.urlQuery)#\(Planted.urlFragment)", period: 200ms}
                          - {name: tool, command: ["false", "\(Planted.argument)"], period: 200ms}
                          - {name: none, command: ["/none", "\(Planted.argument)"], period: 200ms}
                        services:
                          talker:
                            command: [sleep, "4321"]
                            environment: {TOKEN: "\(Planted.environment)", OTHER: "${env:OPSD_TEST_PLANTED}"}
                            checks: [{http: "\(password)?\(Planted.urlQuery)", period: 1h}]
                          broken:
                            command: ["/no/such/program", "\(Planted.argument)", "${env:OPSD_TEST_PLANTED}"]
                            restart: {backoff: 200ms, limit: 200ms}
                        """
                    ),
                ])
        }

        /// Every planted text, as it is and as others would write it, and the two keys.
        private func writeNeedles(_ desk: Desk) throws {
            let keys = try ["secret.key", "jwt.key"].map { name in
                try String(contentsOfFile: desk.data + "/" + name, encoding: .utf8)
                    .trimmingCharacters(in: .whitespacesAndNewlines)
            }
            let secrets =
                Planted.all + keys
                + (desk.settings.accountIDs + ["MASTER_001"]).flatMap {
                    [DeskSettings.key($0), DeskSettings.secret($0)]
                }
            let needles = secrets.flatMap { secret in
                let base64 = Data(secret.utf8).base64EncodedString()
                let hex = secret.utf8.map { String($0, radix: 16) }.joined()
                return [secret, String(base64.prefix { $0 != "=" }.dropLast()), hex]
            }
            try put("needles", needles.joined(separator: "\n") + "\n", desk)
        }

        /// Which files have a planted text in them: `file:text`, a line each.
        private func finds(in desk: Desk) async throws -> [String] {
            let outcome = try await Desk.command(
                ["grep", "-raoF", "-f", desk.directory.path("needles")]
                    + Self.homes.map { "--exclude=\($0)" } + [desk.directory.path],
                in: try TemporaryDirectory(), program: "/usr/bin/env")
            #expect(outcome.code <= 1 || outcome.errors.contains("No such file"), "\(outcome)")
            return Set(outcome.output.split(separator: "\n").map(String.init)).sorted()
        }

        private func expectNone(in desk: Desk) async throws {
            let found = try await finds(in: desk)
            let shown = found.map { $0.replacing(desk.directory.path + "/", with: "") }
            #expect(found.isEmpty, "\(shown.joined(separator: "\n"))")
        }

        /// The command lines of opsd itself: what a service's own has, its declaration says.
        private func commandLines(_ desk: Desk) -> String {
            ProcessesOf.directory(desk.directory.path).map { pid in
                let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
                return String(decoding: line, as: UTF8.self).replacing("\0", with: " ")
            }.filter { $0.hasPrefix(Desk.program) }.joined(separator: "\n")
        }

        /// Answers of every kind, into a file where the search finds them.
        private func keepAnswers(_ desk: Desk, _ tokens: [String: String]) async throws {
            var answers: [String] = []
            for path in ["/metrics", "/api/ops/status", "/readyz", "/healthz", "/none"] {
                answers.append(try await desk.get(desk.opsURL + path).text)
            }
            let token = tokens["TRADE_001"] ?? ""
            for (path, token) in [
                ("/orders", token), ("/accounts", token), ("/accounts/TRADE_002", token),
                ("/orders/none", token), ("/orders", "no-token"), ("/orders?page=x", token),
                ("/quotes/AAPL", token), ("/quotes/none", token), ("/none", token),
            ] {
                answers.append(try await desk.api(.get, path, token).text)
            }
            for body in ["{", "{}", OrderText(account: "TRADE_002").body, "[1]"] {
                answers.append(try await desk.api(.post, "/orders", token, body: body).text)
            }
            for (key, secret) in [("none", "none"), (DeskSettings.key("TRADE_001"), "wrong")] {
                answers.append(
                    try await desk.get(
                        desk.brokerURL + "/v2/account",
                        headers: ["APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret]
                    ).text)
            }
            try put("answers", answers.joined(separator: "\n"), desk)
        }

        private func runCommands(_ desk: Desk) async throws {
            for words in [
                ["check"], ["check", "--json"], ["status"], ["status", "--json"],
                ["service", "list"], ["service", "list", "--json"], ["account", "list", "--json"],
                ["account", "show", "TRADE_001", "--json"], ["journal", "tail", "-n", "50"],
                ["journal", "tail", "--json"], ["journal", "check"], ["journal", "show", "1-1"],
                ["service", "logs", "core"], ["order", "show", "x"],
                ["account", "show", "none"], ["service", "restart", "none"], ["core"], ["run"],
                ["paper-broker"],
            ] {
                let outcome = try await Desk.command(
                    [Planted.variable, Desk.program] + words + ["-c", desk.configurationFile],
                    in: desk.directory, program: "/usr/bin/env")
                #expect(!(outcome.output + outcome.errors).isEmpty, "\(words) said nothing")
            }
        }

        @Test(.timeLimit(.minutes(5)))
        func aSecretIsOnlyWhereItWasPut() async throws {
            let settings = DeskSettings(environment: [Planted.variable])
            try await Desk.run(settings, starts: false) { desk in
                let key = try await Desk.command(
                    ["secret", "keygen", "-c", desk.configurationFile], in: desk.directory)
                #expect(key.code == 0 || key.code == 4, "\(key)")
                try await plant(in: desk)
                try writeNeedles(desk)
                // The search finds what is there.
                try put("probe", "a \(Planted.inFile) b", desk)
                #expect(try await finds(in: desk).count == 1)
                try FileManager.default.removeItem(atPath: desk.directory.path("probe"))

                try await desk.start()
                try await eventually("the core is up", within: .seconds(30)) {
                    desk.text("run.err").contains("core: ready")
                }
                var tokens: [String: String] = [:]
                for account in desk.settings.accountIDs {
                    let made = try await opsd(
                        desk, "token", "--account", account, "--role", "trader", "--json")
                    tokens[account] = try #require(made.documents.last??["token"]?.text)
                }
                for number in 0..<60 {
                    for (account, token) in tokens {
                        var text = OrderText(account: account, clientOrderID: "leak-\(number)")
                        if number % 3 == 0 { text.limit = "1.5" }
                        let answer = try await desk.api(.post, "/orders", token, body: text.body)
                        #expect(answer.status == 202 || answer.status == 422, "\(answer.text)")
                    }
                }
                try await keepAnswers(desk, tokens)
                try await runCommands(desk)
                #expect(!commandLines(desk).contains("planted"))
                try await expectNone(in: desk)

                // Other secrets, read again: a key that the broker refuses, another environment, and
                // a value that cannot be understood.
                let daemon = try #require(desk.daemonPID)
                try edit(
                    desk.data + "/accounts/trading_accounts.yaml",
                    [("${env:OPSD_TEST_PLANTED}", Planted.wrongKey)])
                try edit(
                    desk.configurationFile, [(Planted.environment, Planted.changed)])
                kill(daemon, SIGHUP)
                try await eventually("the changes are named") {
                    desk.text("run.err").contains("accounts[TRADE_001].secret_key: *** → ***")
                        && desk.text("run.err").contains("services.talker.environment.TOKEN: *** →")
                }
                let restarted = try await opsd(
                    desk, "service", "restart", "core", "--operator", "lin", "--reason", "a test")
                #expect(restarted.code == 0, "\(restarted)")
                try await eventually("the broker refuses the wrong key", within: .seconds(30)) {
                    desk.text("data/log/core.log").contains("unauthorized")
                }
                let good = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
                try edit(
                    desk.configurationFile,
                    [("engine: {queue: 10000", "engine: {queue: \"${file:./trade.secret}\"")])
                kill(daemon, SIGHUP)
                try await eventually("the file is refused") {
                    desk.text("run.err").contains("the configuration is refused")
                }
                #expect(try await opsd(desk, "check").code == 2)
                #expect(try await opsd(desk, "check", "--json").code == 2)
                try good.write(
                    toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                try await keepAnswers(desk, tokens)
                try await runCommands(desk)
                #expect(!commandLines(desk).contains("planted"))
                try await expectNone(in: desk)
                #expect(try await desk.terminate() == 0)
                try await runCommandsOfAStoppedDesk(desk)
                try await expectNone(in: desk)
                try await checkTokens(tokens, desk)
            }
        }

        private func runCommandsOfAStoppedDesk(_ desk: Desk) async throws {
            for words in [["status", "--json"], ["service", "list"], ["account", "list"]] {
                let outcome = try await Desk.command(
                    [Planted.variable, Desk.program] + words + ["-c", desk.configurationFile],
                    in: desk.directory, program: "/usr/bin/env")
                #expect(!(outcome.output + outcome.errors).isEmpty, "\(words) said nothing")
            }
        }

        /// Whoever reads the logs cannot trade with what they say.
        private func checkTokens(_ tokens: [String: String], _ desk: Desk) async throws {
            let signatures = tokens.values.compactMap { $0.split(separator: ".").last }
            #expect(signatures.count == tokens.count)
            try put("needles", signatures.joined(separator: "\n") + "\n", desk)
            let outcome = try await Desk.command(
                ["grep", "-raoF", "-f", desk.directory.path("needles"), desk.data],
                in: desk.directory, program: "/usr/bin/env")
            #expect(outcome.code == 1 && outcome.output == "", "\(outcome)")
        }
    }
}
