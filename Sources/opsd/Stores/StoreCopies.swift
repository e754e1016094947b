import DualWrite
import Ledger
import Logging
import RedisStore
import Trading

/// The copies of a core's rows: written by the routes, read by the routes.
struct StoreCopies: Sendable {
    let dualWrite: DualWrite
    let reader: HybridReader
    /// Nil when no events are configured.
    let publisher: EventPublisher?
    private let stores: [String: LateStore]
    private let logger = Logger(label: "stores")
    private let stream: RedisEventStream?

    private static let maintainEvery = Duration.seconds(10)

    init(_ core: TradingCore, _ configuration: Configuration, _ catalogue: SchemaCatalogue) {
        let opener = OpenStores(configuration: configuration, catalogue: catalogue)
        let stores = opener.all()
        let rows = CheckpointRows(checkpoint: core.checkpoint, catalogue: catalogue)
        self.stores = stores
        let migrations = OpenMigrations(root: DataLayout(configuration).migrations)
        dualWrite = DualWrite(
            routes: configuration.routeTable,
            stores: Dictionary(
                uniqueKeysWithValues: stores.map { name, store in
                    (name, MeteredStore(store, name: name) as any ReplicaStore)
                }), journal: core.journalIdentity, feed: core.feed, source: rows,
            kept: migrations.kept(in:))
        reader = HybridReader(
            dualWrite, feed: core.feed, core: rows,
            record: DegradationFile(path: DataLayout(configuration).degradations))
        let stream = opener.events()
        self.stream = stream
        publisher = configuration.events.flatMap { events in
            stream.map {
                EventPublisher(
                    name: "\(events.store)/\(events.stream)", stream: $0, keep: events.keep,
                    journal: core.journalIdentity, feed: core.feed, catalogue: catalogue)
            }
        }
    }

    /// What an operator types to have rows journaled that lie in a store.
    func migration(of dataset: String, from store: String) -> String {
        let other = dualWrite.routes[dataset]?.writes.first { $0 != store }
        return "opsd migrate --dataset \(dataset) --from \(store) --to \(other ?? store)"
    }

    /// The store itself, for those who put its rows right.
    func repairable(_ name: String) -> (any RepairableStore)? { stores[name] }

    /// Until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await dualWrite.run() }
            group.addTask { await reader.run() }
            if let publisher { group.addTask { await publisher.run() } }
            group.addTask { await maintain() }
        }
        for store in stores.values { await store.pooled?.close() }
        await stream?.close()
    }

    private func maintain() async {
        var problems: [String: StoreError] = [:]
        while !Task.isCancelled {
            for (name, store) in stores {
                do throws(StoreError) {
                    try await store.pooled?.maintain()
                    problems[name] = nil
                } catch {
                    if problems.updateValue(error, forKey: name) == error { continue }
                    logger.error(
                        "a store is not maintained",
                        metadata: ["store": "\(name)", "problem": "\(error)"])
                }
            }
            try? await Task.sleep(for: Self.maintainEvery)
        }
    }
}

/// The core's checkpoint, as those see it who fill copies from it.
private struct CheckpointRows: CoreRows {
    let checkpoint: Checkpoint
    let catalogue: SchemaCatalogue

    var store: any RowStore { checkpoint.store }

    func reach(_ sequence: SequenceNumber) async throws(StoreError) {
        try await checkpoint.reach(sequence)
    }
}

/// What the trading core asks, answered by the reader.
struct RoutedReader: RoutedRows {
    let reader: HybridReader

    func isRouted(_ dataset: String) -> Bool { reader.isRouted(dataset) }

    func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        try await reader.row(key)
    }

    func page(
        _ query: RowQuery
    ) async throws(StoreError) -> (total: Int, rows: [StampedRow]) {
        try await reader.page(query)
    }
}
