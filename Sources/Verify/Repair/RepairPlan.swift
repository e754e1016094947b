public import Ledger

/// Which rows of a dataset in one store are to be put right, and what was found of each: enough to see later
/// whether it still is so, and to be read by whoever decides. A plain value, made from a report.
public struct RepairPlan: Sendable, Equatable {
    public struct Head: Sendable, Hashable, Codable {
        public var id: String
        /// What was verified: the name of a check, or a dataset.
        public var check: String
        public var dataset: String
        public var store: String
        /// The identity of the journal that the store was compared with.
        public var journal: String
        /// The entry as of which the report holds.
        public var asOf: SequenceNumber?
        public var madeAt: String
        public var policy: RepairPolicy
        /// That the plan has.
        public var rows: Int
        /// That were compared, or that the dataset has, whatever is more.
        public var comparedRows: Int
        /// Why it cannot be said that this is all: a person has to look.
        public var doubts: [String]
        /// What no plan puts right.
        public var left: [String]

        enum CodingKeys: String, CodingKey {
            case id, check, dataset, store, journal, policy, rows, doubts, left
            case asOf = "as_of"
            case madeAt = "made_at"
            case comparedRows = "compared_rows"
        }
    }

    public var head: Head
    public var rows: [PlannedRow]

    public init(head: Head, rows: [PlannedRow]) {
        self.head = head
        self.rows = rows
    }

    /// Things that lie there and are no row, named in the plan.
    private static let leftMax = 20

    /// Nil where there is nothing that a plan could put right.
    /// - Parameters:
    ///   - check: what was verified.
    ///   - datasetRows: as many as are journaled: of a report on what has changed, the rows that were
    ///     compared say little.
    public init?(
        _ report: CheckReport, id: String, check: String, policy: RepairPolicy, schema: Schema,
        digestKey: SipHashKey, datasetRows: Int, madeAt: Timestamp
    ) {
        var (rows, left, doubts): ([PlannedRow], [String], [String]) = ([], [], [])
        for difference in report.differences {
            switch difference.verdict {
            case .equal, .lag, .unknown, .ahead: break
            case .corrupt, .missing, .rogue:
                if let row = PlannedRow(difference, schema: schema, digestKey: digestKey) {
                    rows.append(row)
                } else if left.count < Self.leftMax {
                    left.append((difference.key.map { "\($0): " } ?? "") + difference.problem)
                }
            }
        }
        if rows.isEmpty { return nil }
        let counts = report.counts
        let unexamined = report.unexamined + (counts.values.reduce(0, +) - report.differences.count)
        if unexamined > 0 { doubts.append("\(unexamined) more rows differ") }
        if let ahead = counts[.ahead] {
            doubts.append("\(ahead) are of entries that the journal does not have")
        }
        if let unknown = counts[.unknown] { doubts.append("\(unknown) could not be read") }
        doubts += report.problems.filter { !doubts.contains($0) }.prefix(3)
        head = Head(
            id: id, check: check, dataset: report.dataset, store: report.store,
            journal: digestKey.journalIdentity, asOf: report.through, madeAt: madeAt.description,
            policy: policy, rows: rows.count,
            comparedRows: max(report.rowsCompared, datasetRows), doubts: doubts, left: left)
        self.rows = rows
    }

    /// A name that no other plan has with this number: `positions@hot-20261121T031500-1`.
    public static func id(
        check: String, store: String, at time: Timestamp, number: Int
    ) -> String {
        let time = time.description.filter { $0.isNumber || $0 == "T" }.prefix(15)
        let name = "\(check)@\(store)".map { isPlain($0) || $0 == "@" ? $0 : "_" }
        return "\(String(name))-\(time)-\(number)"
    }

    /// Whether it may be one: it is the name of a folder.
    public static func isID(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 200 && text.first != "."
            && text.allSatisfy { isPlain($0) || $0 == "@" }
    }

    private static func isPlain(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || "-_.".contains(character))
    }
}

