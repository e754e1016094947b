internal import Ledger

extension JournalFeed {
    /// Whether the journal has this entry, or had it before its oldest file: what stands there is then a
    /// copy of this journal, and not of a longer one.
    func hasJournaled(_ sequence: SequenceNumber) async throws(StoreError) -> Bool {
        let head = head
        // An epoch's entry 0 stands for its beginning.
        if sequence == head || sequence.number == 0 { return sequence <= head }
        if sequence > head { return false }
        do {
            let before = SequenceNumber(rawValue: sequence.rawValue - 1)
            return try await run(after: before, rowsMax: 1).drafts.first?.sequence == sequence
        } catch JournalError.deleted {
            return true
        } catch {
            throw .unavailable(store: "journal", problem: error.description)
        }
    }
}
