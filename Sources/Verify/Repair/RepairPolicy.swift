public import Ledger

/// Who is right where a copy differs, and how much is put right without a person.
public struct RepairPolicy: Sendable, Hashable, Codable {
    public enum Conflict: String, Sendable, Hashable, Codable, CaseIterable {
        /// What was journaled is right.
        case journal
        /// What somebody has written into the store is right, and is journaled. Only for declared datasets.
        case store
        /// A person says so, each time.
        case review
    }

    public var conflict: Conflict
    /// Rows that are put right at most without a person.
    public var rowsMax: Int
    /// And so many of all rows: 0 to 1.
    public var ratioMax: ExactDecimal

    enum CodingKeys: String, CodingKey {
        case conflict
        case rowsMax = "budget_rows"
        case ratioMax = "budget_ratio"
    }

    public static let rowsMaxDefault = 100
    /// One in a hundred.
    public static let ratioMaxDefault = ExactDecimal("0.01") ?? .zero

    public init(
        conflict: Conflict = .journal, rowsMax: Int = rowsMaxDefault,
        ratioMax: ExactDecimal = ratioMaxDefault
    ) {
        self.conflict = conflict
        self.rowsMax = rowsMax
        self.ratioMax = ratioMax
    }

    /// Why a plan has to wait for a person; nothing when it need not. A pure decision.
    /// - Parameters:
    ///   - undone: of its rows, those that a person has put back as they were found, or rejected to repair.
    ///   - recent: rows of this check that were put right without a person within the last hour. Damage that
    ///     comes slowly, and two programs that write against each other, use the budget up too.
    public func objections(to plan: RepairPlan, undone: Int, recent: Int = 0) -> [String] {
        let (rows, compared) = (plan.rows.count, plan.head.comparedRows)
        var reasons = plan.head.doubts
        if rows > rowsMax {
            reasons.append("\(rows) rows differ, and the budget is \(rowsMax)")
        } else if rows + recent > rowsMax {
            reasons.append(
                "\(rows) rows differ, and \(recent) were repaired within the hour: the budget is "
                    + "\(rowsMax)")
        }
        if !isWithinRatio(rows, of: compared) {
            reasons.append("\(rows) of \(compared) rows differ, and the budget is \(ratioMax)")
        }
        if undone > 0 {
            reasons.append("\(undone) of its rows were put back by a person, or left as they were")
        }
        switch conflict {
        case .journal: break
        case .review: reasons.append("the check says conflict: review")
        case .store:
            let doubtful = plan.rows.count { !$0.isForeignWrite }
            if doubtful > 0 {
                reasons.append("\(doubtful) rows are no writes of another program")
            }
        }
        return reasons
    }

    /// rows / compared ≤ ratio, in whole numbers.
    private func isWithinRatio(_ rows: Int, of compared: Int) -> Bool {
        if ratioMax.coefficient < 0 { return false }
        let (wanted, overflows) = ratioMax.coefficient.multipliedReportingOverflow(
            by: Int128(compared))
        var scaled = Int128(rows)
        for _ in 0..<ratioMax.scale { scaled *= 10 }
        return overflows || scaled <= wanted
    }
}

extension PlannedRow {
    /// A whole row whose stamp is gone, or still is the journal's: so it looks where a program writes that
    /// knows of no stamps.
    var isForeignWrite: Bool {
        guard let found, found.damage == nil else { return false }
        return found.sequence == SequenceNumber.none
            || journaled != nil && found.sequence == journaled?.sequence
                && found.digest != journaled?.digest
    }
}
