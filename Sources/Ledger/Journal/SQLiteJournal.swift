internal import Foundation
internal import GRDB

/// The journal in rolled SQLite files: WAL, synchronous=FULL, one writer, one flush for a batch.
///
/// It promises: what `append` returned for is on disk; a crash at any moment leaves a whole prefix;
/// two writers cannot be at work at once (a kernel lock, on a file of its own).
public final class SQLiteJournal: Journal {
    public struct Options: Sendable {
        /// A file that has grown to this is closed and the next one begun.
        public var rollAtBytes: Int = 256_000_000
        /// Pages of write-ahead log after which they are moved into the file: it bounds recovery.
        public var checkpointPages: Int = 4_000

        public init() {}
    }

    public let directory: String
    public let digestKey: SipHashKey
    public private(set) var head: JournalHead
    private let options: Options
    private let lock: FileLock
    private let reader: JournalReader
    private var path: String
    private var database: DatabaseQueue
    private var bytesInFile: Int
    private var reserve: JournalReserve
    /// The first entry that the file in use has or will have.
    private var firstInFile: SequenceNumber

    /// Opens the journal of a directory, or begins one when there is none.
    /// - Parameter epochAbove: a new journal's epoch is one more than this; a journal that exists is
    ///   not changed by it.
    public init(
        directory: String, options: Options = Options(), epochAbove: Int64 = 0
    ) throws(JournalError) {
        self.directory = directory
        self.options = options
        try Self.make(directory)
        guard let lock = try FileLock(path: directory + "/writer.lock") else {
            throw .lockedElsewhere(path: directory)
        }
        self.lock = lock
        if try JournalFile.all(in: directory).isEmpty {
            let origin = JournalHead(
                sequence: SequenceNumber(epoch: epochAbove + 1, number: 0), checksum: .origin)
            try JournalFile.begin(
                in: directory, JournalHeader(digestKey: .random(), previous: origin))
        }
        Self.finishOlderFiles(try JournalFile.all(in: directory))
        reader = try JournalReader(directory: directory)
        digestKey = try reader.digestKey()
        head = try reader.head()
        guard let newest = try JournalFile.all(in: directory).last else {
            throw .missing(path: directory)
        }
        path = newest.path
        database = try Self.open(newest.path, options)
        reserve = JournalReserve(path: newest.path, checkpointPages: options.checkpointPages)
        bytesInFile = Self.size(of: newest.path)
        firstInFile = newest.firstSequence
    }

