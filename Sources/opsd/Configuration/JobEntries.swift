import Control
import Foundation

extension ConfigurationEntries {
    mutating func schedule(_ configuration: Configuration) {
        for calendar in configuration.calendars {
            let (days, sessions) = (calendar.calendar.days, calendar.calendar.sessions.count)
            within("calendars") {
                $0.add(
                    calendar.name,
                    "\(calendar.path), \(sessions) sessions from \(days.lowerBound) to "
                        + "\(days.upperBound)",
                    exact: "\(calendar.path) \(calendar.calendar.text)")
            }
        }
        for job in configuration.jobs { self.job(job) }
    }

    private mutating func job(_ job: JobSettings) {
        within("jobs", "[\(job.name)]") { list in
            list.add("command", command: job.command)
            switch job.schedule {
            case .cron(let expression): list.add("schedule", expression.description)
            case .every(let period): list.add("every", period)
            }
            if let only = job.only {
                list.within("only") {
                    $0.add(
                        "calendar", only.calendar.name,
                        exact: "\(only.calendar.name) \(only.calendar.text)")
                    $0.add("when", only.state.rawValue)
                }
            } else {
                list.add("only", "none")
            }
            list.add("timeout", job.timeout)
            list.add("overlap", job.overlap.rawValue)
            list.add("catch_up", job.catchUp)
            list.add("jitter", job.jitter)
        }
    }
}

extension ExchangeCalendar {
    /// All of it, to be compared.
    fileprivate var text: String {
        let days = sessions.sorted { $0.key < $1.key }.map { "\($0.key)\($0.value)" }
        return "\(timeZone.identifier) \(self.days) \(days.joined(separator: " "))"
    }
}
