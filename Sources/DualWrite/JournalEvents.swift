internal import ExactJSON
internal import Ledger

/// What the entries of a run are as events: one for each entry.
///
///     {"actor":"lin","changes":[{"dataset":"orders","row":{…}},{"dataset":"positions","deleted":{…}}]}
///
/// A row has all its fields, decimals and times as strings; what was deleted has its key.
enum JournalEvents {
    static func events(of run: JournalRun, _ catalogue: SchemaCatalogue) -> [JournalEvent] {
        var rest = run.changes[...]
        return run.drafts.map { draft in
            let own = rest.prefix { $0.sequence == draft.sequence }
            rest = rest.dropFirst(own.count)
            return JournalEvent(
                id: draft.sequence, type: draft.kind, account: account(of: own, catalogue),
                data: data(draft.actor, own, catalogue), time: draft.time)
        }
    }

    /// An entry has one event, whatever it changes. Its account is that of the first row that belongs to
    /// one; rows of a master, such as the day's loss beside a fill, only count where there is no other.
    private static func account(
        of changes: ArraySlice<StoreBatch.Change>, _ catalogue: SchemaCatalogue
    ) -> String {
        var other = ""
        for change in changes {
            guard let schema = catalogue[change.key.dataset], let index = schema.accountField,
                let values = change.row?.values ?? Optional(change.key.values),
                index < values.count, case .text(let account) = values[index]
            else { continue }
            if schema.fields[index].name == "account_id" { return account }
            if other.isEmpty { other = account }
        }
        return other
    }

    private static func data(
        _ actor: String, _ changes: ArraySlice<StoreBatch.Change>, _ catalogue: SchemaCatalogue
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(64 + changes.count * 400)
        bytes += "{\"actor\":".utf8
        RowJSON.appendQuoted(actor, to: &bytes)
        bytes += ",\"changes\":[".utf8
        for (place, change) in changes.enumerated() {
            bytes += (place > 0 ? ",{\"dataset\":" : "{\"dataset\":").utf8
            RowJSON.appendQuoted(change.key.dataset, to: &bytes)
            bytes += (change.row == nil ? ",\"deleted\":" : ",\"row\":").utf8
            append(
                change.row?.values ?? change.key.values, catalogue[change.key.dataset], to: &bytes)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes += "]}".utf8
        return bytes
    }

    private static func append(_ values: [Value], _ schema: Schema?, to bytes: inout [UInt8]) {
        // A dataset that is not declared any more has no names for its fields.
        let fields = schema?.fields ?? values.indices.map { Field("field\($0 + 1)", .text) }
        RowJSON.append(zip(fields, values).lazy.map { (field: $0, value: $1) }, to: &bytes)
    }
}
