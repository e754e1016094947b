import DualWrite
import Ledger
import Logging
import Trading
import TradingHTTP
import Verify

/// What becomes of plans: the core decides, journals what it decided, and writes the copies. A command does
/// the same while no core runs.
struct RepairKeeper: Sendable {
    let core: TradingCore
    /// A store to which the configuration brings a dataset.
    let store: @Sendable (_ name: String) -> (any RepairableStore)?
    let layout: DataLayout
    let catalogue: SchemaCatalogue
    let files: RepairFiles
    private let works = OneAtATime<String, Result<RepairRecord, RepairFailure>>()
    private let registrations = OneAtATime<String, Result<Registration, RepairFailure>>()
    private let logger = Logger(label: "repair")

    /// Who is said to have done what nobody asked for.
    static let verifier = "verify"
    private static let lookEvery = Duration.seconds(10)

    init(
        _ core: TradingCore, _ configuration: Configuration,
        store: @escaping @Sendable (String) -> (any RepairableStore)?
    ) {
        self.core = core
        self.store = store
        layout = DataLayout(configuration)
        catalogue = configuration.catalogue
        files = RepairFiles(layout)
    }

    // MARK: A new plan

    /// What becomes of a plan that is new here.
    enum Registration: Sendable {
        /// It waits for a person, or is over already.
        case waiting(RepairRecord)
        /// The same rows were found like this before: the plan is gone, and this one stands.
        case known(RepairRecord)
        /// Within the budget: it has begun.
        case begun(RepairRecord)
    }

    /// Takes up a plan that lies in its file.
    /// - Parameter isAutomatic: it is carried out where the budget of its check allows that.
    func register(_ id: String, isAutomatic: Bool) async throws -> Registration {
        try await registrations.value(of: id) {
            await RepairFailure.catching { try await registerAlone(id, isAutomatic: isAutomatic) }
        }.get()
    }

    private func registerAlone(_ id: String, isAutomatic: Bool) async throws -> Registration {
        if let record = published.repair(id) { return .waiting(record) }
        let (plan, bytes) = try await files.plan(id)
        guard catalogue[plan.head.dataset] != nil, store(plan.head.store) != nil else {
            throw CommandFailure(
                .badInput,
                "the running core brings no \(plan.head.dataset) to \(plan.head.store); "
                    + "opsd service restart core")
        }
        let findings = await files.findings(of: id)
        let rows = Set(findings.map(\.exact))
        var undone = 0
        var replaced: [String] = []
        for record in published.repairs
        where record.dataset == plan.head.dataset && record.store == plan.head.store {
            switch record.state {
            case .waiting where await files.findings(of: record.id).isSuperset(of: findings),
                .rejected where await files.findings(of: record.id).isSuperset(of: findings):
                await files.remove(id)
                return .known(record)
            case .waiting
            where await files.findings(of: record.id).allSatisfy({
                rows.contains($0.exact)
            }):
                replaced.append(record.id)
            // A person has decided about these rows, also where others are found with them now.
            case .undone, .undoing, .rejected:
                undone += await files.findings(of: record.id).intersection(findings).count
            default: break
            }
        }
        let objections = plan.head.policy.objections(
            to: plan, undone: undone, recent: recentRows(of: plan.head.check))
        let isBegun = isAutomatic && objections.isEmpty
        let record = RepairRecord(
            id: id, check: plan.head.check, dataset: plan.head.dataset, store: plan.head.store,
            rows: plan.rows.count, planDigest: SipHashKey.repairs.words(bytes),
            state: isBegun ? .applying : .waiting,
            reason: isBegun ? "within the budget" : objections.joined(separator: "; "),
            by: Self.verifier, madeAt: Timestamp(plan.head.madeAt) ?? .now())
        // What is carried out at once leaves the others to those who decide.
        let older = isBegun ? [] : replaced
        try await core.engine.performControl { state, now throws(Refusal) in
            try state.planRepair(record, replacing: older, at: now, by: Self.verifier)
        }
        if !isBegun {
            logger.warning(
                "a repair waits for a person: opsd review list",
                metadata: ["repair": "\(id)", "rows": "\(record.rows)"])
        }
        return isBegun ? .begun(record) : .waiting(record)
    }

