public import Ledger

/// Looks at each row soon after it changed, and at what it found wrong until that is mended. A plain value
/// between two looks: what is told it, and when, decides what it says.
///
/// Nothing that a store does holds it up: a row that lags, or could not be read, is looked at again with a
/// later step. So a change is compared as soon as the store has it.
public struct ChangeFollower: Sendable {
    public struct Step: Sendable {
        /// What was found since the step before.
        public var found: [Difference] = []
        /// What was found earlier and is as journaled now, or known to be gone.
        public var mended: [Difference] = []
        /// What is wrong with the store as a whole; it is compared with nothing then.
        public var whole: Difference?
        /// Why rows could not be looked at; nil when they could.
        public var problem: String?
        public var rowsCompared = 0
    }

    private struct Waiting {
        var suspicion = RowSuspicion()
        /// The entry after which it changed; nil for one that others suspect.
        var after: SequenceNumber?
        /// It was as journaled, and is looked at once more then: what somebody does to a row that he saw
        /// change comes a moment after the change.
        var secondAt: ContinuousClock.Instant?
    }

    private let check: StoreCheck
    /// Nil: changes are not taken up, and only what others have found is looked at.
    private var position: SequenceNumber?
    private var waiting: [RowKey: Waiting] = [:]
    /// What has been said.
    public private(set) var open: [RowKey: Difference] = [:]
    /// Those of them that have not been looked at again in this turn.
    private var openTurn: [RowKey] = []
    private var openAt: ContinuousClock.Instant?
    /// The store was asked where it stands, and what came of that.
    private var asked: (at: ContinuousClock.Instant, whole: Difference?, problem: String?)?

    /// Rows that wait at most, and differences that are watched; until there are fewer, no further changes
    /// are taken up.
    private static let rowsMax = 100_000
    /// With so many waiting, no further ones are taken up in a step.
    private static let waitingMax = 20_000
    private static let batchRows = 1_000
    private static let secondPause = Duration.seconds(1)
    /// Of what was found, so many are looked at again so often.
    private static let openRows = 1_000
    private static let openPause = Duration.milliseconds(500)
    /// A store of which nothing is wanted is asked all the same whether it is there.
    private static let askPause = Duration.seconds(1)

    /// - Parameter sequence: the entry after which changes are looked at; nil: none are.
    public init(_ check: StoreCheck, after sequence: SequenceNumber?) {
        self.check = check
        position = sequence
    }

    /// Up to here every change has been looked at, or is among `open`: one that begins after it misses
    /// nothing.
    public var settled: SequenceNumber? {
        guard let position else { return nil }
        return waiting.values.reduce(position) { min($0, $1.after ?? $0) }
    }

    /// Looks from now on at what others have found, until it is mended.
    public mutating func watch(_ differences: [Difference]) {
        for difference in differences {
            guard let key = difference.key, open.count < Self.rowsMax else { continue }
            open[key] = difference
            openTurn.append(key)
        }
    }

    public mutating func step(at now: ContinuousClock.Instant = .now) async -> Step {
        var step = Step()
        do throws(StoreError) {
            try await takeUp(&step)
            let again = someOpen(at: now)
            if waiting.isEmpty, again.isEmpty, let asked, asked.at + Self.askPause > now {
                step.whole = asked.whole
                step.problem = step.problem ?? asked.problem
                return step
            }
            asked = nil
            switch try await StoreStanding(of: check) {
            case .ahead(let problem):
                step.whole = Difference(
                    dataset: check.schema.dataset, key: nil, verdict: .ahead, problem: problem)
            case .at(let applied):
                try await look(dueRows(at: now, applied, &step), and: again, at: now, &step)
            }
        } catch {
            step.problem = error.description
        }
        if waiting.isEmpty { asked = (now, step.whole, step.problem) }
        return step
    }

