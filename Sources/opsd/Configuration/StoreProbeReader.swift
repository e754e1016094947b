import Ledger
import StrictYAML
import Trading

/// Reads what a check in `health` asks of a store.
struct StoreProbeReader {
    let stores: [PlacedStore]
    let datasets: [DatasetSettings]
    let findings: Findings

    /// - Parameter stale: `stale_after`, which a check of a file has too.
    func read(_ item: inout YAMLMapping, _ stale: Duration?) -> StoreProbeSettings? {
        let reference = PlacedReference.one(item.optional("store"))
        let stream = item.optional("stream").flatMap(StreamName.read)
        let backlog = item.optional("backlog_from")?.integer(in: 1...1_000_000_000)
        let dataset = PlacedReference.one(item.optional("dataset"))
        let staleFrom = item.optional("stale_from")?.integer(in: 1...1_000_000_000)
        checkCompanions(item)
        let store = reference.flatMap {
            RedisReferences(stores: stores, findings: findings).expectRedis($0)
        }
        guard let store, let settings = store.settings else { return nil }
        if item.place(ofKey: "stream") != nil {
            guard let stream, let backlog else { return nil }
            return StoreProbeSettings(
                store: settings, question: .backlog(stream: stream, from: backlog))
        }
        if item.place(ofKey: "dataset") != nil {
            guard let dataset, let found = expect(dataset, in: store.name), let stale, let staleFrom
            else { return nil }
            return StoreProbeSettings(
                store: settings,
                question: .freshness(found, staleAfter: stale, staleFrom: staleFrom))
        }
        return StoreProbeSettings(store: settings, question: .answers)
    }

    private func checkCompanions(_ item: YAMLMapping) {
        refuse("stream", without: "store", item)
        refuse("dataset", without: "store", item)
        refuse("backlog_from", without: "stream", item)
        refuse("stale_from", without: "dataset", item)
        if item.place(ofKey: "stream") != nil, item.place(ofKey: "dataset") != nil {
            item.refuse("the check has a stream and a dataset", "make two checks of it")
        }
        require("backlog_from", with: "stream", "1000", item)
        require("stale_after", with: "dataset", "30s", item)
        require("stale_from", with: "dataset", "10", item)
    }

    private func refuse(_ key: String, without other: String, _ item: YAMLMapping) {
        guard let place = item.place(ofKey: key), item.place(ofKey: other) == nil else { return }
        findings.error(
            place, "\(key) belongs to a check with \(other)", "remove it, or add '\(other): …'")
    }

    private func require(
        _ key: String, with other: String, _ example: String, _ item: YAMLMapping
    ) {
        guard item.place(ofKey: other) != nil, !item.contains(key) else { return }
        item.refuse("a check with \(other) lacks \(key)", "add '\(key): \(example)'")
    }

    /// A dataset of the store that knows the time of its rows.
    private func expect(_ reference: PlacedReference, in store: String) -> DatasetSettings? {
        guard let dataset = datasets.first(where: { $0.name == reference.name }) else {
            let remedy =
                Datasets.caches[reference.name] == nil
                ? NearestName.remedy(
                    for: reference.name, in: datasets.map(\.name), noun: "datasets")
                : "add '\(reference.name): {old: \(store)}' to datasets"
            findings.error(
                reference.place, "no dataset is called '\(reference.shown)'", remedy)
            return nil
        }
        guard dataset.stores.contains(store) else {
            findings.error(
                reference.place, "dataset \(dataset.name) does not use store \(store)",
                "name the store in it, or ask another")
            return nil
        }
        guard let schema = dataset.schema, schema.timeField != nil else {
            findings.error(
                reference.place, "dataset \(dataset.name) has no field of type timestamp",
                "add one that says how old a row is, as in 'timestamp: timestamp'")
            return nil
        }
        return dataset
    }
}

extension DatasetSettings {
    /// Nil when the declaration could not be read.
    var schema: Schema? { declared?.schema ?? Datasets.catalogue[name] }
}

extension Schema {
    /// The place of the field that says how old a row is: the one called `timestamp`, or else the last
    /// one of this type, since a row's last change stands at its end.
    var timeField: Int? {
        if let index = index(of: "timestamp"), fields[index].type == .timestamp { return index }
        return fields.lastIndex { $0.type == .timestamp }
    }
}
