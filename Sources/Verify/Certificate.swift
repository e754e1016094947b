public import Ledger

/// A statement of what copies were found to be: at which entry, with which digests, how long after they were
/// last read row by row, and what is not settled.
///
/// It says the same of two stores by the same digests; whoever is to trust it asks `doubts`.
public struct Certificate: Codable, Sendable, Equatable {
    /// One dataset in one store.
    public struct Copy: Codable, Sendable, Equatable {
        public let dataset: String
        public let store: String
        /// `equal`, `found`, `unknown`.
        public let outcome: String
        /// The entry as of which it was compared; nil where it could not be.
        public let through: Int64?
        public let rows: Int
        /// When every row was read from the store last and was as journaled, in ISO 8601; nil: never.
        public let provenAt: String?
        /// How long before the certificate that was.
        public let provenAgeSeconds: Int64?
        /// Rows that are not as journaled, by verdict.
        public let differences: [String: Int]
        /// Why something could not be told.
        public let problems: [String]
        /// Of each account's rows as they are journaled: 32 hexadecimal digits, a colon, their count.
        public let digests: [String: String]

        /// - Parameter provenAt: of the last proof, this check among them.
        public init(_ report: CheckReport, provenAt: Timestamp?, at now: Timestamp) {
            dataset = report.dataset
            store = report.store
            outcome = "\(report.outcome)"
            through = report.through?.rawValue
            rows = report.rowsCompared
            self.provenAt = provenAt?.description
            provenAgeSeconds = provenAt.map {
                (now.microseconds - $0.microseconds) / 1_000_000
            }
            var differences = Dictionary(
                uniqueKeysWithValues: report.counts.map { ($0.key.rawValue, $0.value) })
            if report.unexamined > 0 { differences["unexamined"] = report.unexamined }
            self.differences = differences
            problems = report.problems
            digests = Dictionary(
                report.digests.map { ($0.key.account, $0.value.description) },
                uniquingKeysWith: { first, _ in first })
        }

        enum CodingKeys: String, CodingKey {
            case dataset, store, outcome, through, rows, differences, problems, digests
            case provenAt = "proven_at"
            case provenAgeSeconds = "proven_age_seconds"
        }
    }

    public let version: Int
    /// The identity of the journal, which its copies carry.
    public let journal: String
    /// The journal's last entry when all was compared, and its checksum, which tells it from an entry of
    /// another history.
    public let sequence: Int64
    public let checksum: String?
    /// In ISO 8601.
    public let madeAt: String
    public let copies: [Copy]
    /// Repairs that wait for a person.
    public let openReviews: [String]

    public static let version = 1

    public init(
        of place: JournalPlace, _ copies: [Copy], openReviews: [String], at now: Timestamp
    ) {
        version = Self.version
        journal = place.journal ?? ""
        sequence = place.applied.rawValue
        checksum = place.checksum
        madeAt = now.description
        self.copies = copies
        self.openReviews = openReviews
    }

    enum CodingKeys: String, CodingKey {
        case version, journal, sequence, checksum, copies
        case madeAt = "made_at"
        case openReviews = "open_reviews"
    }

    /// Why it is no proof that its copies are whole, a sentence each; none where it is one.
    public var doubts: [String] {
        var doubts: [String] = []
        if copies.isEmpty { doubts.append("it is of no copy at all") }
        for copy in copies {
            let place = "\(copy.dataset) in \(copy.store)"
            for (verdict, count) in copy.differences.sorted(by: { $0.key < $1.key }) where count > 0
            {
                doubts.append("\(place): \(count) \(verdict)")
            }
            doubts += copy.problems.map { "\(place): \($0)" }
            if copy.outcome != "equal", !doubts.contains(where: { $0.hasPrefix(place) }) {
                doubts.append("\(place): \(copy.outcome)")
            }
            if copy.provenAt == nil { doubts.append("\(place) was never proven") }
        }
        doubts += openReviews.map { "the repair \($0) waits for a person" }
        return doubts
    }
}
