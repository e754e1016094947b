import ArgumentParser
import CurlClient
import Foundation
import StrictYAML

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Whether anything is wrong, since when, and what to type, on one screen.",
        discussion: """
            Exit code 0 when all is well, 1 when something is wrong, 3 when that cannot be told: the
            daemon or the core does not answer, or a check could not be carried out.
            Example: opsd status --watch
            """)

    @OptionGroup var options: CommonOptions
    @Flag(help: "Again every two seconds, until interrupted.") var watch = false

    func run() async throws {
        let configuration = try options.loadConfiguration()
        let question = StatusQuestion(configuration)
        if watch {
            // The code of an interrupted command, also for what a shell does not end by a signal.
            signal(SIGINT) { _ in _exit(130) }
        }
        while true {
            let answer = await question.ask()
            if watch, !options.json { print("\u{1B}[H\u{1B}[2J", terminator: "") }
            print(options.json ? answer.json : answer.text(width: Terminal.width))
            fflush(nil)
            guard watch else { return try answer.end() }
            try await Task.sleep(for: .seconds(2))
        }
    }
}

/// Asks the daemon, and the files when it is silent.
struct StatusQuestion: Sendable {
    private let configuration: Configuration
    private let curl = CurlClient()

    init(_ configuration: Configuration) {
        self.configuration = configuration
    }

    static func url(_ address: HostPort) -> String { "http://\(address)/api/ops/status" }

    func ask() async -> StatusAnswer {
        let address = configuration.listen.ops
        let problem: String
        do {
            let answer = try await curl.send(
                CurlRequest(.get, Self.url(address), timeout: .seconds(10)))
            guard answer.status == 200 else {
                return silence("it answered with status \(answer.status)")
            }
            let data = Data(answer.body)
            return .report(try JSONDecoder().decode(StatusReport.Envelope.self, from: data).data)
        } catch let error as CurlError {
            problem = error.detail
        } catch {
            problem = "what answers there is not this version of opsd"
        }
        return silence(problem)
    }

    private func silence(_ problem: String) -> StatusAnswer {
        .silence(
            DaemonSilence(
                address: configuration.listen.ops.description, problem: problem,
                traces: DaemonTraces.read(DataLayout(configuration)),
                configurationFile: configuration.path))
    }
}

enum StatusAnswer: Sendable {
    case report(StatusReport)
    case silence(DaemonSilence)

    func text(width: Int?) -> String {
        switch self {
        case .report(let report): StatusScreen(report: report, width: width).text
        case .silence(let silence): silence.text(width: width)
        }
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let bytes: Data? =
            switch self {
            case .report(let report): try? encoder.encode(report)
            case .silence(let silence): try? encoder.encode(silence)
            }
        return String(decoding: bytes ?? Data("{}".utf8), as: UTF8.self)
    }

    /// Ends the command with the code that the answer means.
    func end() throws(CommandFailure) {
        switch self {
        case .report(let report) where report.verdict == .well: return
        case .report(let report):
            let doubt = report.findings.first(where: \.is_doubt)?.what
            throw CommandFailure(
                report.verdict.exitStatus, doubt.map { "cannot tell: \($0)" } ?? "")
        case .silence(let silence):
            throw CommandFailure(
                .unknown, "the daemon does not answer at \(silence.address): \(silence.problem)")
        }
    }
}

/// The terminal that a command prints to.
enum Terminal {
    /// Columns; nil when standard output is no terminal.
    static var width: Int? {
        guard isatty(STDOUT_FILENO) == 1 else { return nil }
        var size = winsize()
        if ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 {
            return Int(size.ws_col)
        }
        return ProcessInfo.processInfo.environment["COLUMNS"].flatMap { Int($0) }
    }
}
