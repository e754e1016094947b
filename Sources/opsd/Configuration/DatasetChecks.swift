import Ledger
import StrictYAML

/// What must hold between datasets: in a store that two of them use, no row of one may lie where a row of
/// the other could.
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
                guard let place = PlaceInStore(of: dataset.settings, in: store.name, kind) else {
                    continue
                }
                if let first = earlier.first(where: { $0.place.overlaps(place) }) {
                    refuse(dataset, place.key, first.dataset, store.name)
                }
                if earlier.count < Self.comparedMax { earlier.append((dataset, place)) }
            }
        }
    }

    private func refuse(
        _ dataset: PlacedDataset, _ key: String, _ first: PlacedDataset, _ store: String
    ) {
        findings.error(
            dataset.locations[store] ?? dataset.place,
            "in store \(store), \(dataset.settings.name) could lie where "
                + "\(first.settings.name) does (line \(first.place.line))",
            "give one of them another \(key)")
    }
}

/// Where the rows of a dataset lie in a store, as far as the file tells it.
private struct PlaceInStore {
    /// The key of a layout that says it.
    let key: String
    private let parts: [Substring]
    private let kind: StoreKind

    /// Nil where the store itself chooses.
    init?(of dataset: DatasetSettings, in store: String, _ kind: StoreKind) {
        let layout = dataset.layout[store]
        self.kind = kind
        switch kind {
        case .redis:
            guard let key = layout?.key else { return nil }
            self.key = "key"
            parts = key.split(separator: ":", omittingEmptySubsequences: false)
        case .files:
            guard let path = layout?.path else { return nil }
            key = "path"
            parts = path.split(separator: "/", omittingEmptySubsequences: false)
        case .sqlite:
            key = "table"
            // SQLite takes capitals and small letters for the same.
            parts = [Substring((layout?.table ?? dataset.name).lowercased())]
        case .postgres:
            key = "table"
            parts = [Substring(layout?.table ?? dataset.name)]
        }
    }

    func overlaps(_ other: PlaceInStore) -> Bool {
        parts.count == other.parts.count
            && zip(parts, other.parts).allSatisfy { overlap($0, $1) }
    }

    private func overlap(_ one: Substring, _ two: Substring) -> Bool {
        switch kind {
        case .sqlite, .postgres: one == two
        // The store compares no closer than this.
        case .redis: one == two || one.contains("{") || two.contains("{")
        case .files: Self.couldBeEqual(one, two)
        }
    }

    /// Whether what stands before the first field and after the last one leaves room for one text.
    private static func couldBeEqual(_ one: Substring, _ two: Substring) -> Bool {
        guard one.contains("{") || two.contains("{") else { return one == two }
        let (heads, tails) = ((head(one), head(two)), (tail(one), tail(two)))
        return (heads.0.hasPrefix(heads.1) || heads.1.hasPrefix(heads.0))
            && (tails.0.hasSuffix(tails.1) || tails.1.hasSuffix(tails.0))
    }

    private static func head(_ part: Substring) -> Substring { part.prefix { $0 != "{" } }

    private static func tail(_ part: Substring) -> Substring {
        part.lastIndex(of: "}").map { part[part.index(after: $0)...] } ?? part
    }
}
