internal import Glibc
internal import Ledger

enum ProcessGroup {
    /// To every process of the group. The caller knows that the leader has not been reaped, so the
    /// id cannot mean another group; that all of them are gone already is no error.
    static func signal(_ group: Int32, _ signal: StopSignal) {
        kill(-group, signal.number)
    }
}

extension Timestamp {
    func advanced(by duration: Duration) -> Timestamp {
        let (seconds, attoseconds) = duration.components
        return Timestamp(
            microseconds: microseconds + seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
    }
}
