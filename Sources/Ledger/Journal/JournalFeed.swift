internal import Dispatch
internal import Synchronization

/// Some entries in a row, as those take them who keep a copy: the entries themselves, and what they do
/// to rows, one change after the other.
public struct JournalRun: Sendable {
    public var drafts: [EntryDraft]
    public var changes: [StoreBatch.Change]

    public init(drafts: [EntryDraft] = [], changes: [StoreBatch.Change] = []) {
        self.drafts = drafts
        self.changes = changes
    }

    /// Decodes the changes.
    public init(
        _ entries: [Entry], in schemas: SchemaCatalogue
    ) throws(CanonicalEncodingError) {
        drafts = entries.map(\.draft)
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

    /// What comes after a sequence number.
    func after(_ sequence: SequenceNumber) -> JournalRun {
        guard let first = drafts.first, first.sequence <= sequence else { return self }
        return JournalRun(
            drafts: Array(drafts.drop { $0.sequence <= sequence }),
            changes: Array(changes.drop { $0.sequence <= sequence }))
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
            content.rows += run.changes.count
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
            bytes += rest.bytes
            if found.changes.count >= rowsMax || bytes >= JournalFeed.bytesMax { break }
        }
        return found
    }

    fileprivate mutating func forget(downTo rowsMax: Int) {
        var index = runs.startIndex
        while rows > rowsMax, index < runs.endIndex - 1 {
            rows -= runs[index].changes.count
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
        let outcome: Result<JournalRun, JournalError> = await withCheckedContinuation {
            continuation in
            queue.async {
                do throws(JournalError) {
                    continuation.resume(
                        returning: .success(try self.read(after: sequence, rowsMax)))
                } catch {
                    self.reader = nil
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try outcome.get()
    }

    private func read(
        after sequence: SequenceNumber, _ rowsMax: Int
    ) throws(JournalError) -> JournalRun {
        if reader == nil { reader = try JournalReader(directory: directory) }
        guard let reader else { return JournalRun() }
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
