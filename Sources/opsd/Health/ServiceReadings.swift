import Control

/// What the supervised services look like now: their processes from the supervisor, their readiness
/// from themselves.
struct ServiceReadings: Sendable {
    typealias Readiness = @Sendable (ServiceName) async -> ServiceReadiness

    private let supervisor: Supervisor
    private let readiness: Readiness
    private let current: CurrentConfiguration

    init(supervisor: Supervisor, children: BuiltinChildren, current: CurrentConfiguration) {
        self.supervisor = supervisor
        self.current = current
        readiness = { await children.readiness(of: $0) }
    }

    /// In starting order. Services are asked at the same time: a silent one costs its own timeout.
    func all() async -> [(status: ServiceStatus, reading: ServiceReading)] {
        let statuses = await supervisor.status()
        var readings: [ServiceName: ServiceReading] = [:]
        await withTaskGroup(of: ServiceReading.self) { group in
            for status in statuses { group.addTask { await reading(status) } }
            for await reading in group { readings[reading.name] = reading }
        }
        return statuses.compactMap { status in readings[status.name].map { (status, $0) } }
    }

    func reading(of name: ServiceName) async -> ServiceReading? {
        guard let status = await status(of: name) else { return nil }
        return await reading(status)
    }

    /// For the service's own checks, which do not ask one that is still starting.
    func process(of name: ServiceName) async -> SupervisedProcess {
        switch await status(of: name)?.state {
        case .running(let pid, _): .running(pid: pid)
        case .waiting, .starting, .backingOff, .stopping, .failed: .down
        case .stopped, .completed, nil: .absent
        }
    }

    private func status(of name: ServiceName) async -> ServiceStatus? {
        await supervisor.status(of: name)
    }

    private func reading(_ status: ServiceStatus) async -> ServiceReading {
        var readiness = ServiceReadiness.ready
        if case .running = status.state { readiness = await self.readiness(status.name) }
        let settings = current.value.services.first { $0.name == status.name }
        return ServiceReading(
            status, readiness: readiness,
            policy: settings?.restart.policyOfControl ?? Control.RestartPolicy())
    }
}
