/// A place in a journal: which journal, and the last entry before it. What a copy is a copy of, and how
/// far.
///
/// The number of an entry alone does not tell its history: a journal that was restored gives the same
/// number to another entry. The entry's checksum does, because each one contains those before it.
public struct JournalPlace: Sendable, Hashable {
    /// The journal's identity; nil where none is meant, or where none has written yet.
    public var journal: String?
    public var applied: SequenceNumber
    /// The first sixteen hexadecimal digits of the entry's checksum; nil where they are not known. Before
    /// every entry, while a store is being filled: the mark of that filling.
    public var checksum: String?

    public init(journal: String? = nil, applied: SequenceNumber, checksum: String? = nil) {
        self.journal = journal
        self.applied = applied
        self.checksum = checksum
    }

    /// Whether the two name one entry, as far as both tell.
    public func isSameEntry(as other: JournalPlace) -> Bool {
        applied == other.applied
            && (checksum == nil || other.checksum == nil || checksum == other.checksum)
    }
}

extension Checksum {
    /// Enough of it to tell two histories apart.
    public var short: String { String(description.prefix(16)) }
}
