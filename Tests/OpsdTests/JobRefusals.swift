// Broken `calendars` and `jobs`, and what is said of them. Each text stands behind `head`.

extension ConfigurationRefusalTests {
    private static func job(_ text: String, _ says: String) -> Refusal {
        Refusal("jobs: [{name: a, command: [date], \(text)}]", says)
    }

    static let jobs = [
        Refusal(
            "calendars: {XSHG: data/none.csv}",
            "opsd.yaml:1:19: cannot read data/none.csv: No such file or directory; create it, or correct the path"
        ),
        Refusal(
            "calendars: {XSHG: data/jwt.key}",
            "data/jwt.key:1:1: the columns are not named; write 'date,open,break_start,break_end,close' before the first day"
        ),
        Refusal(
            "jobs: {a: b}", "opsd.yaml:1:7: jobs is a mapping, not a list; write [first, second]"),
        Refusal(
            "jobs: [{name: a}]",
            "opsd.yaml:1:8: item 1 of jobs lacks command; add 'command: …'\nopsd.yaml:1:8: the job has no times; write either 'schedule: \"0 3 * * *\"' or 'every: 10m'"
        ),
        job(
            "every: 10m, schedule: \"@daily\"",
            "opsd.yaml:1:8: the job has both schedule and every; write either 'schedule: \"0 3 * * *\"' or 'every: 10m'"
        ),
        job(
            "schedule: \"0 25 * * *\"",
            "opsd.yaml:1:45: schedule: '0 25 * * *', character 3: hour: there is no '25'; write 0 to 23"
        ),
        job(
            "schedule: \"0 3 31 2 *\"",
            "opsd.yaml:1:45: schedule: '0 3 31 2 *', character 5: this time never comes: no such month has such a day; write a day up to 29"
        ),
        job(
            "every: 500ms", "opsd.yaml:1:42: every: 500ms is too short; write at least 1s"),
        job(
            "every: 10m, jitter: 10m",
            "opsd.yaml:1:55: jitter is not shorter than every; write less than 10m"),
        job(
            "every: 10m, overlap: replace",
            "opsd.yaml:1:56: overlap: 'replace' is not known; the words here are: skip, queue"),
        job(
            "every: 10m, catchup: 1h",
            "opsd.yaml:1:47: unknown key 'catchup' in item 1 of jobs; write catch_up"),
        job(
            "every: 10m, only: {calendar: XSHG, when: open}",
            "opsd.yaml:1:64: no calendar is called 'XSHG'; add 'calendars: {XSHG: calendars/XSHG.csv}'"
        ),
        Refusal(
            "jobs: [{name: a, command: [opsd, jurnal, check], every: 10m}]",
            "opsd.yaml:1:27: opsd has no command 'jurnal'; write journal"),
        Refusal(
            "jobs: [{name: a, command: [opsd, core], every: 10m}]",
            "opsd.yaml:1:27: opsd core runs for good: it is no job; declare it under services"
        ),
        Refusal(
            "jobs: [{name: a, command: [date], every: 1h}, {name: a, command: [date], every: 2h}]",
            "opsd.yaml:1:54: job a is listed twice; give one of the two another name"),
    ]
}
