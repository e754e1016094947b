import Control
import Foundation
import Ledger
import StrictYAML
import Testing

@testable import opsd

/// What is understood of `verify`, what it asks for, and what a change of it does.
@Suite struct VerifyConfigurationTests {
    private let folder: ConfigurationFolder

    init() throws {
        folder = try ConfigurationFolder()
    }

    static let head = """
        stores:
          files: {kind: files, path: ./files}
          hot: {kind: redis, url: "redis://127.0.0.1:6379/0"}
          record: {kind: postgres, url: "postgres://opsd@127.0.0.1/opsd"}
        datasets:
          positions: {old: files, new: hot, also: [record]}
          deals: {old: files}
          held_days: {kind: declared, key: [account_id, symbol], fields: {days: integer}, old: hot}
          seen: {kind: cache, key: [symbol], fields: {price: decimal}, old: hot, layout: {hot: {key: "seen:{symbol}"}}}

        """

    private static let contract =
        head + """
            verify:
              - {name: positions, dataset: positions, follow: true, full: "0 3 * * *", every: 2h, repair: auto, conflict: review, budget: {rows: 50, ratio: 0.001}}
              - {name: held, dataset: held_days, conflict: store}
              - {name: legacy, left: {store: record, table: old.positions, columns: {qty: quantity}}, right: {store: hot, dataset: positions}, keys: [account_id, symbol], fields: [qty, updated_at], ignore: [cost], tolerance: {qty: 0.01, updated_at: 5s}, every: 10m, repair: none}
              - {name: archive, left: {store: record, table: a}, right: {store: record, table: b}}
            """

