internal import Ledger

/// Where a store says that it stands, before it is compared.
struct StoreStanding {
    /// Everything up to here must be there.
    let applied: SequenceNumber

    /// Throws where it cannot be said what should be there: `refused` for the copy of another journal or
    /// of another history, `unavailable` for a dataset that is not whole yet.
    init(of check: StoreCheck) async throws(StoreError) {
        let (name, dataset) = (check.name, check.schema.dataset)
        let position = try await check.store.position()
        guard let journal = position.journal else {
            // Nothing says that it is behind: emptied, or replaced by an empty one, it lacks all of it.
            applied = try await check.journaled.head()
            return
        }
        guard journal == check.journaled.identity else {
            throw .refused(store: name, problem: "it is the copy of another journal, \(journal)")
        }
        guard position.datasets.contains(dataset) else {
            throw .unavailable(
                store: name,
                problem:
                    "\(dataset) is not whole there: it is being filled, or has to be; opsd status")
        }
        guard try await check.journaled.has(position.place) else {
            throw .refused(
                store: name,
                problem: "it stands at entry \(position.applied), which is not in the journal")
        }
        applied = position.applied
    }
}
