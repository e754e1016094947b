// The watchdog and the memory limit.

internal import CoreMetrics
internal import Ledger

extension Supervisor {
    /// Looks at a process twice in each interval, and kills it after the second miss in a row. A
    /// look waits half an interval for an answer, so a process that hangs at the worst moment is
    /// found after one and a half intervals. A look that could not be made is no miss.
    func watch(_ name: ServiceName, _ process: WatchedProcess) async {
        var misses = 0
        var spent = Duration.zero
        var begin = ServiceBeginning(at: .now)
        while !Task.isCancelled {
            let interval = entries[name]?.specification.watchdog
            let half = (interval ?? .seconds(2)) / 2
            // Looks that are due at nearly the same time share one waking of the processor.
            do {
                try await clock.sleep(
                    for: max(.milliseconds(1), half - spent), tolerance: half / 10)
            } catch { return }
            guard interval != nil, entries[name]?.process == process, isUp(name) else {
                spent = .zero
                continue
            }
            let start = ContinuousClock.now
            let finding = await look(name, process, within: half, &begin)
            spent = start.duration(to: .now)
            guard entries[name]?.process == process, isUp(name), !Task.isCancelled else { return }
            switch finding {
            case .unknown(let reason): noteUnknown(name, reason)
            case .fine:
                misses = 0
                noteAnswer(name, isAnswering: true)
            case .wrong(let complaint):
                misses += 1
                noteAnswer(name, isAnswering: false)
                guard misses >= 2 else { continue }
                // The stop signal would wait behind SIGSTOP, and nobody would read it.
                force(name, process, because: complaint, event: .hung(complaint), kills: true)
                return
            }
        }
    }

    private func look(
        _ name: ServiceName, _ process: WatchedProcess, within limit: Duration,
        _ begin: inout ServiceBeginning
    ) async -> WatchFinding {
        let (stat, isGone) = await processes.stat(of: process)
        guard let stat else {
            // That it has ended is not for the watchdog to say.
            return isGone ? .fine : .unknown("/proc/\(process.pid) cannot be read")
        }
        if stat.isStopped { return .wrong("its process is stopped, by SIGSTOP or by a debugger") }
        let answer = await ask(name, limit)
        if case .running = entries[name]?.state { return answer.finding(about: process.pid) }
        let timeout = entries[name]?.specification.readinessTimeout ?? .zero
        return begin.judge(
            answer.finding(about: process.pid), stat, at: .now, readinessTimeout: timeout)
    }

    private func noteAnswer(_ name: ServiceName, isAnswering: Bool) {
        entries[name]?.isUnknown = false
        guard let entry = entries[name], case .running = entry.state else { return }
        entries[name]?.isAnswering = isAnswering
        entry.up.set(isAnswering ? 1 : 0)
    }

    /// Counted each time, said once.
    private func noteUnknown(_ name: ServiceName, _ reason: String) {
        guard let entry = entries[name] else { return }
        entry.unknownLooks.increment()
        if !entry.isUnknown { emit(name, .cannotLook(reason)) }
        entries[name]?.isUnknown = true
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
