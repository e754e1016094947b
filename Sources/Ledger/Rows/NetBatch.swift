extension StoreBatch {
    /// The net effect of some runs: of each row and digest the latest, rows in the order in which they
    /// first changed. Ids grow, so a store that keeps rows by key appends to its trees instead of
    /// searching them.
    /// - Parameter isWanted: whether a dataset is to be in the batch.
    public init(
        net runs: [JournalRun], after: JournalPlace? = nil,
        of isWanted: (String) -> Bool = { _ in true }
    ) {
        var changes: [Change] = []
        var places: [RowKey: Int] = [:]
        var digests: [DigestScope: Digest] = [:]
        var through = after ?? JournalPlace(applied: .none)
        places.reserveCapacity(runs.reduce(0) { $0 + $1.changes.count })
        for run in runs {
            for change in run.changes where isWanted(change.key.dataset) {
                if let place = places[change.key] {
                    changes[place] = change
                } else {
                    places[change.key] = changes.count
                    changes.append(change)
                }
            }
            for draft in run.drafts {
                for stamp in draft.digests where isWanted(stamp.scope.dataset) {
                    digests[stamp.scope] = stamp.digest
                }
            }
            if let last = run.last {
                through.applied = last
                through.checksum = run.checksums.last?.short
            }
        }
        self.init(
            changes: changes,
            digests: digests.map { DigestStamp(scope: $0.key, digest: $0.value) }, after: after,
            through: through)
    }
}