    /// That were put right without a person within the last hour.
    private func recentRows(of check: String) -> Int {
        let since = Timestamp.now().advanced(bySeconds: -3_600)
        return published.repairs.reduce(0) { sum, record in
            let isCounted =
                record.check == check && record.changedBy == Self.verifier
                && record.updatedAt > since && [.applying, .applied].contains(record.state)
            return sum + (isCounted ? record.rows : 0)
        }
    }

    private var published: PublishedState { core.engine.published }

    /// As it is on disk, registered where it is not yet.
    private func known(_ id: String) async throws -> RepairRecord {
        if let record = published.repair(id) { return record }
        switch try await register(id, isAutomatic: false) {
        case .waiting(let record), .begun(let record): return record
        case .known(let record):
            throw CommandFailure(
                .refused, "the same was found by plan \(record.id), which is \(record.state)")
        }
    }

    // MARK: Decisions

    func approve(_ id: String, reason: String, by actor: String) async throws -> RepairRecord {
        _ = try await known(id)
        // What cannot be carried out goes on waiting.
        _ = try await run(id)
        _ = try await move(id, to: .approved, reason: reason, by: actor)
        return try await apply(id, reason: reason, by: actor)
    }

    func reject(_ id: String, reason: String, by actor: String) async throws -> RepairRecord {
        _ = try await known(id)
        return try await move(id, to: .rejected, reason: reason, by: actor)
    }

    /// Carries a plan out, or on. Returns when it is done.
    func apply(_ id: String, reason: String, by actor: String) async throws -> RepairRecord {
        _ = try await known(id)
        return try await alone(id) {
            // What cannot be carried out goes on waiting.
            let run = try await run(id)
            if published.repair(id)?.state != .applying {
                _ = try await move(id, to: .applying, reason: reason, by: actor)
            }
            let counts = try await run.apply()
            return try await move(id, to: .applied, reason: nil, by: actor) { record in
                record.repaired = counts[.repaired] ?? 0
                record.adopted = counts[.adopted] ?? 0
                record.overtaken = counts[.overtaken] ?? 0
                record.failed = counts[.failed] ?? 0
            }
        }
    }

    /// Takes a repair back, or goes on with that. Returns when it is done.
    func undo(_ id: String, reason: String, by actor: String) async throws -> RepairRecord {
        try await alone(id) {
            let run = try await run(id)
            if published.repair(id)?.state != .undoing {
                _ = try await move(id, to: .undoing, reason: reason, by: actor)
            }
            let counts = try await run.undo()
            return try await move(id, to: .undone, reason: nil, by: actor) { record in
                record.undone = counts[.undone] ?? 0
                record.newer = counts[.newer] ?? 0
                // Those that did not come back as they were.
                record.failed = counts[.failed] ?? 0
            }
        }
    }

    private func alone(
        _ id: String, _ work: @escaping @Sendable () async throws -> RepairRecord
    ) async throws -> RepairRecord {
        try await works.value(of: id) { await RepairFailure.catching(work) }.get()
    }

    private func move(
        _ id: String, to state: RepairRecord.State, reason: String?, by actor: String,
        _ change: @escaping @Sendable (inout RepairRecord.Counts) -> Void = { _ in }
    ) async throws -> RepairRecord {
        let record = try await core.engine.performControl { trading, now throws(Refusal) in
            try trading.moveRepair(id, to: state, reason: reason, at: now, by: actor, change)
        }
        logger.notice(
            "repair", metadata: ["repair": "\(id)", "state": "\(state)", "by": "\(actor)"])
        return record
    }

