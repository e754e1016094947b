internal import CProcess
internal import Glibc
internal import Synchronization

/// Limits that a process sets for itself and for all that it starts.
public enum ProcessLimits {
    /// Memory holds tokens and keys; a dump would put them on disk.
    public static func forbidCoreDumps() {
        _ = opsd_forbid_core_dumps()
    }

    /// Takes as many descriptors as this process may have: a supervisor that runs out of them cannot
    /// ask its services anything. What it starts gets the limits from before.
    public static func raiseOpenFiles() {
        guard let limits = inherited, limits.soft < limits.hard else { return }
        _ = opsd_set_open_files(0, limits.hard, limits.hard)
        isRaised.store(true, ordering: .releasing)
    }

    /// How many descriptors this process may have at present.
    public static var openFiles: Int {
        var soft: UInt64 = 0
        var hard: UInt64 = 0
        guard opsd_open_files(&soft, &hard) == 0 else { return 1_024 }
        return Int(clamping: soft)
    }

    /// Gives a process that was started a moment ago the limits that this one was started with.
    static func lowerOpenFiles(of pid: pid_t) {
        guard isRaised.load(ordering: .acquiring), let limits = inherited else { return }
        _ = opsd_set_open_files(pid, limits.soft, limits.hard)
    }

    private static let isRaised = Atomic(false)

    /// As they were when this was looked at first: before anything is raised.
    private static let inherited: (soft: UInt64, hard: UInt64)? = {
        var soft: UInt64 = 0
        var hard: UInt64 = 0
        return opsd_open_files(&soft, &hard) == 0 ? (soft, hard) : nil
    }()
}
