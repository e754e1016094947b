internal import Ledger

/// Whether a store that follows the journal has the very rows of the core, while both are written.
struct Agreement: Sendable {
    let follower: StoreFollower
    let core: any CoreRows
    let feed: JournalFeed

    private static let pageRows = 5_000
    /// A row that is being written differs for a moment.
    private static let tries = 20
    private static let pause = Duration.milliseconds(20)

    /// A row that the two do not have alike; nil when there is none. Throws when one cannot be read.
    func difference(in dataset: String) async throws(StoreError) -> RowKey? {
        guard let schema = core.catalogue[dataset] else { return nil }
        let accountField = schema.accountField.map { schema.fields[$0].name }
        // A store that keeps rows by account reads one account at a time.
        var accounts: Set<String> = []
        if accountField != nil {
            for store in [core.store, follower.store] {
                for stamp in try await store.digests() where stamp.scope.dataset == dataset {
                    accounts.insert(stamp.scope.account)
                }
            }
        } else {
            accounts = [""]
        }
        for account in accounts.sorted() {
            var query = RowQuery(dataset: dataset)
            if let accountField { query.matching = [(accountField, [.text(account)])] }
            if let key = try await difference(query, schema) { return key }
        }
        return nil
    }

    private func difference(
        _ wanted: RowQuery, _ schema: Schema
    ) async throws(StoreError) -> RowKey? {
        var query = wanted
        query.limit = Self.pageRows
        while true {
            let ours = try await core.store.rows(query)
            let theirs = try await follower.store.rows(query)
            for stamped in Set(ours).symmetricDifference(theirs) {
                let key = stamped.row.key(in: schema)
                if try await !isAlike(key) { return key }
            }
            // Where the core has no more, what the store still had has been looked at row by row.
            guard let last = ours.last else {
                guard let last = theirs.last else { return nil }
                query.afterKey = last.row.key(in: schema).values
                continue
            }
            query.afterKey = last.row.key(in: schema).values
        }
    }

    private func isAlike(_ key: RowKey) async throws(StoreError) -> Bool {
        for _ in 0..<Self.tries {
            let head = feed.head
            try await core.reach(head)
            if await follower.reach(head, within: .seconds(1)) {
                let ours = try await core.store.row(key)
                if try await follower.store.row(key) == ours { return true }
            }
            try? await Task.sleep(for: Self.pause)
        }
        return false
    }
}
