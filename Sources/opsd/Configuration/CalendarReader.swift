import Control
import StrictYAML

/// Reads `calendars`: names and the files that lie behind them.
struct CalendarReader {
    let findings: Findings
    let source: ConfigurationSource

    func read(_ name: String, _ place: Place, _ value: YAMLValue) -> CalendarSettings? {
        let path = AbsolutePath.read(value)
        guard ServiceReader.isName(name) else {
            findings.error(
                place, "'\(name.prefix(60))' is not a name",
                "write the exchange's code, as in XSHG")
            return nil
        }
        guard let path else { return nil }
        let text: String
        do {
            text = try source.text(path, name: value.shown)
        } catch {
            for finding in error.findings { value.refuse(finding.problem, finding.remedy) }
            return nil
        }
        do {
            let calendar = try ExchangeCalendar(name: name, parsing: text)
            return CalendarSettings(name: name, path: path, calendar: calendar)
        } catch {
            findings.error(
                Place(file: value.shown, line: error.line, column: error.column), error.problem,
                error.remedy)
            return nil
        }
    }
}

/// Reads `{calendar: XSHG, when: closed}`, wherever it stands.
struct ConditionReader {
    let calendars: [CalendarSettings]
    let findings: Findings

    func read(_ value: YAMLValue) -> CalendarCondition? {
        value.mapping { item in
            let reference = PlacedReference.one(item.required("calendar"))
            let state = item.required("when")?.choice(CalendarState.self)
            guard let reference else { return nil }
            guard let found = calendars.first(where: { $0.name == reference.name }) else {
                findings.error(
                    reference.place, "no calendar is called '\(reference.shown)'",
                    calendars.isEmpty
                        ? "add 'calendars: {\(reference.shown): calendars/\(reference.shown).csv}'"
                        : NearestName.remedy(
                            for: reference.name, in: calendars.map(\.name), noun: "calendars"))
                return nil
            }
            return state.map { CalendarCondition(calendar: found.calendar, state: $0) }
        }
    }
}

/// Reads the two ways in which a section says when something is to happen.
enum ScheduleReader {
    /// `"0 3 * * *"`.
    static func cron(_ value: YAMLValue) -> Schedule? {
        guard let text = value.nonEmptyText() else { return nil }
        do {
            return .cron(try CronExpression(text))
        } catch {
            value.refuse(
                "\(value.name): '\(value.shown)', character \(error.offset + 1): \(error.problem)",
                error.remedy)
            return nil
        }
    }

    /// `10m`. A job of less than a second is a service.
    static func every(_ value: YAMLValue) -> Schedule? {
        value.duration(from: .seconds(1)).map { .every($0) }
    }
}