    /// Folds the write-ahead log in, so that a journal at rest is one file.
    deinit {
        try? database.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)")
        }
    }

    @discardableResult
    public func append(_ drafts: [EntryDraft]) throws(JournalError) -> [Checksum] {
        if drafts.isEmpty { return [] }
        if bytesInFile >= options.rollAtBytes, head.sequence >= firstInFile {
            do throws(JournalError) {
                try roll()
            } catch .diskFull {
                // The file in use takes what still fits; the next append tries again.
            }
        }
        var chain = head
        var rows: [StoredEntry] = []
        rows.reserveCapacity(drafts.count)
        for draft in drafts {
            guard draft.sequence.follows(chain.sequence) else {
                throw .outOfOrder(head: chain.sequence, found: draft.sequence)
            }
            let row = StoredEntry(draft, after: chain.checksum)
            chain = JournalHead(sequence: row.sequence, checksum: row.checksum)
            rows.append(row)
        }
        do {
            try insert(rows)
        } catch {
            throw journalError(error, path: path, after: head.sequence)
        }
        bytesInFile += rows.reduce(0) { $0 + $1.body.count + 64 }
        head = chain
        return rows.map(\.checksum)
    }

    public func entries(
        after sequence: SequenceNumber, limit: Int
    ) throws(JournalError) -> [Entry] {
        try reader.entries(after: sequence, limit: limit)
    }

    public func keepReserve() throws(JournalError) {
        guard try !reserve.extend() else { return }
        // What is in the file already need not be kept in the log: the next entry is written at its
        // beginning then.
        let isFolded = try? database.writeWithoutTransaction { database in
            let row = try GRDB.Row.fetchOne(database, sql: "PRAGMA wal_checkpoint(PASSIVE)")
            return row.map { $0[1] as Int64? == $0[2] as Int64? } ?? false
        }
        if isFolded != true { throw .diskFull(path: path) }
    }

    private func insert(_ rows: [StoredEntry]) throws {
        try database.writeWithoutTransaction { database in
            try database.inTransaction(.immediate) {
                let statement = try database.cachedStatement(
                    sql: "INSERT INTO entries VALUES (?, ?, ?, ?)")
                for row in rows {
                    statement.setUncheckedArguments([
                        row.sequence.rawValue, row.time.microseconds, Data(row.body),
                        Data(row.checksum.bytes),
                    ])
                    try statement.execute()
                }
                return .commit
            }
        }
    }

    // MARK: - Files

    /// The directory, owner-only, and durable in its parent.
    private static func make(_ directory: String) throws(JournalError) {
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        } catch {
            throw .inputOutput(path: directory, problem: error.localizedDescription)
        }
        try JournalFile.flushDirectory((directory as NSString).deletingLastPathComponent)
    }

    private static func open(
        _ path: String, _ options: Options
    ) throws(JournalError) -> DatabaseQueue {
        do {
            var configuration = GRDB.Configuration()
            // Somebody looking into the file must not stop the writer.
            configuration.busyMode = .timeout(5)
            let database = try DatabaseQueue(path: path, configuration: configuration)
            try database.writeWithoutTransaction { database in
                // It answers with the mode that the file is in afterwards.
                let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
                guard mode == "wal" else {
                    throw JournalError.inputOutput(
                        path: path, problem: "journal_mode is \(mode ?? "unknown"), not wal")
                }
                try database.execute(
                    sql: """
                        PRAGMA wal_autocheckpoint = \(options.checkpointPages);
                        PRAGMA synchronous = FULL;
                        """)
                let level = try Int.fetchOne(database, sql: "PRAGMA synchronous")
                guard level == 2 else {
                    throw JournalError.inputOutput(
                        path: path, problem: "synchronous is \(level ?? -1), not FULL")
                }
            }
            return database
        } catch {
            throw journalError(error, path: path, after: .none)
        }
    }

    private static func size(of path: String) -> Int {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.intValue ?? 0
    }

    /// Begins the next file and finishes the one in use.
    private func roll() throws(JournalError) {
        let header = JournalHeader(digestKey: digestKey, previous: head)
        let next = try JournalFile.begin(in: directory, header)
        let finished = (database, path)
        database = try Self.open(next.path, options)
        path = next.path
        reserve = JournalReserve(path: path, checkpointPages: options.checkpointPages)
        bytesInFile = 0
        firstInFile = next.firstSequence
        head = JournalHead(sequence: head.sequence, checksum: header.checksum)
        reader.release()
        Self.finish(finished.0, finished.1)
    }

    /// Folds the write-ahead log of a file in and makes the file read-only. What fails here may fail
    /// (a reader that has the file open is enough): every entry is durable in the log too, and the
    /// next opening of the journal tries again.
    private static func finish(_ database: DatabaseQueue, _ path: String) {
        try? database.writeWithoutTransaction { database in
            try database.execute(
                sql: "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
            try FileManager.default.setAttributes([.posixPermissions: 0o400], ofItemAtPath: path)
        }
        try? database.close()
    }

    /// Finishes the files that were rolled away from while a reader had them open, or right before a
    /// crash.
    private static func finishOlderFiles(_ files: [JournalFile]) {
        for file in files.dropLast() {
            let attributes = try? FileManager.default.attributesOfItem(atPath: file.path)
            let mode = (attributes?[.posixPermissions] as? NSNumber)?.intValue ?? 0
            guard mode & 0o200 != 0, let database = try? DatabaseQueue(path: file.path) else {
                continue
            }
            finish(database, file.path)
        }
    }
}
