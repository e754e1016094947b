// What /proc says of the processes that supervisors have started. It is read on the thread of
// processes only: a machine with thousands of processes takes milliseconds.

internal import CProcess
internal import Foundation
internal import Glibc
internal import Ledger

/// The variables by which a supervisor knows the processes of its predecessor again.
enum ProcessTag {
    static let service = "OPSD_SERVICE"
    /// A run of a job, in place of the one above.
    static let job = "OPSD_JOB"
    static let dataDirectory = "OPSD_DATA_DIR"
    /// Another one at each start: what a service's process has started itself carries it too.
    static let instance = "OPSD_INSTANCE"
    /// What systemd tells its own child is not for grandchildren: they could answer in its name. Nor is
    /// what another supervisor may have told this one.
    static let ofTheSupervisorAlone = [
        service, job, dataDirectory, instance, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
        "LISTEN_FDS", "LISTEN_PID",
        "LISTEN_FDNAMES",
    ]
}

/// A process by what no other process ever has: its id and when it began.
struct ProcessIdentity: Sendable, Hashable {
    let pid: Int32
    /// Since the machine started, in clock ticks.
    let startTicks: UInt64
}

/// The leader of a session that some supervisor made for a service, or for a run of a job.
struct FoundProcess: Sendable, Equatable {
    let identity: ProcessIdentity
    let service: ServiceName
    /// Nil when the process has overwritten its environment.
    let instance: String?
}

enum ProcessTable {
    static func pids() -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }
    }

    static func stat(_ pid: Int32) -> ProcessStat? { ProcessStat.read(String(pid)) }

    static func isAlive(_ identity: ProcessIdentity) -> Bool {
        guard let stat = stat(identity.pid), stat.startTicks == identity.startTicks else {
            return false
        }
        return !stat.isDead
    }

    /// The living processes of a session, by its leader's id.
    static func members(ofSession session: Int32) -> [ProcessIdentity] {
        pids().compactMap { pid in
            guard let stat = stat(pid), stat.session == session, !stat.isDead else { return nil }
            return ProcessIdentity(pid: pid, startTicks: stat.startTicks)
        }
    }

    /// Resident bytes of each session. What processes share counts for each of them.
    static func residentBytes(ofSessions sessions: Set<Int32>) -> [Int32: Int] {
        let page = max(1, sysconf(Int32(_SC_PAGESIZE)))
        var bytes: [Int32: Int] = [:]
        for pid in pids() {
            guard let stat = stat(pid), sessions.contains(stat.session) else { continue }
            bytes[stat.session, default: 0] += Int(clamping: stat.residentPages) * page
        }
        return bytes
    }

    /// The living session leaders of our user that a supervisor of this data directory has started.
    /// - Parameters:
    ///   - tag: `ProcessTag.service` or `ProcessTag.job`: the variable that has the name.
    ///   - recorded: by process; for one that has overwritten its own environment.
    static func started(
        as tag: String, of dataDirectory: String, recorded: [ProcessIdentity: ServiceName]
    ) -> [FoundProcess] {
        pids().compactMap { pid in
            guard isOurs(pid), let before = stat(pid), before.session == pid, !before.isDead else {
                return nil
            }
            let identity = ProcessIdentity(pid: pid, startTicks: before.startTicks)
            let variables = environment(pid)
            if let name = variables[tag],
                variables[ProcessTag.dataDirectory] == dataDirectory
            {
                // Read again: the id may have been given to another process in between.
                guard isAlive(identity) else { return nil }
                return FoundProcess(
                    identity: identity, service: name, instance: variables[ProcessTag.instance])
            }
            guard let name = recorded[identity] else { return nil }
            return FoundProcess(identity: identity, service: name, instance: nil)
        }
    }

    /// A signal to that very process; nothing happens when it is gone.
    static func signal(_ identity: ProcessIdentity, _ number: Int32) {
        let descriptor = opsd_pidfd_open(identity.pid)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        guard stat(identity.pid)?.startTicks == identity.startTicks else { return }
        _ = opsd_pidfd_send_signal(descriptor, number)
    }

    private static func isOurs(_ pid: Int32) -> Bool {
        let attributes = try? FileManager.default.attributesOfItem(atPath: "/proc/\(pid)")
        return (attributes?[.ownerAccountID] as? NSNumber)?.uint32Value == geteuid()
    }

    private static func environment(_ pid: Int32) -> [String: String] {
        guard let text = ProcessStat.contents("/proc/\(pid)/environ") else { return [:] }
        var variables: [String: String] = [:]
        for entry in text.split(separator: "\0") where entry.hasPrefix("OPSD_") {
            guard let equals = entry.firstIndex(of: "=") else { continue }
            variables[String(entry[..<equals])] = String(entry[entry.index(after: equals)...])
        }
        return variables
    }
}

extension ProcessStat {
    /// A zombie, or on its way out.
    var isDead: Bool { state == "Z" || state == "X" }
    /// By SIGSTOP, or by a debugger.
    var isStopped: Bool { state == "T" || state == "t" }
}

/// When the machine started, to tell a process of this run from one of the last.
public enum MachineStart {
    /// Another one each time that the machine starts; empty when the kernel does not say.
    public static let bootID: String =
        ProcessStat.contents("/proc/sys/kernel/random/boot_id")?
        .trimmingCharacters(in: .whitespacesAndNewlines) ?? ""

    /// The time of a process's start ticks.
    static func time(ofTicks ticks: UInt64) -> Timestamp? {
        guard let text = ProcessStat.contents("/proc/stat"),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("btime ") }),
            let boot = Int64(line.dropFirst(6))
        else { return nil }
        let perSecond = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        let microseconds = Int64(clamping: ticks / perSecond * 1_000_000)
        return Timestamp(microseconds: boot * 1_000_000 + microseconds)
    }
}

/// The unit of processor time in /proc. Here, since whether a file sees the C constant depends on which
/// C modules it imports.
enum ClockTicks {
    static let perSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
}
