// The watchdog and the memory limit.

internal import CoreMetrics
internal import Ledger

extension Supervisor {
    /// Looks at a process twice in each interval, and kills it after the second miss in a row. A
    /// look waits half an interval for an answer, so a process that hangs at the worst moment is
    /// found after one and a half intervals.
    func watch(_ name: ServiceName, _ process: WatchedProcess) async {
        var misses = 0
        var spent = Duration.zero
        while !Task.isCancelled {
            let interval = entries[name]?.specification.watchdog
            let half = (interval ?? .seconds(2)) / 2
            do { try await clock.sleep(for: max(.milliseconds(1), half - spent)) } catch { return }
            guard interval != nil, entries[name]?.process == process, isUp(name) else {
                spent = .zero
                continue
            }
            let (complaint, took) = await look(name, process, within: half)
            spent = took
            guard entries[name]?.process == process, isUp(name), !Task.isCancelled else { return }
            misses = complaint == nil ? 0 : misses + 1
            noteAnswer(name, isAnswering: complaint == nil)
            if let complaint, misses >= 2 {
                // The stop signal would wait behind SIGSTOP, and nobody would read it.
                force(name, process, because: complaint, event: .hung(complaint), kills: true)
                return
            }
        }
    }

    /// What is wrong with it, and how long it took to see that. A service that has yet to become
    /// ready has no socket to answer at.
    private func look(
        _ name: ServiceName, _ process: WatchedProcess, within limit: Duration
    ) async -> (complaint: String?, took: Duration) {
        if await processes.isStopped(process) {
            return ("its process is stopped, by SIGSTOP or by a debugger", .zero)
        }
        guard case .running = entries[name]?.state else { return (nil, .zero) }
        let start = ContinuousClock.now
        let complaint = await ask(name, limit).complaint(about: process.pid)
        return (complaint, start.duration(to: .now))
    }

    private func noteAnswer(_ name: ServiceName, isAnswering: Bool) {
        guard let entry = entries[name], case .running = entry.state else { return }
        entries[name]?.isAnswering = isAnswering
        entry.up.set(isAnswering ? 1 : 0)
    }

    /// Each second, as long as any service has a limit.
    func watchMemory() async {
        while !Task.isCancelled {
            do { try await clock.sleep(for: .seconds(1)) } catch { return }
            let limited = entries.compactMapValues { entry in
                entry.specification.limits.memoryBytes == nil ? nil : entry.process
            }
            guard !limited.isEmpty else { continue }
            let resident = await processes.residentBytes(ofSessions: Set(limited.values.map(\.pid)))
            for (name, process) in limited {
                guard let limit = entries[name]?.specification.limits.memoryBytes,
                    let bytes = resident[process.pid], bytes > limit
                else { continue }
                force(
                    name, process, because: "it held \(bytes) bytes in memory, over \(limit)",
                    event: .overMemory(bytes: bytes, limitBytes: limit), kills: false)
            }
        }
    }
}
