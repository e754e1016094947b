internal import Ledger

/// Says of one row what there is to say: a plain value, without a clock or a store.
struct RowJudge {
    let schema: Schema

    /// - Parameters:
    ///   - applied: what the store said before the row was read; it may trail its rows, never lead them.
    ///   - found: what lies there; nil for nothing.
    ///   - journaled: as of an entry that was the newest after the row was read.
    /// - Returns: nil when the two are equal.
    func difference(
        _ journaled: JournaledRow, found: FoundRow?, applied: SequenceNumber
    ) -> Difference? {
        let isDue = journaled.sequence.map { $0 <= applied } ?? true
        switch found {
        case nil:
            guard journaled.row != nil else { return nil }
            if !isDue { return late(journaled, nil) }
            return make(.missing, "it is not there", journaled)
        case .damaged(let damaged)?:
            return make(.corrupt, "\(damaged.place): \(damaged.problem)", journaled)
        case .row(let stamped)?:
            return difference(journaled, stamped, isDue: isDue)
        }
    }

    private func difference(
        _ journaled: JournaledRow, _ found: StampedRow, isDue: Bool
    ) -> Difference? {
        if found.row == journaled.row, found.sequence == journaled.sequence { return nil }
        if found.sequence > journaled.asOf {
            return make(
                .ahead,
                "it is of entry \(found.sequence), and the journal ends at \(journaled.asOf)",
                journaled, found)
        }
        if !isDue { return late(journaled, found) }
        guard let row = journaled.row else {
            let problem =
                found.sequence == .none
                ? "nobody journaled it" : "the journal has no such row any more, or never had"
            return make(.rogue, problem, journaled, found)
        }
        if found.row == row { return make(.corrupt, stamp(journaled, found), journaled, found) }
        return make(.corrupt, other(journaled, found), journaled, found)
    }

    private func stamp(_ journaled: JournaledRow, _ found: StampedRow) -> String {
        let wanted = journaled.sequence?.description ?? "none"
        if found.sequence == .none { return "its stamp is gone: it should say entry \(wanted)" }
        return "its stamp says entry \(found.sequence) where \(wanted) changed it last"
    }

    private func other(_ journaled: JournaledRow, _ found: StampedRow) -> String {
        let wanted = journaled.sequence ?? .none
        if found.sequence == wanted { return "other values under the stamp of entry \(wanted)" }
        if found.sequence == .none { return "other values, and no stamp" }
        if found.sequence < wanted {
            return
                "an older version, of entry \(found.sequence), though entry \(wanted) was applied"
        }
        return "stamped with entry \(found.sequence), which did not change it"
    }

    private func late(_ journaled: JournaledRow, _ found: StampedRow?) -> Difference {
        make(
            .lag, "entry \(journaled.sequence ?? .none) has not been applied", journaled, found)
    }

    private func make(
        _ verdict: Verdict, _ problem: String, _ journaled: JournaledRow,
        _ found: StampedRow? = nil
    ) -> Difference {
        var fields: [Difference.FieldDifference] = []
        if let row = journaled.row, let found {
            for (index, field) in schema.fields.enumerated() {
                let values = (row.values[safe: index], found.row.values[safe: index])
                if values.0 == values.1 { continue }
                fields.append(.init(field: field.name, journaled: values.0, found: values.1))
            }
        }
        return Difference(
            dataset: journaled.key.dataset, key: journaled.key, verdict: verdict, problem: problem,
            fields: fields, journaled: journaled, found: found)
    }
}

extension [Value] {
    fileprivate subscript(safe index: Int) -> Value { index < count ? self[index] : .null }
}
