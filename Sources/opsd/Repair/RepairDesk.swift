import CurlClient
import Foundation
import Ledger
import Verify

/// Where whoever verifies hands in what was found: a plan is made of it, and the core is told. The core
/// alone writes copies; a plan waits in its file while none runs.
struct RepairDesk: Sendable {
    /// What is wanted for a check.
    struct Wish: Sendable {
        /// The check's name; the dataset's where it has none.
        var check: String
        var mode: RepairMode
        var policy = RepairPolicy()
    }

    /// What the configuration wants of a dataset.
    /// - Parameter mode: in the place of the configuration's.
    static func wish(
        for dataset: String, mode: RepairMode? = nil, in configuration: Configuration
    ) -> Wish {
        let check = configuration.verify.compactMap(\.dataset).first { $0.dataset == dataset }
        var wish = Wish(
            check: configuration.checkName(of: dataset), mode: mode ?? check?.repair ?? .none)
        guard let check else { return wish }
        wish.policy = RepairPolicy(
            conflict: RepairPolicy.Conflict(rawValue: check.conflict.rawValue) ?? .review,
            rowsMax: check.budget.rows, ratioMax: check.budget.ratio)
        return wish
    }

    enum Outcome: Sendable {
        /// There is nothing that a plan could put right, or none is wanted.
        case nothing
        /// The core has it: waiting, applied, or as it was decided about the same rows before.
        case known(RepairLine)
        /// No core runs: the plan waits in its file.
        case filed(String)
        /// Whether anything has been done is unknown; the core carries on what it has begun.
        case failed(String)
    }

    private let access: CoreAccess
    private let journal: any JournaledRows
    private let files: RepairFiles

    /// A repair of many rows takes its time.
    static let patience = Duration.seconds(24 * 3_600)

    init(_ configuration: Configuration, journal: any JournaledRows) {
        access = CoreAccess(configuration)
        self.journal = journal
        files = RepairFiles(DataLayout(configuration))
    }

    /// Returns when what is wanted is done, or known not to be.
    func consider(_ report: CheckReport, _ wish: Wish) async -> Outcome {
        guard wish.mode != .none, report.outcome == .found,
            let schema = journal.catalogue[report.dataset]
        else { return .nothing }
        do {
            let now = Timestamp.now()
            let rows = try await datasetRows(schema.dataset)
            let digestKey = journal.digestKey
            let plan = try await files.save(check: wish.check, store: report.store, at: now) { id in
                RepairPlan(
                    report, id: id, check: wish.check, policy: wish.policy, schema: schema,
                    digestKey: digestKey, datasetRows: rows, madeAt: now)
            }
            guard let plan else { return .nothing }
            let answer = try await access.ask(
                .post, "/control/repairs",
                encoding: RepairControl.Made(id: plan.head.id, automatic: wish.mode == .auto),
                timeout: Self.patience)
            guard let answer else { return .filed(plan.head.id) }
            return .known(try answer.data(RepairLine.self))
        } catch let failure as CommandFailure {
            return .failed(failure.message)
        } catch {
            return .failed("\(error)")
        }
    }

    private func datasetRows(_ dataset: String) async throws(StoreError) -> Int {
        let digests = try await journal.changesAndDigests(
            after: try await journal.head(), in: dataset
        ).digests
        return digests.values.reduce(0) { $0 + Int($1.count) }
    }
}

/// A repair as the core tells of it.
struct RepairLine: Codable, Sendable {
    let repair: String
    let check: String
    let dataset: String
    let store: String
    let state: String
    let rows: Int
    let repaired: Int
    let adopted: Int
    let overtaken: Int
    let failed: Int
    let undone: Int
    let newer: Int
    let reason: String?
    let changed_by: String
    let made_at: String
    let updated_at: String

    /// Every row of the plan is as it was journaled.
    var isDone: Bool { state == "applied" && repaired + adopted == rows }
    var isUndone: Bool { state == "undone" && undone == repaired + adopted }

    /// In one line, for people.
    var text: String {
        var words = "\(repair) \(state): \(rows) rows of \(dataset) in \(store)"
        let counts = [
            (repaired, "repaired"), (adopted, "adopted"), (overtaken, "overtaken"),
            (failed, "failed"), (undone, "undone"), (newer, "newer"),
        ].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        if !counts.isEmpty { words += "; " + counts.joined(separator: ", ") }
        if let reason, !reason.isEmpty { words += " (\(reason))" }
        return words
    }

    /// What may be typed next.
    var next: [String] {
        switch state {
        case "waiting": ["opsd review approve \(repair)", "opsd review reject \(repair)"]
        case "approved", "applying": ["opsd repair apply \(repair)"]
        case "applied" where repaired + adopted > 0: ["opsd repair undo \(repair)"]
        case "rejected": ["opsd review approve \(repair)"]
        case "undoing": ["opsd repair undo \(repair)"]
        default: []
        }
    }
}
