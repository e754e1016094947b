import Connections
import DualWrite
import FileStore
import Foundation
import Ledger
import PostgresStore
import RedisStore
import SQLiteStore
import Trading

extension RedisStore: PooledStore {}
extension PostgresStore: PooledStore {}

/// Opens the stores of a configuration: the one place that knows every kind.
struct OpenStores: Sendable {
    let configuration: Configuration
    let catalogue: SchemaCatalogue
    /// For a process that only reads: nothing is made in a database.
    var isReading = false

    /// By name; none is spoken to before its first use.
    func all() -> [String: LateStore] {
        Dictionary(
            configuration.stores.map { settings in
                (
                    settings.name,
                    LateStore(isReading: isReading) { () throws(StoreError) in try open(settings) }
                )
            }, uniquingKeysWith: { first, _ in first })
    }

    private func open(_ settings: StoreSettings) throws(StoreError) -> any RepairableStore {
        let datasets = configuration.datasets.filter {
            ([$0.old, $0.new].compactMap { $0 } + $0.also).contains(settings.name)
        }
        let schemas = SchemaCatalogue(datasets.compactMap { catalogue[$0.name] })
        var layouts: [String: LayoutSettings] = [:]
        for dataset in datasets { layouts[dataset.name] = dataset.layout[settings.name] }
        return try open(settings, schemas, layouts)
    }

    /// One store with these rows in it, whatever the configuration keeps there.
    func open(
        _ settings: StoreSettings, _ schemas: SchemaCatalogue, _ layouts: [String: LayoutSettings]
    ) throws(StoreError) -> any RepairableStore {
        switch settings.kind {
        case .files: return try openFiles(settings, schemas, layouts)
        case .sqlite:
            let path = settings.path ?? ""
            let layouts = layouts.mapValues { SQLiteLayout(table: $0.table, columns: $0.columns) }
            return isReading
                ? try SQLiteStore(reading: path, schemas: schemas, layouts: layouts)
                : try SQLiteStore(path: path, schemas: schemas, layouts: layouts)
        case .redis: return try openRedis(settings, schemas, layouts)
        case .postgres: return try openPostgres(settings, schemas, layouts)
        }
    }

    private func openFiles(
        _ settings: StoreSettings, _ schemas: SchemaCatalogue, _ layouts: [String: LayoutSettings]
    ) throws(StoreError) -> any RepairableStore {
        var fileLayouts: [String: FileLayout] = [:]
        for schema in schemas.schemas {
            do {
                fileLayouts[schema.dataset] = try Self.fileLayout(schema, layouts[schema.dataset])
            } catch {
                throw Self.refused(settings, "layout of \(schema.dataset): \(error)")
            }
        }
        return try FileStore(
            path: settings.path ?? "", schemas: schemas, layouts: fileLayouts, makes: !isReading)
    }

    /// - Parameter layout: nil for the store's own.
    static func fileLayout(
        _ schema: Schema, _ layout: LayoutSettings?
    ) throws(FileLayoutError) -> FileLayout {
        let usual = try FileLayout(schema: schema)
        guard let layout else { return usual }
        return try FileLayout(
            schema: schema, path: layout.path ?? usual.pathText,
            format: layout.format.flatMap(FileLayout.Format.init(rawValue:)) ?? .json,
            content: layout.value.map(FileLayout.Content.value) ?? .object,
            fields: layout.fields, ignored: Set(layout.ignored))
    }

    private func openRedis(
        _ settings: StoreSettings, _ schemas: SchemaCatalogue, _ layouts: [String: LayoutSettings]
    ) throws(StoreError) -> any RepairableStore {
        var redisLayouts: [RedisLayout] = []
        let url: RedisURL
        do {
            for schema in schemas.schemas {
                redisLayouts.append(try Self.redisLayout(schema, layouts[schema.dataset]))
            }
            url = try RedisURL(settings.url?.reveal() ?? "")
        } catch {
            throw Self.refused(settings, "\(error)")
        }
        return try RedisStore(
            name: settings.name, url: url, layouts: redisLayouts, limits: Self.limits(settings),
            timeout: settings.timeout)
    }

