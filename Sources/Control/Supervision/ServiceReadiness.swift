// When the services after one may start.

internal import CoreMetrics
internal import Ledger

extension Supervisor {
    func probe(_ name: ServiceName, _ process: WatchedProcess) async {
        var delay = Duration.milliseconds(5)
        while !Task.isCancelled {
            if await ask(name, .seconds(1)).isReady(as: process.pid) {
                becomeReady(name, process)
                return
            }
            do { try await clock.sleep(for: delay) } catch { return }
            delay = min(delay * 1.5, .milliseconds(250))
        }
    }

    private func becomeReady(_ name: ServiceName, _ process: WatchedProcess) {
        guard let entry = entries[name], entry.process == process, entry.state == .starting,
            !Task.isCancelled
        else { return }
        let since = process.isChild ? now() : entry.startedAt ?? now()
        change(name, to: .running(pid: process.pid, since: since))
        entry.up.set(1)
        emit(name, .ready)
        openGate(name)
    }

    /// Returns when each service is ready, or its time for that is over.
    public func whenReady() async {
        for name in order.names { await passGate(of: name) }
    }

    func passGate(of name: ServiceName) async {
        guard !isStopping, entries[name]?.isGateOpen == false else { return }
        await withCheckedContinuation { entries[name]?.gateWaiters.append($0) }
    }

    /// The service is about to have another process: those after it wait for that one.
    func closeGate(_ name: ServiceName) {
        guard !isStopping else { return }
        entries[name]?.isGateOpen = false
        entries[name]?.gateTimer?.cancel()
        entries[name]?.gateTimer = nil
    }

    func openGate(_ name: ServiceName) {
        entries[name]?.isGateOpen = true
        entries[name]?.gateTimer?.cancel()
        let waiters = entries[name]?.gateWaiters ?? []
        entries[name]?.gateWaiters = []
        for waiter in waiters { waiter.resume() }
    }

    func startGateTimer(_ name: ServiceName) {
        guard let entry = entries[name], !entry.isGateOpen, entry.gateTimer == nil else { return }
        let timeout = entry.specification.readinessTimeout
        entries[name]?.gateTimer = Task {
            do { try await clock.sleep(for: timeout) } catch { return }
            guard entries[name]?.isGateOpen == false else { return }
            emit(name, .readinessTimedOut)
            openGate(name)
        }
    }
}
