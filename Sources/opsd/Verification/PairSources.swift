import Ledger
import PostgresStore
import SQLiteStore
import Verify

/// What one side of a pair has, before it is decided what is compared.
struct PairSource {
    enum Kind {
        case postgres(PostgresSettings, ComparedTable)
        /// Whatever the store keeps, read as these rows.
        case rows(Schema, LayoutSettings?)
    }

    struct Field {
        let name: String
        /// Nil for a table that keeps anything in any column, and what its declaration sounds like.
        let type: FieldType?
        let usual: FieldType
    }

    let side: PairCheck.Side
    let settings: StoreSettings
    let kind: Kind
    /// By the names that the configuration uses.
    let fields: [Field]
    /// Empty where nothing tells its rows apart.
    let key: [String]
    /// Of fields that are called otherwise in a table.
    let columns: [String: String]

    var isDataset: Bool {
        if case .dataset = side.source { true } else { false }
    }

    /// Asks a table what it has; throws where it is not there, or cannot be read.
    init(_ side: PairCheck.Side, of configuration: Configuration) async throws(StoreError) {
        self.side = side
        guard let settings = configuration.stores.first(where: { $0.name == side.store }) else {
            throw .refused(store: side.store, problem: "there is no such store")
        }
        self.settings = settings
        switch side.source {
        case .dataset(let name):
            let dataset = configuration.datasets.first { $0.name == name }
            guard let schema = dataset?.declared?.schema ?? configuration.catalogue[name] else {
                throw .refused(store: side.store, problem: "no dataset '\(name)' is known")
            }
            let layout = side.layout ?? dataset?.layout[side.store]
            fields = schema.fields.map { Field(name: $0.name, type: $0.type, usual: $0.type) }
            key = schema.keyFields.map(\.name)
            columns = layout?.columns ?? [:]
            if settings.kind == .postgres {
                let place = OpenStores.postgresLayout(layout).place(of: name)
                let (postgres, found) = try await Self.table(place, settings)
                kind = .postgres(postgres, found)
            } else {
                kind = .rows(schema, layout)
                try await Self.expect(schema, layout, in: settings)
            }
        case .table(let table):
            columns = side.columns
            let names = Dictionary(
                side.columns.map { ($0.value, $0.key) }, uniquingKeysWith: { first, _ in first })
            if settings.kind == .postgres {
                let (postgres, found) = try await Self.table(table, settings)
                kind = .postgres(postgres, found)
                fields = found.columns.filter { $0.name != Self.stamp }.compactMap { column in
                    column.fieldType.map {
                        Field(name: names[column.name] ?? column.name, type: $0, usual: $0)
                    }
                }
                key = found.key.map { names[$0] ?? $0 }
            } else {
                let found = try await SQLiteComparedTable.describe(
                    table, path: settings.path ?? "")
                fields = found.columns.map {
                    Field(name: names[$0.name] ?? $0.name, type: nil, usual: $0.usual)
                }
                key = found.key.map { names[$0] ?? $0 }
                let schema = Schema(dataset: table, kind: .declared, key: [], fields: [])
                kind = .rows(schema, LayoutSettings(table: table, columns: side.columns))
            }
        }
    }

    private static let stamp = "opsd_sequence"

    private static func table(
        _ name: String, _ settings: StoreSettings
    ) async throws(StoreError) -> (PostgresSettings, ComparedTable) {
        let postgres = try OpenStores.postgresSettings(settings)
        return (postgres, try await ComparedTable.describe(name, in: postgres))
    }

    /// Where nothing is at all, nothing is known: a file or a folder that is not there has not lost its rows.
    private static func expect(
        _ schema: Schema, _ layout: LayoutSettings?, in settings: StoreSettings
    ) async throws(StoreError) {
        switch settings.kind {
        case .sqlite:
            _ = try await SQLiteComparedTable.describe(
                layout?.table ?? schema.dataset, path: settings.path ?? "")
        case .files: try OpenStores.expectFolder(settings)
        case .redis, .postgres: break
        }
    }

    /// - Parameter schema: of the rows that are compared.
    func open(
        as schema: Schema, _ stores: OpenStores
    ) throws(StoreError) -> (rows: any ComparedRows, close: @Sendable () async -> Void) {
        switch kind {
        case .postgres(let settings, let table):
            let rows = try PostgresRows(settings, table, as: schema, columns: columns)
            return (rows, { await rows.close() })
        case .rows(let source, let layout):
            // A table has the fields that are compared, and no others that anybody knows of.
            let source =
                source.fields.isEmpty
                ? Schema(
                    dataset: source.dataset, kind: .declared, key: Array(schema.keyFields),
                    fields: Array(schema.fields.dropFirst(schema.keyCount)))
                : source
            let store = LateStore { () throws(StoreError) in
                try stores.open(
                    settings, SchemaCatalogue([source]), layout.map { [source.dataset: $0] } ?? [:])
            }
            let rows = try StoreRows(store, named: settings.name, source, as: schema)
            return (rows, { await store.pooled?.close() })
        }
    }
}