    private func run(_ id: String) async throws -> RepairRun {
        let (plan, bytes) = try await files.plan(id)
        guard let record = published.repair(id) else {
            throw EngineError.refused(.unknownRepair(id))
        }
        guard record.planDigest == SipHashKey.repairs.words(bytes) else {
            throw CommandFailure(
                .refused,
                "\(files.path(of: id)) is not what was journaled: it was changed; "
                    + "opsd verify \(plan.head.dataset) --repair plan makes a new plan")
        }
        guard let schema = catalogue[plan.head.dataset], let store = store(plan.head.store) else {
            throw CommandFailure(
                .refused, "\(plan.head.dataset) is not brought to \(plan.head.store) any more")
        }
        return try RepairRun(
            plan, schema: schema, in: store, against: try await JournalView(layout, catalogue),
            notes: RepairReceipt(path: files.receipt(of: id), plan: plan, schema: schema),
            adoption: JournaledAdoption(
                engine: core.engine, schema: schema, repair: id,
                isDeclared: core.declared[schema.dataset] != nil))
    }

    // MARK: What was left

    /// Takes up plans that were made while no core ran, and carries on what a crash has ended, until the
    /// task is cancelled.
    func carryOn() async {
        var problems: [String: String] = [:]
        while !Task.isCancelled {
            for id in (try? await files.ids()) ?? [] where published.repair(id) == nil {
                // One that was made a moment ago is registered by who made it.
                if let time = try? await files.plan(id).plan.head.madeAt,
                    let made = Timestamp(time), made.advanced(bySeconds: 60) > .now()
                {
                    continue
                }
                await note(&problems, id) { _ = try await register(id, isAutomatic: false) }
            }
            for record in published.repairs {
                await note(&problems, record.id) {
                    switch record.state {
                    case .approved, .applying:
                        _ = try await apply(
                            record.id, reason: record.reason ?? "", by: record.changedBy)
                    case .undoing:
                        _ = try await undo(
                            record.id, reason: record.reason ?? "", by: record.changedBy)
                    default: break
                    }
                }
            }
            try? await Task.sleep(for: Self.lookEvery)
        }
    }

    private func note(
        _ problems: inout [String: String], _ id: String, _ work: () async throws -> Void
    ) async {
        do {
            try await work()
            problems[id] = nil
        } catch {
            let problem = "\((error as? CommandFailure)?.message ?? "\(error)")"
            if problems.updateValue(problem, forKey: id) == problem { return }
            logger.error(
                "a repair is not carried on",
                metadata: ["repair": "\(id)", "problem": "\(problem)"])
        }
    }
}

/// Why a repair did not come to its end; handed to all who wait for it.
struct RepairFailure: Error {
    let error: any Error

    static func catching<Value>(
        _ work: () async throws -> Value
    ) async -> Result<Value, RepairFailure> {
        do {
            return .success(try await work())
        } catch {
            return .failure(RepairFailure(error: error))
        }
    }
}

extension SipHashKey {
    /// Tells one plan's file from another one. It guards against a change by mistake, not against somebody
    /// who has the data directory.
    static let repairs = SipHashKey(low: 0x6f70_7364, high: 0x7265_7061_6972)
}

/// Rows that another program has written into a store become the core's.
private struct JournaledAdoption: RowAdoption {
    let engine: Engine
    let schema: Schema
    let repair: String
    let isDeclared: Bool

    private var actor: String { "repair \(repair)" }

    func adopt(_ row: Row, over sequence: SequenceNumber?) async throws -> Bool {
        guard isDeclared else {
            throw CommandFailure(
                .refused, "\(schema.dataset) is the trading core's: its rows are not adopted")
        }
        let found = TradingState.FoundRow(row: row, known: sequence)
        do {
            _ = try await engine.perform { [actor] state, now throws(Refusal) in
                try state.migrateRows([found], at: now, by: actor)
            }
            return true
        } catch EngineError.refused(.conditionFailed) {
            return false
        }
    }

    func disown(_ row: Row, before: Row?) async throws -> Bool {
        let change = TradingState.MigratedRow(before: before, after: row)
        let isDone = try await engine.perform { [actor] state, now throws(Refusal) in
            state.takeBack([change], at: now, by: actor) > 0
        }
        // Before a crash it may have been taken back already.
        return isDone || engine.published.declaredRow(row.key(in: schema))?.row == before
    }
}
