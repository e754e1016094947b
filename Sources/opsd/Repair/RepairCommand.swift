import ArgumentParser
import CurlClient
import Foundation
import Ledger
import Trading
import TradingHTTP
import Verify

/// Puts rows of a copy right as a plan says, and takes that back.
struct RepairCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair", abstract: "Put rows of a store right, and take that back.",
        discussion: """
            opsd verify --repair plan makes the plan. What lies there is kept before anything is \
            written; a row that somebody has written since is left alone.
            """,
        subcommands: [Apply.self, Undo.self])

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write the rows of a plan as they were journaled.",
            discussion: """
                Interrupted, also by kill -9, the core carries on by itself when it is back, and so does \
                the same command. Exit code 1: some rows were overtaken or failed.

                Example: opsd repair apply positions@hot-20261121T031500-1
                """)

        @OptionGroup var options: CommonOptions
        @OptionGroup var who: OperatorOptions
        @Argument(help: "The plan's id, or its file.") var plan: String
        @Flag(help: "Say what would be written, and write nothing.") var dryRun = false

        func run() async throws {
            let line = try await RepairPath.change(
                "apply", plan, options: options, who: who, dryRun: dryRun)
            if let line, !line.isDone { throw CommandFailure(.found, "") }
        }
    }

    struct Undo: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put back what lay there before a repair, byte for byte.",
            discussion: """
                A row that was written since it was repaired is left alone. Rows that were put back are \
                not repaired again without a person. Exit code 1: some rows were left alone.

                Example: opsd repair undo positions@hot-20261121T031500-1
                """)

        @OptionGroup var options: CommonOptions
        @OptionGroup var who: OperatorOptions
        @Argument(help: "The repair's id, or its receipt.") var receipt: String
        @Flag(help: "Say what would be put back, and write nothing.") var dryRun = false

        func run() async throws {
            let line = try await RepairPath.change(
                "undo", receipt, options: options, who: who, dryRun: dryRun)
            if let line, !line.isUndone { throw CommandFailure(.found, "") }
        }
    }
}

/// What waits for a person to decide.
struct ReviewCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "review", abstract: "Decide about repairs that wait for a person.",
        subcommands: [List.self, Approve.self, Reject.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The repairs that wait, and why.",
            discussion: "Example: opsd review list --json")

        @OptionGroup var options: CommonOptions
        @Flag(help: "Those that are decided and done too.") var all = false

        func run() async throws {
            let configuration = try options.loadConfiguration()
            let known = try await RepairPath.known(configuration)
            let files = RepairFiles(DataLayout(configuration))
            // Made while no core ran, and nobody knows of them yet.
            let ids = Set(known.map(\.repair))
            let filed = try await files.ids().filter { !ids.contains($0) }
            let shown = known.filter { all || $0.state == "waiting" }
            let open = known.count { $0.state == "waiting" } + filed.count
            for line in shown {
                options.show("\(line.text)\n    \(files.path(of: line.repair))") { json in
                    json.repair(line)
                    json.member("plan", files.path(of: line.repair))
                }
            }
            for id in filed {
                let head = try await files.plan(id).plan.head
                options.show(
                    "\(id) filed: \(head.rows) rows of \(head.dataset) in \(head.store); no core has "
                        + "seen it yet\n    \(files.path(of: id))"
                ) { json in
                    json.member("repair", id)
                    json.member("check", head.check)
                    json.member("dataset", head.dataset)
                    json.member("store", head.store)
                    json.member("state", "filed")
                    json.member("rows", head.rows)
                    json.member("plan", files.path(of: id))
                }
            }
            let words =
                open == 0
                ? "nothing waits"
                : "\(open) wait: opsd review approve ID, opsd review reject ID"
            options.show(words) { $0.member("open", open) }
        }
    }

    struct Approve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Carry a plan out.",
            discussion: """
                Exit code 1: some rows were overtaken or failed.

                Example: opsd review approve positions@hot-20261121T031500-1 --reason 'seen with wu'
                """)

        @OptionGroup var options: CommonOptions
        @OptionGroup var who: OperatorOptions
        @Argument(help: "The plan's id.") var id: String
        @Flag(help: "Say what would be written, and write nothing.") var dryRun = false

        func run() async throws {
            let line = try await RepairPath.change(
                "approve", id, options: options, who: who, dryRun: dryRun)
            if let line, !line.isDone { throw CommandFailure(.found, "") }
        }
    }

    struct Reject: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Leave the rows of a plan as they are.",
            discussion: """
                When the same rows are found the same again, they do not wait again.

                Example: opsd review reject positions@hot-20261121T031500-1 --reason 'a test of ours'
                """)

        @OptionGroup var options: CommonOptions
        @OptionGroup var who: OperatorOptions
        @Argument(help: "The plan's id.") var id: String
        @Flag(help: "Say what would be decided, and decide nothing.") var dryRun = false

        func run() async throws {
            _ = try await RepairPath.change(
                "reject", id, options: options, who: who, dryRun: dryRun)
        }
    }
}

