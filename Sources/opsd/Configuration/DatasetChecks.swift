import FileStore
import Ledger
import PostgresStore
import RedisStore
import StrictYAML
import Trading

/// What must hold between datasets: each has a place in each of its stores, and in a store that two of
/// them use, no row of one may lie where a row of the other could.
struct DatasetChecks {
    let datasets: [PlacedDataset]
    let stores: [PlacedStore]
    let findings: Findings

    /// Comparing each with each takes its time, and nobody has so many in one store.
    private static let comparedMax = 1_000

    func run() {
        for store in stores {
            guard let kind = store.kind else { continue }
            var earlier: [(dataset: PlacedDataset, place: PlaceInStore)] = []
            for dataset in datasets where dataset.settings.stores.contains(store.name) {
                guard let place = place(of: dataset, in: store.name, kind) else { continue }
                if let first = earlier.first(where: { $0.place.overlaps(place) })?.dataset {
                    refuse(
                        dataset, store.name, kind,
                        "could lie where \(first.settings.name) does (line \(first.place.line))",
                        "give one of them")
                }
                if earlier.count < Self.comparedMax { earlier.append((dataset, place)) }
            }
        }
    }

    private func place(
        of dataset: PlacedDataset, in store: String, _ kind: StoreKind
    ) -> PlaceInStore? {
        let settings = dataset.settings
        guard let schema = settings.declared?.schema ?? Datasets.catalogue[settings.name] else {
            return nil
        }
        do {
            return try PlaceInStore(of: schema, settings.layout[store], kind)
        } catch {
            // Most of what a layout says wrong is a finding already.
            if !findings.hasErrors {
                refuse(dataset, store, kind, "has no place: \(error)", "give it")
            }
            return nil
        }
    }

    private func refuse(
        _ dataset: PlacedDataset, _ store: String, _ kind: StoreKind, _ problem: String,
        _ remedy: String
    ) {
        findings.error(
            dataset.locations[store] ?? dataset.place,
            "in store \(store), \(dataset.settings.name) \(problem)",
            "\(remedy) another \(kind.placeWord)")
    }
}

extension StoreKind {
    /// The key of a layout that says where a dataset lies.
    fileprivate var placeWord: String {
        switch self {
        case .redis: "key"
        case .files: "path"
        case .sqlite, .postgres: "table"
        }
    }
}

/// Where the rows of a dataset lie in a store.
private enum PlaceInStore {
    case keys(RedisLayout)
    case files(FileLayout)
    case table(String)

    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    init(of schema: Schema, _ layout: LayoutSettings?, _ kind: StoreKind) throws {
        switch kind {
        case .redis: self = .keys(try OpenStores.redisLayout(schema, layout))
        case .files: self = .files(try OpenStores.fileLayout(schema, layout))
        case .sqlite:
            // SQLite takes capitals and small letters for the same.
            self = .table((layout?.table ?? schema.dataset).lowercased())
        case .postgres:
            let layout = OpenStores.postgresLayout(layout)
            if let problem = layout.problem(of: schema.dataset) {
                throw Problem(description: problem)
            }
            self = .table(layout.place(of: schema.dataset))
        }
    }

    func overlaps(_ other: PlaceInStore) -> Bool {
        switch (self, other) {
        case (.keys(let one), .keys(let two)): one.overlaps(two)
        case (.files(let one), .files(let two)): one.overlaps(two)
        case (.table(let one), .table(let two)): one == two
        default: false
        }
    }
}
