import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// A PostgreSQL of the tests' own: a folder, a free port and a socket that nobody else uses. It ends
/// with the test process, however that ends.
public final class PostgresServer: Sendable {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    public static let user = "opsd"
    public static let password = "a pass'word"

    /// Where the newest PostgreSQL of this machine has its programs.
    public static let programs: String? = {
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        let folders =
            versions.sorted { (Int($0) ?? 0) > (Int($1) ?? 0) }.map { "\(root)/\($0)/bin" }
            + ["/usr/local/bin", "/usr/bin"]
        return folders.first { access("\($0)/initdb", X_OK) == 0 }
    }()

    /// Runs on a laptop without PostgreSQL are told so; in CI they fail.
    public static let isWanted =
        programs != nil || ProcessInfo.processInfo.environment["CI"] != nil

    public let folder: String
    public let port: Int
    private let options: [String]

    private struct Running {
        var pid: pid_t
        var wrapper: Process
        var leash: Pipe
    }

    /// The lock guards who runs; it is never held while anything is waited for.
    private let running = Mutex<Running?>(nil)

    /// - Parameters:
    ///   - settings: as in postgresql.conf.
    ///   - parent: a folder for the data, on a file system of the test's choice.
    public init(_ settings: [String: String] = [:], in parent: String? = nil) async throws {
        let template = try await Self.template.value
        port = try freePort()
        folder =
            (parent ?? FileManager.default.temporaryDirectory.path)
            + "/opsd-postgres-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        try await Self.run("cp", ["-a", template, folder + "/data"])
        if geteuid() == 0 { try await Self.run("chown", ["postgres", folder]) }
        try await Self.run("chmod", ["700", folder])
        let all = [
            "fsync": "off", "listen_addresses": "127.0.0.1", "port": "\(port)",
            "unix_socket_directories": folder, "shared_buffers": "64MB", "max_wal_size": "256MB",
            // Tests run side by side, each with stores of its own.
            "max_connections": "400",
            "logging_collector": "off",
        ].merging(settings) { $1 }
        options = all.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] }
        try await start()
    }

    deinit {
        stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// One for all tests that do not harm it; each makes a database of its own.
    public static func shared() async throws -> PostgresServer { try await sharedServer.value }

    private static let sharedServer = Task { try await PostgresServer() }

    private static let template = Task {
        guard let programs else { throw Failure(description: "PostgreSQL is not installed") }
        let folder = FileManager.default.temporaryDirectory.path + "/opsd-postgres-\(getpid())"
        try? FileManager.default.removeItem(atPath: folder)
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        try Data(password.utf8).write(to: URL(fileURLWithPath: folder + "/password"))
        if geteuid() == 0 { try await run("chown", ["-R", "postgres", folder]) }
        let arguments = [
            "--pgdata", folder + "/data", "--username", user, "--pwfile", folder + "/password",
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync",
            "--wal-segsize", "4",
        ]
        let command = unprivileged([programs + "/initdb"] + arguments)
        try await run(command[0], Array(command.dropFirst()))
        atexit {
            try? FileManager.default.removeItem(
                atPath: FileManager.default.temporaryDirectory.path + "/opsd-postgres-\(getpid())")
        }
        return folder + "/data"
    }

    /// The server refuses to be run by root.
    private static func unprivileged(_ command: [String]) -> [String] {
        geteuid() == 0
            ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + command
            : command
    }

    // MARK: - Its life

    /// Starts it on what is in its folder, and waits until it takes connections.
    public func start() async throws {
        guard let programs = Self.programs else { return }
        // The shell holds the other end of a pipe: when this process is gone, the server goes too.
        let script = """
            folder=$1; shift
            "$@" >>"$folder/log" 2>&1 &
            server=$!
            echo $server
            cat >/dev/null
            kill -QUIT $server 2>/dev/null
            wait $server
            [ "$(ps -o ppid= $$ | tr -d ' ')" = "$PARENT" ] || rm -rf "$folder"
            """
        let wrapper = Process()
        let (leash, output) = (Pipe(), Pipe())
        wrapper.executableURL = URL(fileURLWithPath: "/bin/sh")
        wrapper.arguments =
            ["-c", script, "sh", folder]
            + Self.unprivileged([programs + "/postgres", "-D", folder + "/data"] + options)
        wrapper.environment = ProcessInfo.processInfo.environment.merging(
            ["PARENT": "\(getpid())"]) { $1 }
        wrapper.standardInput = leash
        wrapper.standardOutput = output
        for pipe in [leash, output] {
            for end in [pipe.fileHandleForReading, pipe.fileHandleForWriting] {
                _ = fcntl(end.fileDescriptor, F_SETFD, FD_CLOEXEC)
            }
        }
        try wrapper.run()
        let line = String(decoding: output.fileHandleForReading.readSome(), as: UTF8.self)
        guard let pid = pid_t(line.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw Failure(description: "the server was not started: \(line)")
        }
        running.withLock { $0 = Running(pid: pid, wrapper: wrapper, leash: leash) }
        for _ in 0..<1_500 {
            let state = try? String(
                contentsOfFile: folder + "/data/postmaster.pid", encoding: .utf8)
            let lines = state?.split(separator: "\n", omittingEmptySubsequences: false) ?? []
            if lines.count > 7, lines[0] == "\(pid)", lines[7].hasPrefix("ready") { return }
            if kill(pid, 0) != 0 { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw Failure(description: "the server does not take connections: \(log.suffix(1_000))")
    }

    public var log: String {
        (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? ""
    }

    /// The server and all of its processes.
    private var processes: [pid_t] {
        guard let server = running.withLock({ $0?.pid }) else { return [] }
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        let children = all.compactMap(pid_t.init).filter { pid in
            let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
            // Behind the name, which may hold anything: state, parent.
            let fields = text?.split(separator: ")").last?.split(separator: " ") ?? []
            return fields.count > 1 && pid_t(fields[1]) == server
        }
        return [server] + children
    }

    private func signal(_ number: Int32) {
        for pid in processes { kill(pid, number) }
    }

    /// As a power cut would.
    public func killAll() async {
        let pids = processes
        signal(SIGKILL)
        end()
        for pid in pids {
            while kill(pid, 0) == 0 { try? await Task.sleep(for: .milliseconds(5)) }
        }
    }

    /// Nothing answers any more, and no connection is closed.
    public func freeze() { signal(SIGSTOP) }
    public func thaw() { signal(SIGCONT) }

    /// At once; what was committed stays.
    public func stop() {
        thaw()
        end()
    }

    private func end() {
        let taken = running.withLock { running in
            defer { running = nil }
            return running
        }
        guard let taken else { return }
        try? taken.leash.fileHandleForWriting.close()
        taken.wrapper.waitUntilExit()
    }

    // MARK: - Its use

    public func url(
        _ database: String, user: String = user, password: String = password, query: String = ""
    ) -> String {
        var allowed = CharacterSet.alphanumerics
        allowed.insert(charactersIn: "-._~")
        let secret = password.addingPercentEncoding(withAllowedCharacters: allowed) ?? ""
        return "postgres://\(user):\(secret)@127.0.0.1:\(port)/\(database)\(query)"
    }

    /// A new, empty database; its name.
    public func makeDatabase() async throws -> String {
        let name = "t" + UUID().uuidString.lowercased().replacingOccurrences(of: "-", with: "")
        try await psql("postgres", "CREATE DATABASE \(name) TEMPLATE template0")
        return name
    }

    /// What psql prints: a line a row, `|` between the columns.
    @discardableResult
    public func psql(_ database: String, _ sql: String) async throws -> String {
        try await tool(
            "psql",
            [
                "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", "SET client_min_messages = warning", "-c",
                sql, url(database),
            ])
    }

    /// One of PostgreSQL's own programs.
    @discardableResult
    public func tool(_ name: String, _ arguments: [String]) async throws -> String {
        try await Self.run((Self.programs ?? "/usr/bin") + "/" + name, arguments)
    }

    /// What a program prints; its errors, when it fails, are thrown.
    @discardableResult
    private static func run(_ program: String, _ arguments: [String]) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            // Off the pool: it waits.
            Thread.detachNewThread {
                continuation.resume(with: Result { try wait(for: program, arguments) })
            }
        }
    }

    private static func wait(for program: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = FileHandle.nullDevice
        // Another child that starts at the same moment would hold them open until it ends.
        for pipe in [output, errors] {
            for end in [pipe.fileHandleForReading, pipe.fileHandleForWriting] {
                _ = fcntl(end.fileDescriptor, F_SETFD, FD_CLOEXEC)
            }
        }
        try process.run()
        let text = String(
            decoding: output.fileHandleForReading.readAll(), as: UTF8.self)
        let problem = String(
            decoding: errors.fileHandleForReading.readAll(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(description: "\(program): \(problem)")
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
