import Control
import Ledger
import StrictYAML
import Trading

/// An entry of `verify` and the places that the checks between entries speak of.
struct PlacedVerification {
    var settings: VerifySettings
    /// Of its name.
    let place: Place
}

/// Reads one entry of `verify`.
struct VerifyReader {
    let stores: [PlacedStore]
    let datasets: [DatasetSettings]
    let findings: Findings

    func read(_ value: YAMLValue) -> PlacedVerification? {
        value.mapping { item in
            let nameValue = item.required("name")
            let name = nameValue.flatMap(ServiceReader.readName)
            let subject = readSubject(&item)
            let everyValue = item.optional("every")
            let every = everyValue?.duration(from: .seconds(1))
            let full = item.optional("full").flatMap(ScheduleReader.cron)
            guard let name, let nameValue, let subject else { return nil }
            var settings = VerifySettings(name: name, subject: subject, every: every, full: full)
            if settings.dataset != nil {
                settings.every = every ?? VerifySettings.usualCycle
            } else if every != nil, full != nil {
                everyValue?.refuse(
                    "\(name) has both every and full",
                    "remove one of the two: a pair is compared whole each time")
            }
            return PlacedVerification(settings: settings, place: nameValue.place)
        }
    }

    private static let datasetKeys = ["dataset", "follow", "conflict", "budget"]
    private static let pairKeys = ["left", "right", "keys", "fields", "ignore", "tolerance"]

    private func readSubject(_ item: inout YAMLMapping) -> VerifySettings.Subject? {
        let present = item.present(ofAlternatives: ["dataset", "left"])
        let dataset = PlacedReference.one(item.optional("dataset"))
        let check = readDataset(&item, dataset)
        let pair = readPair(&item)
        switch present.count {
        case 0:
            item.refuse(
                "the check compares nothing",
                "add 'dataset: …', or 'left: {store: …, table: …}' and 'right: …'")
            return nil
        case 2:
            item.refuse("the check has both dataset and left", "write one of the two")
            return nil
        default: break
        }
        if present == ["dataset"] {
            refuse(Self.pairKeys, of: "two stores", item)
            return check.map { .dataset($0) }
        }
        refuse(Self.datasetKeys, of: "a dataset", item)
        if !item.contains("right") {
            item.refuse("the check lacks right", "add 'right: {store: …, table: …}'")
        }
        return pair.map { .pair($0) }
    }

    private func refuse(_ keys: [String], of kind: String, _ item: YAMLMapping) {
        for key in keys {
            guard let place = item.place(ofKey: key) else { continue }
            findings.error(place, "\(key) belongs to a check of \(kind)", "remove it")
        }
    }

    // MARK: A dataset with the journal

    private func readDataset(
        _ item: inout YAMLMapping, _ dataset: PlacedReference?
    ) -> DatasetCheck? {
        let follow = item.optional("follow")?.boolean()
        let repairValue = item.optional("repair")
        let repair = repairValue?.choice(RepairMode.self)
        let conflictValue = item.optional("conflict")
        let conflict = conflictValue?.choice(ConflictRule.self)
        let budget = readBudget(item.optional("budget"))
        guard let dataset else {
            if let repair, repair != .none, item.place(ofKey: "left") != nil {
                repairValue?.refuse(
                    "repair: \(repair.rawValue), and nobody journals these rows",
                    "write none: only a dataset can be put right")
            }
            return nil
        }
        expectStored(dataset)
        var check = DatasetCheck(dataset: dataset.name)
        if let follow { check.follow = follow }
        if let repair { check.repair = repair }
        if let conflict { check.conflict = conflict }
        if let budget { check.budget = budget }
        if conflict == .store, Datasets.catalogue[dataset.name] != nil {
            conflictValue?.refuse(
                "conflict: store, and only the trading core says what \(dataset.name) are",
                "write journal or review")
        }
        return check
    }

    private func readBudget(_ value: YAMLValue?) -> RepairBudget? {
        value?.mapping { item in
            var budget = RepairBudget()
            if let rows = item.optional("rows")?.integer(in: 0...100_000) { budget.rows = rows }
            let ratioValue = item.optional("ratio")
            if let ratio = ratioValue?.decimal(from: .zero) {
                if ratio > ExactDecimal(1) {
                    ratioValue?.refuse(
                        "ratio: \(ratioValue?.shown ?? "") is more than all rows",
                        "write a number from 0 to 1, as in 0.01")
                }
                budget.ratio = ratio
            }
            return budget
        }
    }

    /// A dataset whose rows are journaled and brought to a store.
    private func expectStored(_ reference: PlacedReference) {
        let stored = datasets.filter { $0.old != nil && $0.declared?.kind != .cache }.map(\.name)
        guard !stored.contains(reference.name) else { return }
        let isKnown =
            Datasets.catalogue[reference.name] != nil
            || datasets.contains { $0.name == reference.name }
        if isKnown {
            let isCache = datasets.first { $0.name == reference.name }?.declared?.kind == .cache
            findings.error(
                reference.place,
                isCache
                    ? "dataset \(reference.name) is a cache, whose rows are not journaled"
                    : "dataset \(reference.name) is in no store",
                isCache
                    ? "remove the check"
                    : "add 'datasets: {\(reference.name): {old: …}}', or remove the check")
        } else {
            findings.error(
                reference.place, "no dataset is called '\(reference.shown)'",
                NearestName.remedy(for: reference.name, in: stored, noun: "datasets in a store"))
        }
    }

    // MARK: Two stores with each other

