public import Foundation
public import Ledger

/// When an exchange trades: its days with their hours, from a first to a last day. Of days before and
/// after these nobody knows anything, and so it says. A pure value.
public struct ExchangeCalendar: Sendable, Hashable {
    /// Minutes since midnight, of the exchange's own clocks.
    public struct Session: Sendable, Hashable {
        public var open: Int
        public var close: Int
        /// Empty where the exchange has no break.
        public var pause: Range<Int>

        public init(open: Int, close: Int, pause: Range<Int> = 0..<0) {
            self.open = open
            self.close = close
            self.pause = pause
        }

        func isOpen(at minute: Int) -> Bool {
            (open..<close).contains(minute) && !pause.contains(minute)
        }
    }

    public let name: String
    public let timeZone: TimeZone
    /// The days that it knows, with or without a session.
    public let days: ClosedRange<CivilDate>
    public let sessions: [CivilDate: Session]

    public init(
        name: String, timeZone: TimeZone, days: ClosedRange<CivilDate>,
        sessions: [CivilDate: Session]
    ) {
        self.name = name
        self.timeZone = timeZone
        self.days = days
        self.sessions = sessions
    }

    /// The first instant that it knows nothing of.
    public var end: Timestamp {
        let midnight = (days.upperBound.daysSince1970 + 1) * 86_400
        let offset = LocalClock(zone: timeZone).offset(at: midnight)
        return Timestamp(microseconds: (midnight - offset) * 1_000_000)
    }

    /// An instant before which no answer changes from what it is at `time`.
    func holdsUntil(after time: Timestamp) -> Timestamp {
        let offset = LocalClock(zone: timeZone).offset(at: time.seconds)
        let date = CivilDate(ofSeconds: time.seconds + offset)
        let midnight = date.daysSince1970 * 86_400
        let bounds = sessions[date].map {
            [$0.open, $0.pause.lowerBound, $0.pause.upperBound, $0.close]
        }
        let next = ((bounds ?? []).map { midnight + Int64($0) * 60 } + [midnight + 86_400])
            .map { $0 - offset }.filter { $0 > time.seconds }.min()
        // Never later than in an hour, since the clocks may be changed on that day.
        return Timestamp(
            microseconds: min(next ?? .max, time.seconds + 3_600) * 1_000_000)
    }

    /// - Parameter time: only its whole seconds count.
    public func answer(_ state: CalendarState, at time: Timestamp) -> CalendarAnswer {
        let local = time.seconds + LocalClock(zone: timeZone).offset(at: time.seconds)
        let date = CivilDate(ofSeconds: local)
        guard days.contains(date) else {
            let reason =
                date > days.upperBound
                ? "its data ends with \(days.upperBound)"
                : "its data begins with \(days.lowerBound)"
            return .unknown("calendar \(name) does not know \(date): \(reason)")
        }
        let session = sessions[date]
        let minute = Int(local - date.daysSince1970 * 86_400) / 60
        let isOpen = session?.isOpen(at: minute) == true
        let holds =
            switch state {
            case .open: isOpen
            case .closed: !isOpen
            case .tradingDay: session != nil
            case .nonTradingDay: session == nil
            }
        return holds ? .yes : .no
    }
}

/// What may be asked of a calendar, at one instant.
public enum CalendarState: String, Sendable, Hashable, CaseIterable {
    /// Within a session, and not in its break. It is open from the first second on, and closed from the
    /// last one on.
    case open
    case closed
    /// The exchange has a session on that day, in its own time zone.
    case tradingDay = "trading_day"
    case nonTradingDay = "non_trading_day"
}

public enum CalendarAnswer: Sendable, Hashable {
    case yes
    case no
    /// Neither: and why.
    case unknown(String)
}

/// `{calendar: XSHG, when: closed}`: of a job, or of the window in which a switch may move on.
public struct CalendarCondition: Sendable, Hashable, CustomStringConvertible {
    public let calendar: ExchangeCalendar
    public let state: CalendarState

    public init(calendar: ExchangeCalendar, state: CalendarState) {
        self.calendar = calendar
        self.state = state
    }

    public func answer(at time: Timestamp) -> CalendarAnswer { calendar.answer(state, at: time) }

    public var description: String { "\(calendar.name) \(state.rawValue)" }
}
