public import Ledger

/// What a repair keeps on disk while it is under way, so that another process carries on after a crash.
/// Rows are named by their place in the plan.
public protocol RepairNotes: Sendable {
    func outcomes() async throws -> [Int: NotedOutcome]
    /// Those of these rows that have been noted.
    func images(of rows: Range<Int>) async throws -> [Int: NotedImage]
    /// Durable when it returns.
    func note(_ images: [Int: NotedImage]) async throws
    /// Durable when it returns.
    func note(_ outcomes: [Int: NotedOutcome]) async throws
}

/// What lay in the place of a row before it was written.
public struct NotedImage: Sendable, Hashable {
    public let image: RowImage
    /// Of a row that is adopted: as it was journaled before, and as it was found.
    public let before: Row?
    public let adopted: Row?

    public init(image: RowImage, before: Row? = nil, adopted: Row? = nil) {
        self.image = image
        self.before = before
        self.adopted = adopted
    }
}

public struct NotedOutcome: Sendable, Hashable {
    public let outcome: RepairOutcome
    /// Of a row that was repaired: the keyed hash of what lies there since.
    public let after: String?

    public init(_ outcome: RepairOutcome, after: String? = nil) {
        self.outcome = outcome
        self.after = after
    }
}

/// Journals rows of declared datasets as they were found.
public protocol RowAdoption: Sendable {
    /// - Parameter sequence: the entry that changed the row last; nil: there is none.
    /// - Returns: false where somebody else has changed it meanwhile.
    func adopt(_ row: Row, over sequence: SequenceNumber?) async throws -> Bool
    /// Journals the opposite, where the row still is as it was adopted.
    func disown(_ row: Row, before: Row?) async throws -> Bool
}

/// Carries a plan out, and takes it back.
///
///     look → image of what lies there, on disk → replace → look again → outcome, on disk
///
/// Each group of rows goes through this on its own. Whatever ends it, it is carried on by being run again:
/// a row with an outcome is settled, one with an image is looked at and decided about anew, and for all
/// others nothing has been done.
public struct RepairRun: Sendable {
    private let plan: RepairPlan
    private let keys: [RowKey]
    private let check: StoreCheck
    private let store: any RepairableStore
    private let notes: any RepairNotes
    private let adoption: any RowAdoption

    private static let groupRows = 200
    /// Looks at rows that are not settled by then have a store that does not hold still.
    private static let roundsMax = 6

    /// Throws what is wrong with the plan.
    public init(
        _ plan: RepairPlan, schema: Schema, in store: any RepairableStore,
        against journaled: any JournaledRows, notes: any RepairNotes, adoption: any RowAdoption
    ) throws(StoreError) {
        self.plan = plan
        let problem = { (problem: String) in
            StoreError.refused(store: plan.head.store, problem: "plan \(plan.head.id) \(problem)")
        }
        guard plan.head.journal == journaled.identity else {
            throw problem("is of another journal, \(plan.head.journal)")
        }
        keys = plan.rows.compactMap { $0.rowKey(in: schema) }
        guard keys.count == plan.rows.count, Set(keys).count == keys.count else {
            throw problem("has rows that are none of \(schema.dataset)")
        }
        check = StoreCheck(schema, in: plan.head.store, store, against: journaled)
        self.store = store
        self.notes = notes
        self.adoption = adoption
    }

    // MARK: Applying

    /// - Returns: all outcomes by their count, also those of earlier runs.
    public func apply() async throws -> [RepairOutcome: Int] {
        var outcomes = try await notes.outcomes()
        for group in groups {
            let open = group.filter { outcomes[$0] == nil }
            if open.isEmpty { continue }
            outcomes.merge(try await apply(open, noted: notes.images(of: group))) { $1 }
        }
        return Self.counts(outcomes)
    }

    private var groups: [Range<Int>] {
        stride(from: 0, to: keys.count, by: Self.groupRows).map {
            $0..<min($0 + Self.groupRows, keys.count)
        }
    }

    private func apply(
        _ rows: [Int], noted: [Int: NotedImage]
    ) async throws -> [Int: NotedOutcome] {
        var repairs: [Int: RowRepair] = [:]
        for row in rows {
            repairs[row] = RowRepair(
                planned: plan.rows[row], adopts: plan.head.policy.conflict == .store,
                schema: check.schema, digestKey: check.journaled.digestKey,
                noted: noted[row]?.image)
        }
        var settled: [Int: NotedOutcome] = [:]
        for round in 1... {
            let open = rows.filter { settled[$0] == nil }
            if open.isEmpty { break }
            let looks = try await look(open)
            var work = Work()
            for row in open {
                guard let look = looks[row], let step = repairs[row]?.step(look) else { continue }
                // Somebody writes there as fast as it is repaired.
                work.add(row, round > Self.roundsMax ? .settled(.failed) : step, look)
            }
            try await note(work, in: &repairs)
            let outcomes = work.settled.mapValues { outcome, look in
                NotedOutcome(
                    outcome,
                    after: outcome == .repaired
                        ? check.journaled.digestKey.words(look.image.bytes) : nil)
            }
            if !outcomes.isEmpty { try await notes.note(outcomes) }
            settled.merge(outcomes) { $1 }
            try await write(work, in: &repairs)
        }
        return settled
    }

