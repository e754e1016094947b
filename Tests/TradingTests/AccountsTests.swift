import Foundation
import Ledger
import StrictYAML
import TestSupport
import Testing

@testable import Trading

@Suite struct AccountsTests {
    /// Writes files into a directory of their own and loads them.
    private func load(
        _ texts: [String]
    ) throws -> (directory: AccountDirectory?, findings: [String]) {
        let folder = try TemporaryDirectory()
        let files = try texts.enumerated().map { index, text in
            let name = "\(index + 1).yaml"
            try text.write(toFile: folder.path(name), atomically: true, encoding: .utf8)
            return AccountFile(path: folder.path(name), name: name)
        }
        let findings = Findings()
        let directory = AccountDirectory.load(
            files: files, environment: { $0 == "KEY" ? "expanded" : nil }, findings: findings)
        return (findings.hasErrors ? nil : directory, findings.all.map(\.description))
    }

    // MARK: The documents' own files

    @Test func theDocumentsFilesLoad() throws {
        let (directory, findings) = try load([
            Documents.masters, Documents.trading, Documents.data, Documents.backups,
        ])
        #expect(findings == [])
        let accounts = try #require(directory)
        let master = try #require(accounts["MASTER_001"])
        #expect(master.role == .master)
        #expect(master.riskProfile.maxDailyLoss == ExactDecimal(50_000))
        #expect(master.riskProfile.maxPositionSize == ExactDecimal(100_000))
        #expect(
            master.riskProfile.allowedInstruments
                == .only(classes: [.stocks, .options], symbols: []))
        #expect(master.credentials.apiKey.reveal() == "encrypted_master_key_1")
        #expect(!master.credentials.paperTrading)
        #expect(master.lastSettlement?.description == "2024-01-15T00:00:00Z")
        #expect(
            master.linkedTradingAccounts == ["TRADE_001", "TRADE_002", "TRADE_003"])
        let trading = try #require(accounts["TRADE_001"])
        #expect(trading.tradingConfig.allowedOrderTypes == [.market, .limit, .stop])
        #expect(trading.tradingConfig.extendedHoursTrading)
        #expect(trading.priority == .high)
        #expect(accounts.master(of: "TRADE_001")?.id == "MASTER_001")
        let data = try #require(accounts["DATA_001"])
        #expect(data.role == .data)
        #expect(data.dataSources == ["alpaca_real_time", "alpaca_historical"])
        #expect(data.rateLimits.quotesPerSecond == 100)
        #expect(accounts["BACKUP_001"]?.covers == ["TRADE_001"])
        #expect(accounts["NOBODY"] == nil)
    }

    @Test func theOneFileFormLoadsWithTheSmallerNumberOfConnections() throws {
        let (directory, findings) = try load([Documents.oneFile])
        #expect(
            findings == [
                "1.yaml:10:24: warning: max_connections: 10 is more than the limit of an account; "
                    + "5 is used; write at most 5",
                "1.yaml:13:17: warning: account ACC002 has no master_account; "
                    + "no risk limits apply to it; name its master",
            ])
        let accounts = try #require(directory)
        #expect(accounts["ACC001"]?.role == .master)
        #expect(accounts["ACC001"]?.priority == .high)
        #expect(accounts["ACC001"]?.connectionPool.maxConnections == 5)
        #expect(accounts["ACC002"]?.role == .trading)
    }

    @Test func whatIsLeftOutHasTheDocumentsDefaults() throws {
        let (directory, _) = try load([
            "accounts:\n" + item("A", "trading") + item("D", "data")
        ])
        let trading = try #require(directory?["A"])
        #expect(trading.status == .active)
        #expect(trading.priority == .normal)
        #expect(trading.credentials.paperTrading)
        #expect(trading.tradingConfig == TradingConfig())
        #expect(trading.tradingConfig.maxOrdersPerMinute == 60)
        #expect(trading.tradingConfig.maxConcurrentOrders == 10)
        #expect(trading.connectionPool.maxConnections == 5)
        #expect(trading.connectionPool.idleTimeoutSeconds == 300)
        #expect(trading.connectionPool.healthCheckIntervalSeconds == 60)
        #expect(directory?["D"]?.cacheConfig.ttlSeconds == 30)
        #expect(directory?["D"]?.cacheConfig.maxSymbols == 1_000)
        #expect(directory?["D"]?.rateLimits.barsPerMinute == 1_000)
    }

    @Test func instrumentsAreClassesOrSymbols() {
        let stocks = AllowedInstruments.only(classes: [.stocks], symbols: ["AAPL240119C00150000"])
        #expect(stocks.allows(symbol: "AAPL"))
        #expect(stocks.allows(symbol: "AAPL240119C00150000"))
        #expect(!stocks.allows(symbol: "AAPL240119P00150000"))
        let one = AllowedInstruments.only(classes: [], symbols: ["AAPL"])
        #expect(one.allows(symbol: "AAPL"))
        #expect(!one.allows(symbol: "MSFT"))
        #expect(AllowedInstruments.all.allows(symbol: "MSFT"))
        #expect(InstrumentClass(symbol: "SPY") == .stocks)
        #expect(InstrumentClass(symbol: "") == .stocks)
    }

    @Test func credentialsMayComeFromTheEnvironment() throws {
        let text =
            "accounts:\n"
            + item("T", "trading").replacing("api_key: k", with: "api_key: \"${env:KEY}\"")
        #expect(try load([text]).directory?["T"]?.credentials.apiKey.reveal() == "expanded")
    }

    // MARK: Refusals

    private func item(_ id: String, _ type: String, _ more: String = "") -> String {
        """
          - account_id: \(id)
            account_type: \(type)
            alpaca_credentials: {api_key: k, secret_key: s}
            \(more)

        """
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        let change: String
        let message: String
        init(_ change: String, _ message: String) {
            self.change = change
            self.message = message
        }
        var testDescription: String { change }
    }

    static let refusals = [
        Refusal("status: actve", "5:13: status: 'actve' is not known; write active"),
        Refusal(
            "priority: highest",
            "5:15: priority: 'highest' is not known; the words here are: low, normal, high"),
        Refusal(
            "priorty: high", "5:5: unknown key 'priorty' in item 1 of accounts; write priority"),
        Refusal(
            "created_at: yesterday",
            "5:17: created_at: 'yesterday' is not a time; write RFC 3339, as in 2026-01-31T09:30:00Z"
        ),
        Refusal(
            "connection_pool: {max_connections: 0}",
            "5:40: max_connections: 0 is out of range; write a number from 1 to 1000000"),
        Refusal(
            "connection_pool: {max_conections: 5}",
            "5:23: unknown key 'max_conections' in connection_pool; write max_connections"),
        Refusal(
            "connection_pool: {idle_timeout: 5m}",
            "5:37: idle_timeout: '5m' is not a whole number; write digits only, as in 10"),
        Refusal(
            "connection_pool: {priority: low}\n    priority: high",
            "6:15: priority is high here and low in connection_pool; write it once"),
        Refusal(
            "trading_config: {allowed_order_types: [markt]}",
            "5:44: item 1 of allowed_order_types: 'markt' is not known; write market"),
        Refusal(
            "trading_config: {extended_hours_trading: yes}",
            "5:46: extended_hours_trading: yes is not a truth value; write true"),
        Refusal(
            "trading_config: {max_orders_per_minute: -1}",
            "5:45: max_orders_per_minute: -1 is out of range; write a number from 1 to 1000000"),
        Refusal(
            "risk_profile: {}",
            "5:5: risk_profile does not belong to a trading account; move it to the master account, or remove it"
        ),
        Refusal(
            "covers: [A]",
            "5:5: covers does not belong to a trading account; move it to the backup account, or remove it"
        ),
        Refusal(
            "master_account: A/B",
            "5:21: master_account: 'A/B' is not an account id; write 1 to 64 letters, digits, '_', '.' or '-'"
        ),
        Refusal(
            "master_account: MASTER_01", "5:21: no account is called MASTER_01; write MASTER_001"),
        Refusal(
            "master_account: T", "5:21: T is a trading account (1.yaml:2:17); name a master account"
        ),
        Refusal(
            "master_account: MASTER_001",
            "5:21: account T names master MASTER_001, which does not link it (1.yaml:6:17); add T to linked_trading_accounts of MASTER_001"
        ),
    ]

    @Test(arguments: refusals)
    func aBadAccountIsRefused(_ refusal: Refusal) throws {
        let text =
            "accounts:\n" + item("T", "trading", refusal.change) + item("MASTER_001", "master")
        let findings = try load([text]).findings.filter { !$0.contains("warning") }
        #expect(findings == ["1.yaml:" + refusal.message])
    }

    static let files = [
        Refusal(
            "accounts:\n  - account_type: trading\n    alpaca_credentials: {api_key: k, secret_key: s}",
            "1.yaml:2:5: item 1 of accounts lacks account_id; add 'account_id: …'"),
        Refusal(
            "accounts:\n  - account_id: A\n    alpaca_credentials: {api_key: k, secret_key: s}",
            "1.yaml:2:5: item 1 of accounts lacks account_type; add 'account_type: …'"),
        Refusal(
            "accounts:\n  - {account_id: A, account_type: master}",
            "1.yaml:2:5: item 1 of accounts lacks alpaca_credentials; add 'alpaca_credentials: …'"),
        Refusal(
            "accounts:\n  - {account_id: A, account_type: master, alpaca_credentials: {api_key: k}}",
            "1.yaml:2:63: alpaca_credentials lacks secret_key; add 'secret_key: …'"),
        Refusal(
            "accounts:\n  - {account_id: A, account_type: mastr, alpaca_credentials: {api_key: k, secret_key: s}}",
            "1.yaml:2:35: account_type: 'mastr' is not known; write master"),
        Refusal(
            "master_accounts:\n  - {account_id: A, account_type: trading, alpaca_credentials: {api_key: k, secret_key: s}}",
            "1.yaml:2:35: account_type trading does not belong into master_accounts; move the account, or write master"
        ),
        Refusal(
            "data_accounts:\n  - {account_id: A, account_type: backup, alpaca_credentials: {api_key: k, secret_key: s}}",
            "1.yaml:2:35: account_type backup does not belong into data_accounts; move the account, or write market_data"
        ),
        Refusal(
            "backup_accounts:\n  - {account_id: A, alpaca_credentials: {api_key: k, secret_key: s}}",
            "1.yaml:2:5: item 1 of backup_accounts lacks covers; add 'covers: …'"),
        Refusal(
            "backup_accounts:\n  - {account_id: A, covers: [X], alpaca_credentials: {api_key: k, secret_key: s}}",
            "1.yaml:2:30: no account is called X; declare it, or remove the name"),
        Refusal(
            "backup_accounts:\n  - {account_id: A, covers: [A], alpaca_credentials: {api_key: k, secret_key: s}}",
            "1.yaml:2:30: A covers A, a backup account; cover a master, trading or data account"),
        Refusal(
            "master_accounts:\n  - {account_id: M, linked_trading_accounts: [M], alpaca_credentials: {api_key: k, secret_key: s}}",
            "1.yaml:2:47: M is a master account (1.yaml:2:18); name a trading account"),
        Refusal(
            "master_accounts:\n  - {account_id: M, risk_profile: {max_daily_loss: -5}, alpaca_credentials: {api_key: k, secret_key: s}}",
            "1.yaml:2:52: max_daily_loss: -5 is too small; write a number from 0 up"),
        Refusal(
            "master_accounts:\n  - {account_id: M, risk_profile: {allowed_instruments: [stoks]}, alpaca_credentials: {api_key: k, secret_key: s}}",
            "1.yaml:2:58: item 1 of allowed_instruments: 'stoks' is no instrument; write stocks"),
        Refusal(
            "{}",
            "1.yaml:1:1: the file declares no accounts; begin it with one of: master_accounts:, trading_accounts:, data_accounts:, backup_accounts:, accounts:"
        ),
        Refusal(
            "master_acounts: []",
            "1.yaml:1:1: the file declares no accounts; begin it with one of: master_accounts:, trading_accounts:, data_accounts:, backup_accounts:, accounts:\n1.yaml:1:1: unknown key 'master_acounts' in the document; write master_accounts"
        ),
    ]

    @Test(arguments: files)
    func aBadFileIsRefused(_ refusal: Refusal) throws {
        let findings = try load([refusal.change]).findings
        #expect(findings.joined(separator: "\n") == refusal.message)
    }

    @Test func bothSidesOfALinkMustAgree() throws {
        let masters =
            "accounts:\n" + item("M1", "master", "linked_trading_accounts: [A, B]")
            + item("M2", "master", "linked_trading_accounts: [C]")
        let trading =
            "accounts:\n" + item("A", "trading") + item("B", "trading", "master_account: M2")
            + item("C", "trading", "master_account: M2")
        #expect(
            try load([masters, trading]).findings == [
                "2.yaml:2:17: account A lacks master_account, but M1 links it at 1.yaml:5:31; "
                    + "add 'master_account: M1'",
                "1.yaml:5:34: M1 links B, whose master_account is M2 at 2.yaml:9:21; "
                    + "make both sides agree",
                "2.yaml:9:21: account B names master M2, which does not link it (1.yaml:9:30); "
                    + "add B to linked_trading_accounts of M2",
            ])
    }

    @Test func anIDIsDeclaredOnceOverAllFiles() throws {
        let one = "accounts:\n" + item("A", "data")
        #expect(
            try load([one, one]).findings == [
                "2.yaml:2:17: account A is already declared at 1.yaml:2:17; "
                    + "give one of the two another account_id"
            ])
    }

    @Test func aFileThatCannotBeReadDoesNotMakeTheOthersLookWrong() throws {
        let (_, findings) = try load([Documents.masters, "trading_accounts: [", Documents.data])
        #expect(findings.count == 1)
        #expect(findings.first?.hasPrefix("2.yaml:") == true)
    }

    // MARK: Size and mutation

    @Test func aThousandAccountsLoadQuickly() throws {
        var text = "accounts:\n"
        for master in 0..<10 {
            let ids = (0..<99).map { "T\(master)_\($0)" }
            text += item(
                "M\(master)", "master", "linked_trading_accounts: [\(ids.joined(separator: ", "))]")
            for id in ids { text += item(id, "trading", "master_account: M\(master)") }
        }
        let started = ContinuousClock.now
        let (directory, findings) = try load([text])
        let elapsed = ContinuousClock.now - started
        #expect(findings == [])
        #expect(directory?.accounts.count == 1_000)
        #expect(directory?.master(of: "T9_98")?.id == "M9")
        // A debug build on a busy machine; a release build takes a small part of this.
        #expect(elapsed < .seconds(10))
        print("1,000 accounts loaded in \(elapsed)")
    }

    /// Whatever is done to a valid file, loading it either works or says why not; and a key that
    /// was renamed is always noticed.
    @Test func mutationsNeverCrash() throws {
        var random = SeededGenerator(seed: 42)
        let sources = [Documents.masters, Documents.trading, Documents.data, Documents.oneFile]
        let folder = try TemporaryDirectory()
        let file = AccountFile(path: folder.path("m.yaml"), name: "m.yaml")
        for round in 0..<3_000 {
            var bytes = Array(sources[round % sources.count].utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&bytes, &random) }
            try Data(bytes).write(to: URL(filePath: file.path))
            let findings = Findings()
            let directory = AccountDirectory.load(
                files: [file], environment: { _ in nil }, findings: findings)
            #expect(
                findings.hasErrors || directory.accounts.allSatisfy { Account.isValidID($0.id) })
        }
    }

    @Test func noRenamedKeyIsTakenInSilence() throws {
        var random = SeededGenerator(seed: 7)
        let sources = [Documents.masters, Documents.trading, Documents.data, Documents.backups]
        for round in 0..<300 {
            var lines = sources[round % sources.count].split(separator: "\n").map(String.init)
            let keyed = lines.indices.filter {
                lines[$0].contains(": ") || lines[$0].hasSuffix(":")
            }
            let index = try #require(keyed.randomElement(using: &random))
            let colon = try #require(lines[index].firstIndex(of: ":"))
            lines[index].insert("x", at: colon)
            let (_, findings) = try load([lines.joined(separator: "\n")])
            #expect(findings.contains { $0.contains("unknown key '") }, "\(lines[index])")
        }
    }

    private func mutate(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
        guard !bytes.isEmpty else { return }
        let index = Int.random(in: 0..<bytes.count, using: &random)
        let marks = Array("\n \t:-[]{}\"'#&*!|>%@,?~$0aZ\u{0}".utf8)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[index] = marks.randomElement(using: &random) ?? 0
        case 1: bytes.insert(marks.randomElement(using: &random) ?? 0, at: index)
        case 2: bytes.remove(at: index)
        case 3:
            let end = min(bytes.count, index + Int.random(in: 1...40, using: &random))
            bytes.removeSubrange(index..<end)
        default:
            let end = min(bytes.count, index + Int.random(in: 1...40, using: &random))
            let target = Int.random(in: 0...bytes.count, using: &random)
            bytes.insert(contentsOf: Array(bytes[index..<end]), at: target)
        }
    }
}

