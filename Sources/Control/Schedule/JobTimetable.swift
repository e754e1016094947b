internal import Ledger

/// When a job is to run: a pure value over its specification, what was considered so far, and the time
/// that it is told.
struct JobTimetable: Sendable, Equatable {
    /// One of the job's times.
    struct Due: Sendable, Equatable {
        var time: Timestamp
        var trigger: JobTrigger
    }

    enum Decision: Sendable, Equatable {
        case start(Due)
        /// The run before goes on.
        case skip(Timestamp)
        /// The job's calendar does not know whether it is to run, so it does not, and says so.
        case cannotTell(Timestamp, reason: String)
        /// Nobody was there at that time, and it is too long ago.
        case missed(Timestamp)
    }

    /// A start that is later than this is one that makes up for something.
    static let grace = Duration.seconds(60)
    /// A clock that is set back by more begins anew; by less, no time comes twice.
    static let setBackMax = Duration.seconds(3_600)

    let specification: JobSpecification
    /// All times up to this one are settled.
    private(set) var consideredUntil: Timestamp
    private(set) var isRunning = false
    private var queued: Due?
    /// A time whose run ended without anybody knowing how.
    private var toRepeat: Timestamp?

    init(_ specification: JobSpecification, consideredUntil: Timestamp) {
        self.specification = specification
        self.consideredUntil = consideredUntil
    }

    /// With another specification, from now on.
    func replaced(by specification: JobSpecification, now: Timestamp) -> JobTimetable {
        let isAlike = self.specification.timesText == specification.timesText
        var next = JobTimetable(specification, consideredUntil: isAlike ? consideredUntil : now)
        next.isRunning = isRunning
        if isAlike { (next.queued, next.toRepeat) = (queued, toRepeat) }
        return next
    }

    // MARK: What happens

    /// What is to be done now. Of several times that have passed only the newest counts.
    mutating func decide(now: Timestamp) -> Decision? {
        let clock = now
        let now = now.advanced(by: .zero - specification.delay)
        if consideredUntil > clock.advanced(by: Self.setBackMax) { consideredUntil = now }
        let due = newest(after: consideredUntil, upTo: now)
        consideredUntil = max(consideredUntil, now)
        guard let due else { return repetition(now) }
        let age = Duration.microseconds(now.microseconds - due.time.microseconds)
        if let reason = due.doubt { return .cannotTell(due.time, reason: reason) }
        let isLate = age > Self.grace
        if isLate, age > specification.catchUp {
            // Who wants nothing made up for wants to hear nothing of it.
            return specification.catchUp > .zero ? .missed(due.time) : nil
        }
        let start = Due(time: due.time, trigger: isLate ? .catchUp : .schedule)
        toRepeat = nil
        guard isRunning else { return started(start) }
        guard specification.overlap == .queue else { return .skip(due.time) }
        queued = start
        return nil
    }

    /// A person starts it; false while it runs.
    mutating func startByHand() -> Bool {
        defer { isRunning = true }
        return !isRunning
    }

    /// A run of an earlier daemon goes on.
    mutating func adopt() { isRunning = true }

    /// - Parameter repeating: the time of the run, when nobody knows how it ended.
    mutating func end(repeating time: Timestamp? = nil) -> Decision? {
        isRunning = false
        toRepeat = time
        guard let next = queued else { return nil }
        queued = nil
        toRepeat = nil
        return started(next)
    }

    private mutating func started(_ due: Due) -> Decision {
        isRunning = true
        return .start(due)
    }

    private mutating func repetition(_ now: Timestamp) -> Decision? {
        guard !isRunning, let time = toRepeat else { return nil }
        toRepeat = nil
        let isRecent = time.advanced(by: specification.catchUp) >= now
        return isRecent ? started(Due(time: time, trigger: .catchUp)) : nil
    }

    // MARK: Times

    /// One of the job's times; `doubt` says why its calendar does not know of it.
    struct Time: Sendable, Equatable {
        var time: Timestamp
        var doubt: String?
    }

    /// Where its calendar says no, it is asked again at its next change; so often at most.
    private static let changesMax = 100_000

    /// The first of its times after another, without the jitter; nil when there is none.
    func next(after time: Timestamp) -> Time? {
        var time = time
        for _ in 0..<Self.changesMax {
            guard let next = specification.schedule.next(after: time, in: specification.timeZone)
            else { return nil }
            guard let condition = specification.condition else { return Time(time: next) }
            switch condition.answer(at: next) {
            case .yes: return Time(time: next)
            case .unknown(let reason): return Time(time: next, doubt: reason)
            case .no:
                let change = condition.calendar.holdsUntil(after: next)
                time = max(next, Timestamp(microseconds: change.microseconds - 1))
            }
        }
        return nil
    }

    /// When `decide` is to be asked again.
    var wakesAt: Timestamp? {
        if toRepeat != nil, !isRunning { return consideredUntil }
        return next(after: consideredUntil)?.time.advanced(by: specification.delay)
    }

    /// Whether two of its times have passed since it last did its work, or was first seen.
    func isOverdue(lastDone: Timestamp, now: Timestamp) -> Bool {
        guard let first = next(after: lastDone), first.doubt == nil,
            let second = next(after: first.time), second.doubt == nil
        else { return false }
        return second.time.advanced(by: specification.delay + Self.grace) < now
    }

    /// Looks back further and further, so that a job of each second is not counted through for days.
    private func newest(after start: Timestamp, upTo end: Timestamp) -> Time? {
        var span = Duration.seconds(3_600)
        while true {
            let from = max(start, end.advanced(by: .zero - span))
            var found: Time?
            var position = from
            while let next = next(after: position), next.time <= end {
                found = next
                position = next.time
            }
            if found != nil || from == start { return found }
            span = span * 4
        }
    }
}
