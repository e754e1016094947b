internal import Ledger

extension JournalFeed {
    /// Whether the journal has this very entry, or may have had it before its oldest file: what stands
    /// there is then a copy of this journal, and not of a longer one or of one that went another way.
    /// Nothing is continued from before the oldest file: who stands there is filled anew.
    func hasJournaled(_ place: JournalPlace) async throws(StoreError) -> Bool {
        let head = head
        // An epoch's entry 0 stands for its beginning.
        if place.applied > head || place.applied.number == 0 { return place.applied <= head }
        do {
            guard let checksum = try await checksum(of: place.applied) else { return false }
            return place.checksum == nil || place.checksum == checksum.short
        } catch JournalError.deleted {
            return true
        } catch {
            throw .unavailable(store: "journal", problem: error.description)
        }
    }

    /// Where a copy of a journal stands that has everything up to an entry.
    func place(at sequence: SequenceNumber, of journal: String) async throws(StoreError)
        -> JournalPlace
    {
        var place = JournalPlace(journal: journal, applied: sequence)
        if sequence.number == 0 { return place }
        do {
            place.checksum = try await checksum(of: sequence)?.short
        } catch JournalError.deleted {
            return place
        } catch {
            throw .unavailable(store: "journal", problem: error.description)
        }
        return place
    }
}
