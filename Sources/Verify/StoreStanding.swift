internal import Ledger

/// Where a store says that it stands, before it is compared.
enum StoreStanding {
    /// Everything up to here must be there.
    case at(SequenceNumber)
    /// It is no copy of this journal: of another one, of a longer one, or of one that went another way.
    case ahead(String)

    /// Throws `unavailable` for a dataset that is not whole yet: it cannot be said what should be there.
    init(of check: StoreCheck) async throws(StoreError) {
        let (name, dataset) = (check.name, check.schema.dataset)
        let position = try await check.store.position()
        guard let journal = position.journal else {
            // Nothing says that it is behind: emptied, or replaced by an empty one, it lacks all of it.
            self = .at(try await check.journaled.head())
            return
        }
        guard journal == check.journaled.identity else {
            self = .ahead("\(name) is the copy of another journal, \(journal)")
            return
        }
        guard position.datasets.contains(dataset) else {
            throw .unavailable(
                store: name,
                problem:
                    "\(dataset) is not whole there: it is being filled, or has to be; opsd status")
        }
        guard try await check.journaled.has(position.place) else {
            self = .ahead(
                "\(name) stands at entry \(position.applied), which is not in the journal")
            return
        }
        self = .at(position.applied)
    }

    /// Throws `refused` where it is no copy of this journal.
    static func applied(of check: StoreCheck) async throws(StoreError) -> SequenceNumber {
        switch try await StoreStanding(of: check) {
        case .at(let applied): return applied
        case .ahead(let problem): throw .refused(store: check.name, problem: problem)
        }
    }
}