/// SplitMix64: the same seed gives the same numbers on every machine.
private struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// The examples of the requirement documents. The trading file adds the two accounts that the
/// master links and the documents leave out; the backup file follows the same form.
private enum Documents {
    static let masters = """
        # master_accounts.yaml
        master_accounts:
          - account_id: "MASTER_001"
            account_type: "master"
            status: "active"
            risk_profile:
              max_daily_loss: 50000.00
              max_position_size: 100000.00
              allowed_instruments: ["stocks", "options"]
            linked_trading_accounts:
              - "TRADE_001"
              - "TRADE_002"
              - "TRADE_003"
            alpaca_credentials:
              api_key: "encrypted_master_key_1"
              secret_key: "encrypted_master_secret_1"
              paper_trading: false
            last_settlement: "2024-01-15T00:00:00Z"
            created_at: "2024-01-01T00:00:00Z"

        """

    static let trading =
        "# trading_accounts.yaml\ntrading_accounts:\n"
        + ["TRADE_001", "TRADE_002", "TRADE_003"].map { id in
            """
              - account_id: "\(id)"
                account_type: "trading"
                master_account: "MASTER_001"
                status: "active"
                trading_config:
                  max_orders_per_minute: 60
                  max_concurrent_orders: 10
                  allowed_order_types: ["market", "limit", "stop"]
                  extended_hours_trading: true
                alpaca_credentials:
                  api_key: "encrypted_trade_key_1"
                  secret_key: "encrypted_trade_secret_1"
                  paper_trading: false
                connection_pool:
                  max_connections: 5
                  idle_timeout: 300
                  health_check_interval: 60
                priority: "high"
                created_at: "2024-01-01T00:00:00Z"

            """
        }.joined()

