internal import Foundation
internal import GRDB
internal import Ledger

/// What is remembered of declared datasets, whose schemas are a configuration's and may change with it:
/// the schema that a table was made for, and rows that came while a dataset was not declared.
enum DeclaredTables {
    static let creation = [
        """
        CREATE TABLE IF NOT EXISTS opsd_schemas(
            dataset TEXT NOT NULL PRIMARY KEY, key_count INTEGER NOT NULL, fields TEXT NOT NULL)
        """,
        // A change by its encodings, because no table is known for it; a deleted row has none.
        """
        CREATE TABLE IF NOT EXISTS opsd_set_aside(
            dataset TEXT NOT NULL, key BLOB NOT NULL, row BLOB, sequence INTEGER NOT NULL,
            PRIMARY KEY (dataset, key)) WITHOUT ROWID
        """,
    ]

    /// Before the table is prepared: optional fields at the end may have been added, any other change of a
    /// dataset that has rows is refused.
    static func fit(
        _ schema: Schema, _ table: StoreTable, store: String, in database: Database
    ) throws {
        guard schema.kind == .declared else { return }
        let select = "SELECT key_count, fields FROM opsd_schemas WHERE dataset = ?"
        let known = try GRDB.Row.fetchOne(database, sql: select, arguments: [schema.dataset])
        if let known {
            let fields: String = known[1]
            let names = fields.split(separator: ",").map(String.init)
            try change(names, known[0], to: schema, table, store: store, in: database)
        }
        try database.execute(
            sql: "INSERT OR REPLACE INTO opsd_schemas VALUES (?, ?, ?)",
            arguments: [
                schema.dataset, schema.keyCount, schema.words.joined(separator: ","),
            ])
    }

    private static func change(
        _ names: [String], _ keyCount: Int, to schema: Schema, _ table: StoreTable,
        store: String, in database: Database
    ) throws {
        let isWidened =
            keyCount == schema.keyCount && schema.words.starts(with: names)
            && schema.words.dropFirst(names.count).allSatisfy { $0.hasSuffix("?") }
        if isWidened { return }
        // Without rows there is nothing that a declaration would have to fit.
        let aside = "SELECT COUNT(*) FROM opsd_set_aside WHERE dataset = ?"
        guard try table.isEmpty(database),
            try Int.fetchOne(database, sql: aside, arguments: [schema.dataset]) == 0
        else { throw refused(schema, names, keyCount, store) }
        try table.drop(database)
    }

    private static func refused(
        _ schema: Schema, _ names: [String], _ keyCount: Int, _ store: String
    ) -> StoreError {
        func shown(_ words: [String], _ keyCount: Int) -> String {
            "key (\(words.prefix(keyCount).joined(separator: ", "))), "
                + "fields (\(words.dropFirst(keyCount).joined(separator: ", ")))"
        }
        return .refused(
            store: store,
            problem: """
                the dataset \(schema.dataset) has rows of \(shown(names, keyCount)), and is declared \
                with \(shown(schema.words, schema.keyCount)) now. Only optional fields can be added, \
                after the others: put the declaration back, or declare a dataset of another name
                """)
    }

    /// Keeps a change of a dataset that has no schema at present.
    static func setAside(_ change: StoreBatch.Change, in database: Database) throws {
        let keyCount = change.key.values.count
        let key = Ledger.Row(dataset: change.key.dataset, values: change.key.values)
        try database.execute(
            sql: "INSERT OR REPLACE INTO opsd_set_aside VALUES (?, ?, ?, ?)",
            arguments: [
                change.key.dataset, Data(key.encoded(keyCount: keyCount)),
                change.row.map { Data($0.encoded(keyCount: keyCount)) }, change.sequence.rawValue,
            ])
    }

    /// The table takes what was set aside while its dataset was not declared.
    static func takeBack(
        _ schema: Schema, _ table: StoreTable, in database: Database
    ) throws {
        let found = try GRDB.Row.fetchAll(
            database, sql: "SELECT key, row, sequence FROM opsd_set_aside WHERE dataset = ?",
            arguments: [schema.dataset])
        for stored in found {
            let (key, row, sequence): (Data, Data?, Int64) = (stored[0], stored[1], stored[2])
            do {
                let keyRow = try Ledger.Row(encoded: Array(key))
                let whole = try row.map { try schema.fitted(Ledger.Row(encoded: Array($0))) }
                try table.apply(
                    StoreBatch.Change(
                        key: RowKey(dataset: schema.dataset, values: keyRow.values), row: whole,
                        sequence: SequenceNumber(rawValue: sequence)), to: database)
            } catch let error as RowError {
                throw StoreError.refused(
                    store: schema.dataset,
                    problem: "\(error), as the dataset was declared when the row was written; put "
                        + "that declaration back")
            } catch let error as CanonicalEncodingError {
                throw StoreError.damaged(store: "opsd_set_aside", problem: "\(error)")
            }
        }
        try database.execute(
            sql: "DELETE FROM opsd_set_aside WHERE dataset = ?", arguments: [schema.dataset])
    }
}

extension Schema {
    /// A word a field, as a declaration has it: its name and its type, `?` after an optional one.
    fileprivate var words: [String] {
        fields.map { "\($0.name) \($0.type.rawValue)\($0.isOptional ? "?" : "")" }
    }
}
