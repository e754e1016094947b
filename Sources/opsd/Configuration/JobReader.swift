import ArgumentParser
import Control
import Foundation
import StrictYAML

extension ConfigurationReader {
    func readSchedule(_ top: inout YAMLMapping, _ result: inout Configuration) {
        if let value = top.optional("calendars") {
            let reader = CalendarReader(findings: findings, source: source)
            result.calendars = value.names(reader.read) ?? []
        }
        if let value = top.optional("jobs") {
            let reader = JobReader(
                timeZone: result.timeZone,
                conditions: ConditionReader(calendars: result.calendars, findings: findings))
            let jobs = value.sequence(reader.read) ?? []
            var seen: Set<String> = []
            for job in jobs where !seen.insert(job.settings.name).inserted {
                findings.error(
                    job.place, "job \(job.settings.name) is listed twice",
                    "give one of the two another name")
            }
            result.jobs = jobs.map(\.settings)
        }
    }
}

/// Reads one entry of `jobs`.
struct JobReader {
    struct PlacedJob {
        var settings: JobSettings
        let place: Place
    }

    let timeZone: TimeZone
    let conditions: ConditionReader

    func read(_ value: YAMLValue) -> PlacedJob? {
        value.mapping { item in
            let nameValue = item.required("name")
            let name = nameValue.flatMap(ServiceReader.readName)
            let commandValue = item.required("command")
            let command = commandValue.flatMap(CommandWords.read)
            if let command, let commandValue { checkOwn(command, commandValue) }
            let schedule = readSchedule(&item)
            let only = item.optional("only").flatMap(conditions.read)
            let timeout = item.optional("timeout")?.duration(from: .seconds(1))
            let overlap = item.optional("overlap")?.choice(JobOverlap.self)
            let catchUp = item.optional("catch_up")?.duration(from: .zero)
            let jitterValue = item.optional("jitter")
            let jitter = jitterValue?.duration(from: .zero)
            if case .every(let period)? = schedule, let jitter, jitter >= period {
                jitterValue?.refuse(
                    "jitter is not shorter than every",
                    "write less than \(YAMLValue.words(for: period))")
            }
            guard let name, let nameValue, let command, let schedule else { return nil }
            var job = JobSettings(name: name, command: command, schedule: schedule)
            job.timeZone = timeZone
            job.only = only
            if let timeout { job.timeout = timeout }
            if let overlap { job.overlap = overlap }
            if let catchUp { job.catchUp = catchUp }
            if let jitter { job.jitter = jitter }
            return PlacedJob(settings: job, place: nameValue.place)
        }
    }

    private func readSchedule(_ item: inout YAMLMapping) -> Schedule? {
        let present = item.present(ofAlternatives: ["schedule", "every"])
        let cron = item.optional("schedule").flatMap(ScheduleReader.cron)
        let every = item.optional("every").flatMap(ScheduleReader.every)
        if present.count != 1 {
            item.refuse(
                present.isEmpty
                    ? "the job has no times" : "the job has both schedule and every",
                "write either 'schedule: \"0 3 * * *\"' or 'every: 10m'")
        }
        return cron ?? every
    }

    /// A job ends; what runs for good is a service.
    private static let endless: Set<String> = ["run", "core", "paper-broker"]

    private func checkOwn(_ command: [String], _ value: YAMLValue) {
        guard command.first == JobSettings.ownProgram else { return }
        let names = Opsd.configuration.subcommands.compactMap { $0.configuration.commandName }
            .filter { !Self.endless.contains($0) }
        let word = command.count > 1 ? command[1] : ""
        if Self.endless.contains(word) {
            value.refuse("opsd \(word) runs for good: it is no job", "declare it under services")
        } else if !names.contains(word) {
            value.refuse(
                "opsd has no command '\(word)'",
                NearestName.remedy(for: word, in: names, noun: "commands"))
        }
    }
}
