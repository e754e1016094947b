internal import Ledger

/// Copies datasets into a store that is being filled, page by page, and says how far it is.
struct DatasetCopy {
    private let source: any CoreRows
    private let store: any ReplicaStore
    private let rowsMax: Int
    private(set) var progress = FollowerState.Progress(dataset: "", rows: 0, rowsTotal: 0)

    init(
        _ datasets: Set<String>, from source: any CoreRows, to store: any ReplicaStore, rowsMax: Int
    ) async throws(StoreError) {
        self.source = source
        self.store = store
        self.rowsMax = rowsMax
        for dataset in datasets {
            progress.rowsTotal += try await source.store.count(RowQuery(dataset: dataset))
        }
    }

    /// - Returns: false when the store has fewer rows than it got: a server that crashed on the way and
    ///   came back may lack its last second, which no position tells before the dataset is whole.
    mutating func run(
        _ dataset: String, at begun: StorePosition, _ show: (FollowerState.Progress) -> Void
    ) async throws(StoreError) -> Bool {
        progress.dataset = dataset
        var query = RowQuery(dataset: dataset)
        query.limit = rowsMax
        var count = 0
        while true {
            show(progress)
            let rows = try await source.store.rows(query)
            guard let last = rows.last else { break }
            try await store.fill(rows, at: begun)
            progress.rows += rows.count
            count += rows.count
            query.afterKey = source.key(of: last.row)
        }
        return try await store.count(RowQuery(dataset: dataset)) >= count
    }
}
