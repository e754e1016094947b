public import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// A real redis-server (or Sentinel) of its own for one test, in a folder that only its owner can read,
/// at a free port and a Unix socket. It does not outlive the test, nor the test's process.
public final class RedisServer: Sendable {
    public enum Mode: Sendable { case server, sentinel }

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    public static let isInstalled = ["/usr/bin", "/usr/local/bin", "/bin"].contains {
        access("\($0)/redis-server", X_OK) == 0
    }
    /// In CI a missing server fails the tests that a laptop skips.
    public static let isWanted =
        isInstalled || ProcessInfo.processInfo.environment["CI"] != nil

    public let folder: TemporaryDirectory
    private let mode: Mode
    private let options: [String]
    /// The process, and whether it is there: behind a lock, since a test's tasks share the server.
    private let process = Mutex<pid_t?>(nil)
    /// Behind a lock for the same reason.
    private let chosenPort: Mutex<Int>

    public var port: Int { chosenPort.withLock { $0 } }
    public var socketPath: String { folder.path("redis.sock") }
    public var pid: pid_t? { process.withLock { $0 } }
    public var log: String {
        (try? String(contentsOfFile: folder.path("log"), encoding: .utf8)) ?? ""
    }

    /// Starts it, and waits until it answers.
    /// - Parameter options: lines of redis.conf, behind those that every server here has.
    public init(_ options: [String] = [], mode: Mode = .server) async throws {
        folder = try TemporaryDirectory("redis")
        chmod(folder.path, 0o700)
        self.mode = mode
        self.options = options
        chosenPort = Mutex(Self.randomPort())
        var attempts = 1
        while true {
            do {
                try await start()
                break
            } catch {
                // Somebody else has the port.
                guard attempts < 5, log.contains("Address already in use") else { throw error }
                attempts += 1
                chosenPort.withLock { $0 = Self.randomPort() }
            }
        }
    }

    /// Below those that the kernel gives to connections: it must still be free after a restart.
    private static func randomPort() -> Int { Int.random(in: 12_000..<32_000) }

    deinit {
        kill()
    }

    /// Starts it (again), with what its folder holds.
    /// - Parameter untilReady: whether to wait until it has read its data.
    public func start(untilReady: Bool = true) async throws {
        var lines = [
            "port \(port)", "bind 127.0.0.1", "dir \(folder.path)", "logfile log",
            "unixsocket \(socketPath)", "unixsocketperm 600",
        ]
        if mode == .server {
            lines += ["save \"\"", "appendonly no", "enable-debug-command local"]
        }
        let path = folder.path("redis.conf")
        // A Sentinel writes what it learns into the file: it goes on from there.
        if mode == .server || !FileManager.default.fileExists(atPath: path) {
            try (lines + options).joined(separator: "\n").appending("\n")
                .write(toFile: path, atomically: true, encoding: .utf8)
        }
        try process.withLock { process in
            guard process == nil else { return }
            process = try spawn([path] + (mode == .sentinel ? ["--sentinel"] : []))
        }
        let deadline = ContinuousClock.now + .seconds(20)
        while !answers(untilReady: untilReady) {
            guard ContinuousClock.now < deadline, isRunning else {
                throw Failure(description: "redis-server did not come up: \(log.suffix(2_000))")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// As a crash or the kernel would end it.
    public func kill() {
        process.withLock { process in
            guard let pid = process else { return }
            Glibc.kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            process = nil
        }
    }

    public func restart() async throws {
        kill()
        try await start()
    }

    /// Stops it from doing anything, connections stay open.
    public func freeze() { signal(SIGSTOP) }
    public func thaw() { signal(SIGCONT) }

    private func signal(_ number: Int32) {
        process.withLock { process in
            if let pid = process { _ = Glibc.kill(pid, number) }
        }
    }

    private var isRunning: Bool {
        process.withLock { process in
            guard let pid = process else { return false }
            if waitpid(pid, nil, WNOHANG) == 0 { return true }
            process = nil
            return false
        }
    }

    /// The shell becomes the server; its child watches the test's process and ends the server with it.
    /// (PR_SET_PDEATHSIG would do so at the end of the thread that started it.)
    private func spawn(_ arguments: [String]) throws -> pid_t {
        let script = """
            (trap 'kill -9 $$' EXIT; while kill -0 "$0" && kill -0 $$; do sleep 0.2; done) \
                >/dev/null 2>&1 &
            exec redis-server "$@"
            """
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        let flags = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, 1, folder.path("output"), flags, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let words = ["/bin/sh", "-c", script, String(getpid())] + arguments
        let pointers = words.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, words[0], &actions, nil, pointers, environ)
        guard code == 0 else { throw Failure(description: String(cString: strerror(code))) }
        return pid
    }

    private func answers(untilReady: Bool) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: socketPath.utf8) }
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        let question = Array("PING\r\n".utf8)
        guard isConnected,
            send(descriptor, question, question.count, Int32(MSG_NOSIGNAL)) == question.count
        else { return false }
        var answer = [UInt8](repeating: 0, count: 256)
        let length = recv(descriptor, &answer, answer.count, 0)
        let text = String(decoding: answer.prefix(max(0, length)), as: UTF8.self)
        return length > 0 && !(untilReady && text.hasPrefix("-LOADING"))
    }
}
