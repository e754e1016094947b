import Ledger
import StrictYAML
import Trading

/// A dataset and the places that the checks between datasets speak of.
struct PlacedDataset {
    var settings: DatasetSettings
    /// Of its name.
    let place: Place
    /// Of a layout's key, path or table, by store.
    var locations: [String: Place] = [:]
}

extension DatasetSettings {
    /// Every store that is named, in the order of the keys.
    var stores: [String] { [old, new].compactMap { $0 } + also }
}

/// Reads one entry of `datasets`.
struct DatasetReader {
    let stores: [PlacedStore]
    let findings: Findings
    private let byName: [String: PlacedStore]

    init(stores: [PlacedStore], findings: Findings) {
        self.stores = stores
        self.findings = findings
        byName = Dictionary(
            stores.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func read(_ name: String, _ place: Place, _ value: YAMLValue) -> PlacedDataset? {
        value.mapping { item in
            let core = Datasets.catalogue[name]
            let declaration = DeclarationReader(name: name, place: place, findings: findings)
                .read(&item, core: core)
            let old = item.optional("old")
            let new = item.optional("new")
            let also = item.optional("also")
            let route = StoreReferences(
                old: PlacedReference.one(old), new: PlacedReference.one(new),
                also: PlacedReference.list(also))
            let read = item.optional("read")
            let fallback = item.optional("fallback")
            var dataset = PlacedDataset(
                settings: DatasetSettings(
                    name: name, declared: core == nil ? declaration : nil, old: route.old?.name,
                    new: route.new?.name, also: route.also.map(\.name),
                    read: read?.choice(ReadSide.self), fallback: fallback?.choice(ReadSide.self)),
                place: place)
            check(route, of: name)
            let isCache = Datasets.caches[name] != nil
            if core != nil || declaration != nil {
                checkStores(of: name, isBuiltIn: core != nil || isCache, item, new)
            }
            checkReading(of: dataset.settings, item, read, fallback)
            if isCache { checkCache(of: name, item, route.old) }
            readLayouts(
                item.optional("layout"), schema: core ?? declaration?.schema, into: &dataset)
            return dataset
        }
    }

    private struct StoreReferences {
        let old: PlacedReference?
        let new: PlacedReference?
        let also: [PlacedReference]
    }

    // MARK: Stores

    private func check(_ route: StoreReferences, of name: String) {
        var seen: Set<String> = []
        for store in [route.old, route.new].compactMap({ $0 }) + route.also {
            if byName[store.name] == nil {
                refuseUnknown(store.name, shown: store.shown, at: store.place)
            } else if !seen.insert(store.name).inserted {
                findings.error(
                    store.place, "store \(store.name) is named twice in \(name)",
                    "name another, or remove one of the two")
            }
        }
    }

    private func refuseUnknown(_ name: String, shown: String, at place: Place) {
        // Nobody reads more, and guessing what was meant compares with every store.
        guard findings.all.count < Findings.countMax else { return }
        findings.error(
            place, "no store is called '\(shown)'",
            NearestName.remedy(for: name, in: stores.map(\.name), noun: "stores"))
    }

    private func checkStores(
        of name: String, isBuiltIn: Bool, _ item: YAMLMapping, _ new: YAMLValue?
    ) {
        if let new, !item.contains("old") {
            new.refuse(
                "dataset \(name) has a new store and no old one",
                "add 'old: …', or write old instead of new")
        }
        guard !["old", "new", "also"].contains(where: item.contains) else { return }
        if isBuiltIn {
            item.refuse("dataset \(name) names no store", "add 'old: …', or remove it")
        } else {
            findings.warning(
                item.place, "dataset \(name) names no store",
                "add 'old: …', unless the core's own copy is enough")
        }
    }

    /// A cache of opsd's own lies in one Redis.
    private func checkCache(of name: String, _ item: YAMLMapping, _ old: PlacedReference?) {
        if let old, byName[old.name] != nil {
            RedisReferences(stores: stores, findings: findings).expectRedis(old)
        }
        for key in ["new", "also", "read", "fallback"] {
            guard let place = item.place(ofKey: key) else { continue }
            findings.error(
                place, "dataset \(name) is a cache, which lies in one store",
                "remove \(key), and name the store as old")
        }
    }

    // MARK: Reading

    private func checkReading(
        of dataset: DatasetSettings, _ item: YAMLMapping, _ read: YAMLValue?,
        _ fallback: YAMLValue?
    ) {
        for (value, side) in [(read, dataset.read), (fallback, dataset.fallback)] {
            guard let value, let side, !item.contains(side.rawValue) else { continue }
            value.refuse(
                "\(value.name): \(side.rawValue), and \(dataset.name) has no \(side.rawValue) store",
                "add '\(side.rawValue): …', or remove \(value.name)")
        }
        guard let fallback else { return }
        if !item.contains("read") {
            fallback.refuse("fallback without read", "add 'read: …', or remove it")
        } else if let side = dataset.read, side == dataset.fallback {
            fallback.refuse("fallback is what is read already", "write \(side.other.rawValue)")
        }
    }

    // MARK: Layouts

    private func readLayouts(
        _ value: YAMLValue?, schema: Schema?, into dataset: inout PlacedDataset
    ) {
        let used = dataset.settings.stores
        let name = dataset.settings.name
        let layouts = value?.names { store, place, value -> (String, PlacedLayout)? in
            let reader = LayoutReader(
                dataset: name, schema: schema, kind: byName[store]?.kind, findings: findings)
            let layout = reader.read(value)
            if byName[store] == nil {
                refuseUnknown(store, shown: String(store.prefix(60)), at: place)
            } else if !used.contains(store) {
                findings.error(
                    place, "dataset \(name) does not use store \(store)",
                    "name it as old, new or also, or remove its layout")
            }
            return layout.map { (store, $0) }
        }
        for (store, layout) in layouts ?? [] {
            dataset.settings.layout[store] = layout.settings
            dataset.locations[store] = layout.location
        }
    }
}
