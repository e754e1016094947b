public import Ledger

public enum HealthStatus: String, Sendable, Equatable, CaseIterable {
    case healthy
    case degraded
    case unhealthy
    /// Not asked yet, or opsd could not ask. Neither well nor ill.
    case unknown
}

/// A change of status.
public struct HealthTransition: Sendable, Equatable {
    public let from: HealthStatus
    public let to: HealthStatus
    public let message: String
    public let time: Timestamp
}

/// What is thought of one check, by what its probe brought. A plain value: it reads no clock.
///
/// - `threshold` failures in a row make it unhealthy; `successThreshold` answers in a row make what
///   was unhealthy well again, healthy or degraded by the last of them.
/// - Between healthy and degraded the latest answer decides: nothing is done because of it.
/// - What was never found unhealthy is well with its first answer.
/// - `threshold` runs in a row that could not be carried out make it unknown. Fewer of them change
///   nothing, and neither count among the failures nor end their row: they say nothing of the thing.
public struct HealthState: Sendable, Equatable {
    public private(set) var status = HealthStatus.unknown
    /// When it came into this status.
    public private(set) var since: Timestamp
    /// What the last run said.
    public private(set) var message = "not checked yet"
    /// The last run; nil before the first one.
    public private(set) var lastOutcome: ProbeOutcome?
    public private(set) var checkedAt: Timestamp?
    public private(set) var failuresInRow = 0
    public private(set) var successesInRow = 0
    private var unknownsInRow = 0
    /// It was found unhealthy and has not been well since; it may be unknown meanwhile.
    private var mustRecover = false

    public init(since: Timestamp) {
        self.since = since
    }

    /// Takes in one run. Gives back the change of status, if it made one.
    public mutating func observe(
        _ outcome: ProbeOutcome, at time: Timestamp, rules: HealthRules
    ) -> HealthTransition? {
        lastOutcome = outcome
        checkedAt = time
        message = outcome.message
        switch outcome {
        case .success: return succeed(as: .healthy, time, rules)
        case .degraded: return succeed(as: .degraded, time, rules)
        case .failure: return fail(time, rules)
        case .unknown: return lose(time, rules)
        }
    }

    /// The thing is another one now, such as a service's new process: it begins without failures. What
    /// was unhealthy stays so until an answer says otherwise, so that a service which is started again
    /// and again does not look well in between; everything else is unknown.
    public mutating func beginAnew(at time: Timestamp, because reason: String) -> HealthTransition?
    {
        guard mustRecover, status == .unhealthy else {
            return forget(at: time, because: reason)
        }
        failuresInRow = 0
        successesInRow = 0
        unknownsInRow = 0
        message = reason
        return nil
    }

    /// There is nothing to be asked any more.
    public mutating func forget(at time: Timestamp, because reason: String) -> HealthTransition? {
        let before = status
        self = HealthState(since: before == .unknown ? since : time)
        message = reason
        return before == .unknown
            ? nil : HealthTransition(from: before, to: .unknown, message: reason, time: time)
    }

    /// The last run was the failure that made it unhealthy, or did so again after `beginAnew`.
    public func hasJustFailed(_ rules: HealthRules) -> Bool {
        guard case .failure = lastOutcome else { return false }
        return failuresInRow == rules.threshold
    }

    private mutating func succeed(
        as wanted: HealthStatus, _ time: Timestamp, _ rules: HealthRules
    ) -> HealthTransition? {
        failuresInRow = 0
        unknownsInRow = 0
        successesInRow += 1
        guard !mustRecover || successesInRow >= rules.successThreshold else { return nil }
        mustRecover = false
        return become(wanted, time)
    }

    private mutating func fail(_ time: Timestamp, _ rules: HealthRules) -> HealthTransition? {
        successesInRow = 0
        unknownsInRow = 0
        failuresInRow += 1
        guard failuresInRow >= rules.threshold else { return nil }
        mustRecover = true
        return become(.unhealthy, time)
    }

    private mutating func lose(_ time: Timestamp, _ rules: HealthRules) -> HealthTransition? {
        unknownsInRow += 1
        return unknownsInRow >= rules.threshold ? become(.unknown, time) : nil
    }

    private mutating func become(_ next: HealthStatus, _ time: Timestamp) -> HealthTransition? {
        guard next != status else { return nil }
        defer {
            status = next
            since = time
        }
        return HealthTransition(from: status, to: next, message: message, time: time)
    }
}
