import Foundation
import Ledger
import StrictYAML
import TestSupport
import Testing
import Trading

@testable import opsd

@Suite struct ConfigurationTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
        let path = try EmbeddedDefault.write(in: folder.path("data"), loginName: "lin")
        // Tests write a configuration of their own beside the accounts and keys of the default.
        try FileManager.default.moveItem(atPath: path, toPath: folder.path("default.yaml"))
    }

    private func load(_ text: String) throws -> Configuration {
        let path = folder.path("opsd.yaml")
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        let variables = ["PORT": "9999", "TOKEN": "tell-nobody"]
        return try Configuration.load(path, environment: { variables[$0] }, loginName: "lin")
    }

    private func refusal(_ text: String) -> String {
        do {
            _ = try load(text)
            return "taken"
        } catch {
            return "\(error)".replacing(folder.path + "/", with: "")
        }
    }

    // MARK: Defaults

    @Test func anEmptyMappingHasTheDefaults() throws {
        let configuration = try load("{}")
        #expect(configuration.node == "desk-1")
        #expect(configuration.dataDirectory == folder.path("data"))
        #expect(configuration.operators == [Operator(name: "lin", role: .admin)])
        #expect(configuration.listen.ops.description == "127.0.0.1:9464")
        #expect(configuration.secrets.jwt.byteCount == 64)
        #expect(configuration.accounts.accounts.count == 6)
        #expect(configuration.services.map(\.name) == ["core", "broker"])
        #expect(configuration.broker.data == configuration.broker.paper)
        #expect(configuration.defaultedKeys == Set(ConfigurationReader.keys))
        #expect(configuration.warnings == [])
    }

    @Test func theEmbeddedDefaultSaysWhatTheBuiltInDefaultsAre() throws {
        let builtIn = try load("{}")
        let path = folder.path("data/opsd.yaml")
        try FileManager.default.moveItem(atPath: folder.path("default.yaml"), toPath: path)
        var written = try Configuration.load(path, environment: { _ in nil }, loginName: "lin")
        #expect(written.defaultedKeys == [])
        written.path = builtIn.path
        written.folder = builtIn.folder
        written.defaultedKeys = builtIn.defaultedKeys
        written.accountFiles = builtIn.accountFiles
        #expect(written == builtIn)
    }

    @Test func theEmbeddedDefaultIsForItsOwnerOnlyAndNeverWrittenAgain() throws {
        let data = folder.path("fresh")
        let path = try EmbeddedDefault.write(in: data, loginName: "lin")
        let names =
            ["opsd.yaml", "jwt.key", "secret.key"]
            + EmbeddedDefault.accountFileNames.map { "accounts/" + $0 }
        for name in names { #expect(try mode(data + "/" + name) == 0o600, "\(name)") }
        #expect(try mode(data) == 0o700)
        #expect(try mode(data + "/accounts") == 0o700)
        let left = try FileManager.default.contentsOfDirectory(atPath: data)
        #expect(Set(left) == ["opsd.yaml", "jwt.key", "secret.key", "accounts"])
        try "node: mine\n".write(toFile: path, atomically: false, encoding: .utf8)
        let key = try String(contentsOfFile: data + "/jwt.key", encoding: .utf8)
        #expect(key.count == 65)
        #expect(try EmbeddedDefault.write(in: data, loginName: "lin") == path)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "node: mine\n")
        #expect(try String(contentsOfFile: data + "/jwt.key", encoding: .utf8) == key)
    }

    @Test func twoEmbeddedDefaultsShareNoKey() throws {
        let one = try EmbeddedDefault.write(in: folder.path("one"), loginName: "lin")
        let two = try EmbeddedDefault.write(in: folder.path("two"), loginName: "lin")
        let load = { (path: String) in
            try Configuration.load(path, environment: { _ in nil }, loginName: "lin")
        }
        let (left, right) = (try load(one), try load(two))
        #expect(left.secrets.jwt != right.secrets.jwt)
        let keys = (left.accounts.accounts + right.accounts.accounts).flatMap {
            [$0.credentials.apiKey.reveal(), $0.credentials.secretKey.reveal()]
        }
        #expect(Set(keys).count == keys.count)
        #expect(left.accounts["BACKUP_001"]?.covers == ["TRADE_001"])
    }

    private func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    // MARK: What is understood

    @Test func theContractsExampleIsUnderstood() throws {
        let configuration = try load(Self.contract)
        #expect(configuration.timeZone.identifier == "Asia/Shanghai")
        #expect(configuration.operators.map(\.name) == ["lin", "wu"])
        #expect(configuration.operators.map(\.role) == [.admin, .trader])
        #expect(configuration.limits == LimitSettings())
        #expect(configuration.engine == EngineSettings())
        #expect(configuration.journal == JournalSettings())
        #expect(
            configuration.accountFiles.map(\.path) == [
                folder.path("data/accounts/master_accounts.yaml"),
                folder.path("data/accounts/trading_accounts.yaml"),
                folder.path("data/accounts/data_accounts.yaml"),
            ])
        let signals = try #require(configuration.services.last)
        #expect(signals.program == .command(["python3", "strategies/signals.py"]))
        #expect(signals.after == ["core"])
        #expect(signals.environment["OPSD_URL"]?.reveal() == "http://127.0.0.1:8080")
        #expect(signals.restart == RestartSettings())
        #expect(signals.checks.count == 1)
        #expect(signals.checks.first?.threshold == 3)
        #expect(signals.stop == StopSettings())
    }

    /// The page for users is a test: its examples load, and the first is what the defaults are.
    @Test func theDocumentedExamplesAreUnderstood() throws {
        let page = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "docs/CONFIGURATION.md")
        let parts = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "```")
        let examples = parts.filter { $0.hasPrefix("yaml\n") }.map { String($0.dropFirst(5)) }
        #expect(examples.count == 2)
        let builtIn = try load("{}")
        var documented = try load(try #require(examples.first))
        #expect(documented.defaultedKeys == [])
        documented.defaultedKeys = builtIn.defaultedKeys
        documented.accountFiles = builtIn.accountFiles
        #expect(documented == builtIn)
        let services = try load(try #require(examples.last)).services
        #expect(services.last?.checks.count == 3)
    }

    @Test func marketDataComesFromAlpacaWithoutAPaperBroker() throws {
        let alone = try load("services: {core: {builtin: core}}")
        #expect(alone.broker.data.absoluteString == "https://data.alpaca.markets")
        let named = try load("broker: {data: \"https://data.example\"}")
        #expect(named.broker.data.absoluteString == "https://data.example")
        let moved = try load("broker: {paper: \"http://127.0.0.1:7777\"}")
        #expect(moved.broker.data.absoluteString == "http://127.0.0.1:7777")
    }

    @Test func referencesAreExpandedInNumbersAndAddressesToo() throws {
        let configuration = try load(
            "listen: {ops: \"127.0.0.1:${env:PORT}\"}\nengine: {queue: \"${env:PORT}\"}\n")
        #expect(configuration.listen.ops.port == 9_999)
        #expect(configuration.engine.queue == 9_999)
    }

    @Test func theLimitOfConnectionsReachesTheAccounts() throws {
        let configuration = try load("limits: {account_connections: 2}")
        #expect(configuration.accounts["TRADE_001"]?.connectionPool.maxConnections == 2)
        #expect(configuration.warnings.count == 3)
    }

    @Test func thePaperBrokersSettingsAreRead() throws {
        let settings = try load(
            "paper_broker: {symbols: {BRK.B: 410.05}, seed: 7, cash: \"5000.50\", requests_per_minute: 10}"
        ).paperBroker
        #expect(settings.symbols.map(\.symbol) == ["BRK.B"])
        #expect(settings.symbols.first?.price == ExactDecimal("410.05"))
        #expect(settings.seed == 7)
        #expect(settings.cash == ExactDecimal("5000.5"))
        #expect(settings.quotes == nil)
    }

    @Test func theSummaryMasksSecretsAndMarksDefaults() throws {
        let configuration = try load(
            """
            node: desk-9
            secrets: {jwt: 0123456789abcdef0123456789abcdef}
            services:
              core: {builtin: core}
              bot: {command: [bot, "${env:TOKEN}"], environment: {TOKEN: "${env:TOKEN}"}}
            """)
        let summary = ConfigurationSummary(configuration).description
        #expect(summary.contains("node: desk-9\n"))
        #expect(summary.contains("time_zone: UTC  (default)"))
        #expect(summary.contains("jwt *** (32 bytes)"))
        #expect(summary.contains("TOKEN=***"))
        #expect(summary.contains("TRADE_001 (trading): active, paper, key ***"))
        for secret in ["0123456789abcdef", "tell-nobody"] { #expect(!summary.contains(secret)) }
        let keys = configuration.accounts.accounts.map { $0.credentials.secretKey.reveal() }
        for key in keys { #expect(!summary.contains(key)) }
    }

    // MARK: Refusals

    struct Refusal: Sendable, CustomTestStringConvertible {
        let text: String
        let message: String
        init(_ text: String, _ message: String) {
            self.text = text
            self.message = message
        }
        var testDescription: String { text }
    }

    static let refusals = [
        Refusal(
            "secrets: {jwt: \"enc:v1:AAAA\"}",
            "1:16: jwt is encrypted, which this version of opsd does not decrypt; "
                + "write ${file:PATH} or ${env:NAME}"),
        Refusal(
            "time_zone: Etc/Nowhere",
            "1:12: time_zone: there is no time zone 'Etc/Nowhere'; "
                + "write one such as Asia/Shanghai, or UTC"),
        Refusal(
            #""a\nb": 1"#,
            "1:1: unknown key 'a\u{FFFD}b' in the document; the keys here are: data_dir, node, time_zone, operators, listen, secrets, "
                + "limits, engine, journal, paper_broker, services, broker, accounts"),
        Refusal("nod: a", "1:1: unknown key 'nod' in the document; write node"),
        Refusal(
            "node: a b",
            "1:7: node: 'a b' is not a name; write 1 to 64 letters, digits, '_', '.', '@' or '-'"),
        Refusal(
            "time_zone: Asia/Shanhai",
            "1:12: time_zone: there is no time zone 'Asia/Shanhai'; write Asia/Shanghai"),
        Refusal(
            "time_zone: EST5",
            "1:12: time_zone: there is no time zone 'EST5'; write one such as Asia/Shanghai, or UTC"
        ),
        Refusal(
            "operators: [{name: lin, role: amdin}]", "1:31: role: 'amdin' is not known; write admin"
        ),
        Refusal("operators: [{name: lin}]", "1:13: item 1 of operators lacks role; add 'role: …'"),
        Refusal(
            "operators: [{name: a, role: admin}, {name: a, role: admin}]",
            "1:44: operator a is listed twice; remove one of the two"),
        Refusal(
            "listen: {ops: 9464}",
            "1:15: ops: '9464' is not an address; write host:port with a port from 1 to 65535, as in 127.0.0.1:8080"
        ),
        Refusal(
            "listen: {ops: \"127.0.0.1:8080\"}",
            "1:1: listen.ops and listen.trading both listen on port 8080; give one of them another port"
        ),
        Refusal(
            "listen: {ops: \"0.0.0.0:8090\"}",
            "1:1: listen.ops and the paper broker both listen on port 8090; give one of them another port"
        ),
        Refusal(
            "secrets: {jwt: short}",
            "1:16: jwt has 5 bytes, fewer than 32; write at least 32 random bytes, as 'openssl rand -hex 32' makes them"
        ),
        Refusal(
            "secrets:\n  jwt: ${file:none.key}",
            "2:8: cannot read none.key: No such file or directory; create it, or correct the path"),
        Refusal(
            "accounts: [a.yaml]", "1:12: a.yaml does not exist; create it, or correct the path"),
        Refusal(
            "accounts: [data/accounts/data_accounts.yaml, ./data/accounts/data_accounts.yaml]",
            "1:46: ./data/accounts/data_accounts.yaml is named twice; remove one of the two"),
        Refusal(
            "limits: {connections: 0}",
            "1:23: connections: 0 is out of range; write a number from 1 to 100000"),
        Refusal(
            "limits: {acquire_timeout: 30}",
            "1:27: acquire_timeout: '30' is not a duration; add the unit, as in 30s"),
        Refusal("engine: {worker: 20}", "1:10: unknown key 'worker' in engine; write workers"),
        Refusal(
            "journal: {roll_at: 256}",
            "1:20: roll_at: '256' is not a size; add the unit, as in 256B"),
        Refusal(
            "journal: {roll_at: 1KB}", "1:20: roll_at: 1KB is too small; write at least 1000000B"),
        Refusal("journal: {keep: 1s}", "1:17: keep: 1s is too short; write at least 1m"),
        Refusal("broker: {kind: alpacca}", "1:16: kind: 'alpacca' is not known; write alpaca"),
        Refusal(
            "broker: {live: api.alpaca.markets}",
            "1:16: live: 'api.alpaca.markets' is not a URL; write one such as http://host/path"),
        Refusal(
            "paper_broker: {symbols: {aapl: 1}}",
            "1:26: 'aapl' is no symbol; write up to 32 capitals, digits, '.', '/' or '-'"),
        Refusal(
            "paper_broker: {symbols: {AAPL: 0}}",
            "1:32: AAPL: a price is above zero; write one such as 189.30"),
        Refusal(
            "paper_broker: {quotes: none.csv}",
            "1:24: none.csv does not exist; create it, or correct the path"),
        Refusal(
            "services: {core: {builtin: cor}}", "1:28: builtin: 'cor' is not known; write core"),
        Refusal(
            "services: {core: {builtin: core}, a: {}}",
            "1:38: service a has no program; add 'command: [program, argument]' or 'builtin: core'"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: []}}",
            "1:48: command names no program; write [program, argument]"),
        Refusal(
            "services: {core: {builtin: core, command: [a]}}",
            "1:43: service core has both builtin and command; remove one of the two"),
        Refusal(
            "services: {core: {builtin: core}, c: {builtin: core}}",
            "1:35: core already runs as service core; remove one of the two"),
        Refusal(
            "services: {core: {builtin: core}, a: {command: [a], after: [coer]}}",
            "1:61: no service is called 'coer'; write core"),
        Refusal(
            "services: {core: {builtin: core, after: [core]}}",
            "1:42: service core waits for itself; remove it"),
        Refusal(
            "services: {core: {builtin: core, after: [a]}, a: {command: [a], after: [b]}, b: {command: [b], after: [core]}}",
            "1:12: services wait for each other: core → a → b → core; remove one of these after or before"
        ),
        Refusal(
            "services: {core: {builtin: core, before: [a]}, a: {command: [a], before: [core]}}",
            "1:12: services wait for each other: core → a → core; remove one of these after or before"
        ),
        Refusal(
            "services: {core: {builtin: core, restart: {policy: sometimes}}}",
            "1:52: policy: 'sometimes' is not known; the words here are: always, on-failure, never"),
        Refusal(
            "services: {core: {builtin: core, restart: {factor: 0.5}}}",
            "1:52: factor: 0.5 is too small; write a number from 1 up"),
        Refusal(
            "services: {core: {builtin: core, restart: {backoff: 5s, limit: 1s}}}",
            "1:64: limit is shorter than backoff; write at least 5s"),
        Refusal(
            "services: {core: {builtin: core, checks: [{period: 1s}]}}",
            "1:43: item 1 of checks has 0 probes; write exactly one of http, tcp, command"),
        Refusal(
            "services: {core: {builtin: core, stop: {signal: SIGTERM}}}",
            "1:49: signal: 'SIGTERM' is not known; the words here are: TERM, INT, QUIT, HUP, USR1, USR2, KILL"
        ),
        Refusal(
            "services: {core: {builtin: core, environment: {A: on}}}",
            "1:51: A: on without quotes is a truth value to some readers of YAML; quote it: \"on\""),
        Refusal(
            "switches: []",
            "1:1: switches is not carried out by this version of opsd; remove it, or use a version that does"
        ),
    ]

    @Test(arguments: refusals)
    func aBadConfigurationIsRefused(_ example: Refusal) {
        #expect(refusal(example.text) == "opsd.yaml:" + example.message)
    }

    @Test func mistakesOfAllFilesAreListedTogether() throws {
        let path = folder.path("accounts.yaml")
        try "accounts: [{account_id: A}]\n".write(toFile: path, atomically: true, encoding: .utf8)
        #expect(
            refusal("nod: a\naccounts: [accounts.yaml]\n") == """
                accounts.yaml:1:12: item 1 of accounts lacks account_type; add 'account_type: …'
                accounts.yaml:1:12: item 1 of accounts lacks alpaca_credentials; add 'alpaca_credentials: …'
                opsd.yaml:1:1: unknown key 'nod' in the document; write node
                """)
    }

    @Test func whatTheDefaultsNameMustExist() throws {
        try FileManager.default.removeItem(atPath: folder.path("data"))
        #expect(
            refusal("{}").hasPrefix(
                "opsd.yaml:1:1: secrets.jwt is left out, and data/jwt.key cannot be read; "
                    + "add 'secrets: {jwt: \"${file:PATH}\"}'\n"
                    + "opsd.yaml:1:1: accounts is left out, and data/accounts/master_accounts.yaml "
                    + "does not exist; add 'accounts: [accounts.yaml]' with the files of your own"))
    }

    @Test func aMissingFileSaysSo() {
        let path = folder.path("none.yaml")
        #expect {
            try Configuration.load(path)
        } throws: {
            "\($0)" == "\(path):1:1: cannot read \(path): No such file or directory; "
                + "create it, or correct the path"
        }
    }

    // MARK: Finding it

    @Test func theConfigurationIsLookedForInOrder() throws {
        let directory = try TemporaryDirectory()
        let locator = ConfigurationLocator(directory: directory.path)
        #expect(try locator.find("named.yaml") == "named.yaml")
        #expect(throws: ConfigurationNotFound.self) { try locator.find(nil) }
        let written = try locator.findOrWriteDefault(nil)
        #expect(written.path == directory.path("data/opsd.yaml"))
        #expect(written.isNew)
        #expect(try locator.find(nil) == directory.path("data/opsd.yaml"))
        #expect(try !locator.findOrWriteDefault(nil).isNew)
        try "{}".write(
            toFile: directory.path("opsd.yaml"), atomically: true, encoding: .utf8)
        #expect(try locator.find(nil) == directory.path("opsd.yaml"))
    }

    @Test func pathsAreMadeAbsolute() {
        #expect(AbsolutePath.of("./a/../b//c", in: "/x/y") == "/x/y/b/c")
        #expect(AbsolutePath.of("/a/./b", in: "/x") == "/a/b")
        #expect(AbsolutePath.of("../../../..", in: "/x") == "/")
        #expect(AbsolutePath.folder(of: "/a") == "/")
        #expect(AbsolutePath.folder(of: "a") == ".")
    }

    // MARK: Mutation

    @Test func mutationsNeverCrashAndNoRenamedKeyIsTakenInSilence() throws {
        var random = SplitMix(state: 11)
        let source = Array(Self.contract.utf8)
        for _ in 0..<1_500 {
            var bytes = source
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 9...126, using: &random)
                case 1: bytes.remove(at: index)
                default: bytes.insert(contentsOf: bytes[max(0, index - 9)..<index], at: index)
                }
            }
            _ = refusal(String(decoding: bytes, as: UTF8.self))
        }
        let keys = ConfigurationReader.keys.filter { Self.contract.contains($0 + ":") }
        #expect(keys.count >= 11)
        for key in keys {
            let renamed = Self.contract.replacing("\n\(key):", with: "\nx\(key):")
            let text = refusal(
                renamed.hasPrefix("node:") && key == "node" ? "x" + renamed : renamed)
            #expect(text.contains("unknown key 'x\(key)'"), "\(key): \(text)")
        }
    }

    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }

    private static let contract = """
        node: desk-1
        time_zone: Asia/Shanghai      # of every schedule below
        data_dir: ./data
        operators: [{name: lin, role: admin}, {name: wu, role: trader}]

        listen:
          ops: 127.0.0.1:9464          # /metrics, /healthz, /readyz
          trading: 127.0.0.1:8080      # REST and WebSocket

        secrets:                       # ${env:NAME}, ${file:PATH} are understood in any value
          key_file: ./data/secret.key
          jwt: ${file:./data/jwt.key}

        accounts:
          - data/accounts/master_accounts.yaml
          - data/accounts/trading_accounts.yaml
          - data/accounts/data_accounts.yaml

        limits: {requests_per_second: 10000, account_requests_per_second: 100, connections: 2000, account_connections: 5, acquire_timeout: 30s}
        engine: {queue: 10000, workers: 20}
        journal: {roll_at: 256MB, keep: 30d}     # a rolled file goes when a snapshot covers it
        broker: {kind: alpaca, live: "https://api.alpaca.markets", paper: "http://127.0.0.1:8090", requests_per_minute: 200}

        services:
          core: {builtin: core}
          broker: {builtin: paper-broker, before: [core]}
          signals:
            command: [python3, strategies/signals.py]
            after: [core]
            environment: {OPSD_URL: "http://127.0.0.1:8080"}
            restart: {policy: always, backoff: 500ms, factor: 2, limit: 30s, reset_after: 60s}
            checks: [{http: "http://127.0.0.1:7000/health", period: 10s, timeout: 1s, threshold: 3}]
            stop: {signal: TERM, timeout: 10s}
        """
}
