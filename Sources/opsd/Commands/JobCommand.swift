import ArgumentParser
import Control
import CurlClient
import Foundation
import StrictYAML
import TradingHTTP

struct JobCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "job", abstract: "Lists jobs, starts them by hand, and shows their runs.",
        subcommands: [List.self, Run.self, History.self, Logs.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Every job, with its last and its next run.",
            discussion: """
                With the daemon down it says what was written down last.
                Example: opsd job list
                """)

        @OptionGroup var options: CommonOptions

        func run() async throws {
            let configuration = try options.loadConfiguration()
            if let answer = try await SupervisorAccess(configuration).ask(.get, "/control/jobs") {
                return JobTable.show(try answer.data([StatusReport.Job].self), options)
            }
            JobTable.show(try configuration.jobs.map { try recorded($0, configuration) }, options)
            JobNames.saySilence()
        }

        private func recorded(
            _ job: JobSettings, _ configuration: Configuration
        ) throws(CommandFailure) -> StatusReport.Job {
            let last = try JobNames.recorded(job.name, configuration, count: 1).first
            let line = last.map { JobLine(recorded: $0) }
            let runs = line?.outcome == "running"
            return StatusReport.Job(
                name: job.name, times: job.schedule.description,
                running_since: runs ? line?.started : nil,
                last_outcome: runs ? nil : line?.outcome, last_detail: line?.detail,
                last_started: line?.started, last_ended: line?.ended, is_overdue: false)
        }
    }

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Starts a job now, whatever its times, and waits until it has ended.",
            discussion: """
                Ends with the job's own exit code; 1 when it failed without one, 3 when nobody saw how it
                ended, 4 when it runs already. Interrupted, this command ends and the job goes on.
                Example: opsd job run nightly --reason 'after the repair'
                """)

        @Argument(help: "The job's name.") var name: String
        @OptionGroup var options: CommonOptions
        @OptionGroup var who: OperatorOptions
        @Flag(help: "Do not wait for its end.") var noWait = false
        @Flag(help: "Say what would be started, and start nothing.") var dryRun = false

        func run() async throws {
            let configuration = try options.loadConfiguration()
            let act = CoreControl.Act(
                operatorName: try who.require(configuration),
                reason: who.reason ?? "no reason given")
            let access = SupervisorAccess(configuration)
            guard let answer = try await access.ask(.get, "/control/jobs") else {
                try JobNames.check(name, among: configuration.jobs.map(\.name))
                throw CommandFailure(
                    .unknown,
                    "the daemon does not run, so nothing was started; start it with 'opsd run', or "
                        + "run the job's command by hand")
            }
            try JobNames.check(name, among: answer.data([StatusReport.Job].self).map(\.name))
            if dryRun { return show("would start \(name)", nil) }
            signal(SIGINT) { _ in _exit(130) }
            let path = "/control/jobs/\(ServiceClient.segment(name))"
            guard let started = try await access.ask(.post, path + "/run", act) else {
                throw CommandFailure(.unknown, "the daemon went away; nobody knows what it did")
            }
            let line = try started.data(JobLine.self)
            if noWait { return show("started \(name)", line) }
            try await end(of: line, access, path)
        }

        private func end(
            of run: JobLine, _ access: SupervisorAccess, _ path: String
        ) async throws {
            while true {
                try await Task.sleep(for: .milliseconds(200))
                guard let answer = try await access.ask(.get, path + "/runs"),
                    let line = try answer.data([JobLine].self).first(where: { $0.run == run.run })
                else {
                    throw CommandFailure(
                        .unknown, "the daemon went away; 'opsd job history \(name)' says more")
                }
                if line.ended == nil { continue }
                show((line.output.isEmpty ? "" : line.output + "\n") + line.detail, line)
                guard let status = JobTable.exitStatus(line) else { return }
                fflush(nil)
                // Any number: the job need not be one of opsd's own commands.
                Foundation.exit(status)
            }
        }

        private func show(_ text: String, _ line: JobLine?) {
            options.show(text) { json in
                json.member("job", name)
                json.member("started", line != nil)
                json.member("run", line?.run)
                json.member("outcome", line?.outcome)
                json.member("detail", line?.detail)
                json.member("output", line?.output)
                if let code = line?.exit_code { json.member("exit_code", code) }
            }
        }
    }

    struct History: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The last runs of a job, and what the newest printed at its end.",
            discussion: """
                With the daemon down it says what was written down.
                Example: opsd job history nightly -n 5
                """)

        @Argument(help: "The job's name.") var name: String
        @Option(name: [.customShort("n"), .long], help: "How many runs.") var runs = 20
        @OptionGroup var options: CommonOptions

        func run() async throws {
            let configuration = try options.loadConfiguration()
            guard runs >= 0 else {
                throw CommandFailure(.badInput, "-n: \(runs) is no number of runs")
            }
            let path = "/control/jobs/\(ServiceClient.segment(name))/runs"
            if let answer = try await SupervisorAccess(configuration).ask(.get, path) {
                let lines = try answer.data([JobLine].self)
                return JobTable.show(Array(lines.prefix(runs)), options)
            }
            try JobNames.check(name, among: configuration.jobs.map(\.name))
            let recorded = try JobNames.recorded(name, configuration, count: runs)
            JobTable.show(recorded.map { JobLine(recorded: $0) }, options)
            JobNames.saySilence()
        }
    }

    struct Logs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The last lines that a job wrote, from its log files.",
            discussion: "Example: opsd job logs nightly -n 100 --follow")

        @Argument(help: "The job's name.") var name: String
        @OptionGroup var lines: LogOptions
        @OptionGroup var options: CommonOptions

        func run() async throws {
            let configuration = try options.loadConfiguration()
            try JobNames.check(name, among: configuration.jobs.map(\.name))
            try await lines.show(
                DataLayout(configuration).log(ofJob: name), member: "job", name, options)
        }
    }
}

