internal import Foundation
internal import Glibc

/// Whether a process that is not ready yet hangs: a plain state machine over the looks at it.
///
/// A service may take its time: the core reads a journal before it answers. So silence counts only
/// when the readiness timeout is over, and then not while the process is at work, which its use of
/// the processor or its wait for the disk shows. After ten of these times it counts all the same. One
/// that has answered once has a socket, and its silence counts from then on.
struct ServiceBeginning {
    /// Of the time between two looks, what a process at work spends on a processor at least.
    private static let shareAtWork = 0.05
    private static let patience = 10
    private static let ticksPerSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))

    private let start: ContinuousClock.Instant
    private var hasAnswered = false
    private var before: (ticks: UInt64, at: ContinuousClock.Instant)?

    /// - Parameter start: of the process, or of the watch over one that was adopted.
    init(at start: ContinuousClock.Instant) {
        self.start = start
    }

    mutating func judge(
        _ finding: WatchFinding, _ stat: ProcessStat, at now: ContinuousClock.Instant,
        readinessTimeout: Duration
    ) -> WatchFinding {
        let isAtWork = isAtWork(stat, now)
        before = (stat.cpuTicks, now)
        guard case .wrong(let complaint) = finding else {
            if finding == .fine { hasAnswered = true }
            return finding
        }
        let age = start.duration(to: now)
        if !hasAnswered {
            if age < readinessTimeout { return .fine }
            if isAtWork, age < readinessTimeout * Self.patience { return .fine }
        }
        return .wrong("\(complaint), \(DurationText.short(age)) after it began")
    }

    /// Of the first look nothing can be told.
    private func isAtWork(_ stat: ProcessStat, _ now: ContinuousClock.Instant) -> Bool {
        if stat.state == "D" { return true }
        guard let before else { return true }
        let spent = Double(stat.cpuTicks &- before.ticks) / Self.ticksPerSecond
        return spent >= (before.at.duration(to: now) / .seconds(1)) * Self.shareAtWork
    }
}
