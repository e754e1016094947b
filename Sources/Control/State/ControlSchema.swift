internal import GRDB
internal import Ledger

/// The tables of control.sqlite. Each version leads to the next, in place; `user_version` says which
/// one a file has.
enum ControlSchema {
    private static let steps = [
        """
        CREATE TABLE services (
            name TEXT PRIMARY KEY, state TEXT NOT NULL, pid INTEGER, start_ticks INTEGER,
            boot_id TEXT NOT NULL, started_at INTEGER, restarts INTEGER NOT NULL, last_exit TEXT,
            since INTEGER NOT NULL) STRICT;
        CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, service TEXT NOT NULL,
            kind TEXT NOT NULL, text TEXT NOT NULL) STRICT;
        """,
        """
        ALTER TABLE services ADD COLUMN instance TEXT;
        ALTER TABLE services ADD COLUMN quick_exits INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE services ADD COLUMN starts_at INTEGER;
        """,
        JobRecords.schema,
    ]

    static var version: Int { steps.count }

    static func migrate(_ database: Database) throws {
        let found = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        guard found <= version else { throw ControlStateError.newer(found, known: version) }
        for (index, step) in steps.enumerated() where index >= found {
            try database.execute(sql: step)
            try database.execute(sql: "PRAGMA user_version = \(index + 1)")
        }
    }

    static func write(_ record: ServiceRecord, to database: Database) throws {
        try database.execute(
            sql: """
                INSERT OR REPLACE INTO services (name, state, pid, start_ticks, boot_id, started_at,
                    restarts, last_exit, since, instance, quick_exits, starts_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                record.name, record.state, record.pid, record.startTicks.map(Int64.init(clamping:)),
                record.bootID, record.startedAt?.microseconds, record.restarts, record.lastExit,
                record.since.microseconds, record.instance, record.quickExits,
                record.startsAt?.microseconds,
            ])
    }

    static func services(_ database: Database) throws -> [ServiceRecord] {
        try Row.fetchAll(database, sql: "SELECT * FROM services ORDER BY name").map { row in
            ServiceRecord(
                name: row["name"], state: row["state"], pid: row["pid"],
                startTicks: (row["start_ticks"] as Int64?).map { UInt64(clamping: $0) },
                bootID: row["boot_id"],
                startedAt: (row["started_at"] as Int64?).map(Timestamp.init(microseconds:)),
                restarts: row["restarts"], lastExit: row["last_exit"],
                since: Timestamp(microseconds: row["since"]), instance: row["instance"],
                quickExits: row["quick_exits"],
                startsAt: (row["starts_at"] as Int64?).map(Timestamp.init(microseconds:)))
        }
    }

    /// The newest `count`, oldest first.
    static func events(_ database: Database, count: Int) throws -> [RecordedEvent] {
        try Row.fetchAll(
            database, sql: "SELECT * FROM events ORDER BY id DESC LIMIT ?", arguments: [count]
        ).reversed().map { row in
            RecordedEvent(
                time: Timestamp(microseconds: row["time"]), service: row["service"],
                kind: row["kind"], text: row["text"])
        }
    }

    /// Adds events and drops what is older than the newest `keep`.
    static func append(
        _ events: [RecordedEvent], to database: Database, keep: Int
    ) throws {
        for event in events {
            try database.execute(
                sql: "INSERT INTO events (time, service, kind, text) VALUES (?, ?, ?, ?)",
                arguments: [event.time.microseconds, event.service, event.kind, event.text])
        }
        try database.execute(
            sql: "DELETE FROM events WHERE id <= (SELECT MAX(id) FROM events) - ?",
            arguments: [keep])
    }
}

/// Why control.sqlite cannot be used.
public enum ControlStateError: Error, CustomStringConvertible {
    case newer(Int, known: Int)
    case unusable(path: String, problem: String)

    public var description: String {
        switch self {
        case .newer(let found, let known):
            "control.sqlite has version \(found), this program knows \(known): run the newer opsd"
        case .unusable(let path, let problem):
            "\(path) cannot be used: \(problem); services run all the same, but what happens to "
                + "them is not written down"
        }
    }
}
