public import Ledger

/// How far two values may be apart and be taken for the same.
public enum PairTolerance: Sendable, Hashable {
    case number(ExactDecimal)
    case microseconds(Int64)

    func allows(_ left: Value, _ right: Value) -> Bool {
        switch (self, left, right) {
        case (.number(let most), .decimal(let left), .decimal(let right)):
            guard let apart = try? left.subtracting(right) else { return false }
            return apart.magnitude <= most
        case (.number(let most), .integer(let left), .integer(let right)):
            let (apart, isTooMuch) = left.subtractingReportingOverflow(right)
            guard !isTooMuch, let apart = ExactDecimal("\(apart.magnitude)") else { return false }
            return apart <= most
        case (.microseconds(let most), .timestamp(let left), .timestamp(let right)):
            return left.microseconds(since: right).map { $0.magnitude <= UInt64(most) } ?? false
        default: return false
        }
    }
}

/// Says of the rows under one key what there is to say: a plain value, without a clock or a store. The left
/// side is what the right one should be.
struct PairJudge: Sendable {
    let schema: Schema
    /// By the field's place.
    let tolerance: [Int: PairTolerance]
    let left: String
    let right: String

    /// Nil when both sides have the same.
    func difference(_ key: RowKey, _ left: [FoundRow], _ right: [FoundRow]) -> Difference? {
        if left.isEmpty, right.isEmpty { return nil }
        if let difference = unreadable(key, left, right) { return difference }
        let (lefts, rights) = (left.compactMap(\.row), right.compactMap(\.row))
        guard let one = lefts.first else {
            return make(
                key, .rogue, "\(self.left) has no such row\(times(rights.count))", nil, rights.first
            )
        }
        guard let other = rights.first else {
            return make(
                key, .missing, "\(self.right) has no such row\(times(lefts.count))", one, nil)
        }
        if lefts.count == 1, rights.count == 1 {
            if isSame(one, other) { return nil }
            return make(key, .corrupt, "the two have other values", one, other)
        }
        if areSame(lefts, rights) { return nil }
        let problem =
            "\(self.left) has rows of this key \(lefts.count) times, \(self.right) \(rights.count) "
            + "times, and they are not the same: name keys that tell rows apart"
        return make(key, .corrupt, problem, nil, nil)
    }

    /// Of rows one of which is none.
    private func unreadable(
        _ key: RowKey, _ left: [FoundRow], _ right: [FoundRow]
    ) -> Difference? {
        let damages = (left.compactMap(\.damage).first, right.compactMap(\.damage).first)
        switch damages {
        case (nil, nil): return nil
        case (let damage?, nil):
            return make(key, .corrupt, "in \(self.left): \(damage.place): \(damage.problem)")
        case (nil, let damage?):
            return make(key, .corrupt, "in \(self.right): \(damage.place): \(damage.problem)")
        case (let damage?, _?):
            // It may be the same on both sides, and nobody can tell.
            return make(key, .unknown, "no side can be read: \(damage.place): \(damage.problem)")
        }
    }

    private func times(_ count: Int) -> String { count > 1 ? ", and the other \(count) of it" : "" }

    private func make(
        _ key: RowKey, _ verdict: Verdict, _ problem: String, _ left: Row? = nil,
        _ right: Row? = nil
    ) -> Difference {
        var fields: [Difference.FieldDifference] = []
        if let left, let right {
            for (index, field) in schema.fields.enumerated()
            where !isSame(left.values[index], right.values[index], index) {
                fields.append(
                    .init(
                        field: field.name, journaled: left.values[index],
                        found: right.values[index]))
            }
        }
        return Difference(
            dataset: schema.dataset, key: key, verdict: verdict, problem: problem, fields: fields,
            left: left, right: right)
    }

    // MARK: Values

    private func isSame(_ left: Row, _ right: Row) -> Bool {
        left.values.indices.allSatisfy { isSame(left.values[$0], right.values[$0], $0) }
    }

    func isSame(_ left: Value, _ right: Value, _ field: Int) -> Bool {
        left == right || tolerance[field]?.allows(left, right) == true
    }

    /// Each row of the one has its own among those of the other.
    private func areSame(_ left: [Row], _ right: [Row]) -> Bool {
        guard left.count == right.count else { return false }
        if left == right { return true }
        var rest = right
        for row in left {
            guard
                let place = rest.firstIndex(of: row) ?? rest.firstIndex(where: { isSame(row, $0) })
            else { return false }
            rest.remove(at: place)
        }
        return true
    }
}

extension FoundRow {
    var row: Row? {
        if case .row(let stamped) = self { stamped.row } else { nil }
    }
    var damage: DamagedRow? {
        if case .damaged(let damage) = self { damage } else { nil }
    }
}
