// A new configuration beside running services.

internal import CoreMetrics
internal import Ledger

/// What a new list of services means for those that run. A pure decision.
public struct ServiceChanges: Sendable, Equatable {
    public var added: [ServiceName] = []
    public var removed: [ServiceName] = []
    /// Their process is another one now.
    public var restarted: [ServiceName] = []
    /// Their policies or limits changed; the process goes on.
    public var updated: [ServiceName] = []

    public var isEmpty: Bool { self == ServiceChanges() }

    init(from old: [ServiceSpecification], to new: [ServiceSpecification]) {
        for service in new {
            guard let before = old.first(where: { $0.name == service.name }) else {
                added.append(service.name)
                continue
            }
            if before == service { continue }
            if service.hasSameProcess(as: before) {
                updated.append(service.name)
            } else {
                restarted.append(service.name)
            }
        }
        removed = old.map(\.name).filter { name in !new.contains { $0.name == name } }
    }

    private init() {}
}

extension Supervisor {
    /// Makes the services those of a new configuration: stops what is gone, starts what is new,
    /// restarts what became another process, and lets everything else go on. Returns what was done,
    /// when it is done.
    public func apply(
        _ services: [ServiceSpecification]
    ) async throws -> ServiceChanges {
        let order = try StartOrder(services)
        guard !isStopping else { throw SupervisorError.stopping }
        // One after the other, in the order in which they were asked for.
        let before = applying
        let task = Task {
            _ = await before?.value
            return await perform(services, order)
        }
        applying = task
        return await task.value
    }

    private func perform(
        _ services: [ServiceSpecification], _ order: StartOrder
    ) async -> ServiceChanges {
        await whenAdopted()
        let changes = ServiceChanges(from: specifications(), to: services)
        await removeAll(changes.removed)
        // A stop does not wait for this, and sees to everything that is there.
        guard !isStopping else { return changes }
        self.order = order
        for service in services {
            guard entries[service.name] != nil else {
                add(service)
                continue
            }
            entries[service.name]?.specification = service
        }
        for name in changes.restarted { closeGate(name) }
        for name in order.names where changes.added.contains(name) { launch(name) }
        for name in changes.updated {
            if let process = entries[name]?.process { await limitOpenFiles(name, process) }
        }
        await restartAll(changes.restarted)
        return changes
    }

    /// Those that do not depend on each other at the same time; one that others wait for goes first,
    /// and they follow when it is ready or its time for that is over.
    private func restartAll(_ names: [ServiceName]) async {
        let tasks = order.names.filter(names.contains).map { name in
            Task {
                for earlier in order.predecessors(of: name) where names.contains(earlier) {
                    await passGate(of: earlier)
                }
                try? await restart(name)
            }
        }
        for task in tasks { await task.value }
    }

    /// Each when those after it are gone.
    private func removeAll(_ names: [ServiceName]) async {
        // All of them first: none is started again while the others go.
        for name in names { entries[name]?.isRemoved = true }
        var removals: [ServiceName: Task<Void, Never>] = [:]
        for name in order.names.reversed() where names.contains(name) {
            let later = order.names.filter { order.predecessors(of: $0).contains(name) }
                .compactMap { removals[$0] }
            removals[name] = Task {
                for task in later { await task.value }
                await remove(name)
            }
        }
        for task in removals.values { await task.value }
    }

    private func remove(_ name: ServiceName) async {
        entries[name]?.pause?.cancel()
        openGate(name)
        terminate(name)
        // One that still waits for others has no process, and ends when it sees that it is gone.
        if let entry = entries[name], entry.state != .waiting, let task = entry.task,
            !(await hasEnded(task, entry.specification.stop.timeout)),
            let pid = entries[name]?.process?.pid
        {
            emit(name, .cannotDie(pid: pid))
        }
        guard !isStopping else { return }
        change(name, to: .stopped)
        entries[name]?.up.destroy()
        entries[name]?.restartsTotal.destroy()
        entries[name]?.unknownLooks.destroy()
        entries[name] = nil
        controlState?.remove(service: name)
    }
}
