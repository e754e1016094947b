internal import Foundation
internal import GRDB
internal import Ledger

/// The columns of a table that another program has made, as they take and give the values of fields.
///
/// SQLite converts what it is given to a column's affinity without a word. So each field has a column that
/// gives back what it was given, or the table is refused.
struct ForeignColumns: Sendable {
    private enum Form {
        case own
        /// RFC 3339, as other programs read and write times.
        case time
        /// SQLite makes a binary number of it, which keeps fifteen digits.
        case number
    }

    private enum Affinity: String {
        case text, integer, real, numeric, none

        /// By the rules of SQLite, which looks for parts of the declared type's name.
        init(declared type: String) {
            let type = type.uppercased()
            func has(_ parts: String...) -> Bool { parts.contains { type.contains($0) } }
            self =
                if has("INT") { .integer } else if has("CHAR", "CLOB", "TEXT") {
                    .text
                } else if type
                    .isEmpty || has("BLOB")
                { .none } else if has("REAL", "FLOA", "DOUB") { .real } else { .numeric }
        }
    }

    private let dataset: String
    private let forms: [Form]
    private static let digitsMax: Int128 = 1_000_000_000_000_000

    /// - Parameter names: of the fields' columns.
    init(
        _ schema: Schema, _ names: [String], of table: String, _ columns: [ColumnInfo]
    ) throws(StoreError) {
        dataset = schema.dataset
        var forms: [Form] = []
        for (field, name) in zip(schema.fields, names) {
            // SQLite takes capitals and small letters for the same.
            guard let column = columns.first(where: { $0.name.lowercased() == name.lowercased() })
            else {
                throw .refused(
                    store: schema.dataset,
                    problem:
                        "the table \(table) has no column for the field \(field.name): name it "
                        + "under columns, or add it with ALTER TABLE")
            }
            guard let form = Self.form(of: field.type, Affinity(declared: column.type)) else {
                throw .refused(
                    store: schema.dataset,
                    problem: "the column \(table).\(column.name) is \(column.type), which would "
                        + "change a \(field.type.rawValue): declare \(field.name) otherwise, or leave "
                        + "the table and name another")
            }
            forms.append(form)
        }
        self.forms = forms
    }

    private static func form(of type: FieldType, _ affinity: Affinity) -> Form? {
        switch (type, affinity) {
        case (.text, .text), (.text, .none), (.json, .text), (.json, .none): .own
        case (.integer, .integer), (.integer, .numeric), (.integer, .none): .own
        case (.boolean, .integer), (.boolean, .numeric), (.boolean, .none): .own
        case (.decimal, .text), (.decimal, .none): .own
        case (.decimal, _): .number
        // Of a whole number nobody knows whether it counts seconds.
        case (.timestamp, .text), (.timestamp, .numeric), (.timestamp, .none): .time
        default: nil
        }
    }

    /// Whether SQLite orders the column by size itself.
    func isNumber(_ index: Int) -> Bool { forms[index] == .number }

    /// Whether times stand there as texts.
    func isTime(_ index: Int) -> Bool { forms[index] == .time }

    /// - Parameter index: of the field.
    func stored(_ value: Value, _ index: Int) throws(StoreError) -> DatabaseValue {
        switch (forms[index], value) {
        case (.time, .timestamp(let time)):
            guard Timestamp(time.description) == time else {
                throw .refused(
                    store: dataset, problem: "\(time) is no time that other programs could read")
            }
            return time.description.databaseValue
        case (.number, .decimal(let number)):
            guard number.coefficient.magnitude < Self.digitsMax else {
                throw .refused(
                    store: dataset,
                    problem: "\(number) has more than 15 digits, and its column would round it")
            }
            return value.stored
        default: return value.stored
        }
    }

    /// Nil for what is no value of the field.
    func value(_ stored: DatabaseValue, of field: Field) -> Value? {
        switch (field.type, stored.storage) {
        case (.timestamp, .string(let text)): return Value(plainText: text, as: .timestamp)
        case (.decimal, .int64(let number)): return Value(plainText: "\(number)", as: .decimal)
        case (.decimal, .double(let number)):
            // The shortest text that stands for it, and so what was written there.
            return Decimal(string: "\(number)").flatMap {
                Value(plainText: "\($0)", as: .decimal)
            }
        case (.json, .string(let text)): return Value(plainText: text, as: .json)
        default: return Value(stored: stored, as: field.type)
        }
    }
}
