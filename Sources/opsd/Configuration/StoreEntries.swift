import Ledger
import StrictYAML

// The settings of stores, datasets and events.

extension ConfigurationEntries {
    mutating func store(_ store: StoreSettings) {
        within("stores", store.name) { list in
            list.add("kind", store.kind.rawValue)
            if let path = store.path { list.add("path", path) }
            guard store.kind.isServer else { return }
            if let url = store.url {
                let shown = try? StoreURL.read(url.reveal(), of: store.kind).shown
                list.add("url", shown ?? "\(url)", exact: url.reveal())
            }
            list.within("connections") {
                $0.add("min", store.connections.min)
                $0.add("max", store.connections.max)
            }
            list.add("timeout", store.timeout)
        }
    }

    mutating func events(_ events: EventSettings?) {
        within("events") { list in
            list.add("store", events?.store ?? "none")
            guard let events else { return }
            list.add("stream", events.stream)
            list.add("keep", events.keep)
        }
    }

    mutating func storeQuestion(_ question: StoreProbeSettings.Question) {
        switch question {
        case .answers: break
        case .backlog(let stream, let from):
            add("stream", stream)
            add("backlog_from", from)
        case .freshness(let dataset, let staleAfter, let staleFrom):
            add("dataset", dataset.name)
            add("stale_after", staleAfter)
            add("stale_from", staleFrom)
        }
    }

    mutating func dataset(_ dataset: DatasetSettings, kinds: [String: StoreKind]) {
        within("datasets", dataset.name) { list in
            if let declared = dataset.declared { list.declaration(declared) }
            list.add("old", dataset.old ?? "none")
            list.add("new", dataset.new ?? "none")
            list.add("also", dataset.also)
            list.add("read", (dataset.read ?? dataset.old.map { _ in .old })?.rawValue ?? "none")
            list.add("fallback", dataset.fallback?.rawValue ?? "none")
            for (store, layout) in dataset.layout.sorted(by: { $0.key < $1.key }) {
                guard let kind = kinds[store] else { continue }
                list.within("layout", store) { $0.layout(layout, kind) }
            }
        }
    }

    private mutating func declaration(_ declared: DeclaredDataset) {
        add("kind", declared.kind.rawValue)
        let schema = declared.schema
        within("key") { list in
            for field in schema.keyFields { list.add(field.name, field.type.rawValue) }
        }
        within("fields") { list in
            for field in schema.fields.dropFirst(schema.keyCount) {
                list.add(field.name, field.type.rawValue + (field.isOptional ? "?" : ""))
            }
        }
        if declared.kind == .declared { add("on_failure", declared.onFailure.rawValue) }
    }

    mutating func layout(_ layout: LayoutSettings, _ kind: StoreKind) {
        switch kind {
        case .redis:
            add("key", layout.key ?? "none")
            add("field", layout.field ?? "none")
            add("value", layout.value ?? "json")
            add("ttl", layout.timeToLive)
            names("fields", layout.fields)
        case .files:
            add("path", layout.path ?? "the store's own")
            add("format", layout.format ?? FileFormat.json.rawValue)
            add("value", layout.value ?? "all fields")
            add("ignore", layout.ignored)
            names("fields", layout.fields)
        case .sqlite, .postgres:
            add("table", layout.table ?? "the store's own")
            names("columns", layout.columns)
        }
    }

    private mutating func names(_ key: String, _ names: [String: String]) {
        within(key) { list in
            for (field, name) in names.sorted(by: { $0.key < $1.key }) { list.add(field, name) }
        }
    }
}