enum RepairPath {
    /// - Parameter name: an id, or the path of a file in its folder.
    /// - Returns: what came of it; nil when nothing was to be done.
    static func change(
        _ verb: String, _ name: String, options: CommonOptions, who: OperatorOptions, dryRun: Bool
    ) async throws -> RepairLine? {
        let configuration = try options.loadConfiguration()
        let act = CoreControl.Act(
            operatorName: try who.require(configuration), reason: who.reason ?? "no reason given",
            resolution: nil)
        let id = id(of: name)
        let files = RepairFiles(DataLayout(configuration))
        let head = try await files.plan(id).plan.head
        if dryRun {
            options.show(
                "would \(verb) \(id): \(head.rows) rows of \(head.dataset) in \(head.store)"
            ) {
                $0.member("repair", id)
                $0.member("would", verb)
                $0.member("rows", head.rows)
            }
            return nil
        }
        let line = try await perform(RepairChange(verb: verb, id: id, act: act), configuration)
        let next = line.next.map { "\n    \($0)" }.joined()
        options.show(line.text + next) { json in
            json.repair(line)
            if verb != "reject" { json.member("receipt", files.receipt(of: id)) }
        }
        return line
    }

    static func id(of name: String) -> String {
        guard name.contains("/") else { return name }
        let parts = name.split(separator: "/")
        return String((name.hasSuffix(".jsonl") ? parts.dropLast() : parts[...]).last ?? "")
    }

    private static func perform(
        _ change: RepairChange, _ configuration: Configuration
    ) async throws -> RepairLine {
        let access = CoreAccess(configuration)
        let path = "/control/repairs/\(ServiceClient.segment(change.id))/\(change.verb)"
        let answer = try await access.ask(
            .post, path, encoding: change.act, timeout: RepairDesk.patience)
        if let answer { return try answer.data(RepairLine.self) }
        return try await access.withStoppedCore { core in
            let copies = StoreCopies(core, configuration, configuration.catalogue)
            let keeper = RepairKeeper(core, configuration, store: copies.repairable)
            do {
                return RepairLine(try await change.perform(by: keeper))
            } catch {
                throw RepairFailure.apiError(error)
            }
        }
    }

    /// Those that wait for a person, also where no core has seen them yet.
    static func open(_ configuration: Configuration) async throws -> [String] {
        let known = try await known(configuration)
        let ids = Set(known.map(\.repair))
        let filed = try await RepairFiles(DataLayout(configuration)).ids()
        return known.filter { $0.state == "waiting" }.map(\.repair)
            + filed.filter { !ids.contains($0) }
    }

    /// Every repair that the core knows, oldest first.
    static func known(_ configuration: Configuration) async throws -> [RepairLine] {
        let access = CoreAccess(configuration)
        if let answer = try await access.ask(.get, "/control/repairs") {
            return try answer.data([RepairLine].self)
        }
        guard try DataLayout(configuration).hasJournal() else { return [] }
        return try await access.withStoppedCore { core in
            core.engine.published.repairs.map(RepairLine.init)
        }
    }
}

extension RepairLine {
    init(_ record: RepairRecord) {
        self.init(
            repair: record.id, check: record.check, dataset: record.dataset, store: record.store,
            state: record.state.rawValue, rows: record.rows, repaired: record.counts.repaired,
            adopted: record.counts.adopted, overtaken: record.counts.overtaken,
            failed: record.counts.failed, undone: record.counts.undone,
            newer: record.counts.newer, reason: record.reason, changed_by: record.changedBy,
            made_at: record.madeAt.description, updated_at: record.updatedAt.description)
    }
}

extension JSONWriter {
    /// The members, within an object.
    mutating func repair(_ line: RepairLine) {
        member("repair", line.repair)
        member("check", line.check)
        member("dataset", line.dataset)
        member("store", line.store)
        member("state", line.state)
        member("rows", line.rows)
        member("repaired", line.repaired)
        member("adopted", line.adopted)
        member("overtaken", line.overtaken)
        member("failed", line.failed)
        member("undone", line.undone)
        member("newer", line.newer)
        member("reason", line.reason)
        member("changed_by", line.changed_by)
        member("made_at", line.made_at)
        member("updated_at", line.updated_at)
    }
}
