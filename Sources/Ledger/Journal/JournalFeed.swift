internal import Dispatch
internal import Synchronization

/// Some entries in a row, as those take them who keep a copy: the entries themselves, and what they do
/// to rows, one change after the other.
public struct JournalRun: Sendable {
    public var drafts: [EntryDraft]
    public var changes: [StoreBatch.Change]
    /// Of the entries, in their order; none where they are not known.
    public var checksums: [Checksum]

    public init(
        drafts: [EntryDraft] = [], changes: [StoreBatch.Change] = [], checksums: [Checksum] = []
    ) {
        self.drafts = drafts
        self.changes = changes
        self.checksums = checksums
    }

    /// Decodes the changes.
    public init(
        _ entries: [Entry], in schemas: SchemaCatalogue
    ) throws(CanonicalEncodingError) {
        drafts = entries.map(\.draft)
        checksums = entries.map(\.checksum)
        changes = []
        changes.reserveCapacity(entries.reduce(0) { $0 + $1.changes.count })
        for entry in entries {
            for change in entry.changes {
                changes.append(try change.storeChange(at: entry.sequence, in: schemas))
            }
        }
    }

    public var last: SequenceNumber? { drafts.last?.sequence }

    /// Of the encoded changes.
    var bytes: Int { drafts.reduce(0) { $0 + $1.bytes } }

    /// About what it takes of memory, in rows: an entry without a change is not nothing.
    fileprivate var weight: Int { changes.count + drafts.count }

    /// What comes after a sequence number.
    func after(_ sequence: SequenceNumber) -> JournalRun {
        guard let first = drafts.first, first.sequence <= sequence else { return self }
        let rest = drafts.drop { $0.sequence <= sequence }
        return JournalRun(
            drafts: Array(rest), changes: Array(changes.drop { $0.sequence <= sequence }),
            checksums: checksums.suffix(rest.count))
    }
}

/// The journal for those who follow it: the newest entries from memory, older ones from its files.
///
/// The lock is between the writer, which adds a run after each flush, and any number of followers; it is
/// held to look runs up.
public final class JournalFeed: Sendable {
    fileprivate struct Content {
        /// Everything after `start`, up to the head.
        var runs: [JournalRun] = []
        var rows = 0
        var start: SequenceNumber
        var head: SequenceNumber
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
    }

    /// Of what is handed out at once: a store takes it in one transaction. One entry may be larger.
    public static let bytesMax = 16 << 20

    private let content: Mutex<Content>
    private let rowsMax: Int
    private let files: JournalFiles

    /// - Parameters:
    ///   - head: of the journal that `directory` holds.
    ///   - rowsMax: about how many changes of rows stay in memory.
    ///   - schemas: of the rows that are read from the files.
    public init(
        directory: String, head: SequenceNumber, rowsMax: Int = 50_000, schemas: SchemaCatalogue
    ) {
        content = Mutex(Content(start: head, head: head))
        self.rowsMax = rowsMax
        files = JournalFiles(directory: directory, schemas: schemas)
    }

    /// The last entry that is durable, or where the journal begins.
    public var head: SequenceNumber { content.withLock { $0.head } }

    /// What has become durable, in order. By the journal's writer alone.
    public func add(_ run: JournalRun) {
        guard let last = run.last else { return }
        let waiters = content.withLock { content in
            content.runs.append(run)
            content.rows += run.weight
            content.head = last
            if content.rows > rowsMax { content.forget(downTo: rowsMax / 2) }
            defer { content.waiters = [:] }
            return content.waiters
        }
        for waiter in waiters.values { waiter.resume() }
    }

    /// The entries after a sequence number, oldest first, until there are `rowsMax` changes, 16 MiB of
    /// them, or no more. None when the journal has none.
    public func run(
        after sequence: SequenceNumber, rowsMax: Int
    ) async throws(JournalError) -> JournalRun {
        if let run = content.withLock({ $0.run(after: sequence, rowsMax) }) { return run }
        return try await files.run(after: sequence, rowsMax: rowsMax)
    }

