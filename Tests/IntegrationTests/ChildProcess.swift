import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// A process that a test has started, in a session of its own, so that it and what it leaves in its
/// group can be ended together.
final class ChildProcess: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let pid: pid_t

    private init(pid: pid_t) {
        self.pid = pid
    }

    /// Starts a program in a directory; what it prints goes to the two files.
    static func start(
        _ program: String, _ arguments: [String], in directory: String, output: String,
        errors: String
    ) throws -> ChildProcess {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        // POSIX_SPAWN_SETSID, which the headers show under _GNU_SOURCE only.
        posix_spawnattr_setflags(&attributes, 0x80)
        let flags = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, flags, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, flags, 0o600)
        // Not the pipes of other children that start at this moment: who reads them would wait for this one.
        for descriptor: Int32 in 3..<1_024 { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        // env changes the directory and becomes the program.
        let words = ["/usr/bin/env", "-C", directory, program] + arguments
        let pointers = words.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, words[0], &actions, &attributes, pointers, environ)
        guard code == 0 else {
            throw Failure(description: "\(program): \(String(cString: strerror(code)))")
        }
        return ChildProcess(pid: pid)
    }

    func signal(_ number: Int32) { kill(pid, number) }

    /// The exit code (128 + the signal when one ended it), or nil when it still runs at the deadline.
    func exit(within limit: Duration) async throws -> Int32? {
        let deadline = ContinuousClock.now + limit
        while true {
            if let code = reaped() { return code }
            if ContinuousClock.now > deadline { return nil }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private func reaped() -> Int32? {
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }

    /// Ends the process and its group, and waits until it is reaped.
    func endGroup() {
        kill(-pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
    }
}

/// The processes that belong to a directory: those that name it, or work in it.
enum ProcessesOf {
    static func directory(_ path: String) -> [pid_t] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { name in
            guard let pid = pid_t(name), pid != getpid(), !isZombie(name) else { return nil }
            let line = FileManager.default.contents(atPath: "/proc/\(name)/cmdline") ?? Data()
            let words = String(decoding: line, as: UTF8.self)
            let place = try? FileManager.default.destinationOfSymbolicLink(
                atPath: "/proc/\(name)/cwd")
            return words.contains(path) || place?.hasPrefix(path) == true ? pid : nil
        }
    }

    /// Kills them all, also those that one of them starts meanwhile.
    static func end(_ path: String) {
        for _ in 0..<200 {
            let left = directory(path)
            if left.isEmpty { return }
            for pid in left { kill(pid, SIGKILL) }
            usleep(10_000)
        }
    }

    static func residentBytes(_ pid: pid_t) -> Int? {
        let text = FileManager.default.contents(atPath: "/proc/\(pid)/statm")
        let words = String(decoding: text ?? Data(), as: UTF8.self).split(separator: " ")
        return words.count > 1 ? Int(words[1]).map { $0 * Int(getpagesize()) } : nil
    }

    private static func isZombie(_ name: String) -> Bool {
        let text = FileManager.default.contents(atPath: "/proc/\(name)/stat") ?? Data()
        let stat = String(decoding: text, as: UTF8.self)
        return stat.split(separator: ")").last?.hasPrefix(" Z") == true
    }
}