enum JobNames {
    static func check(_ name: String, among known: [String]) throws(CommandFailure) {
        if known.contains(name) { return }
        throw CommandFailure(
            .badInput,
            "there is no job '\(name)'; " + NearestName.remedy(for: name, in: known, noun: "jobs"))
    }

    /// With the daemon down: newest first. None where nothing was ever written.
    static func recorded(
        _ name: String, _ configuration: Configuration, count: Int
    ) throws(CommandFailure) -> [JobRun] {
        let path = DataLayout(configuration).controlState
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        do {
            return try ControlState.readRuns(path: path, of: name, newest: count)
        } catch {
            throw CommandFailure(
                .unknown, "the daemon does not run, and \(path) cannot be read: \(error)")
        }
    }

    static func saySilence() {
        FileHandle.standardError.write(
            Data("the daemon does not run; start it with 'opsd run'\n".utf8))
    }
}

enum JobTable {
    static func show(_ jobs: [StatusReport.Job], _ options: CommonOptions) {
        guard options.json else {
            let rows = jobs.map { job in
                [
                    job.name, job.running_since == nil ? job.last_outcome ?? "-" : "running",
                    job.last_ended ?? "-", job.next ?? "-", job.times,
                ]
            }
            let head = ["JOB", "LAST RUN", "ENDED", "NEXT", "TIMES"]
            return print(ScreenText.table([head] + rows).joined(separator: "\n"))
        }
        for job in jobs { write(job) }
    }

    static func show(_ runs: [JobLine], _ options: CommonOptions) {
        guard options.json else {
            let rows = runs.map { run in
                [
                    run.started, run.trigger, run.outcome,
                    run.seconds.map { DurationText.short(.milliseconds(Int64($0 * 1_000))) } ?? "-",
                    run.detail + (run.skipped > 0 ? "; \(run.skipped) further times" : ""),
                ]
            }
            let head = ["STARTED", "WHY", "OUTCOME", "TOOK", "DETAIL"]
            print(ScreenText.table([head] + rows).joined(separator: "\n"))
            if let output = runs.first?.output, !output.isEmpty {
                print("\nThe newest run's last lines:\n\(output)")
            }
            return
        }
        for run in runs { write(run) }
    }

    /// Nil: success.
    static func exitStatus(_ run: JobLine) -> Int32? {
        if let code = run.exit_code, code != 0 { return Int32(clamping: code) }
        switch JobOutcome(rawValue: run.outcome) {
        case .succeeded: return nil
        case .unknown: return ExitStatus.unknown.rawValue
        case .interrupted: return ExitStatus.interrupted.rawValue
        // One that was told to go and then ended with 0 has not done its work.
        default: return ExitStatus.found.rawValue
        }
    }

    private static func write(_ value: some Encodable) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        print(String(decoding: (try? encoder.encode(value)) ?? Data("{}".utf8), as: UTF8.self))
    }
}