    @Test func theContractsChecksAreUnderstood() throws {
        let checks = try folder.load(Self.contract).verify
        let first = try #require(checks[0].dataset)
        #expect(first.dataset == "positions" && first.follow)
        #expect(first.repair == .auto && first.conflict == .review)
        #expect(first.budget.rows == 50 && first.budget.ratio.description == "0.001")
        #expect(checks[0].every == .seconds(7_200))
        let held = try #require(checks[1].dataset)
        var usual = DatasetCheck(dataset: "held_days")
        usual.conflict = .store
        #expect(held == usual)
        #expect(usual.repair == .none && usual.follow)
        #expect(usual.budget.rows == 100 && usual.budget.ratio.description == "0.01")
        #expect(checks[1].every == .seconds(3_600) && checks[1].full == nil)
        let legacy = try #require(checks[2].pair)
        #expect(
            legacy.left
                == PairCheck.Side(
                    store: "record", source: .table("old.positions"), columns: ["qty": "quantity"]))
        #expect(legacy.right == PairCheck.Side(store: "hot", source: .dataset("positions")))
        #expect(legacy.keys == ["account_id", "symbol"] && legacy.fields == ["qty", "updated_at"])
        #expect(legacy.ignored == ["cost"])
        let hundredth = try ExactDecimal(coefficient: 1, scale: 2)
        #expect(legacy.tolerance == ["qty": .number(hundredth), "updated_at": .time(.seconds(5))])
        #expect(checks[2].every == .seconds(600))
        #expect(checks[3].every == nil && checks[3].full == nil)
    }

    @Test func aCheckOfADatasetBringsTheServiceAndItsTimesBringJobs() throws {
        let configuration = try folder.load(Self.contract)
        #expect(configuration.services.last == .verify)
        #expect(
            configuration.jobs.map(\.command) == [
                ["opsd", "verify", "positions", "--full", "--repair", "auto"],
                ["opsd", "verify", "legacy"],
            ])
        #expect(configuration.jobs.map(\.name) == ["verify-positions", "verify-legacy"])
        #expect(configuration.jobs[1].schedule == .every(.seconds(600)))
        let service = try #require(
            ServiceSpecification.all(of: configuration).first { $0.name == "verify" })
        #expect(service.arguments.prefix(3) == ["verify", "-c", folder.path("opsd.yaml")])
        #expect(service.arguments.last == "--follow")
        let own = try folder.load(
            Self.contract
                + "\nservices: {core: {builtin: core}, watcher: {builtin: verify, limits: {memory: 1GB}}}"
        )
        #expect(own.services.map(\.name) == ["core", "watcher"])
        let pairs = try folder.load(
            Self.head + "verify: [{name: a, left: {store: record, table: a}, "
                + "right: {store: record, table: b}, full: \"0 3 * * *\"}]")
        #expect(pairs.verifyService == nil)
        #expect(pairs.jobs.map(\.command) == [["opsd", "verify", "a"]])
        let without = try folder.load(Self.head)
        #expect(without.verify == [] && without.verifyService == nil && without.jobs == [])
    }

    /// It is another process then, also for a daemon that finds it running.
    @Test func otherChecksMakeItAnotherProcess() throws {
        func environment(_ text: String) throws -> [String: String] {
            let configuration = try folder.load(text)
            let all = ServiceSpecification.all(of: configuration)
            return all.first { $0.name == "verify" }?.environment ?? [:]
        }
        let one = try environment(Self.contract)
        #expect(one == (try environment(Self.contract)) && one.count == 1)
        #expect(one == (try environment(Self.contract.replacing("0 3", with: "0 4"))))
        #expect(one == (try environment(Self.contract.replacing("every: 10m", with: "every: 1m"))))
        #expect(one != (try environment(Self.contract.replacing("every: 2h", with: "every: 3h"))))
        #expect(one != (try environment(Self.contract.replacing("rows: 50", with: "rows: 51"))))
    }

    @Test func theSummaryShowsThem() throws {
        let text = ConfigurationSummary(try folder.load(Self.contract)).description
        for line in [
            "  [positions]:", "    repair: auto\n", "    full: 0 3 * * *\n", "      ratio: 0.001\n",
            "      updated_at: 5s\n", "    every: 1h  (default)", "      table: old.positions\n",
        ] {
            #expect(text.contains(line), "\(line)")
        }
    }

    @Test func changesTakeEffectWhenTheServiceStartsAgain() throws {
        let running = try folder.load(Self.contract)
        let reload = try folder.reload(
            running,
            Self.contract.replacing("every: 2h", with: "every: 3h").replacing("0 3", with: "0 4")
                .replacing("every: 10m", with: "every: 20m")
                + "\n  - {name: deals, dataset: deals}")
        #expect(
            Set(reload.lines) == [
                "verify[deals]: added: dataset deals; service verify is restarted",
                "verify[positions].every: 2h → 3h; service verify is restarted",
                "verify[positions].full: 0 3 * * * → 0 4 * * *; takes effect now",
                "verify[legacy].every: 10m → 20m; takes effect now",
                "jobs[verify-positions].schedule: 0 3 * * * → 0 4 * * *; takes effect now",
                "jobs[verify-legacy].every: 10m → 20m; takes effect now",
            ])
        guard case .changed(let plan) = reload else { return }
        #expect(plan.restartedServices == ["verify"])
        #expect(plan.configuration.verify.count == 5)
        #expect(plan.configuration.jobs[1].schedule == .every(.seconds(1_200)))
    }

    @Test func theServiceComesAndGoesWithTheChecks() throws {
        let without = try folder.load(Self.head)
        let reload = try folder.reload(
            without, Self.head + "verify: [{name: deals, dataset: deals}]")
        guard case .changed(let plan) = reload else {
            Issue.record("\(reload)")
            return
        }
        #expect(plan.addedServices == ["verify"] && plan.restartedServices == [])
        #expect(plan.waiting == [])
        let back = try folder.reload(plan.configuration, Self.head)
        guard case .changed(let plan) = back else {
            Issue.record("\(back)")
            return
        }
        #expect(plan.removedServices == ["verify"] && plan.waiting == [])
    }

    @Test func theMetricsCallADatasetByItsCheck() throws {
        let configuration = try folder.load(Self.contract)
        #expect(configuration.checkName(of: "held_days") == "held")
        #expect(configuration.checkName(of: "deals") == "deals")
    }
}
