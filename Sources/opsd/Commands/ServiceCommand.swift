import ArgumentParser
import Control
import CurlClient
import Foundation
import StrictYAML
import TradingHTTP

struct ServiceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "service", abstract: "Lists and restarts services, and shows their logs.",
        subcommands: [List.self, Restart.self, Logs.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Every service, with its process, its restarts and its last end.",
            discussion: """
                With the daemon down it says what was written down last, and what still runs.
                Example: opsd service list
                """)

        @OptionGroup var options: CommonOptions

        func run() async throws {
            let configuration = try options.loadConfiguration()
            let answer = try await SupervisorAccess(configuration).ask(.get, "/control/services")
            if let answer {
                ServiceTable.show(try answer.data([ServiceLine].self), options)
            } else {
                ServiceTable.show(try recorded(configuration), options)
                FileHandle.standardError.write(
                    Data("the daemon does not run; start it with 'opsd run'\n".utf8))
            }
        }

        private func recorded(
            _ configuration: Configuration
        ) throws(CommandFailure) -> [ServiceLine] {
            let path = DataLayout(configuration).controlState
            do {
                return try ControlState.readServices(path: path).map(ServiceLine.init)
            } catch {
                throw CommandFailure(
                    .unknown, "the daemon does not run, and \(path) cannot be read: \(error)")
            }
        }
    }

    struct Restart: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stops a service and starts it again at once.",
            discussion: "Example: opsd service restart core --reason 'new limits'")

        @Argument(help: "The service's name.") var name: String
        @OptionGroup var options: CommonOptions
        @OptionGroup var who: OperatorOptions
        @Flag(help: "Say what would change, and change nothing.") var dryRun = false

        func run() async throws {
            let configuration = try options.loadConfiguration()
            let act = CoreControl.Act(
                operatorName: try who.require(configuration),
                reason: who.reason ?? "no reason given")
            let access = SupervisorAccess(configuration)
            guard let answer = try await access.ask(.get, "/control/services") else {
                try ServiceNames.check(name, configuration)
                throw CommandFailure(
                    .unknown,
                    "the daemon does not run, so nothing was restarted; start it with 'opsd run'")
            }
            let names = try answer.data([ServiceLine].self).map(\.service)
            try ServiceNames.check(name, among: names)
            if !dryRun {
                _ = try await access.ask(.post, "/control/services/\(name)/restart", act)
            }
            options.show("\(dryRun ? "would restart" : "restarted") \(name)") { json in
                json.member("service", name)
                json.member("restarted", !dryRun)
            }
        }
    }

    struct Logs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The last lines that a service wrote, from its log files.",
            discussion: "Example: opsd service logs core -n 100 --follow")

        @Argument(help: "The service's name.") var name: String
        @OptionGroup var lines: LogOptions
        @OptionGroup var options: CommonOptions

        func run() async throws {
            let configuration = try options.loadConfiguration()
            try ServiceNames.check(name, configuration)
            try await lines.show(
                DataLayout(configuration).log(of: name), member: "service", name, options)
        }
    }
}

/// How much of a log is shown.
struct LogOptions: ParsableArguments {
    @Option(name: [.customShort("n"), .long], help: "How many lines.") var lines = 50
    @Flag(help: "Go on with what it writes, until interrupted.") var follow = false

    /// - Parameter member: of each JSON object, for the name of whoever wrote the log.
    func show(
        _ path: String, member: StaticString, _ name: String, _ options: CommonOptions
    ) async throws {
        guard lines >= 0 else {
            throw CommandFailure(.badInput, "-n: \(lines) is no number of lines")
        }
        var reader = LogReader(path: path)
        for line in try reader.last(lines) { show(line, member, name, options) }
        while follow {
            try await Task.sleep(for: .milliseconds(200))
            for line in reader.more() { show(line, member, name, options) }
        }
    }

    private func show(
        _ line: [UInt8], _ member: StaticString, _ name: String, _ options: CommonOptions
    ) {
        guard options.json else {
            FileHandle.standardOutput.write(Data(line + [UInt8(ascii: "\n")]))
            return
        }
        options.show("") { json in
            json.member(member, name)
            json.member("line", String(decoding: line, as: UTF8.self))
        }
        fflush(nil)
    }
}

/// How a command reaches the running daemon.
struct SupervisorAccess {
    private let client: ServiceClient

    init(_ configuration: Configuration) {
        client = ServiceClient(
            socketPath: DataLayout(configuration).socket(of: "supervisor"), curl: CurlClient())
    }

    /// Nil when no daemon runs.
    func ask(
        _ method: CurlRequest.Method, _ path: String, _ act: CoreControl.Act? = nil
    ) async throws(CommandFailure) -> ServiceClient.Answer? {
        let answer: ServiceClient.Answer?
        do {
            let body = try act.map { try Array(JSONEncoder().encode($0)) }
            // A service may take its whole stop timeout to go.
            answer = try await client.ask(method, path, body: body, timeout: .seconds(120))
        } catch {
            throw CommandFailure(.unknown, "the daemon did not answer: \(error)")
        }
        guard let answer else { return nil }
        switch answer.status {
        case 200..<300: return answer
        case 404, 400: throw CommandFailure(.badInput, answer.message)
        case 409: throw CommandFailure(.refused, answer.message)
        default: throw CommandFailure(.unknown, answer.message)
        }
    }
}

enum ServiceNames {
    static func check(_ name: String, _ configuration: Configuration) throws(CommandFailure) {
        try check(name, among: configuration.services.map(\.name))
    }

    static func check(_ name: String, among known: [String]) throws(CommandFailure) {
        if known.contains(name) { return }
        let nearest = NearestName.nearest(to: name, in: known).map { "; did you mean '\($0)'?" }
        throw CommandFailure(
            .badInput,
            "there is no service '\(name)' (\(known.joined(separator: ", ")))\(nearest ?? "")")
    }
}

enum ServiceTable {
    static func show(_ lines: [ServiceLine], _ options: CommonOptions) {
        if !options.json {
            print(Table.line(["SERVICE", "STATE", "PID", "RESTARTS", "SINCE", "LAST END"]))
        }
        for line in lines {
            let since = line.since + String(repeating: " ", count: max(0, 30 - line.since.count))
            options.show(
                Table.line([
                    line.service, state(line), line.pid.map(String.init) ?? "-",
                    String(line.restarts), since, note(line),
                ])
            ) { json in
                json.member("service", line.service)
                json.member("state", line.state)
                if let pid = line.pid { json.member("pid", pid) }
                json.member("restarts", line.restarts)
                json.member("since", line.since)
                json.member("until", line.until)
                json.member("last_exit", line.last_exit)
                if let count = line.quick_exits { json.member("quick_exits", count) }
                if let isAnswering = line.answering { json.member("answering", isAnswering) }
                if let isAdopted = line.adopted { json.member("adopted", isAdopted) }
                json.member("supervised", line.supervised)
            }
        }
    }

    private static func state(_ line: ServiceLine) -> String {
        line.answering == false ? "silent" : line.state
    }

    private static func note(_ line: ServiceLine) -> String {
        var notes = [line.last_exit ?? "-"]
        if let until = line.until { notes.append("starts again at \(until)") }
        if let count = line.quick_exits, count > 1 { notes.append("\(count) ends in a row") }
        if !line.supervised, line.pid != nil { notes.append("nobody looks after it") }
        return notes.joined(separator: "; ")
    }
}
