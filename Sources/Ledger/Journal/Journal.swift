/// The end of the journal.
public struct JournalHead: Sendable, Hashable {
    public let sequence: SequenceNumber
    public let checksum: Checksum

    public init(sequence: SequenceNumber, checksum: Checksum) {
        self.sequence = sequence
        self.checksum = checksum
    }
}

/// The one thing that orders everything: entries, appended by a single writer.
///
/// A journal belongs to the thread that opened it; appending blocks until the entries are on disk.
public protocol Journal: AnyObject {
    var head: JournalHead { get }
    /// The key of the digests of this journal's rows; made with the journal, kept for ever.
    var digestKey: SipHashKey { get }

    /// Makes sure that operators' acts find room after the disk has become full. Throws `diskFull`
    /// when what is there has to be kept for them: nothing else may be appended then.
    func keepReserve() throws(JournalError)

    /// Appends all or none, with one flush for all of them. When this returns they are durable.
    /// The drafts' sequence numbers must follow the head.
    /// - Returns: the entries' checksums, in their order.
    @discardableResult
    func append(_ drafts: [EntryDraft]) throws(JournalError) -> [Checksum]

    /// The entries after a sequence number, oldest first, every checksum verified.
    func entries(after sequence: SequenceNumber, limit: Int) throws(JournalError) -> [Entry]
}

public enum JournalError: Error, Sendable, Equatable {
    /// Another process writes this journal. Retrying helps once that process is gone.
    case lockedElsewhere(path: String)
    /// There is no journal here.
    case missing(path: String)
    /// Bytes are not what was written. `after` is the last entry that is known to be whole.
    case damaged(file: String, after: SequenceNumber, problem: String)
    /// The entries that were asked for were in older files, which have been deleted: what they did is in
    /// a store or a snapshot.
    case deleted(file: String, after: SequenceNumber, through: SequenceNumber)
    /// The disk is full: nothing of the batch was written. Retrying helps once there is room.
    case diskFull(path: String)
    /// Reading or flushing failed, so whether the batch is durable is not known. The writer must stop and
    /// read the journal again.
    case inputOutput(path: String, problem: String)
    /// Drafts that do not follow the head: a fault of the caller.
    case outOfOrder(head: SequenceNumber, found: SequenceNumber)
}

extension JournalError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .lockedElsewhere(let path):
            "\(path): another process is writing this journal; stop it, or let it do the work"
        case .missing(let path):
            "\(path): there is no journal here; `opsd run` makes one"
        case .damaged(let file, let after, let problem):
            "\(file): damaged after entry \(after) (\(after.epochAndNumber)): \(problem)"
        case .deleted(let file, let after, let through):
            """
            \(file): the entries after \(after) up to \(through) are gone with the files before this \
            one
            """
        case .diskFull(let path):
            "\(path): the disk is full; nothing was written; make room and try again"
        case .inputOutput(let path, let problem):
            "\(path): \(problem); whether the last batch is durable is unknown"
        case .outOfOrder(let head, let found):
            "entry \(found) does not follow the journal's head \(head)"
        }
    }
}

/// Whether a number may stand right after another: the next one, or the first of a later epoch.
extension SequenceNumber {
    func follows(_ previous: SequenceNumber) -> Bool {
        self == previous.next && epoch == previous.epoch
            || epoch > previous.epoch && number == 1
    }
}
