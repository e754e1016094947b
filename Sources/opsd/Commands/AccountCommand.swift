import ArgumentParser
import CurlClient
import Foundation
import Ledger
import StrictYAML
import Trading
import TradingHTTP

struct AccountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Lists, shows, halts and resumes accounts.",
        subcommands: [List.self, Show.self, Halt.self, Resume.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Every account, with its state and cash.",
            discussion: "Example: opsd account list")

        @OptionGroup var options: CommonOptions

        func run() async throws {
            let configuration = try options.loadConfiguration()
            let lines = try await AccountLine.all(configuration)
            AccountLine.show(lines, options)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "One account.", discussion: "Example: opsd account show TRADE_001")

        @Argument(help: "The account's id.") var id: String
        @OptionGroup var options: CommonOptions

        func run() async throws {
            let configuration = try options.loadConfiguration()
            try AccountSelection(id: id).check(configuration)
            let lines = try await AccountLine.all(configuration).filter { $0.account_id == id }
            AccountLine.show(lines, options)
        }
    }

    struct Halt: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stops new orders of an account; what is open goes on.",
            discussion: "Example: opsd account halt TRADE_001 --reason 'limit breached'")

        @OptionGroup var change: AccountChangeOptions

        func run() async throws { try await change.run("halt") }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets a halted account trade again.",
            discussion: "Example: opsd account resume TRADE_001 --reason 'cleared'")

        @OptionGroup var change: AccountChangeOptions

        func run() async throws { try await change.run("resume") }
    }
}

/// What `halt` and `resume` take.
struct AccountChangeOptions: ParsableArguments {
    @Argument(help: "The account's id.") var id: String?
    @Flag(help: "Every trading account.") var all = false
    @OptionGroup var options: CommonOptions
    @OptionGroup var who: OperatorOptions
    @Flag(help: "Say what would change, and change nothing.") var dryRun = false

    func run(_ verb: String) async throws {
        try await AccountSelection(id: id, all: all)
            .change(verb, options: options, who: who, dryRun: dryRun)
    }
}

/// One account, or all of those that trade.
struct AccountSelection {
    var id: String?
    var all = false

    func check(_ configuration: Configuration) throws(CommandFailure) {
        guard let id, configuration.accounts[id] == nil else { return }
        let known = configuration.accounts.accounts.map(\.id)
        let nearest = NearestName.nearest(to: id, in: known).map { "; did you mean '\($0)'?" }
        throw CommandFailure(.badInput, "there is no account '\(id)'\(nearest ?? "")")
    }

    func change(
        _ verb: String, options: CommonOptions, who: OperatorOptions, dryRun: Bool
    ) async throws {
        let configuration = try options.loadConfiguration()
        guard (id == nil) == all else {
            throw CommandFailure(.badInput, "name one account, or say --all")
        }
        try check(configuration)
        let act = CoreControl.Act(
            operatorName: try who.require(configuration), reason: who.reason ?? "no reason given")
        let ids = id.map { [$0] } ?? configuration.accounts.tradingAccounts.map(\.id)
        if dryRun {
            for id in ids {
                options.show("would \(verb) \(id)") { json in
                    json.member("account_id", id)
                    json.member("would", verb)
                }
            }
            return
        }
        let outcome = try await perform(verb, on: ids, act, configuration)
        let changed = Set(ids).subtracting(outcome.failures.map(\.account))
        if !changed.isEmpty {
            var lines = outcome.lines
            if lines.isEmpty { lines = try await AccountLine.all(configuration) }
            AccountLine.show(lines.filter { changed.contains($0.account_id) }, options)
        }
        if let failure = CommandFailure.worst(of: outcome.failures) { throw failure }
    }

    private struct Outcome: Sendable {
        var failures: [(account: String, failure: CommandFailure)] = []
        /// The accounts after it, where no core was running: opened a second time for that, the state
        /// might be another command's by then.
        var lines: [AccountLine] = []
    }

    /// Every account is tried, whatever became of the ones before it.
    private func perform(
        _ verb: String, on ids: [String], _ act: CoreControl.Act, _ configuration: Configuration
    ) async throws -> Outcome {
        let access = CoreAccess(configuration)
        var outcome = Outcome()
        var offline: [AccountChange] = []
        for id in ids {
            let path = "/control/accounts/\(ServiceClient.segment(id))/\(verb)"
            do {
                if try await access.ask(.post, path, act) != nil { continue }
                offline.append(AccountChange(verb: verb, accountID: id, act: act))
            } catch {
                outcome.failures.append((id, error))
            }
        }
        if offline.isEmpty { return outcome }
        let (changes, before) = (offline, outcome)
        return try await access.withStoppedCore(begins: true) { core in
            var outcome = before
            for change in changes {
                do {
                    try await change.perform(on: core)
                } catch {
                    outcome.failures.append((change.accountID, CoreAccess.failure(error)))
                }
            }
            outcome.lines = AccountLine.all(configuration, of: core)
            return outcome
        }
    }
}

/// An account as the listing shows it; also how the core's answer is read.
struct AccountLine: Codable {
    var account_id: String
    var account_type: String
    var status: String
    var trading: String?
    var reason: String?
    var cash: String?
    var frozen: String?
    var buying_power: String?

    /// From the running core, else from what is durable.
    static func all(_ configuration: Configuration) async throws -> [AccountLine] {
        let access = CoreAccess(configuration)
        if let answer = try await access.ask(.get, "/control/accounts") {
            return try answer.data([AccountLine].self)
        }
        return try await access.withStoppedCore { all(configuration, of: $0) }
    }

    static func all(_ configuration: Configuration, of core: TradingCore) -> [AccountLine] {
        configuration.accounts.accounts.map { account in
            let published = core.engine.published
            let balance = published.balance(account.id)
            let state = published.account(account.id)
            return AccountLine(
                account_id: account.id, account_type: account.role.rawValue,
                status: account.status.rawValue, trading: state?.status.rawValue,
                reason: state?.reason, cash: balance?.cash.description,
                frozen: balance?.frozen.description,
                buying_power: balance?.buyingPower.description)
        }
    }

    static func show(_ lines: [AccountLine], _ options: CommonOptions) {
        if !options.json {
            print(Table.line(["ACCOUNT", "ROLE", "STATUS", "TRADING", "CASH", "FROZEN", "REASON"]))
        }
        for line in lines {
            options.show(
                Table.line([
                    line.account_id, line.account_type, line.status, line.trading ?? "-",
                    line.cash ?? "-", line.frozen ?? "-", line.reason ?? "-",
                ])
            ) { json in
                json.member("account_id", line.account_id)
                json.member("account_type", line.account_type)
                json.member("status", line.status)
                json.member("trading", line.trading)
                json.member("cash", line.cash)
                json.member("frozen", line.frozen)
                json.member("buying_power", line.buying_power)
                json.member("reason", line.reason)
            }
        }
    }
}

/// Columns for a terminal.
enum Table {
    static func line(_ cells: [String], width: Int = 14) -> String {
        let padded = cells.dropLast().map { cell in
            cell + String(repeating: " ", count: max(1, width - cell.count))
        }
        return padded.joined() + (cells.last ?? "")
    }
}