    private func readPair(_ item: inout YAMLMapping) -> PairCheck? {
        let left = item.optional("left").flatMap(readSide)
        let rightValue = item.optional("right")
        let right = rightValue.flatMap(readSide)
        let keys = names(item.optional("keys"))
        let fields = names(item.optional("fields"))
        let ignored = names(item.optional("ignore"))
        var tolerances: [PlacedReference] = []
        let tolerance = item.optional("tolerance")?.names { name, place, value in
            tolerances.append(PlacedReference(name: name, place: place, shown: name))
            return value.tolerance().map { (name, $0) }
        }
        guard let left, let right else { return nil }
        if left.store == right.store, left.source == right.source, left.layout == right.layout {
            rightValue?.refuse("left and right are the same", "name another store, or table")
        }
        refuseTwice(keys + fields + ignored)
        checkFields(keys + fields + ignored + tolerances, left, right)
        for field in tolerances where keys.contains(where: { $0.name == field.name }) {
            findings.error(
                field.place, "\(field.name) tells rows apart, so it cannot be about the same",
                "remove it here")
        }
        return PairCheck(
            left: left, right: right, keys: keys.map(\.name), fields: fields.map(\.name),
            ignored: ignored.map(\.name),
            tolerance: Dictionary(tolerance ?? [], uniquingKeysWith: { first, _ in first }))
    }

    private func names(_ value: YAMLValue?) -> [PlacedReference] { PlacedReference.list(value) }

    private func refuseTwice(_ fields: [PlacedReference]) {
        var seen: Set<String> = []
        for field in fields where !seen.insert(field.name).inserted {
            findings.error(
                field.place, "\(field.shown) is named twice in keys, fields and ignore",
                "remove one of the two")
        }
    }

    private func readSide(_ value: YAMLValue) -> PairCheck.Side? {
        value.mapping { item in
            let store = PlacedReference.one(item.required("store"))
            let present = item.present(ofAlternatives: ["dataset", "table"])
            let dataset = PlacedReference.one(item.optional("dataset"))
            let table = PlacedReference.one(item.optional("table"))
            let columns = item.optional("columns")?.names { name, _, value in
                value.nonEmptyText().map { (name, $0) }
            }
            let layoutValue = item.optional("layout")
            if present.count != 1 {
                item.refuse(
                    present.isEmpty
                        ? "\(value.name) names no rows"
                        : "\(value.name) has both dataset and table",
                    "write one of 'dataset: …' and 'table: …'")
            }
            if table == nil, let place = item.place(ofKey: "columns") {
                findings.error(
                    place, "columns belongs to a side with table",
                    "remove it: a dataset's layout says how it lies there")
            }
            if dataset == nil, let place = item.place(ofKey: "layout") {
                findings.error(
                    place, "layout belongs to a side with dataset",
                    "remove it: a table's columns are named under columns")
            }
            let layout = layoutValue.flatMap {
                LayoutReader(
                    dataset: dataset?.name ?? "", schema: dataset.flatMap { schema(of: $0.name) },
                    kind: stores.first { $0.name == store?.name }?.kind,
                    findings: findings
                ).read($0)
            }
            guard let store else { return nil }
            let placed = expectStore(store)
            if let table, let kind = placed?.kind, kind != .sqlite, kind != .postgres {
                findings.error(
                    table.place,
                    "store \(store.name) is of kind \(kind.rawValue): it has no tables",
                    "write 'dataset: …', and how its rows lie there under datasets")
            }
            if let dataset { expect(dataset, in: store.name, hasLayout: layoutValue != nil) }
            guard
                let source: PairCheck.Source =
                    dataset.map({ .dataset($0.name) }) ?? table.map({ .table($0.name) })
            else { return nil }
            return PairCheck.Side(
                store: store.name, source: source,
                columns: Dictionary(columns ?? [], uniquingKeysWith: { first, _ in first }),
                layout: layout?.settings)
        }
    }

    private func schema(of dataset: String) -> Schema? {
        datasets.first { $0.name == dataset }?.declared?.schema ?? Datasets.catalogue[dataset]
    }

    private func expectStore(_ reference: PlacedReference) -> PlacedStore? {
        if let store = stores.first(where: { $0.name == reference.name }) { return store }
        findings.error(
            reference.place, "no store is called '\(reference.shown)'",
            NearestName.remedy(for: reference.name, in: stores.map(\.name), noun: "stores"))
        return nil
    }

    /// - Parameter hasLayout: another program puts the rows there, and it is said how.
    private func expect(_ dataset: PlacedReference, in store: String, hasLayout: Bool) {
        if hasLayout {
            if schema(of: dataset.name) != nil { return }
            let known = Datasets.catalogue.schemas.map(\.dataset) + datasets.map(\.name)
            findings.error(
                dataset.place, "no dataset is called '\(dataset.shown)'",
                NearestName.remedy(for: dataset.name, in: known, noun: "datasets"))
            return
        }
        let there = datasets.filter { $0.stores.contains(store) }.map(\.name)
        guard !there.contains(dataset.name) else { return }
        findings.error(
            dataset.place, "no dataset in store \(store) is called '\(dataset.shown)'",
            NearestName.remedy(for: dataset.name, in: there, noun: "datasets there"))
    }

    /// Where a side is a dataset, its fields are known.
    private func checkFields(
        _ named: [PlacedReference], _ left: PairCheck.Side, _ right: PairCheck.Side
    ) {
        for case .dataset(let name) in [left.source, right.source] {
            guard let schema = schema(of: name) else { continue }
            let known = schema.fields.map(\.name)
            for field in named where !known.contains(field.name) {
                findings.error(
                    field.place, "dataset \(name) has no field '\(field.shown)'",
                    NearestName.remedy(for: field.name, in: known, noun: "fields"))
            }
        }
    }
}
