import Ledger
import StrictYAML
import Verify

/// What is compared of two sides: a plain value.
struct PairPlan {
    let schema: Schema
    let tolerance: [String: PairTolerance]

    /// Refused: sides that cannot be compared, with what to write.
    init(
        _ name: String, _ check: PairCheck, _ left: PairSource, _ right: PairSource
    ) throws(StoreError) {
        func refused(_ problem: String) -> StoreError { .refused(store: name, problem: problem) }
        let keys = try Self.keys(name, check, left, right)
        let fields = try Self.fields(name, check, left, right).filter { !keys.contains($0) }
        var typed: [Field] = []
        for field in keys + fields {
            typed.append(
                Field(field, try Self.type(of: field, name, left, right), optional: true))
        }
        schema = Schema(
            dataset: name, kind: .declared, key: Array(typed.prefix(keys.count)),
            fields: Array(typed.dropFirst(keys.count)))
        var tolerance: [String: PairTolerance] = [:]
        for (field, most) in check.tolerance.sorted(by: { $0.key < $1.key }) {
            guard let index = schema.index(of: field) else {
                throw refused("tolerance names \(field), which is not compared: remove it there")
            }
            switch (most, schema.fields[index].type) {
            case (.number(let most), .decimal), (.number(let most), .integer):
                tolerance[field] = .number(most)
            case (.time(let most), .timestamp):
                let (seconds, rest) = most.components
                tolerance[field] = .microseconds(
                    seconds * 1_000_000 + rest / 1_000_000_000_000)
            case (_, let type):
                throw refused(
                    "tolerance: \(field): \(most), and \(field) is \(type.rawValue): write a number "
                        + "for a number, a duration for a time, or remove it")
            }
        }
        self.tolerance = tolerance
    }

    private static func keys(
        _ name: String, _ check: PairCheck, _ left: PairSource, _ right: PairSource
    ) throws(StoreError) -> [String] {
        if !check.keys.isEmpty { return check.keys }
        // A dataset's rows are found by its own key alone.
        let sides = [left, right].filter(\.isDataset) + [left, right]
        if let side = sides.first(where: { !$0.key.isEmpty }) { return side.key }
        throw .refused(
            store: name, problem: "no side says what tells its rows apart: add 'keys: […]'")
    }

    private static func fields(
        _ name: String, _ check: PairCheck, _ left: PairSource, _ right: PairSource
    ) throws(StoreError) -> [String] {
        if !check.fields.isEmpty { return check.fields }
        let names = [left, right].map { side in
            side.fields.map(\.name).filter { !check.ignored.contains($0) }
        }
        // A table may have more than the dataset that it is compared with.
        if left.isDataset, !right.isDataset { return names[0] }
        if right.isDataset, !left.isDataset { return names[1] }
        for (one, other) in [(0, 1), (1, 0)] {
            let lacking = names[one].filter { !names[other].contains($0) }
            if lacking.isEmpty { continue }
            let side = other == 0 ? "left" : "right"
            throw .refused(
                store: name,
                problem: "the \(side) side has no \(lacking.joined(separator: ", ")): add it to "
                    + "ignore, or say under columns of that side what it is called there")
        }
        return names[0]
    }

    private static func type(
        of field: String, _ name: String, _ left: PairSource, _ right: PairSource
    ) throws(StoreError) -> FieldType {
        var found: [PairSource.Field] = []
        for (side, source) in [("left", left), ("right", right)] {
            guard let own = source.fields.first(where: { $0.name == field }) else {
                throw .refused(
                    store: name,
                    problem:
                        "the \(side) side has no field \(field) that can be compared: its names "
                        + "are \(source.fields.map(\.name).prefix(20).joined(separator: ", "))")
            }
            found.append(own)
        }
        // A column that keeps anything is read as what the other side has.
        let types = (
            found[0].type ?? found[1].type ?? found[0].usual,
            found[1].type ?? found[0].type ?? found[1].usual
        )
        switch types {
        case let (one, other) where one == other: return one
        case (.integer, .decimal), (.decimal, .integer): return .decimal
        case (let one, let other):
            throw .refused(
                store: name,
                problem:
                    "\(field) is \(one.rawValue) on the left side and \(other.rawValue) on the "
                    + "right one: compare a view that casts it, or add it to ignore")
        }
    }
}
