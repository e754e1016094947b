import CurlClient
import ExactJSON
import Foundation
import Ledger
import Synchronization
import TestSupport
import Testing

@testable import opsd

/// A desk of its own for one test: a configuration with free ports, the real `opsd` on it, and ways
/// to speak with it. Everything is gone when `run` returns, however it ends.
final class Desk: Sendable {
    let settings: DeskSettings
    let directory: TemporaryDirectory
    let opsURL: String
    let tradingURL: String
    let brokerURL: String
    let curl: CurlClient
    /// Where the data lies, when it has a disk of its own.
    let disk: SmallDisk?
    /// The daemon, while one runs.
    private let daemon = Mutex<ChildProcess?>(nil)

    private init(_ settings: DeskSettings) throws {
        self.settings = settings
        let directory = try TemporaryDirectory()
        self.directory = directory
        disk = try settings.diskMegabytes.map {
            try SmallDisk(megabytes: $0, at: directory.path("data"))
        }
        let ports = [try freePort(), try freePort(), try freePort()]
        (opsURL, tradingURL, brokerURL) = (
            "http://127.0.0.1:\(ports[0])", "http://127.0.0.1:\(ports[1])",
            "http://127.0.0.1:\(ports[2])"
        )
        // Each client of a load has its own.
        curl = CurlClient(configuration: CurlConfiguration(connectionsPerHostMax: 256))
        try settings.write(in: directory.path("data"), ports: ports)
    }

    /// Starts a desk unless told otherwise, hands it to `body`, and ends all of it.
    static func run(
        _ settings: DeskSettings = DeskSettings(), starts: Bool = true,
        _ body: (Desk) async throws -> Void
    ) async throws {
        let desk = try Desk(settings)
        let outcome: Result<Void, any Error>
        do {
            if starts {
                try await desk.start()
                try await desk.waitUntilReady()
            }
            outcome = .success(try await body(desk))
        } catch {
            outcome = .failure(error)
            Issue.record("\(desk.lastLogLines())")
        }
        desk.killEverything()
        await desk.curl.shutdown()
        #expect(ProcessesOf.directory(desk.directory.path).isEmpty)
        try outcome.get()
    }

    // MARK: The daemon

    var data: String { directory.path("data") }
    var configurationFile: String { directory.path("data/opsd.yaml") }

    /// - Parameter launcher: a program and its arguments that becomes the daemon.
    func start(through launcher: [String] = []) async throws {
        // env becomes the daemon: nobody's command line keeps the variables.
        let words =
            ["/usr/bin/env"] + settings.environment + launcher
            + [Self.program, "run", "-c", configurationFile]
        let process = try ChildProcess.start(
            words[0], Array(words.dropFirst()), in: directory.path,
            output: directory.path("run.out"), errors: directory.path("run.err"))
        daemon.withLock { $0 = process }
    }

    func waitUntilReady(within limit: Duration = .seconds(30)) async throws {
        try await eventually("the desk is ready", within: limit) { [self] in
            try await get("\(opsURL)/readyz").status == 200
        }
    }

    /// Asks the daemon to go, and gives back how it went.
    func terminate() async throws -> Int32? {
        guard let process = daemon.withLock({ $0 }) else { return nil }
        process.signal(SIGTERM)
        let code = try await process.exit(within: .seconds(30))
        if code != nil { daemon.withLock { $0 = nil } }
        return code
    }

    /// `kill -9` of the daemon and all that it has started, at once.
    func killEverything() {
        let process = daemon.withLock { daemon in
            defer { daemon = nil }
            return daemon
        }
        for pid in ProcessesOf.directory(directory.path) { kill(pid, SIGKILL) }
        process?.endGroup()
        ProcessesOf.end(directory.path)
    }

    /// The daemon's own process; nil while none runs.
    var daemonPID: pid_t? { daemon.withLock { $0?.pid } }

    /// `kill -9` of the daemon alone.
    func killDaemon() async throws {
        guard let process = daemon.withLock({ $0 }) else { return }
        process.signal(SIGKILL)
        _ = try await process.exit(within: .seconds(10))
        daemon.withLock { $0 = nil }
    }