    static let data = """
        # data_accounts.yaml
        data_accounts:
          - account_id: "DATA_001"
            account_type: "market_data"
            status: "active"
            data_sources:
              - "alpaca_real_time"
              - "alpaca_historical"
            rate_limits:
              quotes_per_second: 100
              bars_per_minute: 1000
            alpaca_credentials:
              api_key: "encrypted_data_key_1"
              secret_key: "encrypted_data_secret_1"
              paper_trading: false
            cache_config:
              ttl_seconds: 30
              max_symbols: 1000
            created_at: "2024-01-01T00:00:00Z"

        """

    static let backups = """
        backup_accounts:
          - account_id: "BACKUP_001"
            account_type: "backup"
            status: "active"
            covers: ["TRADE_001"]
            alpaca_credentials:
              api_key: "encrypted_backup_key_1"
              secret_key: "encrypted_backup_secret_1"
              paper_trading: false

        """

    static let oneFile = """
        # accounts_config.yaml
        accounts:
          - account_id: "ACC001"
            account_type: "master"
            alpaca_credentials:
              api_key: "encrypted_key_1"
              secret_key: "encrypted_secret_1"
              paper_trading: false
            connection_pool:
              max_connections: 10
              priority: "high"
              
          - account_id: "ACC002" 
            account_type: "trading"
            alpaca_credentials:
              api_key: "encrypted_key_2"
              secret_key: "encrypted_secret_2"
              paper_trading: false
            connection_pool:
              max_connections: 5
              priority: "normal"

        """
}
