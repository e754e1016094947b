// control.sqlite: what the supervisor must still know after a crash. One process writes it, the one
// that holds the supervisor's lock. Writing never holds the supervisor up and never stops it: what
// could not be written is kept, and written with what comes next.

internal import CoreMetrics
internal import Foundation
internal import GRDB
public import Ledger
internal import Synchronization

public final class ControlState: Sendable {
    /// Told when writing begins to fail and when it works again.
    public typealias OnProblem = @Sendable (String) -> Void

    public static let eventsMax = 10_000
    static let failuresMetric = "opsd_control_state_write_failures_total"

    private struct Waiting: Sendable {
        /// Nil: the service is to be forgotten.
        var records: [ServiceName: ServiceRecord?] = [:]
        var events: [RecordedEvent] = []
        /// Nil: the job is to be forgotten, with its runs.
        var marks: [JobName: JobMark?] = [:]
        /// In the order in which they began, each once.
        var runs: [JobRun] = []
        var isScheduled = false
        var problem: String?

        var isEmpty: Bool {
            records.isEmpty && events.isEmpty && marks.isEmpty && runs.isEmpty
        }

        mutating func put(_ run: JobRun) {
            if let index = runs.firstIndex(where: { $0.instance == run.instance }) {
                runs[index] = run
            } else {
                runs.append(run)
            }
        }
    }

    private let database: DatabaseQueue
    private let onProblem: OnProblem
    private let failures: Counter
    /// A lock: callers on any thread leave work here, and GRDB's thread takes all of it at once. It
    /// is held for an insertion or a swap.
    private let waiting = Mutex(Waiting())

    /// The name under which a damaged file was moved aside; nil when it was sound or new.
    public let movedAside: String?

    /// Opens the file, or makes it; a damaged one is moved aside and begun anew. Reads and writes
    /// the disk: not for the pool of tasks under load.
    public init(
        path: String, now: Timestamp = .now(), onProblem: @escaping OnProblem = { _ in }
    ) throws {
        self.onProblem = onProblem
        failures = Counter(label: Self.failuresMetric)
        do {
            database = try Self.open(path)
            movedAside = nil
        } catch let error as DatabaseError where Self.isDamage(error) {
            let aside = "\(path).damaged-\(now.microseconds)"
            for suffix in ["", "-wal", "-shm"] {
                try? FileManager.default.moveItem(atPath: path + suffix, toPath: aside + suffix)
            }
            database = try Self.open(path)
            movedAside = aside
        }
    }

    /// Why the last write failed; nil when it did not.
    public var problem: String? { waiting.withLock { $0.problem } }

    public func save(_ record: ServiceRecord) {
        add { $0.records[record.name] = .some(record) }
    }

    public func remove(service name: ServiceName) {
        add { $0.records[name] = .some(nil) }
    }

    public func append(_ event: ServiceEvent, at time: Timestamp) {
        let recorded = RecordedEvent(
            time: time, service: event.service, kind: event.kind.word,
            text: event.kind.description)
        add { $0.events.append(recorded) }
    }

    func save(_ mark: JobMark) {
        add { $0.marks[mark.job] = .some(mark) }
    }

    func save(_ run: JobRun) {
        add { $0.put(run) }
    }

    /// With its runs.
    func remove(job name: JobName) {
        add { waiting in
            waiting.marks[name] = .some(nil)
            waiting.runs.removeAll { $0.job == name }
        }
    }

    /// Of every job that is known; empty when it cannot be read.
    func jobMarks() async -> [JobMark] {
        (try? await database.read { try JobRecords.marks($0) }) ?? []
    }

    /// The newest runs of a job, newest first; empty when they cannot be read.
    public func runs(of job: JobName, newest count: Int) async -> [JobRun] {
        (try? await database.read { try JobRecords.runs($0, of: job, count: count) }) ?? []
    }

    /// What is written down; empty when it cannot be read.
    public func services() async -> [ServiceRecord] {
        (try? await database.read { try ControlSchema.services($0) }) ?? []
    }

    public func events(newest count: Int) async -> [RecordedEvent] {
        (try? await database.read { try ControlSchema.events($0, count: count) }) ?? []
    }

