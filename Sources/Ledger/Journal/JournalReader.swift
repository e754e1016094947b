internal import Foundation
internal import GRDB

/// Reads the journal of another process (or of nobody), a page at a time, verifying every checksum.
/// It never writes: no lock, no checkpoint, no change of mode.
public final class JournalReader {
    private let directory: String
    private var opened: (file: JournalFile, header: JournalHeader, database: DatabaseQueue)?
    /// The last entry that was read, so that the next page need not look its checksum up again.
    private var last: JournalHead?
    /// Its file: between two files the same sequence number stands for two places in the chain.
    private var lastPath = ""

    public init(directory: String) throws(JournalError) {
        self.directory = directory
        guard try !JournalFile.all(in: directory).isEmpty else { throw .missing(path: directory) }
    }

    /// Whether there is a journal at all.
    public static func isPresent(in directory: String) throws(JournalError) -> Bool {
        try !JournalFile.all(in: directory).isEmpty
    }

    /// The key of the digests of this journal's rows.
    public func digestKey() throws(JournalError) -> SipHashKey {
        guard let first = try JournalFile.all(in: directory).first else {
            throw .missing(path: directory)
        }
        return try open(first).header.digestKey
    }

    /// The entries after a sequence number, oldest first, at most `limit` of them, and none behind the one
    /// with which they reach `bytesMax` bytes. Fewer, or none, only when the journal has no more. Throws
    /// `deleted` when the files that held the next entries are gone, and `damaged`, naming the last whole
    /// entry, as soon as a byte of an entry is not what was written: nothing damaged is ever returned or
    /// passed over.
    public func entries(
        after sequence: SequenceNumber, limit: Int, bytesMax: Int = .max
    ) throws(JournalError) -> [Entry] {
        var found: [Entry] = []
        var room = bytesMax
        let files = try JournalFile.all(in: directory)
        var index = max(0, (files.firstIndex { $0.firstSequence > sequence } ?? files.count) - 1)
        var position = sequence
        if index == 0, let oldest = files.first { try expect(oldest, toReachBackTo: sequence) }
        while index < files.count {
            let page = try read(
                files[index], after: position, limit: limit - found.count, room: &room)
            found += page.entries
            guard found.count < limit, room > 0, index + 1 < files.count else { break }
            index += 1
            try expect(files[index], toFollow: page.end)
            position = max(position, page.end.sequence)
        }
        return found
    }

    /// The checksum of an entry; nil when the journal has no such entry. Throws as `entries` does.
    public func checksum(of sequence: SequenceNumber) throws(JournalError) -> Checksum? {
        let before = SequenceNumber(rawValue: sequence.rawValue - 1)
        do throws(JournalError) {
            let entry = try entries(after: before, limit: 1).first
            return entry?.sequence == sequence ? entry?.checksum : nil
        } catch .deleted(let file, let after, let through) {
            // The last entry before the oldest file is known by that file's header.
            guard through == sequence, let oldest = try JournalFile.all(in: directory).first else {
                throw .deleted(file: file, after: after, through: through)
            }
            return try open(oldest).header.previous.checksum
        } catch {
            throw error
        }
    }

    /// The last entry's sequence and checksum, the entry itself verified.
    public func head() throws(JournalError) -> JournalHead {
        guard let newest = try JournalFile.all(in: directory).last else {
            throw .missing(path: directory)
        }
        let (_, header, database) = try open(newest)
        let secondLast: Int64?
        do {
            secondLast = try database.read { database in
                try Int64.fetchOne(
                    database,
                    sql: "SELECT sequence FROM entries ORDER BY sequence DESC LIMIT 1 OFFSET 1")
            }
        } catch {
            throw journalError(error, path: newest.path, after: header.previous.sequence)
        }
        let start = secondLast.map(SequenceNumber.init(rawValue:)) ?? header.previous.sequence
        var room = Int.max
        return try read(newest, after: start, limit: 2, room: &room).end
    }

    private func open(
        _ file: JournalFile
    ) throws(JournalError) -> (file: JournalFile, header: JournalHeader, database: DatabaseQueue) {
        if let opened, opened.file.path == file.path { return opened }
        do {
            var configuration = GRDB.Configuration()
            configuration.readonly = true
            configuration.busyMode = .timeout(1)
            let database = try DatabaseQueue(path: file.path, configuration: configuration)
            guard let header = try database.read(JournalHeader.read) else {
                throw JournalError.damaged(
                    file: file.path, after: last?.sequence ?? .none,
                    problem: "the header is missing or of another format")
            }
            guard header.previous.sequence.next == file.firstSequence else {
                throw JournalError.damaged(
                    file: file.path, after: last?.sequence ?? .none,
                    problem: """
                        the file begins with entry \(header.previous.sequence.next), which is not \
                        what its name says
                        """)
            }
            opened = (file, header, database)
            return (file, header, database)
        } catch {
            throw journalError(error, path: file.path, after: last?.sequence ?? .none)
        }
    }

