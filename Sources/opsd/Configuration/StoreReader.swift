import Ledger
import StrictYAML

extension ConfigurationReader {
    /// The stores, for those sections that name one.
    func readStores(
        _ top: inout YAMLMapping, _ result: inout Configuration
    ) -> [PlacedStore] {
        var stores: [PlacedStore] = []
        if let value = top.optional("stores") {
            stores = value.names(StoreReader(findings: findings).read) ?? []
            result.stores = stores.compactMap(\.settings)
            StoreChecks(stores: stores, data: DataLayout(result), findings: findings).run()
        }
        if let value = top.optional("datasets") {
            let datasets =
                value.names(DatasetReader(stores: stores, findings: findings).read) ?? []
            result.datasets = datasets.map(\.settings)
            DatasetChecks(datasets: datasets, stores: stores, findings: findings).run()
        }
        if let value = top.optional("events") {
            let reader = EventReader(
                stores: stores, datasets: result.datasets, findings: findings)
            result.events = reader.read(value)
        }
        return stores
    }

    func warnOfUnused(_ stores: [PlacedStore], _ configuration: Configuration) {
        // A dataset that could not be read looks like one that uses no store.
        guard !findings.hasErrors else { return }
        let used = Set(
            configuration.datasets.flatMap(\.stores)
                + [configuration.events?.store].compactMap { $0 }
                + configuration.verify.compactMap(\.pair).flatMap {
                    [$0.left.store, $0.right.store]
                })
        for store in stores where !used.contains(store.name) {
            findings.warning(
                store.place, "no dataset uses store \(store.name)",
                "name it as old, new or also of one, or remove it")
        }
    }
}

/// A store and the places that the checks between stores speak of.
struct PlacedStore {
    let name: String
    /// Of its name.
    let place: Place
    /// Nil for one that could not be read: it has a name all the same, which datasets may use.
    var settings: StoreSettings?
    /// Of its path or its URL.
    var location: Place?
    var url: StoreURL?

    var kind: StoreKind? { settings?.kind }
}

/// Reads one entry of `stores`.
struct StoreReader {
    let findings: Findings

    func read(_ name: String, _ place: Place, _ value: YAMLValue) -> PlacedStore? {
        var store = PlacedStore(name: name, place: place)
        if !ServiceReader.isName(name) {
            findings.error(
                place, "'\(name.prefix(60))' is not a name",
                "write 1 to 64 letters, digits, '_', '.', '@' or '-'")
        }
        _ = value.mapping { item -> Void? in
            let kind = item.required("kind")?.choice(StoreKind.self)
            let pathValue = item.optional("path")
            let path = readPath(pathValue)
            let urlValue = item.optional("url")
            let url = urlValue?.secretURL(
                schemes: StoreKind.allCases.flatMap(StoreURL.schemes(of:)))
            let connections = readConnections(item.optional("connections"), kind)
            let timeout = item.optional("timeout")?.duration()
            guard let kind else { return nil }
            refuseForeign(kind, item)
            var settings = StoreSettings(name: name, kind: kind)
            settings.connections = connections
            if let timeout { settings.timeout = timeout }
            if kind.isServer {
                settings.url = url
                store.location = urlValue?.place
                store.url = url.flatMap { readURL($0, kind, urlValue) }
                require("url", Self.example(of: kind), kind, item)
            } else {
                settings.path = path
                store.location = pathValue?.place
                if let path, let pathValue { check(path, kind, pathValue) }
                require("path", Self.example(of: kind), kind, item)
            }
            store.settings = settings
            return ()
        }
        return store
    }

    static func example(of kind: StoreKind) -> String {
        switch kind {
        case .files: "./data/files"
        case .sqlite: "./data/record.sqlite"
        case .redis: "redis://127.0.0.1:6379/0"
        case .postgres: "postgres://opsd@127.0.0.1/opsd"
        }
    }

    /// Of the kernel, with the NUL at its end.
    private static let pathBytesMax = 4_096

    private func readPath(_ value: YAMLValue?) -> String? {
        guard let path = AbsolutePath.read(value) else { return nil }
        guard path.utf8.count < Self.pathBytesMax else {
            value?.refuse(
                "path has \(path.utf8.count) bytes, too many for a file",
                "write at most \(Self.pathBytesMax - 1)")
            return nil
        }
        return path
    }

    private func readURL(_ url: Secret, _ kind: StoreKind, _ value: YAMLValue?) -> StoreURL? {
        do {
            return try StoreURL.read(url.reveal(), of: kind)
        } catch {
            value?.refuse(error.problem, error.remedy)
            return nil
        }
    }

    /// What is left out follows what is written, so that one of the two is enough.
    private func readConnections(_ value: YAMLValue?, _ kind: StoreKind?) -> ConnectionSettings {
        let usual = ConnectionSettings.usual(for: kind ?? .redis)
        let settings = value?.mapping { item -> ConnectionSettings? in
            let leastValue = item.optional("min")
            let least = leastValue?.integer(in: 0...1_000)
            let most = item.optional("max")?.integer(in: 1...1_000)
            if let least, let most, least > most {
                leastValue?.refuse("min is more than max", "write at most \(most)")
            }
            return ConnectionSettings(
                min: least ?? Swift.min(usual.min, most ?? usual.max),
                max: most ?? Swift.max(usual.max, least ?? usual.min))
        }
        return settings ?? usual
    }

    private func check(_ path: String, _ kind: StoreKind, _ value: YAMLValue) {
        guard AbsolutePath.exists(path) else { return }
        switch kind {
        case .files where !AbsolutePath.isDirectory(path):
            value.refuse("path: \(value.shown) is not a directory", "name a directory")
        case .sqlite where AbsolutePath.isDirectory(path):
            value.refuse("path: \(value.shown) is a directory", "name a file")
        default: break
        }
    }

    private func require(
        _ key: String, _ example: String, _ kind: StoreKind, _ item: YAMLMapping
    ) {
        guard !item.contains(key) else { return }
        item.refuse("a \(kind.rawValue) store has a \(key)", "add '\(key): \"\(example)\"'")
    }

    private func refuseForeign(_ kind: StoreKind, _ item: YAMLMapping) {
        let foreign = kind.isServer ? ["path"] : ["url", "connections", "timeout"]
        for key in foreign {
            guard let place = item.place(ofKey: key) else { continue }
            let kinds = kind.isServer ? "files or sqlite" : "redis or postgres"
            findings.error(place, "\(key) belongs to a store of kind \(kinds)", "remove it")
        }
    }
}
