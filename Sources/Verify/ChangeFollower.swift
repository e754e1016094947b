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

    private let check: StoreCheck
    private var position: SequenceNumber
    private var waiting: [RowKey: RowSuspicion] = [:]
    /// What has been said.
    public private(set) var open: [RowKey: Difference] = [:]
    /// Those of them that have not been looked at again in this turn.
    private var openTurn: [RowKey] = []

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
                    waiting[key] = RowSuspicion()
                }
                position = changes.through
            } else {
                step.problem = "\(Self.rowsMax) rows differ or are late: no more are looked at"
            }
            var batch: [RowKey: RowSuspicion] = [:]
            for (key, suspicion) in waiting {
                batch[key] = suspicion
                if batch.count < Self.batchRows { continue }
                try await look(batch, at: now, &step)
                batch = [:]
            }
            for key in someOpen() { batch[key] = RowSuspicion() }
            if !batch.isEmpty { try await look(batch, at: now, &step) }
        } catch {
            step.problem = error.description
        }
        return step
    }

    /// Of what was said, the next ones, without what is looked at anyway.
    private mutating func someOpen() -> [RowKey] {
        if openTurn.isEmpty { openTurn = Array(open.keys) }
        let some = openTurn.suffix(Self.openRows)
        openTurn.removeLast(some.count)
        return some.filter { open[$0] != nil && waiting[$0] == nil }
    }

    private mutating func look(
        _ batch: [RowKey: RowSuspicion], at now: ContinuousClock.Instant, _ step: inout Step
    ) async throws(StoreError) {
        for (key, difference) in try await RowRecheck(check: check).look(batch) {
            take(difference, of: key, at: now, &step)
        }
        step.rowsCompared += batch.count
    }

    private mutating func take(
        _ difference: Difference?, of key: RowKey, at now: ContinuousClock.Instant,
        _ step: inout Step
    ) {
        if let difference, let said = open[key], said.isSame(as: difference) {
            waiting[key] = nil
            return
        }
        var suspicion = waiting[key] ?? RowSuspicion()
        switch suspicion.take(difference, at: now) {
        case .equal:
            waiting[key] = nil
            if let mended = open.removeValue(forKey: key) { step.mended.append(mended) }
        case .wrong(let difference): say(difference, of: key, &step)
        case .open:
            waiting[key] = suspicion
            if let difference, difference.verdict == .lag, let since = suspicion.lateSince,
                since.duration(to: now) >= check.limits.deadline
            {
                say(difference, of: key, &step)
            }
        }
    }

    private mutating func say(_ difference: Difference, of key: RowKey, _ step: inout Step) {
        waiting[key] = nil
        open[key] = difference
        step.found.append(difference)
    }
}
