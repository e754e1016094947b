public import Ledger

/// All stores that follow the journal, each by itself.
public final class DualWrite: Sendable {
    public let routes: RouteTable
    public let followers: [StoreFollower]

    /// - Parameters:
    ///   - stores: by name; one that no route names is not written.
    ///   - kept: what each of them has that is not to be filled now.
    public init(
        routes: RouteTable, stores: [String: any ReplicaStore], journal: String, feed: JournalFeed,
        source: any CoreRows, timing: StoreFollower.Timing = StoreFollower.Timing(),
        kept: @escaping @Sendable (_ store: String) async -> KeptDatasets = { _ in [:] }
    ) {
        // The rows of a cache are not kept, so nothing brings them to a store or reads them there.
        let routes = RouteTable(
            routes.routes.filter { source.catalogue[$0.key]?.kind != .cache })
        self.routes = routes
        followers = stores.sorted { $0.key < $1.key }.compactMap { name, store in
            let datasets = routes.datasets(of: name)
            if datasets.isEmpty { return nil }
            return StoreFollower(
                name: name, store: store, journal: journal, feed: feed, source: source,
                datasets: datasets, timing: timing, kept: { await kept(name) })
        }
    }

    public subscript(store: String) -> StoreFollower? {
        followers.first { $0.name == store }
    }

    /// Until the task is cancelled.
    public func run() async {
        await withDiscardingTaskGroup { group in
            for follower in followers { group.addTask { await follower.run() } }
        }
    }
}
