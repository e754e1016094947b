public import Ledger

/// A plan to put rows of a copy right, and what became of it. The rows themselves are in the plan's file and
/// in the receipt; here is what was decided, by whom, and how it went.
public struct RepairRecord: Entity {
    public enum State: String, Sendable, CaseIterable {
        /// For a person to decide.
        case waiting
        /// All of its rows are in a newer plan.
        case replaced
        case rejected
        case approved
        case applying
        case applied
        case undoing
        case undone
    }

    /// Rows by what became of them.
    public struct Counts: Sendable, Hashable {
        /// Written as they were journaled, and read back.
        public var repaired = 0
        /// Journaled as they were found.
        public var adopted = 0
        /// Written by somebody else since the plan was made, and left alone.
        public var overtaken = 0
        /// Written, and not as journaled when they were read back.
        public var failed = 0
        /// Put back as they were found.
        public var undone = 0
        /// Written by somebody else since they were repaired, and left alone when it was undone.
        public var newer = 0

        public init() {}
    }

    public let id: String
    public let check: String
    public let dataset: String
    public let store: String
    public var state: State
    /// Of the plan.
    public let rows: Int
    public var counts = Counts()
    /// The keyed hash of the plan's file.
    public let planDigest: String
    public var reason: String?
    public var changedBy: String
    public let madeAt: Timestamp
    public var updatedAt: Timestamp

    public static var schema: Schema { Datasets.repairs }

    public var row: Row {
        let numbers = [
            rows, counts.repaired, counts.adopted, counts.overtaken, counts.failed, counts.undone,
            counts.newer,
        ]
        return Row(
            dataset: "repairs",
            values: [.text(id), .text(check), .text(dataset), .text(store), .text(state.rawValue)]
                + numbers.map { .integer(Int64($0)) } + [
                    .text(planDigest), .optional(reason), .text(changedBy), .timestamp(madeAt),
                    .timestamp(updatedAt),
                ])
    }

    public init(row: Row) throws(RowError) {
        var fields = FieldReader(row, Self.schema)
        id = try fields.text()
        check = try fields.text()
        dataset = try fields.text()
        store = try fields.text()
        state = try fields.word()
        rows = Int(try fields.integer())
        counts.repaired = Int(try fields.integer())
        counts.adopted = Int(try fields.integer())
        counts.overtaken = Int(try fields.integer())
        counts.failed = Int(try fields.integer())
        counts.undone = Int(try fields.integer())
        counts.newer = Int(try fields.integer())
        planDigest = try fields.text()
        reason = try fields.optionalText()
        changedBy = try fields.text()
        madeAt = try fields.timestamp()
        updatedAt = try fields.timestamp()
    }

    public init(
        id: String, check: String, dataset: String, store: String, rows: Int, planDigest: String,
        state: State = .waiting, reason: String?, by actor: String, madeAt: Timestamp
    ) {
        self.id = id
        self.check = check
        self.dataset = dataset
        self.store = store
        self.state = state
        self.rows = rows
        self.planDigest = planDigest
        self.reason = reason
        changedBy = actor
        self.madeAt = madeAt
        updatedAt = madeAt
    }
}