    /// Returns when everything so far was tried to be written.
    public func flush() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            database.asyncWriteWithoutTransaction { [self] database in
                drain(into: database)
                continuation.resume()
            }
        }
    }

    /// For a command while no daemon runs; changes nothing. Throws when the file is not there or
    /// cannot be read.
    public static func readServices(path: String) throws -> [ServiceRecord] {
        try read(path) { try ControlSchema.services($0) }
    }

    /// The same, of the newest runs of a job, newest first.
    public static func readRuns(
        path: String, of job: JobName, newest count: Int
    ) throws -> [JobRun] {
        try read(path) { try JobRecords.runs($0, of: job, count: count) }
    }

    private static func read<Value>(
        _ path: String, _ body: (Database) throws -> Value
    ) throws -> Value {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(2)
        let database = try DatabaseQueue(path: path, configuration: configuration)
        defer { try? database.close() }
        return try database.read(body)
    }

    /// Looks before the file is opened for writing: GRDB writes a page when it sets up WAL.
    private static func refuseNewer(_ path: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        // What else is wrong with the file shows when it is opened.
        guard let database = try? DatabaseQueue(path: path, configuration: configuration) else {
            return
        }
        defer { try? database.close() }
        let found = try? database.read { try Int.fetchOne($0, sql: "PRAGMA user_version") }
        if let found, found > ControlSchema.version {
            throw ControlStateError.newer(found, known: ControlSchema.version)
        }
    }

    private static func open(_ path: String) throws -> DatabaseQueue {
        try refuseNewer(path)
        var configuration = Configuration()
        configuration.journalMode = .wal
        configuration.busyMode = .timeout(2)
        configuration.label = "control-state"
        let database = try DatabaseQueue(path: path, configuration: configuration)
        try database.writeWithoutTransaction { database in
            // After GRDB has set up WAL, because it chooses NORMAL then, which may lose the last
            // transactions in a power cut.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            let check = try String.fetchOne(database, sql: "PRAGMA quick_check(1)")
            guard check == "ok" else {
                throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: check)
            }
            try database.inTransaction {
                try ControlSchema.migrate(database)
                return .commit
            }
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        return database
    }

    private static func isDamage(_ error: DatabaseError) -> Bool {
        error.resultCode == .SQLITE_CORRUPT || error.resultCode == .SQLITE_NOTADB
    }

    // MARK: Writing

    private func add(_ change: (inout Waiting) -> Void) {
        let isScheduled = waiting.withLock { waiting in
            change(&waiting)
            // A disk that stays full must not fill the memory too.
            waiting.events.removeFirst(max(0, waiting.events.count - 1_000))
            waiting.runs.removeFirst(max(0, waiting.runs.count - 1_000))
            defer { waiting.isScheduled = true }
            return waiting.isScheduled
        }
        if isScheduled { return }
        database.asyncWriteWithoutTransaction { [self] in drain(into: $0) }
    }

    private func drain(into database: Database) {
        let taken = waiting.withLock { waiting in
            defer { waiting = Waiting(problem: waiting.problem) }
            return waiting
        }
        if taken.isEmpty { return }
        do {
            try database.inTransaction {
                for (name, record) in taken.records {
                    if let record {
                        try ControlSchema.write(record, to: database)
                    } else {
                        try database.execute(
                            sql: "DELETE FROM services WHERE name = ?", arguments: [name])
                    }
                }
                for (name, mark) in taken.marks {
                    if let mark {
                        try JobRecords.write(mark, to: database)
                    } else {
                        try JobRecords.remove(name, from: database)
                    }
                }
                for run in taken.runs { try JobRecords.write(run, to: database) }
                try ControlSchema.append(taken.events, to: database, keep: Self.eventsMax)
                return .commit
            }
            note(nil)
        } catch {
            failures.increment()
            waiting.withLock { waiting in
                waiting.records.merge(taken.records) { newer, _ in newer }
                waiting.events.insert(contentsOf: taken.events, at: 0)
                waiting.marks.merge(taken.marks) { newer, _ in newer }
                let newer = waiting.runs
                waiting.runs = taken.runs.filter { !Self.isForgotten($0, waiting.marks) }
                for run in newer { waiting.put(run) }
            }
            note("\(error)")
        }
    }

    private static func isForgotten(_ run: JobRun, _ marks: [JobName: JobMark?]) -> Bool {
        if case .some(.none) = marks[run.job] { true } else { false }
    }

    /// Says it once when writing begins to fail, and once when it works again.
    private func note(_ problem: String?) {
        let changed = waiting.withLock { waiting in
            defer { waiting.problem = problem }
            return (waiting.problem == nil) != (problem == nil)
        }
        guard changed else { return }
        onProblem(
            problem.map { "control.sqlite is not written: \($0)" }
                ?? "control.sqlite is written again")
    }
}