    /// The checksum of an entry; nil when the journal has no such entry. Throws `deleted` where it is
    /// not there any more.
    public func checksum(of sequence: SequenceNumber) async throws(JournalError) -> Checksum? {
        let before = SequenceNumber(rawValue: sequence.rawValue - 1)
        if let run = content.withLock({ $0.run(after: before, 1) }) {
            return run.drafts.first?.sequence == sequence ? run.checksums.first : nil
        }
        return try await files.checksum(of: sequence)
    }

    /// Returns when there may be entries after a sequence number, or the task is cancelled.
    public func wait(beyond sequence: SequenceNumber) async {
        let id = content.withLock { content in
            content.nextWaiter += 1
            return content.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isThere = content.withLock { content in
                    if content.head > sequence || Task.isCancelled { return true }
                    content.waiters[id] = continuation
                    return false
                }
                if isThere { continuation.resume() }
            }
        } onCancel: {
            content.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}

extension JournalFeed.Content {
    /// Nil when memory does not reach back so far.
    fileprivate func run(after sequence: SequenceNumber, _ rowsMax: Int) -> JournalRun? {
        guard sequence >= start else { return nil }
        var found = JournalRun()
        var bytes = 0
        // Followers are mostly near the end.
        var index = runs.endIndex
        while index > runs.startIndex, let last = runs[index - 1].last, last > sequence {
            index -= 1
        }
        for run in runs[index...] {
            let rest = run.after(sequence)
            found.drafts += rest.drafts
            found.changes += rest.changes
            found.checksums += rest.checksums
            bytes += rest.bytes
            if found.changes.count >= rowsMax || bytes >= JournalFeed.bytesMax { break }
        }
        return found
    }

    fileprivate mutating func forget(downTo rowsMax: Int) {
        var index = runs.startIndex
        while rows > rowsMax, index < runs.endIndex - 1 {
            rows -= runs[index].weight
            start = runs[index].last ?? start
            index += 1
        }
        runs.removeFirst(index)
    }
}

/// Reads the journal's files on a queue of its own, because reading blocks.
///
/// `@unchecked Sendable`: the reader is used on the serial queue alone.
private final class JournalFiles: @unchecked Sendable {
    private let directory: String
    private let schemas: SchemaCatalogue
    private var reader: JournalReader?
    private let queue = DispatchQueue(label: "journal-feed")

    init(directory: String, schemas: SchemaCatalogue) {
        self.directory = directory
        self.schemas = schemas
    }

    func run(
        after sequence: SequenceNumber, rowsMax: Int
    ) async throws(JournalError) -> JournalRun {
        try await read { [directory, schemas] reader throws(JournalError) in
            // An order has a handful of changes.
            let entries = try reader.entries(
                after: sequence, limit: max(1, rowsMax / 4), bytesMax: JournalFeed.bytesMax)
            do {
                return try JournalRun(entries, in: schemas)
            } catch {
                throw .damaged(
                    file: directory, after: sequence, problem: "a row cannot be decoded: \(error)")
            }
        }
    }

    private func opened() throws(JournalError) -> JournalReader {
        if let reader { return reader }
        let new = try JournalReader(directory: directory)
        reader = new
        return new
    }

    func checksum(of sequence: SequenceNumber) async throws(JournalError) -> Checksum? {
        try await read { reader throws(JournalError) in try reader.checksum(of: sequence) }
    }

    private func read<Found: Sendable>(
        _ body: @escaping @Sendable (JournalReader) throws(JournalError) -> Found
    ) async throws(JournalError) -> Found {
        let outcome: Result<Found, JournalError> = await withCheckedContinuation { continuation in
            queue.async {
                do throws(JournalError) {
                    continuation.resume(returning: .success(try body(try self.opened())))
                } catch {
                    self.reader = nil
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try outcome.get()
    }
}
