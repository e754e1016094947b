import Control
import Foundation
import StrictYAML

/// A calendar by the name that other sections call it.
struct CalendarSettings: Sendable, Equatable {
    var name: String
    /// Absolute.
    var path: String
    var calendar: ExchangeCalendar
}

/// One command that is run at certain times.
struct JobSettings: Sendable, Equatable {
    var name: String
    /// The program and its arguments; `opsd` is this program with this configuration.
    var command: [String]
    var schedule: Schedule
    /// Of the schedule, as the configuration says it.
    var timeZone = TimeZone.gmt
    /// Times at which it does not hold are none; nil: all are.
    var only: CalendarCondition?
    var timeout = Duration.seconds(86_400)
    var overlap = JobOverlap.skip
    /// The oldest time that is made up for; zero: none is.
    var catchUp = Duration.seconds(86_400)
    var jitter = Duration.zero

    /// With nothing but what must be written.
    static let usual = JobSettings(name: "*", command: [], schedule: .every(.seconds(1)))
    static let ownProgram = "opsd"

    var isOwnCommand: Bool { command.first == Self.ownProgram }
}