    private mutating func takeUp(_ step: inout Step) async throws(StoreError) {
        guard let position else { return }
        guard waiting.count + open.count < Self.rowsMax else {
            step.problem = "\(Self.rowsMax) rows differ or are late: no more are looked at"
            return
        }
        guard waiting.count < Self.waitingMax else { return }
        let changes = try await check.journaled.changes(after: position, in: check.schema.dataset)
        for key in changes.rows.keys where waiting[key].map({ $0.secondAt != nil }) ?? true {
            waiting[key] = Waiting(after: waiting[key]?.after ?? position)
        }
        self.position = changes.through
    }

    /// Those that wait, without those that the store has not come to. Of these what there is to say is
    /// said without reading them.
    private mutating func dueRows(
        at now: ContinuousClock.Instant, _ applied: SequenceNumber, _ step: inout Step
    ) -> [RowKey] {
        var due: [RowKey] = []
        for (key, row) in waiting {
            if let secondAt = row.secondAt, secondAt > now { continue }
            if row.suspicion.awaited ?? .none <= applied {
                due.append(key)
            } else if let difference = row.suspicion.difference {
                sayIfLate(difference, row.suspicion, of: key, at: now, &step)
            }
        }
        return due
    }

    /// Of what was said, the next ones, without what is looked at anyway.
    private mutating func someOpen(at now: ContinuousClock.Instant) -> [RowKey] {
        guard !open.isEmpty, openAt.map({ $0 + Self.openPause <= now }) ?? true else { return [] }
        openAt = now
        if openTurn.isEmpty { openTurn = Array(open.keys) }
        let some = openTurn.suffix(Self.openRows)
        openTurn.removeLast(some.count)
        return some.filter { open[$0] != nil && waiting[$0] == nil }
    }

    private mutating func look(
        _ due: [RowKey], and again: [RowKey], at now: ContinuousClock.Instant,
        _ step: inout Step
    ) async throws(StoreError) {
        let keys = due + again
        for start in stride(from: 0, to: keys.count, by: Self.batchRows) {
            var batch: [RowKey: RowSuspicion] = [:]
            for key in keys[start..<min(keys.count, start + Self.batchRows)] {
                batch[key] = waiting[key]?.suspicion ?? RowSuspicion()
            }
            for (key, difference) in try await RowRecheck(check: check).look(batch) {
                take(difference, of: key, at: now, &step)
            }
            step.rowsCompared += batch.count
        }
    }

    private mutating func take(
        _ difference: Difference?, of key: RowKey, at now: ContinuousClock.Instant,
        _ step: inout Step
    ) {
        if let difference, let said = open[key], said.isSame(as: difference) {
            waiting[key] = nil
            return
        }
        var row = waiting[key] ?? Waiting()
        switch row.suspicion.take(difference, at: now) {
        case .equal:
            let isSecond = row.secondAt != nil || row.after == nil
            waiting[key] =
                isSecond ? nil : Waiting(after: row.after, secondAt: now + Self.secondPause)
            if let mended = open.removeValue(forKey: key) { step.mended.append(mended) }
        case .wrong(let difference): say(difference, of: key, &step)
        case .open:
            waiting[key] = row
            if let difference { sayIfLate(difference, row.suspicion, of: key, at: now, &step) }
        }
    }

    private mutating func sayIfLate(
        _ difference: Difference, _ suspicion: RowSuspicion, of key: RowKey,
        at now: ContinuousClock.Instant, _ step: inout Step
    ) {
        guard difference.verdict == .lag, let since = suspicion.lateSince,
            since.duration(to: now) >= check.limits.deadline
        else { return }
        guard open[key].map({ !$0.isSame(as: difference) }) ?? true else {
            waiting[key] = nil
            return
        }
        say(difference, of: key, &step)
    }

    private mutating func say(_ difference: Difference, of key: RowKey, _ step: inout Step) {
        waiting[key] = nil
        open[key] = difference
        step.found.append(difference)
    }
}