    /// What is to be done with the rows of a group after one look.
    private struct Work {
        var replacing: [(row: Int, content: StampedRow?, look: RowLook)] = []
        var adopting: [(row: Int, found: StampedRow, over: SequenceNumber?, look: RowLook)] = []
        var settled: [Int: (RepairOutcome, RowLook)] = [:]

        mutating func add(_ row: Int, _ step: RepairStep, _ look: RowLook) {
            switch step {
            case .replace(let content): replacing.append((row, content, look))
            case .adopt(let found, let sequence): adopting.append((row, found, sequence, look))
            case .settled(let outcome): settled[row] = (outcome, look)
            case .lookAgain: break
            }
        }
    }

    /// Before anything is written.
    private func note(_ work: Work, in repairs: inout [Int: RowRepair]) async throws {
        var images: [Int: NotedImage] = [:]
        for item in work.replacing where repairs[item.row]?.noted == nil {
            images[item.row] = NotedImage(image: item.look.image)
        }
        for item in work.adopting where repairs[item.row]?.noted == nil {
            images[item.row] = NotedImage(
                image: item.look.image, before: item.look.journaled.row, adopted: item.found.row)
        }
        if images.isEmpty { return }
        try await notes.note(images)
        for (row, noted) in images { repairs[row]?.noted = noted.image }
    }

    private func write(_ work: Work, in repairs: inout [Int: RowRepair]) async throws {
        if !work.replacing.isEmpty {
            let written = try await store.replace(
                work.replacing.map { row, content, look in
                    RowReplacement(
                        key: keys[row], expected: look.image,
                        content: content.map { .row($0) } ?? .nothing)
                })
            for (item, image) in zip(work.replacing, written) {
                if let image { repairs[item.row]?.written = image }
            }
        }
        for item in work.adopting {
            // Where it was not, the next look tells why.
            _ = try await adoption.adopt(item.found.row, over: item.over)
        }
    }

    /// Where the store stands, what lies there, what it is taken for, what was journaled: in this order, as
    /// `RowRepair` wants it.
    private func look(_ rows: [Int]) async throws(StoreError) -> [Int: RowLook] {
        let wanted = rows.map { keys[$0] }
        let applied = try await StoreStanding.applied(of: check)
        let images = try await store.images(wanted)
        let found = try await store.find(wanted)
        let journaled = try await check.journaled.rows(wanted)
        var looks: [Int: RowLook] = [:]
        for (place, row) in rows.enumerated() {
            looks[row] = RowLook(
                applied: applied, image: images[place], found: found[place],
                journaled: journaled[place])
        }
        return looks
    }

    private static func counts(_ outcomes: [Int: NotedOutcome]) -> [RepairOutcome: Int] {
        outcomes.values.reduce(into: [:]) { $0[$1.outcome, default: 0] += 1 }
    }

    // MARK: Taking back

    /// Puts back what lay there, in the place of each row that still is as the repair left it.
    /// - Returns: all outcomes by their count: of rows that were repaired or adopted, whether they were put
    ///   back.
    public func undo() async throws -> [RepairOutcome: Int] {
        var outcomes = try await notes.outcomes()
        for group in groups {
            let images = try await notes.images(of: group)
            let settled = try await undo(
                group.compactMap { row in
                    guard let outcome = outcomes[row], let noted = images[row] else { return nil }
                    return (row, outcome, noted)
                })
            outcomes.merge(settled) { $1 }
        }
        return Self.counts(outcomes)
    }

    private func undo(
        _ rows: [(row: Int, outcome: NotedOutcome, noted: NotedImage)]
    ) async throws -> [Int: NotedOutcome] {
        var (undos, settled): ([Int: RowUndo], [Int: NotedOutcome]) = ([:], [:])
        for (row, outcome, noted) in rows {
            if outcome.outcome == .repaired, let after = outcome.after {
                undos[row] = RowUndo(
                    before: noted.image, after: after, digestKey: check.journaled.digestKey)
            } else if outcome.outcome == .adopted, let adopted = noted.adopted {
                let isDone = try await adoption.disown(adopted, before: noted.before)
                settled[row] = NotedOutcome(isDone ? .undone : .newer)
            }
        }
        for round in 1... {
            let open = undos.keys.sorted()
            if open.isEmpty { break }
            _ = try await StoreStanding.applied(of: check)
            let images = try await store.images(open.map { keys[$0] })
            var replacing: [(row: Int, image: RowImage, before: RowImage)] = []
            for (row, image) in zip(open, images) {
                guard let undo = undos[row] else { continue }
                if let outcome = round > Self.roundsMax ? .failed : undo.outcome(image) {
                    settled[row] = NotedOutcome(outcome)
                    undos[row] = nil
                } else {
                    replacing.append((row, image, undo.before))
                }
            }
            if replacing.isEmpty { break }
            let written = try await store.replace(
                replacing.map {
                    RowReplacement(
                        key: keys[$0.row], expected: $0.image, content: .image($0.before))
                })
            for (item, image) in zip(replacing, written) {
                if let image { undos[item.row]?.written = image }
            }
        }
        if !settled.isEmpty { try await notes.note(settled) }
        return settled
    }
}