    /// - Parameters:
    ///   - layout: nil for the store's own.
    ///   - cacheTimeToLive: of a cache whose layout says nothing of it.
    static func redisLayout(
        _ schema: Schema, _ layout: LayoutSettings?, cacheTimeToLive: Duration? = nil
    ) throws(RedisLayoutError) -> RedisLayout {
        guard let layout, let key = layout.key else {
            return try RedisLayouts.standard(for: schema, cacheTimeToLive: cacheTimeToLive)
        }
        // A cache of opsd's own never stays for ever.
        let usual =
            schema.kind == .cache
            ? cacheTimeToLive ?? RedisLayouts.timeToLive(of: schema.dataset) : nil
        return try RedisLayout(
            schema, key: key, field: layout.field, value: redisValue(layout.value),
            fields: layout.fields.isEmpty ? nil : layout.fields,
            timeToLive: layout.timeToLive ?? usual)
    }

    /// The stream that events go to; nil when they go nowhere.
    func events() -> RedisEventStream? {
        guard let events = configuration.events,
            let store = configuration.stores.first(where: { $0.name == events.store }),
            let url = try? RedisURL(store.url?.reveal() ?? "")
        else { return nil }
        return RedisEventStream(
            name: store.name, url: url, stream: events.stream, keep: events.keep,
            timeout: store.timeout)
    }

    private static func redisValue(_ text: String?) -> RedisLayout.Value {
        switch text {
        case nil, "json": .json
        case "hash": .hash
        case let field?: .text(field)
        }
    }

    private func openPostgres(
        _ settings: StoreSettings, _ schemas: SchemaCatalogue, _ layouts: [String: LayoutSettings]
    ) throws(StoreError) -> any RepairableStore {
        try PostgresStore(
            Self.postgresSettings(settings), schemas: schemas,
            layouts: layouts.mapValues { Self.postgresLayout($0) }, isReading: isReading)
    }

    static func postgresSettings(
        _ settings: StoreSettings
    ) throws(StoreError) -> PostgresSettings {
        do {
            return try PostgresSettings(
                url: settings.url ?? Secret(""), timeout: settings.timeout,
                connections: limits(settings))
        } catch {
            throw refused(settings, "\(error)")
        }
    }

    /// Throws where the folder of a store of files is not there.
    static func expectFolder(_ settings: StoreSettings) throws(StoreError) {
        var isFolder: ObjCBool = false
        let path = settings.path ?? ""
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder),
            isFolder.boolValue
        else {
            throw .unavailable(store: settings.name, problem: "there is no folder \(path)")
        }
    }

    static func postgresLayout(_ layout: LayoutSettings?) -> PostgresLayout {
        PostgresLayout(table: layout?.table, columns: layout?.columns ?? [:])
    }

    private static func limits(_ settings: StoreSettings) -> PoolLimits {
        PoolLimits(
            min: settings.connections.min, max: settings.connections.max,
            acquireTimeout: settings.timeout)
    }

    private static func refused(_ settings: StoreSettings, _ problem: String) -> StoreError {
        .refused(store: settings.name, problem: problem)
    }
}

extension Configuration {
    /// Without switches a dataset's stage is what its `read` and `fallback` say.
    var routeTable: RouteTable {
        RouteTable(
            Dictionary(
                // The rows of a cache are not kept, so nothing brings them to a store.
                datasets.filter { $0.old != nil && $0.declared?.kind != .cache }.map { dataset in
                    (
                        dataset.name,
                        Route(
                            old: dataset.old, new: dataset.new, also: dataset.also,
                            stage: Self.stage(of: dataset))
                    )
                }, uniquingKeysWith: { first, _ in first }))
    }

    private static func stage(of dataset: DatasetSettings) -> Stage {
        if dataset.new == nil { return .old }
        guard dataset.read == .new else { return .shadow }
        return dataset.fallback == .old ? .read : .write
    }
}
