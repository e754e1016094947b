internal import Ledger

/// What lies in a store where datasets are to be filled. A row without a stamp is one that nobody
/// journaled: another program's, and nowhere else. Filling would take it out, so whoever fills asks first.
struct FillCheck: Sendable {
    /// Datasets with rows of another program, each of which the core has too: they stay where they lie.
    private(set) var known: Set<String> = []
    /// Datasets with a row that the core does not have like this, or that cannot be read: why, in words.
    private(set) var unmigrated: [String: String] = [:]

    /// A store that cannot search by itself reads everything for each page.
    private static let pageRows = 10_000

    private let store: any ReplicaStore
    private let core: any CoreRows

    /// - Parameter core: has everything that is journaled so far.
    /// - Throws: when the store does not answer.
    init(
        _ datasets: Set<String>, in store: any ReplicaStore, core: any CoreRows
    ) async throws(StoreError) {
        (self.store, self.core) = (store, core)
        for dataset in datasets.sorted() {
            guard let schema = core.catalogue[dataset] else { continue }
            do throws(StoreError) {
                try await look(at: schema)
            } catch {
                switch error {
                case .damaged, .refused: unmigrated[dataset] = error.description
                case .unavailable, .moved: throw error
                }
            }
        }
    }

    private mutating func look(at schema: Schema) async throws(StoreError) {
        var query = RowQuery(dataset: schema.dataset)
        query.limit = Self.pageRows
        var (hasStrangers, hasLeftovers) = (false, false)
        while true {
            let theirs = try await store.rows(query)
            guard let last = theirs.last else { break }
            let ours = Dictionary(
                try await core.store.rows(query).map { ($0.row.key(in: schema), $0.row) },
                uniquingKeysWith: { first, _ in first })
            for stamped in theirs {
                let key = stamped.row.key(in: schema)
                var row = ours[key]
                if row == nil { row = try await core.store.row(key)?.row }
                if stamped.sequence == .none {
                    hasStrangers = true
                    guard row == stamped.row else {
                        unmigrated[schema.dataset] = "the row \(key) there was journaled by nobody"
                        return
                    }
                } else if row == nil {
                    hasLeftovers = true
                }
            }
            query.afterKey = last.row.key(in: schema).values
        }
        if hasStrangers, !hasLeftovers { known.insert(schema.dataset) }
    }
}
