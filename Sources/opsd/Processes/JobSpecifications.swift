import Control
import Ledger

extension JobSpecification {
    /// What the scheduler is to run, as the configuration says it.
    static func all(of configuration: Configuration) -> [JobSpecification] {
        let layout = DataLayout(configuration)
        return configuration.jobs.map { job in
            var words = job.command
            if job.isOwnCommand {
                words[0] = ServiceSpecification.executable
                let names = words.contains { word in
                    word == "-c" || word == "--config" || word.hasPrefix("--config=")
                }
                if !names {
                    words += ["-c", configuration.path]
                }
            }
            return JobSpecification(
                name: job.name, executable: words.first ?? "",
                arguments: Array(words.dropFirst()), workingDirectory: configuration.folder,
                isOwnCommand: job.isOwnCommand, schedule: job.schedule, timeZone: job.timeZone,
                condition: job.only, timeout: job.timeout, overlap: job.overlap,
                catchUp: job.catchUp, jitter: job.jitter, logFile: layout.log(ofJob: job.name))
        }
    }
}

extension Configuration {
    func collectCalendars(into sink: inout MetricsSink) {
        for calendar in calendars {
            sink.gauge(
                "opsd_calendar_end_timestamp_seconds", [("calendar", calendar.name)],
                Double(calendar.calendar.end.seconds),
                help: "When the calendar's data ends; what comes after it is unknown.")
        }
    }
}
