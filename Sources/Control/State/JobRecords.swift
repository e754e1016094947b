// The tables of jobs in control.sqlite.

internal import GRDB
internal import Ledger

enum JobRecords {
    static let schema = """
        CREATE TABLE jobs (
            name TEXT PRIMARY KEY, times TEXT NOT NULL, considered_until INTEGER NOT NULL,
            last_success INTEGER, last_done INTEGER NOT NULL) STRICT;
        CREATE TABLE job_runs (
            id INTEGER PRIMARY KEY AUTOINCREMENT, instance TEXT NOT NULL UNIQUE, job TEXT NOT NULL,
            trigger TEXT NOT NULL, scheduled INTEGER, started INTEGER NOT NULL, ended INTEGER,
            outcome TEXT, exit_code INTEGER, signal INTEGER, detail TEXT NOT NULL,
            output TEXT NOT NULL, skipped INTEGER NOT NULL, pid INTEGER, start_ticks INTEGER,
            boot_id TEXT NOT NULL) STRICT;
        CREATE INDEX job_runs_of_job ON job_runs (job, id);
        """

    /// Of each job.
    static let runsMax = 100

    static func write(_ mark: JobMark, to database: Database) throws {
        try database.execute(
            sql: "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?)",
            arguments: [
                mark.job, mark.times, mark.consideredUntil.microseconds,
                mark.lastSuccess?.microseconds, mark.lastDone.microseconds,
            ])
    }

    /// With its runs, so that jobs that come and go leave nothing.
    static func remove(_ job: JobName, from database: Database) throws {
        try database.execute(sql: "DELETE FROM jobs WHERE name = ?", arguments: [job])
        try database.execute(sql: "DELETE FROM job_runs WHERE job = ?", arguments: [job])
    }

    static func write(_ run: JobRun, to database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO job_runs (instance, job, trigger, scheduled, started, ended, outcome,
                    exit_code, signal, detail, output, skipped, pid, start_ticks, boot_id)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (instance) DO UPDATE SET scheduled = excluded.scheduled,
                    ended = excluded.ended, outcome = excluded.outcome,
                    exit_code = excluded.exit_code, signal = excluded.signal,
                    detail = excluded.detail, output = excluded.output,
                    skipped = excluded.skipped, pid = excluded.pid,
                    start_ticks = excluded.start_ticks, boot_id = excluded.boot_id
                """,
            arguments: [
                run.instance, run.job, run.trigger.rawValue, run.scheduled?.microseconds,
                run.started.microseconds, run.ended?.microseconds, run.outcome?.rawValue,
                run.exitCode, run.signal, run.detail, run.output, run.skipped, run.pid,
                run.startTicks.map(Int64.init(clamping:)), run.bootID,
            ])
        try database.execute(
            sql: """
                DELETE FROM job_runs WHERE job = :job AND id <=
                    (SELECT id FROM job_runs WHERE job = :job ORDER BY id DESC LIMIT 1 OFFSET :max)
                """, arguments: ["job": run.job, "max": runsMax])
    }

    static func marks(_ database: Database) throws -> [JobMark] {
        try Row.fetchAll(database, sql: "SELECT * FROM jobs ORDER BY name").map { row in
            JobMark(
                job: row["name"], times: row["times"],
                consideredUntil: Timestamp(microseconds: row["considered_until"]),
                lastSuccess: time(row["last_success"]),
                lastDone: Timestamp(microseconds: row["last_done"]))
        }
    }

    /// The newest of a job, newest first.
    static func runs(
        _ database: Database, of job: JobName, count: Int
    ) throws -> [JobRun] {
        try Row.fetchAll(
            database, sql: "SELECT * FROM job_runs WHERE job = ? ORDER BY id DESC LIMIT ?",
            arguments: [job, count]
        ).compactMap(run)
    }

    private static func run(_ row: GRDB.Row) -> JobRun? {
        guard let trigger = JobTrigger(rawValue: row["trigger"]) else { return nil }
        var run = JobRun(
            row["job"], trigger, scheduled: time(row["scheduled"]),
            started: Timestamp(microseconds: row["started"]))
        run.instance = row["instance"]
        run.ended = time(row["ended"])
        run.outcome = (row["outcome"] as String?).flatMap(JobOutcome.init)
        run.exitCode = row["exit_code"]
        run.signal = row["signal"]
        run.detail = row["detail"]
        run.output = row["output"]
        run.skipped = row["skipped"]
        run.pid = row["pid"]
        run.startTicks = (row["start_ticks"] as Int64?).map { UInt64(clamping: $0) }
        run.bootID = row["boot_id"]
        return run
    }

    private static func time(_ microseconds: Int64?) -> Timestamp? {
        microseconds.map(Timestamp.init(microseconds:))
    }
}
