import Foundation
import Ledger
import StrictYAML
import TestSupport
import Testing
import Trading

@testable import opsd

@Suite struct ConfigurationPlanTests {
    private let folder: ConfigurationFolder

    init() throws {
        folder = try ConfigurationFolder()
    }

    private static let base = """
        node: desk-1
        services:
          core: {builtin: core}
          broker: {builtin: paper-broker, before: [core]}
          bot: {command: [bot], environment: {TOKEN: first-secret}, checks: [{tcp: "127.0.0.1:1"}]}
        health: [{name: disk, path: /, free_below: 10%}]
        """

    /// The changes that replacing one text by another in the base makes.
    private func changes(_ old: String, _ new: String) throws -> [String] {
        let running = try folder.load(Self.base)
        #expect(Self.base.contains(old))
        switch try folder.reload(running, Self.base.replacing(old, with: new)) {
        case .changed(let plan):
            return plan.changes.map { "\($0)".replacing(folder.directory.path, with: "") }
        case .unchanged: return []
        case .refused(let error):
            Issue.record("refused: \(error)")
            return []
        }
    }

    struct Example: Sendable, CustomTestStringConvertible {
        let old: String
        let new: String
        let change: String
        init(_ old: String, _ new: String, _ change: String) {
            self.old = old
            self.new = new
            self.change = change
        }
        var testDescription: String { new }
    }

    static let live = [
        Example(
            "free_below: 10%", "free_below: 20%",
            "health[disk].free_below: 10% → 20%; takes effect now"),
        Example(
            "[{name: disk", "[{name: x, tcp: \"a:1\"}, {name: disk",
            "health[x]: added: tcp a:1; takes effect now"),
        Example(
            "health: [{name: disk, path: /, free_below: 10%}]", "",
            "health[disk]: removed: path /; takes effect now"),
        Example(
            "{command: [bot],", "{command: [bot, x],",
            "services.bot.command: bot → bot with 1 argument; service bot is restarted"),
        Example(
            "first-secret", "second-secret",
            "services.bot.environment.TOKEN: *** → ***; service bot is restarted"),
        Example(
            "{command: [bot],", "{command: [bot], limits: {memory: 1GB},",
            "services.bot.limits.memory: none → 1GB; takes effect now"),
        Example(
            "{command: [bot],", "{command: [bot], log: {keep: 9},",
            "services.bot.log.keep: 5 → 9; takes effect now"),
        Example(
            "{command: [bot],", "{command: [bot], restart: {backoff: 1s},",
            "services.bot.restart.backoff: 500ms → 1s; takes effect now"),
        Example(
            "{command: [bot],", "{command: [bot], stop: {signal: INT},",
            "services.bot.stop.signal: TERM → INT; takes effect now"),
        Example(
            "{command: [bot],", "{command: [bot], watchdog: 1s, ",
            "services.bot.watchdog: 5s → 1s; takes effect now"),
        Example(
            "  bot: {command: [bot]", "  new: {command: [new]}\n  bot: {command: [bot]",
            "services.new: added: command new; service new is started"),
        Example(
            Self.bot, "", "services.bot: removed: command bot; service bot is stopped"),
        Example(
            "node: desk-1",
            "node: desk-1\noperators: [{name: lin, role: admin}, {name: wu, role: trader}]",
            "operators[wu]: added: role trader; takes effect now"),
    ]

    private static let bot =
        "  bot: {command: [bot], environment: {TOKEN: first-secret}, checks: [{tcp: \"127.0.0.1:1\"}]}\n"