/// One row of a plan.
public struct PlannedRow: Sendable, Hashable, Codable {
    public struct FieldTexts: Sendable, Hashable, Codable {
        public let field: String
        public let journaled: String
        public let found: String
    }

    /// As people read it.
    public let key: String
    public let verdict: String
    public let problem: String
    public let fields: [FieldTexts]
    /// Nil: nothing lay there.
    public let found: RowMark?
    /// Nil: there is no such row.
    public let journaled: RowMark?
    /// The key in the canonical encoding, as hexadecimal digits.
    public let exact: String

    /// Nil for something that no single row explains.
    init?(_ difference: Difference, schema: Schema, digestKey: SipHashKey) {
        guard let rowKey = difference.key else { return nil }
        if let stamped = difference.found {
            found = RowMark(stamped, schema, digestKey)
        } else if difference.verdict == .missing {
            found = nil
        } else if difference.journaledSequence != nil {
            found = RowMark(damage: difference.problem)
        } else {
            // It lies there more than once.
            return nil
        }
        journaled = difference.journaled.map {
            RowMark(
                StampedRow(row: $0, sequence: difference.journaledSequence ?? .none), schema,
                digestKey)
        }
        key = rowKey.description
        verdict = difference.verdict.rawValue
        problem = difference.problem
        fields = difference.fields.map {
            FieldTexts(
                field: $0.field, journaled: $0.journaled.description, found: $0.found.description)
        }
        exact = Hexadecimal.text(
            Row(dataset: rowKey.dataset, values: rowKey.values).encoded(keyCount: schema.keyCount))
    }

    /// Nil where the plan was changed by hand, or the schema is another one.
    public func rowKey(in schema: Schema) -> RowKey? {
        guard let bytes = Hexadecimal.bytes(exact), let row = try? Row(encoded: bytes),
            row.dataset == schema.dataset, row.values.count == schema.keyCount
        else { return nil }
        return RowKey(dataset: row.dataset, values: row.values)
    }

    /// Which row, and what was found of it: of two plans that have the same, the same was found.
    public struct Finding: Sendable, Hashable {
        /// The key.
        public let exact: String
        let found: RowMark?
    }

    public var finding: Finding { Finding(exact: exact, found: found) }
}

/// What tells one state of a row from every other: its stamp and its digest, or what is wrong with what lies
/// in its place.
public struct RowMark: Sendable, Hashable, Codable {
    public var sequence: SequenceNumber?
    /// The keyed hash of the canonical encoding, as hexadecimal digits.
    public var digest: String?
    public var damage: String?

    init(_ stamped: StampedRow, _ schema: Schema, _ key: SipHashKey) {
        sequence = stamped.sequence
        digest = key.words(stamped.row.encoded(keyCount: schema.keyCount))
    }

    /// In how many seconds something expires changes by itself.
    init(damage problem: String) {
        damage = problem.replacing(/in [0-9]+ s/, with: "in … s")
    }

    /// Nil where nothing lies.
    init?(_ found: FoundRow?, _ schema: Schema, _ key: SipHashKey) {
        switch found {
        case nil: return nil
        case .row(let stamped)?: self.init(stamped, schema, key)
        case .damaged(let damaged)?: self.init(damage: "\(damaged.place): \(damaged.problem)")
        }
    }

    /// Nil where there is no row.
    init?(_ journaled: JournaledRow, _ schema: Schema, _ key: SipHashKey) {
        guard let row = journaled.row else { return nil }
        self.init(StampedRow(row: row, sequence: journaled.sequence ?? .none), schema, key)
    }
}

extension SipHashKey {
    /// The hash as thirty-two hexadecimal digits.
    public func words(_ bytes: [UInt8]) -> String {
        let digits = String(hash(bytes), radix: 16)
        return String(repeating: "0", count: 32 - digits.utf8.count) + digits
    }
}

/// Bytes as text.
enum Hexadecimal {
    static func text(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(2 * bytes.count)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    static func bytes(_ text: String) -> [UInt8]? {
        let digits = text.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        guard digits.count == text.utf8.count, digits.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map {
            UInt8(digits[$0] << 4 | digits[$0 + 1])
        }
    }
}
