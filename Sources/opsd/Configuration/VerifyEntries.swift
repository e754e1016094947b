import Control
import Ledger
import StrictYAML

extension ConfigurationEntries {
    mutating func verification(_ check: VerifySettings, kinds: [String: StoreKind]) {
        within("verify", "[\(check.name)]") { list in
            switch check.subject {
            case .dataset(let dataset): list.datasetCheck(dataset)
            case .pair(let pair): list.pairCheck(pair, kinds)
            }
            list.add("every", check.every)
            switch check.full {
            case .cron(let expression)?: list.add("full", expression.description)
            case .every, nil: list.add("full", "none")
            }
        }
    }

    private mutating func datasetCheck(_ check: DatasetCheck) {
        add("dataset", check.dataset)
        add("follow", "\(check.follow)")
        add("repair", check.repair.rawValue)
        add("conflict", check.conflict.rawValue)
        within("budget") {
            $0.add("rows", check.budget.rows)
            $0.add("ratio", check.budget.ratio.description)
        }
    }

    private mutating func pairCheck(_ pair: PairCheck, _ kinds: [String: StoreKind]) {
        side("left", pair.left, kinds[pair.left.store])
        side("right", pair.right, kinds[pair.right.store])
        add("repair", RepairMode.none.rawValue)
        add("keys", pair.keys)
        add("fields", pair.fields)
        add("ignore", pair.ignored)
        within("tolerance") { list in
            for (field, tolerance) in pair.tolerance.sorted(by: { $0.key < $1.key }) {
                list.add(field, tolerance.description)
            }
        }
    }

    private mutating func side(_ key: String, _ side: PairCheck.Side, _ kind: StoreKind?) {
        within(key) { list in
            list.add("store", side.store)
            switch side.source {
            case .dataset(let name): list.add("dataset", name)
            case .table(let name): list.add("table", name)
            }
            list.within("columns") { list in
                for (field, column) in side.columns.sorted(by: { $0.key < $1.key }) {
                    list.add(field, column)
                }
            }
            if let layout = side.layout, let kind {
                list.within("layout") { $0.layout(layout, kind) }
            }
        }
    }
}