    static let waiting = [
        Example(
            "node: desk-1", "node: desk-2",
            "node: desk-1 → desk-2; not yet in effect: restart the daemon (opsd run)"),
        Example(
            "node: desk-1", "node: desk-1\nlisten: {ops: \"127.0.0.1:9999\"}",
            "listen.ops: 127.0.0.1:9464 → 127.0.0.1:9999; "
                + "not yet in effect: restart the daemon (opsd run)"),
        Example(
            "node: desk-1", "node: desk-1\nlisten: {trading: \"127.0.0.1:9999\"}",
            "listen.trading: 127.0.0.1:8080 → 127.0.0.1:9999; "
                + "not yet in effect: run 'opsd service restart core'"),
        Example(
            "node: desk-1", "node: desk-1\nengine: {queue: 5}",
            "engine.queue: 10000 → 5; not yet in effect: run 'opsd service restart core'"),
        Example(
            "node: desk-1", "node: desk-1\npaper_broker: {seed: 5}",
            "paper_broker.seed: 1 → 5; not yet in effect: run 'opsd service restart broker'"),
        Example(
            "node: desk-1", "node: desk-1\nsecrets: {jwt: 0123456789abcdef0123456789abcdef}",
            "secrets.jwt: *** (64 bytes) → *** (32 bytes); "
                + "not yet in effect: run 'opsd service restart core'"),
    ]

    private static let store = "a: {kind: sqlite, path: data/a.sqlite}"
    private static let core = "; not yet in effect: run 'opsd service restart core'"

    static let stores = [
        Example(
            "node: desk-1", "node: desk-1\nstores: {\(store)}",
            "stores.a: added: kind sqlite" + core),
        Example(
            "node: desk-1", "node: desk-1\nstores: {\(store)}\ndatasets: {deals: {old: a}}",
            "stores.a: added: kind sqlite" + core + "|datasets.deals: added: old a" + core),
        Example(
            "node: desk-1",
            "node: desk-1\nstores: {hot: {kind: redis, url: \"redis://h\"}}\nevents: {store: hot}",
            "stores.hot: added: kind redis" + core + "|events.store: none → hot" + core
                + "|events.stream: added: trading_events" + core + "|events.keep: added: 100000"
                + core),
    ]

    @Test(arguments: stores)
    func aNewStoreWaitsForTheCore(_ example: Example) throws {
        #expect(try changes(example.old, example.new).joined(separator: "|") == example.change)
    }

