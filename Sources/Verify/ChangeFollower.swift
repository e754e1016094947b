public import Ledger

/// Looks at each row soon after it changed, and at what it found wrong until that is mended. A plain value
/// between two looks: what is told it, and when, decides what it says.
///
/// Nothing that a store does holds it up: a row that lags, or could not be read, is looked at again with the
/// next step. So a change is compared as soon as the store has it.
public struct ChangeFollower: Sendable {
    public struct Step: Sendable {
        /// What was found since the step before.
        public var found: [Difference] = []
        /// What was found earlier and is as journaled now, or known to be gone.
        public var mended: [Difference] = []
        /// Why rows could not be looked at; nil when they could.
        public var problem: String?
        public var rowsCompared = 0
    }

    private struct Waiting {
        let since: ContinuousClock.Instant
        /// What the last look has found.
        var suspected: Difference?
    }

    private let check: StoreCheck
    private var position: SequenceNumber
    private var waiting: [RowKey: Waiting] = [:]
    /// What has been said.
    public private(set) var open: [RowKey: Difference] = [:]

    /// Rows that wait at most, and differences that are watched; until there are fewer, no further changes
    /// are taken up.
    private static let rowsMax = 100_000
    private static let batchRows = 1_000
    /// Of what was found, so many are looked at again with each step.
    private static let openRows = 1_000

    /// - Parameter sequence: the entry after which changes are looked at.
    public init(_ check: StoreCheck, after sequence: SequenceNumber) {
        self.check = check
        position = sequence
    }

    public mutating func step(at now: ContinuousClock.Instant = .now) async -> Step {
        var step = Step()
        do throws(StoreError) {
            if waiting.count + open.count < Self.rowsMax {
                let changes = try await check.journaled.changes(
                    after: position, in: check.schema.dataset)
                for key in changes.rows.keys where waiting[key] == nil {
                    waiting[key] = Waiting(since: now)
                }
                position = changes.through
            }
            let keys = Array(waiting.keys) + Array(open.keys.prefix(Self.openRows))
            for start in stride(from: 0, to: keys.count, by: Self.batchRows) {
                let batch = Array(keys[start..<min(keys.count, start + Self.batchRows)])
                let differences = try await RowRecheck(check: check).look(batch)
                for (key, difference) in zip(batch, differences) {
                    take(difference, of: key, at: now, &step)
                }
                step.rowsCompared += batch.count
            }
        } catch {
            step.problem = error.description
        }
        return step
    }

    private mutating func take(
        _ difference: Difference?, of key: RowKey, at now: ContinuousClock.Instant,
        _ step: inout Step
    ) {
        guard let difference else {
            waiting[key] = nil
            if let mended = open.removeValue(forKey: key) { step.mended.append(mended) }
            return
        }
        if let said = open[key] {
            waiting[key] = nil
            if said == difference { return }
            open[key] = nil
        }
        var present = waiting[key] ?? Waiting(since: now)
        let isLate = present.since.duration(to: now) >= check.limits.deadline
        // What is wrong is looked at twice.
        let isSure =
            difference.verdict == .lag ? isLate : present.suspected == difference
        if isSure {
            waiting[key] = nil
            open[key] = difference
            step.found.append(difference)
        } else {
            present.suspected = difference
            waiting[key] = present
        }
    }
}
