public import Ledger

/// What is decided about repairs of copies. The copies themselves are not the state's; that a repair begins
/// is journaled before any of them is written.
extension TradingState {
    /// A plan has been made, and waits, or is carried out at once.
    /// - Parameter replaced: plans all of whose rows are in this one: they wait no more.
    public mutating func planRepair(
        _ record: RepairRecord, replacing replaced: [String] = [], at now: Timestamp,
        by actor: String
    ) throws(Refusal) {
        if repairs[record.id] != nil { return }
        for id in replaced {
            guard var older = repairs[id]?.value, older.state == .waiting else { continue }
            older.state = .replaced
            older.reason = "\(record.id) is newer"
            older.changedBy = actor
            older.updatedAt = now
            put(older)
        }
        var record = record
        record.updatedAt = now
        put(record)
        seal("repair.\(record.state.rawValue)", at: now, by: actor)
    }

    /// - Parameters:
    ///   - reason: stays what it was when it is nil.
    ///   - change: of the counts.
    /// - Returns: the record as it is now.
    public mutating func moveRepair(
        _ id: String, to state: RepairRecord.State, reason: String?, at now: Timestamp,
        by actor: String, _ change: (inout RepairRecord.Counts) -> Void = { _ in }
    ) throws(Refusal) -> RepairRecord {
        guard var record = repairs[id]?.value else { throw .unknownRepair(id) }
        // Whoever carries on after a crash begins what has begun.
        if record.state == state, state == .applying || state == .undoing { return record }
        guard state.mayFollow(record.state) else {
            throw .notInState(repair: id, state: record.state.rawValue, verb: state.verb)
        }
        record.state = state
        if let reason { record.reason = reason }
        change(&record.counts)
        record.changedBy = actor
        record.updatedAt = now
        put(record)
        seal("repair.\(state.rawValue)", at: now, by: actor)
        return record
    }
}

extension RepairRecord.State {
    fileprivate var verb: String {
        switch self {
        case .applying: "applied"
        case .undoing: "undone"
        default: rawValue
        }
    }

    fileprivate func mayFollow(_ earlier: Self) -> Bool {
        switch self {
        case .waiting, .replaced: false
        // What was turned down may be wanted after all.
        case .approved: earlier == .waiting || earlier == .rejected
        case .rejected: earlier == .waiting
        case .applying: earlier == .waiting || earlier == .approved
        case .applied: earlier == .applying
        case .undoing: earlier == .applied
        case .undone: earlier == .undoing
        }
    }
}
