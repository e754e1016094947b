public import Ledger

/// Datasets that a store is not to be filled with, as if another program had rows there: why, in words.
public typealias KeptDatasets = [String: String]

/// What a store that follows the journal is doing, for people and for metrics.
public struct FollowerState: Sendable, Hashable {
    public enum Condition: Sendable, Hashable {
        /// Nothing is known of it yet.
        case starting
        case following
        /// Datasets are being copied from the core's own rows.
        case filling(Progress)
        /// It does not answer, or cannot write at present; it is tried again and again.
        case failing(StoreError)
        /// It holds entries that the journal does not have: it is ahead of it, or went another way.
        /// Nothing is written until a person resolves it: `opsd rebuild`, or the journal's files put back.
        case ahead(of: SequenceNumber)
        /// It is the copy of another journal. Nothing is written until a person has it rebuilt.
        case foreign(journal: String)
    }

    public struct Progress: Sendable, Hashable {
        public var dataset: String
        public var rows: Int
        /// Of all datasets that are being filled.
        public var rowsTotal: Int
    }

    public var condition = Condition.starting
    /// Since when it has not been written for a failure; nil while it is.
    public var failingSince: Timestamp?
    /// The last entry whose effect is wholly in the store; nil as long as it is not known.
    public var applied: SequenceNumber?
    /// The time of the oldest entry that the store does not have; nil when it has them all, or when
    /// there is none that was tried.
    public var behindSince: Timestamp?
    public var wholeDatasets: Set<String> = []
    /// Datasets that are not filled, because rows lie there that nobody journaled: why, in words.
    public var unmigrated: [String: String] = [:]
    /// Entries that the journal has and the store does not; nil when that is not known.
    public var lagEntries: Int64?
    /// Rows written since the start.
    public var rowsWritten = 0

    public init() {}

    /// It has every entry, or will have in a moment.
    public var isFollowing: Bool { condition == .following }
}

extension FollowerState.Condition {
    /// For people, after "store NAME".
    public var words: String {
        switch self {
        case .starting: "has not been asked yet"
        case .following: "follows the journal"
        case .filling(let progress):
            "is being filled: \(progress.rows) of \(progress.rowsTotal) rows, now \(progress.dataset)"
        case .failing(let error): "is not written: \(error)"
        case .ahead(let head):
            "has entries that the journal does not have, which ends at \(head): nothing is written to it"
        case .foreign(let journal):
            "is the copy of another journal (\(journal)): nothing is written to it"
        }
    }

    /// One word for a table and for programs.
    public var name: String {
        switch self {
        case .starting: "starting"
        case .following: "following"
        case .filling: "filling"
        case .failing: "failing"
        case .ahead: "ahead"
        case .foreign: "foreign"
        }
    }
}
