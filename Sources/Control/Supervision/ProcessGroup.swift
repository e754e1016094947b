internal import Glibc
internal import Ledger

/// Signals to a service's process and all that it has started in its session. On the thread of
/// processes only.
enum ProcessGroup {
    static func signal(_ process: WatchedProcess, _ number: Int32) {
        guard process.isChild else {
            // Its leader may be reaped by init at any moment, and its id given away: so each process
            // by itself, through a descriptor that means no other.
            for member in survivors(of: process) { ProcessTable.signal(member, number) }
            return
        }
        // The leader is not reaped yet, so the ids of group and session mean no other.
        kill(-process.pid, number)
        for member in survivors(of: process) where getpgid(member.pid) != process.pid {
            ProcessTable.signal(member, number)
        }
    }

    /// The living processes of the session.
    static func survivors(of process: WatchedProcess) -> [ProcessIdentity] {
        if !process.isChild, let leader = ProcessTable.stat(process.pid),
            leader.startTicks != process.identity.startTicks
        {
            // The id has been given away, which the kernel does only when the session is empty.
            return []
        }
        return ProcessTable.members(ofSession: process.pid)
    }
}

extension Timestamp {
    func advanced(by duration: Duration) -> Timestamp {
        let (seconds, attoseconds) = duration.components
        return Timestamp(
            microseconds: microseconds + seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
    }
}