    /// A page of one file, and where the chain stands at its end.
    /// - Parameter room: bytes that entries may still have; one entry may go beyond.
    private func read(
        _ file: JournalFile, after sequence: SequenceNumber, limit: Int, room: inout Int
    ) throws(JournalError) -> (entries: [Entry], end: JournalHead) {
        let (_, header, database) = try open(file)
        let known = lastPath == file.path ? last : nil
        var chain = header.start
        do {
            let entries = try database.read { database in
                if sequence > header.previous.sequence {
                    if let known, known.sequence == sequence {
                        chain = known
                    } else {
                        chain = try Self.link(at: sequence, in: file, header, database)
                    }
                }
                return try Self.verified(
                    after: &chain, limit: limit, room: &room, in: file, database)
            }
            last = chain
            lastPath = file.path
            return (entries, chain)
        } catch {
            throw journalError(error, path: file.path, after: chain.sequence)
        }
    }

    /// The stored checksum of the entry that a page begins after.
    private static func link(
        at sequence: SequenceNumber, in file: JournalFile, _ header: JournalHeader,
        _ database: Database
    ) throws -> JournalHead {
        let row = try GRDB.Row.fetchOne(
            database,
            sql: """
                SELECT sequence, checksum FROM entries
                WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1
                """, arguments: [sequence.rawValue])
        guard let row else { return header.start }
        let found = SequenceNumber(rawValue: (row[0] as DatabaseValue).storedInteger ?? -1)
        let bytes = (row[1] as DatabaseValue).storedBytes
        guard let checksum = bytes.flatMap(Checksum.init(stored:)) else {
            throw JournalError.damaged(
                file: file.path, after: SequenceNumber(rawValue: found.rawValue - 1),
                problem: "the checksum of entry \(found) is not 32 bytes long")
        }
        return JournalHead(sequence: found, checksum: checksum)
    }

    private static func verified(
        after chain: inout JournalHead, limit: Int, room: inout Int, in file: JournalFile,
        _ database: Database
    ) throws -> [Entry] {
        let cursor = try GRDB.Row.fetchCursor(
            database,
            sql: """
                SELECT sequence, time, body, checksum FROM entries
                WHERE sequence > ? ORDER BY sequence LIMIT ?
                """, arguments: [chain.sequence.rawValue, limit])
        var entries: [Entry] = []
        while room > 0, let row = try cursor.next() {
            let stored = StoredEntry(row)
            let entry = try stored.verified(after: chain, file: file.path)
            entries.append(entry)
            room -= stored.body.count
            chain = JournalHead(sequence: entry.sequence, checksum: entry.checksum)
        }
        if entries.count < limit, room > 0 { try expectEnd(at: chain, in: file, database) }
        return entries
    }

    /// A search can miss a row whose number is damaged. The last row is found without a search, so
    /// it tells whether the entries really end here.
    private static func expectEnd(
        at chain: JournalHead, in file: JournalFile, _ database: Database
    ) throws {
        let last = try Int64.fetchOne(
            database, sql: "SELECT sequence FROM entries ORDER BY sequence DESC LIMIT 1")
        guard let last, last != chain.sequence.rawValue else { return }
        throw JournalError.damaged(
            file: file.path, after: chain.sequence,
            problem: "entry \(last) stands where \(chain.sequence.next) should")
    }

    /// Older files may have been deleted when a snapshot covers them; who reads from further back
    /// must not take what is left for everything.
    private func expect(
        _ oldest: JournalFile, toReachBackTo sequence: SequenceNumber
    ) throws(JournalError) {
        let previous = try open(oldest).header.previous
        guard previous.sequence > sequence, previous.checksum != .origin else { return }
        throw .deleted(file: oldest.path, after: sequence, through: previous.sequence)
    }

    /// Closes the file that was read last.
    func release() {
        opened = nil
    }

    private func expect(
        _ file: JournalFile, toFollow end: JournalHead
    ) throws(JournalError) {
        let previous = try open(file).header.previous
        guard previous == end else {
            throw .damaged(
                file: file.path, after: end.sequence,
                problem: "the file follows entry \(previous.sequence), not \(end.sequence)")
        }
    }
}