    @Test func aChangeOfStoresOrDatasetsWaitsForTheCoreAndShowsNoPassword() throws {
        let text = """
            stores:
              hot: {kind: redis, url: "redis://:planted@h:1/0"}
              record: {kind: postgres, url: "postgres://u:planted@h/d"}
            datasets:
              deals: {old: record}
              held:
                kind: declared
                key: [symbol]
                fields: {days: integer}
                old: hot
                layout: {hot: {key: "held:{symbol}"}}
            """
        let changed = text.replacing(":planted@h:1", with: ":planted-2@h:2")
            .replacing(":planted@h/d", with: ":planted-2@h/d")
            .replacing("old: record}", with: "old: record, new: hot, read: new}")
            .replacing("days: integer", with: "days: decimal?")
            .replacing("\"held:", with: "\"held_days:")
        let reload = try folder.reload(try folder.load(text), changed)
        #expect(
            reload.lines == [
                "stores.hot.url: redis://h:1/0 → redis://h:2/0" + Self.core,
                "stores.record.url: postgres://u@h:5432/d → postgres://u@h:5432/d" + Self.core,
                "datasets.deals.new: none → hot" + Self.core,
                "datasets.deals.read: old → new" + Self.core,
                "datasets.held.fields.days: integer → decimal?" + Self.core,
                "datasets.held.layout.hot.key: held:{symbol} → held_days:{symbol}" + Self.core,
            ])
        guard case .changed(let plan) = reload else { return }
        // The daemon goes on with what the core runs with.
        #expect(plan.live == [])
        #expect(plan.configuration.stores == (try folder.load(text)).stores)
    }

    @Test(arguments: live + waiting)
    func aChangeIsNamedWithWhatItTakes(_ example: Example) throws {
        #expect(try changes(example.old, example.new) == [example.change])
    }

    @Test func aLimitOfOpenFilesThatIsTakenAwayWaitsForTheNextStart() throws {
        let limited = Self.base.replacing(
            "{command: [bot],", with: "{command: [bot], limits: {open_files: 64},")
        let reload = try folder.reload(try folder.load(limited), Self.base)
        #expect(
            reload.lines == [
                "services.bot.limits.open_files: 64 → none; "
                    + "not yet in effect: run 'opsd service restart bot'"
            ])
    }

    @Test func liveChangesAreToldFromWaitingOnes() throws {
        let running = try folder.load(Self.base)
        let text = Self.base.replacing("desk-1", with: "desk-2")
            .replacing("[bot],", with: "[bot, x],").replacing("10%", with: "20%")
            .replacing(
                "core: {builtin: core}", with: "core: {builtin: core}\n  new: {command: [new]}")
        guard case .changed(let plan) = try folder.reload(running, text) else {
            Issue.record("nothing has changed")
            return
        }
        #expect(plan.waiting.map(\.path) == ["node"])
        #expect(
            Set(plan.live.map(\.path)) == [
                "services.new", "services.bot.command", "health[disk].free_below",
            ])
        #expect(plan.restartedServices == ["bot"])
        #expect(plan.addedServices == ["new"])
        #expect(plan.removedServices == [])
        #expect(plan.configuration.node == "desk-1")
        #expect(plan.configuration.services.map(\.name) == ["core", "new", "broker", "bot"])
        // What waits is named again the next time, and only that.
        guard case .changed(let next) = try folder.reload(plan.configuration, text) else {
            Issue.record("the waiting change was forgotten")
            return
        }
        #expect(next.changes.map(\.path) == ["node"])
        let again = try folder.reload(
            next.configuration,
            Self.base.replacing("[bot],", with: "[bot, x],")
                .replacing("10%", with: "20%")
                .replacing(
                    "core: {builtin: core}",
                    with: "core: {builtin: core}\n  new: {command: [new]}"))
        guard case .unchanged = again else {
            Issue.record("\(again)")
            return
        }
    }

    @Test func aChangedAccountIsNamedAndItsSecretsAreNot() throws {
        let file = folder.path("data/accounts/trading_accounts.yaml")
        let running = try folder.load(Self.base)
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let secret = try #require(running.accounts["TRADE_002"]).credentials.secretKey.reveal()
        try text.replacing(secret, with: "another-secret")
            .replacing("priority: \"high\"", with: "priority: \"low\"")
            .write(toFile: file, atomically: true, encoding: .utf8)
        let reload = try folder.reload(running, Self.base)
        #expect(
            reload.lines == [
                "accounts[TRADE_001].priority: high → low; not yet in effect: "
                    + "run 'opsd service restart core' and 'opsd service restart broker'",
                "accounts[TRADE_002].secret_key: *** → ***; not yet in effect: "
                    + "run 'opsd service restart core' and 'opsd service restart broker'",
            ])
    }

    @Test func aThousandNewAccountsAreCompared() throws {
        let running = try folder.load("accounts: [a.yaml]", accounts: 1)
        _ = try folder.load("accounts: [a.yaml]", accounts: 1_000)
        let started = ContinuousClock.now
        let reload = try folder.reload(running, "accounts: [a.yaml]")
        guard case .changed(let plan) = reload else {
            Issue.record("nothing has changed")
            return
        }
        #expect(plan.changes.count == 999)
        #expect(plan.changes.first?.path == "accounts[A2]")
        // Linear: were each change to look through all settings, this would show.
        #expect(ContinuousClock.now - started < .seconds(60))
    }

    @Test func aBrokenFileChangesNothing() throws {
        let running = try folder.load(Self.base)
        let reload = try folder.reload(running, Self.base + "\nnonsense: 1\n")
        guard case .refused(let error) = reload else {
            Issue.record("taken")
            return
        }
        #expect("\(error)".contains("unknown key 'nonsense'"))
        #expect(reload.lines.first == "the configuration is refused and nothing changes:")
        try FileManager.default.removeItem(atPath: folder.path("opsd.yaml"))
        let gone = ReloadOutcome.compare(
            running, environment: { _ in nil }, loginName: "lin")
        #expect(gone.lines.last?.contains("No such file or directory") == true)
    }

    @Test func theSameFileChangesNothing() async throws {
        let running = try folder.load(Self.base)
        let reload = try folder.reload(running, Self.base + "\n# a comment\n")
        guard case .unchanged(let texts) = reload else {
            Issue.record("\(reload)")
            return
        }
        #expect(texts.files[running.path]?.hasSuffix("# a comment\n") == true)
        #expect(
            await ReloadOutcome.read(
                running: running, environment: { _ in nil }, loginName: "lin")
                == .unchanged(texts))
    }
}
