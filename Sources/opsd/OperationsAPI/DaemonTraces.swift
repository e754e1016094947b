import Foundation

/// What the files of the data directory tell of a daemon that does not answer: who holds which lock,
/// and which sockets lie there. Nothing is touched: trying a lock would hold it for a moment, and a
/// daemon that is just starting would be refused.
struct DaemonTraces: Codable, Equatable, Sendable {
    struct Process: Codable, Equatable, Sendable {
        /// `supervisor`, `core`, `paper-broker`.
        var name: String
        /// The holder of its lock; nil when nobody holds it.
        var pid: Int?
        var has_socket: Bool
    }

    /// False where the kernel's list of locks cannot be read: then nobody knows who runs.
    var are_locks_known: Bool
    var processes: [Process]

    static func read(
        _ layout: DataLayout, isOurs: (_ pid: Int) -> Bool = Self.isOpsd
    ) -> DaemonTraces {
        let list = FileManager.default.contents(atPath: "/proc/locks")
        let locks = list.map { KernelLock.parse(String(decoding: $0, as: UTF8.self)) }
        let names = ["supervisor"] + BuiltinService.allCases.map(\.rawValue)
        return DaemonTraces(
            are_locks_known: locks != nil,
            processes: names.map { name in
                let inode =
                    (try? FileManager.default.attributesOfItem(atPath: layout.lock(of: name)))?[
                        .systemFileNumber]
                let number = (inode as? NSNumber)?.uint64Value
                let holder = locks?.first { $0.inode == number && isOurs($0.pid) }
                return Process(
                    name: name, pid: holder?.pid,
                    has_socket: FileManager.default.fileExists(atPath: layout.socket(of: name)))
            })
    }

    /// An inode's number is unique on one file system only, and the kernel's name of that need not
    /// be the one that a program sees: so the holder must be opsd itself.
    private static func isOpsd(_ pid: Int) -> Bool {
        let link = "/proc/\(pid)/exe"
        guard let program = try? FileManager.default.destinationOfSymbolicLink(atPath: link) else {
            return true
        }
        // The kernel adds " (deleted)" when a newer program lies there.
        return program.split(separator: "/").last?.split(separator: " ").first == "opsd"
    }
}

/// A line of `/proc/locks` that says who holds a whole file.
struct KernelLock: Equatable {
    let pid: Int
    let inode: UInt64

    /// `1: FLOCK  ADVISORY  WRITE 30173 fe:00:16220204 0 EOF`. Lines with an arrow are waiting.
    static func parse(_ text: String) -> [KernelLock] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count >= 6, words[1] == "FLOCK", let pid = Int(words[4]),
                let inode = words[5].split(separator: ":").last.flatMap({ UInt64($0) })
            else { return nil }
            return KernelLock(pid: pid, inode: inode)
        }
    }
}

/// What `opsd status` says when the daemon does not answer.
struct DaemonSilence: Codable, Equatable, Sendable {
    var verdict = StatusReport.Verdict.unknown
    var address: String
    /// Why there is no answer.
    var problem: String
    var traces: DaemonTraces
    /// What to type next.
    var command: String

    init(address: String, problem: String, traces: DaemonTraces, configurationFile: String) {
        self.address = address
        self.problem = problem
        self.traces = traces
        let supervisor = traces.processes.first { $0.name == "supervisor" }?.pid
        // A start beside a living daemon is refused, so it harms nothing where nobody knows.
        command =
            supervisor.map { "kill -TERM \($0), then opsd run -c \(configurationFile)" }
            ?? "opsd run -c \(configurationFile)"
    }

    func text(width: Int?) -> String {
        var lines = [
            "CANNOT TELL: the daemon does not answer at \(address)", problem, "",
        ]
        if traces.are_locks_known {
            lines += ScreenText.table(
                [["PROCESS", "PID", "WHAT ITS LOCK SAYS"]] + traces.processes.map(Self.row))
        } else {
            lines.append("the kernel's list of locks cannot be read: nobody knows what runs")
        }
        lines += ["", "type: \(command)"]
        return lines.flatMap { ScreenText.wrapped($0, to: width) }.joined(separator: "\n")
    }

    private static func row(_ process: DaemonTraces.Process) -> [String] {
        let says =
            switch (process.pid, process.name) {
            case (_?, "supervisor"): "it runs, and does not answer"
            case (_?, _): "it runs"
            case (nil, _):
                "it does not run" + (process.has_socket ? "; it left its socket behind" : "")
            }
        return [process.name, process.pid.map(String.init) ?? "-", says]
    }
}
