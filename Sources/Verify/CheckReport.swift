public import Ledger

/// What a check of one dataset in one store has found.
public struct CheckReport: Sendable {
    public let dataset: String
    public let store: String
    /// Whether two places were compared with each other; then the left one stands for what was journaled.
    public var isOfPair = false
    /// The rows that were compared, in the store or as they were journaled.
    public var rowsCompared = 0
    /// As of which entry it holds; nil when it did not come so far.
    public var through: SequenceNumber?
    /// Those that are kept; `counts` has all.
    public private(set) var differences: [Difference] = []
    public private(set) var counts: [Verdict: Int] = [:]
    /// Rows that differ and were not looked at one by one, because there are too many.
    public var unexamined = 0
    /// Why something could not be told, once each.
    public private(set) var problems: [String] = []
    /// Of each account, as they are journaled, where they were compared.
    public var digests: [DigestScope: Digest] = [:]

    /// Differences that are kept.
    public static let differencesMax = 10_000

    public init(dataset: String, store: String) {
        self.dataset = dataset
        self.store = store
    }

    /// Of two places whose comparison could not be begun.
    public init(dataset: String, store: String, problem: String) {
        self.init(dataset: dataset, store: store)
        isOfPair = true
        problems = [problem]
    }

    public enum Outcome: Sendable {
        /// All of it is as it was journaled.
        case equal
        /// Something is not.
        case found
        /// Nothing was found, but not all of it could be looked at.
        case unknown
    }

    public var outcome: Outcome {
        if unexamined > 0 || counts.contains(where: { $0.key != .unknown && $0.value > 0 }) {
            return .found
        }
        return isKnown ? .equal : .unknown
    }

    /// Whether all of it could be looked at, whatever was found.
    public var isKnown: Bool { problems.isEmpty && counts[.unknown, default: 0] == 0 }

    mutating func add(_ difference: Difference) {
        counts[difference.verdict, default: 0] += 1
        if differences.count < Self.differencesMax { differences.append(difference) }
        if difference.verdict == .unknown { fail(difference.problem) }
    }

    /// Something could not be told.
    public mutating func fail(_ problem: String) {
        if !problems.contains(problem), problems.count < 20 { problems.append(problem) }
    }
}
