import Ledger
import StrictYAML

/// What must hold between datasets: in a store that two of them use, each has a place of its own.
struct DatasetChecks {
    let datasets: [PlacedDataset]
    let stores: [PlacedStore]
    let findings: Findings

    /// A place in a store: a key, path or table, with what fields stand for left out.
    private struct Claim: Hashable {
        let store: String
        let pattern: String
    }

    func run() {
        let kinds = Dictionary(
            stores.map { ($0.name, $0.kind) }, uniquingKeysWith: { first, _ in first })
        var claimed: [Claim: PlacedDataset] = [:]
        for dataset in datasets {
            for store in Set(dataset.settings.stores).sorted() {
                guard let kind = kinds[store].flatMap({ $0 }),
                    let place = location(of: dataset, in: store, kind)
                else { continue }
                let claim = Claim(store: store, pattern: Self.pattern(place.text))
                if let first = claimed[claim] {
                    findings.error(
                        dataset.locations[store] ?? dataset.place,
                        "in store \(store), \(dataset.settings.name) would lie where "
                            + "\(first.settings.name) does (line \(first.place.line))",
                        "give one of them another \(place.key)")
                }
                claimed[claim] = claimed[claim] ?? dataset
            }
        }
    }

    /// Nil where the store itself chooses.
    private func location(
        of dataset: PlacedDataset, in store: String, _ kind: StoreKind
    ) -> (key: String, text: String)? {
        let layout = dataset.settings.layout[store]
        return switch kind {
        case .redis: layout?.key.map { ("key", $0) }
        case .files: layout?.path.map { ("path", $0) }
        case .sqlite, .postgres:
            ("table", (layout?.table ?? dataset.settings.name).lowercased())
        }
    }

    /// `acc:{a}:x` and `acc:{b}:x` write the same keys.
    private static func pattern(_ template: String) -> String {
        var pattern = ""
        var isInField = false
        for character in template {
            if !isInField { pattern.append(character) }
            if character == "{" { isInField = true }
            if character == "}", isInField {
                isInField = false
                pattern.append(character)
            }
        }
        return pattern
    }
}
