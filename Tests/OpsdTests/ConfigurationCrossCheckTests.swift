import Foundation
import Ledger
import StrictYAML
import TestSupport
import Testing
import Trading

@testable import opsd

/// What must hold between sections and files.
@Suite struct ConfigurationCrossCheckTests {
    private let folder: ConfigurationFolder

    init() throws {
        folder = try ConfigurationFolder()
    }

    // MARK: The data directory

    @Test func aDataDirectoryTooLongForItsSocketsIsRefused() throws {
        let long = folder.path(String(repeating: "d", count: 100))
        let most = 107 - "/run/paper-broker.sock".utf8.count
        let refusal = folder.refusal("node: a\ndata_dir: \(long)\n")
        #expect(
            refusal.contains(
                "opsd.yaml:2:11: data_dir: \(String(repeating: "d", count: 100)) has "
                    + "\(long.utf8.count) bytes, too many for the sockets in it; "
                    + "name a directory of at most \(most) bytes"), "\(refusal)")
    }

    @Test func aDataDirectoryThatIsAFileIsRefused() throws {
        #expect(
            folder.refusal("data_dir: data/jwt.key").contains(
                "opsd.yaml:1:11: data_dir: data/jwt.key is not a directory; name a directory"))
    }

    // MARK: The paper broker

    @Test func theAddressOfMarketDataWithoutItsBrokerIsAWarning() throws {
        let text = "services: {core: {builtin: core}}\nbroker: {data: \"http://localhost:8090\"}\n"
        #expect(
            try folder.warnings(text)
                == "opsd.yaml:2:16: warning: broker.data is the paper broker's address, and no paper "
                + "broker is among the services; write https://data.alpaca.markets, "
                + "or add 'broker: {builtin: paper-broker}'")
        #expect(try folder.warnings(text.replacing("8090", with: "8091")) == "")
        #expect(try folder.warnings("broker: {data: \"http://localhost:8090\"}") == "")
    }

    @Test func httpsIsTakenWhereNoPaperBrokerIsBuiltIn() throws {
        let text = "services: {core: {builtin: core}}\nbroker: {paper: \"https://paper.example\"}\n"
        #expect(try folder.load(text).broker.paper.absoluteString == "https://paper.example")
    }

    private static let head = "symbol,timestamp,bid_price,ask_price,last_price,volume\n"

    @Test(arguments: [
        ("", "line 1 is not the heading; begin it with " + head.dropLast()),
        (head + "AAPL,2026-01-02T14:30:00Z,1,2,1", "line 2 has 5 cells; write " + head.dropLast()),
        (
            head + "\nAAPL,today,1,2,1,5",
            "line 3 has no valid timestamp; write RFC 3339, as in 2026-01-31T09:30:00Z"
        ),
        (
            head + "AAPL,2026-01-02T14:30:00Z,1,x,1,5",
            "line 2 has a price or volume that is no number; "
                + "write decimals such as 189.29, and a whole volume"
        ),
        (
            head + "AAPL,2026-01-02T14:30:00Z,3,2,1,5",
            "line 2 has prices that no market has; write a bid above zero and not above the ask"
        ),
    ])
    func quotesThatThePaperBrokerWouldRefuseAreRefused(_ csv: String, _ message: String) throws {
        try folder.write("q.csv", csv)
        #expect(
            folder.refusal("paper_broker: {quotes: q.csv}")
                == "opsd.yaml:1:24: quotes: q.csv: \(message)")
    }

    @Test func quotesThatReadAreTaken() throws {
        try folder.write("q.csv", Self.head + "AAPL,2026-01-02T14:30:00Z,1,2,1,5\n\n")
        #expect(try folder.load("paper_broker: {quotes: q.csv}").paperBroker.quotes != nil)
    }

    // MARK: Accounts

    @Test func twoPaperAccountsWithOneKeyAreRefused() throws {
        let account = { (name: String, key: String, isPaper: Bool) in
            "  - {account_id: \(name), account_type: data, alpaca_credentials: "
                + "{api_key: \(key), secret_key: s, paper_trading: \(isPaper)}}\n"
        }
        let text = "accounts: [a.yaml]"
        try folder.write(
            "a.yaml", "accounts:\n" + account("A", "k", true) + account("B", "k", true))
        #expect(
            folder.refusal(text)
                == "a.yaml:3:18: account B has the api_key of A (a.yaml:2:18); "
                + "give each paper account a key of its own")
        // One key on paper and live is the broker's own way.
        try folder.write(
            "a.yaml", "accounts:\n" + account("A", "k", true) + account("B", "k", false))
        #expect(try folder.load(text).accounts.accounts.count == 2)
        try folder.write(
            "a.yaml", "accounts:\n" + account("A", "k", true) + account("B", "m", true))
        #expect(try folder.load(text).accounts.accounts.count == 2)
    }

    // MARK: Health

    @Test func aDirectoryThatIsNotThereYetIsAWarning() throws {
        #expect(
            try folder.warnings("health: [{name: d, path: none, free_below: 5GB}]")
                == "opsd.yaml:1:26: warning: none does not exist; create it, or correct the path")
    }

    @Test func everyProbeIsUnderstood() throws {
        let health = try folder.load(
            """
            health:
              - {name: h, http: "http://a.example/", status: 204}
              - {name: t, tcp: "[::1]:80", period: 100ms, timeout: 2s, threshold: 5}
              - {name: c, command: [date, "-u"], success_threshold: 4}
              - {name: d, path: data, free_below: 12.5%}
              - {name: f, file: x.csv, stale_after: 26h, degraded_from: 10ms}
              - {name: p, pid_file: /run/x.pid, depends_on: [h, core]}
              - {name: s, service: broker}
            """
        ).health
        #expect(
            health.map(\.probe) == [
                .http(try #require(URL(string: "http://a.example/")), status: 204),
                .tcp(HostPort(host: "::1", port: 80)), .command(["date", "-u"]),
                .disk(
                    path: folder.path("data"),
                    freeBelow: .percent(try #require(ExactDecimal("12.5")))),
                .fileAge(path: folder.path("x.csv"), staleAfter: .seconds(26 * 3_600)),
                .process(pidFile: "/run/x.pid"), .service("broker"),
            ])
        #expect(health[0].period == .seconds(30))
        #expect(health[0].timeout == .seconds(5))
        #expect(health[1].period == .milliseconds(100))
        #expect(health[1].timeout == .seconds(2))
        #expect(health[1].threshold == 5)
        #expect(health[2].successThreshold == 4)
        #expect(health[4].degradedFrom == .milliseconds(10))
        #expect(health[5].dependsOn == ["h", "core"])
    }

    @Test func everyServiceSettingIsUnderstood() throws {
        let service = try #require(
            folder.load(
                """
                services:
                  core: {builtin: core}
                  a:
                    command: [a, b]
                    working_directory: data
                    ready_timeout: 7s
                    watchdog: 100ms
                    limits: {memory: 1GiB, open_files: 64}
                    log: {rotate_at: 1MB, keep: 0}
                    checks: [{tcp: "a:1", success_threshold: 2, degraded_from: 500ms}]
                """
            ).services.last)
        #expect(service.workingDirectory == folder.path("data"))
        #expect(service.readyTimeout == .seconds(7))
        #expect(service.watchdog == .milliseconds(100))
        #expect(service.limits == ServiceLimits(memory: 1 << 30, openFiles: 64))
        #expect(service.log == ServiceLogSettings(rotateAt: 1_000_000, keep: 0))
        #expect(service.checks.first?.successThreshold == 2)
        #expect(service.checks.first?.degradedFrom == .milliseconds(500))
    }

    // MARK: Operators

    @Test func withoutAnAdminThereIsAWarning() throws {
        #expect(
            try folder.warnings("operators: []")
                == "opsd.yaml:1:12: warning: operators is empty; "
                + "nobody can change anything; add '{name: NAME, role: admin}'")
        #expect(
            try folder.warnings("operators: [{name: a, role: viewer}]")
                == "opsd.yaml:1:12: warning: no operator is an admin; "
                + "nobody can approve; give one of them the role admin")
    }
}
