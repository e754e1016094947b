public import Ledger

/// One check at one moment.
public struct HealthReading: Sendable, Equatable {
    public let name: HealthCheckName
    public let probe: HealthProbe
    public let status: HealthStatus
    /// When it came into this status.
    public let since: Timestamp
    /// What the last run said.
    public let message: String
    /// Nil before the first run.
    public let lastOutcome: ProbeOutcome?
    public let checkedAt: Timestamp?
    public let failuresInRow: Int
    public let dependsOn: [String]
    public let service: ServiceName?

    init(_ check: HealthCheck, _ state: HealthState) {
        name = check.name
        probe = check.probe
        status = state.status
        since = state.since
        message = state.message
        lastOutcome = state.lastOutcome
        checkedAt = state.checkedAt
        failuresInRow = state.failuresInRow
        dependsOn = check.dependsOn
        service = check.service
    }
}

/// What happened to a check, for the log and for what acts upon it.
public struct HealthEvent: Sendable, Equatable {
    public let check: HealthCheckName
    public let service: ServiceName?
    public let transition: HealthTransition
}
