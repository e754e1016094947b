import Ledger
import StrictYAML

/// A layout and the place that the checks between datasets speak of.
struct PlacedLayout {
    var settings: LayoutSettings
    /// Of its key, path or table.
    var location: Place?
}

/// Reads how a dataset lies in one store.
struct LayoutReader {
    let dataset: String
    /// Nil when the dataset could not be read; then its fields are not looked at.
    let schema: Schema?
    /// Nil when the store could not be read.
    let kind: StoreKind?
    let findings: Findings

    /// The values of a layout, as far as it has them.
    struct Parts {
        let key: YAMLValue?
        let field: YAMLValue?
        let value: YAMLValue?
        let fields: YAMLValue?
        let timeToLive: YAMLValue?
        let path: YAMLValue?
        let format: YAMLValue?
        let ignored: YAMLValue?
        let table: YAMLValue?
    }

    /// A field and what another program calls it.
    struct Renaming {
        let field: String
        let name: String
        let place: Place
    }

    static func keys(of kind: StoreKind) -> [String] {
        switch kind {
        case .redis: ["key", "field", "value", "fields", "ttl"]
        case .files: ["path", "format", "value", "fields", "ignore"]
        case .sqlite, .postgres: ["table", "columns"]
        }
    }

    func read(_ value: YAMLValue) -> PlacedLayout? {
        value.mapping { item in
            let parts = Parts(
                key: item.optional("key"), field: item.optional("field"),
                value: item.optional("value"), fields: item.optional("fields"),
                timeToLive: item.optional("ttl"), path: item.optional("path"),
                format: item.optional("format"), ignored: item.optional("ignore"),
                table: item.optional("table"))
            let fields = readRenamings(parts.fields)
            let columns = readRenamings(item.optional("columns"), listToo: false)
            let settings = LayoutSettings(
                key: parts.key?.nonEmptyText(), field: parts.field?.nonEmptyText(),
                value: parts.value?.nonEmptyText(), fields: Self.byField(fields),
                timeToLive: parts.timeToLive?.duration(), path: parts.path?.nonEmptyText(),
                format: parts.format?.choice(FileFormat.self)?.rawValue,
                ignored: parts.ignored?.sequence { $0.nonEmptyText() } ?? [],
                table: parts.table?.nonEmptyText(), columns: Self.byField(columns))
            guard let kind else { return PlacedLayout(settings: settings) }
            refuseForeign(item, kind)
            if !StoreKind.allCases.flatMap(Self.keys(of:)).contains(where: item.contains) {
                item.refuse("the layout of \(value.name) says nothing", "remove it")
            }
            let checks = LayoutChecks(
                dataset: dataset, schema: schema, settings: settings, findings: findings)
            switch kind {
            case .redis:
                if !item.contains("key") {
                    item.refuse("the layout of \(value.name) lacks key", checks.keyRemedy)
                }
                checks.checkRedis(parts, fields)
            case .files: checks.checkFiles(parts, fields)
            case .sqlite, .postgres: checks.checkTable(parts, columns, kind)
            }
            return PlacedLayout(
                settings: settings, location: (parts.key ?? parts.path ?? parts.table)?.place)
        }
    }

    private func refuseForeign(_ item: YAMLMapping, _ kind: StoreKind) {
        let own = Self.keys(of: kind)
        var asked: Set<String> = []
        for key in StoreKind.allCases.flatMap(Self.keys(of:)) where !own.contains(key) {
            guard asked.insert(key).inserted, let place = item.place(ofKey: key) else { continue }
            findings.error(
                place, "\(key) does not belong to a layout in a \(kind.rawValue) store",
                "remove it; the keys here are: \(own.joined(separator: ", "))")
        }
    }

    /// `[days]`, or `{days: held_days}`.
    private func readRenamings(_ value: YAMLValue?, listToo: Bool = true) -> [Renaming] {
        guard let value else { return [] }
        var count = 0
        let read = { (field: String, place: Place, value: YAMLValue) in
            count += 1
            return value.nonEmptyText().map { Renaming(field: field, name: $0, place: place) }
        }
        let readItem = { (item: YAMLValue) in
            count += 1
            return item.nonEmptyText().map { Renaming(field: $0, name: $0, place: item.place) }
        }
        let renamings = listToo ? value.names(orItems: readItem, read) : value.names(read)
        if renamings != nil, count == 0 {
            value.refuse("\(value.name) names no field", "name one, or remove the key")
        }
        return renamings ?? []
    }

    private static func byField(_ renamings: [Renaming]) -> [String: String] {
        Dictionary(
            renamings.map { ($0.field, $0.name) }, uniquingKeysWith: { first, _ in first })
    }
}
