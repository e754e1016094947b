internal import Foundation
internal import GRDB

#if canImport(Glibc)
    internal import Glibc
#endif

/// One rolled file of the journal: an SQLite database with a header and entries.
///
/// The header chains to the file before it, and the first entry chains to the header, so that a
/// file that is missing or swapped shows.
struct JournalFile {
    let path: String
    let firstSequence: SequenceNumber

    static let prefix = "journal-"
    static let suffix = ".sqlite"

    static func name(first sequence: SequenceNumber) -> String {
        let digits = String(sequence.rawValue)
        return prefix + String(repeating: "0", count: 16 - digits.utf8.count) + digits + suffix
    }

    /// The files of a directory, oldest first; none where there is no such directory. A directory
    /// that cannot be read is an error and not an empty journal.
    static func all(in directory: String) throws(JournalError) -> [JournalFile] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory)
        } catch CocoaError.fileReadNoSuchFile {
            return []
        } catch {
            throw .inputOutput(path: directory, problem: error.localizedDescription)
        }
        return names.compactMap { name -> JournalFile? in
            guard name.hasPrefix(prefix), name.hasSuffix(suffix),
                let first = Int64(name.dropFirst(prefix.count).dropLast(suffix.count))
            else { return nil }
            return JournalFile(
                path: directory + "/" + name, firstSequence: SequenceNumber(rawValue: first))
        }.sorted { $0.firstSequence < $1.firstSequence }
    }

    /// Makes the next file whole under another name first, so that no crash leaves half of one.
    @discardableResult
    static func begin(
        in directory: String, _ header: JournalHeader
    ) throws(JournalError) -> JournalFile {
        let file = JournalFile(
            path: directory + "/" + name(first: header.previous.sequence.next),
            firstSequence: header.previous.sequence.next)
        let unfinished = file.path + ".new"
        do {
            try? FileManager.default.removeItem(atPath: unfinished)
            let database = try DatabaseQueue(path: unfinished)
            try database.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA synchronous = FULL")
                try database.inTransaction {
                    try header.create(in: database)
                    return .commit
                }
            }
            try database.close()
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o600], ofItemAtPath: unfinished)
            try FileManager.default.moveItem(atPath: unfinished, toPath: file.path)
        } catch {
            throw journalError(error, path: file.path, after: header.previous.sequence)
        }
        try flushDirectory(directory)
        return file
    }

    /// Has the directory's entries on disk.
    static func flushDirectory(_ path: String) throws(JournalError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw .inputOutput(path: path, problem: String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw .inputOutput(path: path, problem: String(cString: strerror(errno)))
        }
    }
}

/// SQLite's own errors, sorted by what they mean for a journal.
func journalError(
    _ error: any Error, path: String, after sequence: SequenceNumber
) -> JournalError {
    if let error = error as? JournalError { return error }
    guard let error = error as? DatabaseError else {
        return .inputOutput(path: path, problem: "\(error)")
    }
    let problem = error.message ?? "\(error)"
    switch error.resultCode {
    case .SQLITE_FULL: return .diskFull(path: path)
    case .SQLITE_CANTOPEN: return .missing(path: path)
    // SQLITE_ERROR: a table or column that is not there, so the page of the schema is damaged.
    case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_ERROR:
        return .damaged(file: path, after: sequence, problem: problem)
    default: return .inputOutput(path: path, problem: problem)
    }
}