    /// A service's process; nil while it has none.
    func pid(of service: String) async throws -> pid_t? {
        let services = try await get("\(opsURL)/api/ops/status").json?["data"]?["services"]
        let entry = services?.elements?.first { $0["name"]?.text == service }
        return entry?["pid"]?.integer.flatMap(pid_t.init(exactly:))
    }

    func kill9(_ service: String) async throws {
        let pid = try #require(try await pid(of: service))
        kill(pid, SIGKILL)
        try await eventually("\(service) is gone", within: .seconds(10)) { [self] in
            try await self.pid(of: service) != pid
        }
    }

    func text(_ name: String) -> String {
        String(
            decoding: FileManager.default.contents(atPath: directory.path(name)) ?? Data(),
            as: UTF8.self)
    }

    private func lastLogLines() -> String {
        ["run.out", "run.err", "data/log/core.log", "data/log/broker.log"].map { name in
            let lines = text(name).split(separator: "\n").suffix(8)
            return "--- \(name)\n" + lines.joined(separator: "\n")
        }.joined(separator: "\n")
    }

    // MARK: Commands

    struct Outcome: Sendable {
        let code: Int32
        let output: String
        let errors: String

        /// Every line as JSON; nil for a line that is none.
        var documents: [JSONValue?] {
            output.split(separator: "\n").map { try? JSONValue(parsing: Array($0.utf8)) }
        }
    }

    static let program: String = {
        let candidates = ["/proc/self/exe"] + CommandLine.arguments.filter { $0.hasPrefix("/") }
        for candidate in candidates {
            var folder = URL(fileURLWithPath: candidate).resolvingSymlinksInPath()
            for _ in 0..<6 {
                folder.deleteLastPathComponent()
                let program = folder.appendingPathComponent("opsd").path
                var isFolder: ObjCBool = false
                if FileManager.default.fileExists(atPath: program, isDirectory: &isFolder),
                    !isFolder.boolValue, access(program, X_OK) == 0
                {
                    return program
                }
            }
        }
        return ".build/debug/opsd"
    }()

    /// Runs `opsd` with these words on this desk's configuration, to its end.
    func command(_ words: String...) async throws -> Outcome {
        try await Self.command(words + ["-c", configurationFile], in: directory)
    }

    static func command(
        _ words: [String], in directory: TemporaryDirectory, program: String = Desk.program,
        within limit: Duration = .seconds(30)
    ) async throws -> Outcome {
        let name = "command-\(UUID().uuidString)"
        let (output, errors) = (directory.path(name + ".out"), directory.path(name + ".err"))
        let process = try ChildProcess.start(
            program, words, in: directory.path, output: output, errors: errors)
        let code: Int32?
        do {
            code = try await process.exit(within: limit)
        } catch {
            process.endGroup()
            throw error
        }
        if code == nil { process.endGroup() }
        let texts = [output, errors].map {
            String(decoding: FileManager.default.contents(atPath: $0) ?? Data(), as: UTF8.self)
        }
        guard let code else {
            throw ChildProcess.Failure(description: "\(words) did not end: \(texts)")
        }
        return Outcome(code: code, output: texts[0], errors: texts[1])
    }

    func token(_ account: String, role: String = "trader") async throws -> String {
        let outcome = try await command("token", "--account", account, "--role", role, "--json")
        return try #require(outcome.documents.last??["token"]?.text, "\(outcome)")
    }

    /// A trader's token of every account.
    func tokens() async throws -> [String: String] {
        var tokens: [String: String] = [:]
        for account in settings.accountIDs { tokens[account] = try await token(account) }
        return tokens
    }
}

/// Asks again and again until it is so; what is thrown on the way counts as "not yet".
func eventually(
    _ what: String, within limit: Duration = .seconds(20),
    sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    var problem = ""
    while true {
        do {
            if try await condition() { return }
        } catch {
            problem = ": \(error)"
        }
        if ContinuousClock.now > deadline {
            Issue.record("not within \(limit): \(what)\(problem)", sourceLocation: sourceLocation)
            throw ChildProcess.Failure(description: "not within \(limit): \(what)")
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}
