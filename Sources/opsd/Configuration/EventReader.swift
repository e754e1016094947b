import StrictYAML

/// Reads `events`.
struct EventReader {
    let stores: [PlacedStore]
    let datasets: [DatasetSettings]
    let findings: Findings

    func read(_ value: YAMLValue) -> EventSettings? {
        value.mapping { item in
            let store = PlacedReference.one(item.required("store"))
            let stream = item.optional("stream")
            let keep = item.optional("keep")?.integer(in: 1...100_000_000)
            if let store { RedisReferences(stores: stores, findings: findings).expectRedis(store) }
            var settings = EventSettings(store: store?.name ?? "")
            if let stream, let name = StreamName.read(stream) { settings.stream = name }
            if let keep { settings.keep = keep }
            checkPlace(of: settings, at: stream?.place ?? value.place)
            return settings
        }
    }

    /// No row may lie where the stream does.
    private func checkPlace(of settings: EventSettings, at place: Place) {
        let parts = settings.stream.split(separator: ":", omittingEmptySubsequences: false)
        for dataset in datasets {
            guard let key = dataset.layout[settings.store]?.key else { continue }
            let others = key.split(separator: ":", omittingEmptySubsequences: false)
            guard others.count == parts.count,
                zip(others, parts).allSatisfy({ $0 == $1 || $0.contains("{") })
            else { continue }
            findings.error(
                place,
                "in store \(settings.store), \(dataset.name) could lie where the stream does",
                "give the stream another name")
        }
    }
}

/// The name of a Redis Stream.
enum StreamName {
    private static let bytesMax = 200

    static func read(_ value: YAMLValue) -> String? {
        guard let name = value.nonEmptyText() else { return nil }
        guard name.utf8.count <= bytesMax, !name.hasPrefix("opsd:"),
            name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
        else {
            value.refuse(
                "\(value.name): '\(value.shown)' is no name of a stream",
                "write up to \(bytesMax) bytes without spaces, not beginning with opsd:, as in "
                    + EventSettings.usualStream)
            return nil
        }
        return name
    }
}

/// What names a store that must be a Redis.
struct RedisReferences {
    let stores: [PlacedStore]
    let findings: Findings

    @discardableResult
    func expectRedis(_ reference: PlacedReference) -> PlacedStore? {
        guard let store = stores.first(where: { $0.name == reference.name }) else {
            findings.error(
                reference.place, "no store is called '\(reference.shown)'",
                NearestName.remedy(
                    for: reference.name, in: stores.map(\.name), noun: "stores"))
            return nil
        }
        // One that could not be read has its own finding.
        guard let kind = store.kind else { return nil }
        guard kind == .redis else {
            let redis = stores.first { $0.kind == .redis }
            findings.error(
                reference.place, "store \(store.name) is of kind \(kind.rawValue), not redis",
                redis.map { "write \($0.name)" } ?? "name a store of kind redis")
            return nil
        }
        return store
    }
}
