import Foundation
import Ledger
import StrictYAML
import TestSupport
import Testing
import Trading

@testable import opsd

@Suite struct ConfigurationTests {
    private let folder: ConfigurationFolder

    init() throws {
        folder = try ConfigurationFolder()
    }

    private func load(_ text: String) throws -> Configuration { try folder.load(text) }
    private func refusal(_ text: String) -> String { folder.refusal(text) }

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
        #expect(configuration.writtenKeys == [])
        #expect(configuration.warnings == [])
    }

    @Test func theEmbeddedDefaultSaysWhatTheBuiltInDefaultsAre() throws {
        let builtIn = try load("{}")
        let path = folder.path("data/opsd.yaml")
        try FileManager.default.moveItem(atPath: folder.path("default.yaml"), toPath: path)
        var written = try Configuration.load(path, environment: { _ in nil }, loginName: "lin")
        #expect(written.warnings == [])
        written.path = builtIn.path
        written.folder = builtIn.folder
        written.writtenKeys = builtIn.writtenKeys
        written.accountFiles = builtIn.accountFiles
        written.texts = builtIn.texts
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
        try #require(examples.count == 7)
        let builtIn = try load("{}")
        var documented = try load(try #require(examples.first))
        let written = documented.writtenKeys
        let top = ConfigurationReader.shape.keys.map(\.name)
        #expect(
            top.filter { !written.contains($0) } == [
                "stores", "datasets", "events", "verify", "health", "calendars", "jobs",
            ])
        documented.writtenKeys = builtIn.writtenKeys
        documented.accountFiles = builtIn.accountFiles
        #expect("\(documented.texts)" == "5 files" && !"\(documented)".contains("secret_key: \""))
        documented.texts = builtIn.texts
        #expect(documented == builtIn)
        let services = try load(examples[1]).services
        #expect(services.last?.checks.count == 3)
        var plain = try #require(services.last)
        plain.program = .command([])
        plain.checks = []
        plain.after = []
        plain.environment = [:]
        plain.limits = ServiceLimits()
        plain.workingDirectory = nil
        #expect(plain == ServiceSettings(name: "signals", program: .command([])))
        let health = try load(examples[2]).health
        #expect(health.count == 7)
        let calendars = page.deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "calendars").path
        try FileManager.default.copyItem(atPath: calendars, toPath: folder.path("calendars"))
        let jobs = try load(examples[3]).jobs
        #expect(jobs.map(\.name) == ["journal", "report"])
        // What the second one writes is what the first one leaves out.
        var usual = JobSettings.usual
        (usual.name, usual.command, usual.schedule) = (
            jobs[1].name, jobs[1].command, jobs[1].schedule
        )
        usual.jitter = jobs[1].jitter
        #expect(jobs[1] == usual)
        let pair = try load(examples[6]).verify.first?.pair
        #expect(pair?.right.layout?.field == "{symbol}")
        let stores = try load(examples[4])
        #expect(stores.stores.map(\.kind) == StoreKind.allCases)
        #expect(stores.datasets.map(\.name).suffix(2) == ["quotes", "bars"])
        #expect(stores.events == EventSettings(store: "hot"))
        #expect(stores.health.count == 3)
        #expect(stores.warnings == [])
        let checks = try load(examples[5]).verify
        #expect(checks.map(\.name) == ["positions", "deals", "legacy"])
        // What the first one writes is what the second one leaves out.
        #expect(checks[0].every == checks[1].every)
        let both = checks.prefix(2).compactMap(\.dataset).map { check in
            var check = check
            (check.dataset, check.repair) = ("", .none)
            return check
        }
        #expect(both.count == 2 && both[0] == both[1])
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
        #expect(summary.contains("jwt: *** (32 bytes)"))
        #expect(summary.contains("TOKEN: ***"))
        #expect(summary.contains("TRADE_001 (trading): active, paper, key ***"))
        for secret in ["0123456789abcdef", "tell-nobody"] { #expect(!summary.contains(secret)) }
        let keys = configuration.accounts.accounts.map { $0.credentials.secretKey.reveal() }
        for key in keys { #expect(!summary.contains(key)) }
    }

    // MARK: Refusals

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
