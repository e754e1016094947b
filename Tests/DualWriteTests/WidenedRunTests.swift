import Ledger
import Testing

@testable import DualWrite

/// Stores that come from far behind meet rows from before their dataset had all its fields.
@Suite struct WidenedRunTests {
    @Test func olderRowsGetNullInTheFieldsThatWereAdded() {
        let schema = Schema(
            dataset: "held_days", kind: .declared, key: [Field("symbol", .text)],
            fields: [Field("days", .integer), Field("note", .text, optional: true)])
        let key = RowKey(dataset: "held_days", values: [.text("X")])
        func change(_ values: [Value]?) -> StoreBatch.Change {
            StoreBatch.Change(
                key: key, row: values.map { Row(dataset: "held_days", values: $0) },
                sequence: SequenceNumber(epoch: 1, number: 1))
        }
        let run = JournalRun(
            changes: [
                change([.text("X"), .integer(1)]), change([.text("X"), .integer(2), .text("n")]),
                change(nil),
                // Nothing is made up for a field that must be there: the store refuses the row.
                change([.text("X")]),
            ])
        let widened = run.widened(by: SchemaCatalogue([schema]))
        #expect(
            widened.changes.map(\.row?.values) == [
                [.text("X"), .integer(1), .null], [.text("X"), .integer(2), .text("n")], nil,
                [.text("X")],
            ])
        #expect(
            run.widened(by: SchemaCatalogue([])).changes.map(\.row) == run.changes.map(\.row))
    }
}
