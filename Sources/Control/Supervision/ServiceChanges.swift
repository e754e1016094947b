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
        for name in changes.removed.reversed() { await remove(name) }
        self.order = order
        for service in services {
            guard entries[service.name] != nil else {
                add(service)
                continue
            }
            entries[service.name]?.specification = service
        }
        for name in changes.updated {
            if let process = entries[name]?.process { await limitOpenFiles(name, process) }
        }
        for name in changes.restarted { try? await restart(name) }
        for name in order.names where changes.added.contains(name) { launch(name) }
        return changes
    }

    private func remove(_ name: ServiceName) async {
        entries[name]?.isRemoved = true
        entries[name]?.pause?.cancel()
        openGate(name)
        terminate(name)
        // One that still waits for others has no process, and ends when it sees that it is gone.
        if entries[name]?.state != .waiting { await entries[name]?.task?.value }
        guard !isStopping else { return }
        change(name, to: .stopped)
        entries[name]?.up.destroy()
        entries[name]?.restartsTotal.destroy()
        entries[name]?.unknownLooks.destroy()
        entries[name] = nil
        controlState?.remove(service: name)
    }
}
