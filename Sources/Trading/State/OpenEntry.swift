internal import Ledger

/// The entry that a decision is writing.
struct OpenEntry: Sendable {
    var changes: [RowChange] = []
    var scopes: [DigestScope] = []
    /// A deleted row has only its key.
    var rows: [(key: RowKey, row: Row?)] = []
    /// Where each row stands, once there are more than a look through all of them is quicker for.
    private var places: [RowKey: Int] = [:]

    private static let searchedCountMax = 8

    /// A row that one decision changes twice is journaled once, as it stands at the end.
    mutating func add(_ change: RowChange, key: RowKey, row: Row?, scope: DigestScope) {
        if let index = place(of: key) {
            changes[index] = change
            rows[index].row = row
        } else {
            changes.append(change)
            rows.append((key, row))
            notePlaces()
        }
        touch(scope)
    }

    /// A scope whose digest the entry has.
    mutating func touch(_ scope: DigestScope) {
        if !scopes.contains(scope) { scopes.append(scope) }
    }

    private func place(of key: RowKey) -> Int? {
        rows.count > Self.searchedCountMax
            ? places[key] : rows.firstIndex(where: { $0.key == key })
    }

    private mutating func notePlaces() {
        guard rows.count > Self.searchedCountMax else { return }
        for index in places.count..<rows.count { places[rows[index].key] = index }
    }
}
