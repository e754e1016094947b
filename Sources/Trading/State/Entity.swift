public import Ledger

/// A value of the trading core that is a row of one dataset.
public protocol Entity: Sendable, Hashable {
    static var schema: Schema { get }
    var row: Row { get }
    init(row: Row) throws(RowError)
}

/// Takes a row apart, field by field in the schema's order, checking each type.
struct FieldReader {
    private let row: Row
    private let schema: Schema
    private var index = 0

    init(_ row: Row, _ schema: Schema) {
        self.row = row
        self.schema = schema
    }

    private func problem(_ text: String) -> RowError {
        let name = index - 1 < schema.fields.count ? schema.fields[index - 1].name : "\(index)"
        return RowError(dataset: schema.dataset, field: name, problem: text)
    }

    private mutating func next() throws(RowError) -> Value {
        index += 1
        guard index <= row.values.count else {
            // Of before the field was declared.
            if index <= schema.fields.count, schema.fields[index - 1].isOptional { return .null }
            throw problem("is missing")
        }
        return row.values[index - 1]
    }

    mutating func text() throws(RowError) -> String {
        guard let text = try next().text else { throw problem("is not text") }
        return text
    }

    mutating func optionalText() throws(RowError) -> String? {
        let value = try next()
        if case .null = value { return nil }
        guard let text = value.text else { throw problem("is not text") }
        return text
    }

    mutating func decimal() throws(RowError) -> ExactDecimal {
        guard let number = try next().decimal else { throw problem("is not a decimal") }
        return number
    }

    mutating func optionalDecimal() throws(RowError) -> ExactDecimal? {
        let value = try next()
        if case .null = value { return nil }
        guard let number = value.decimal else { throw problem("is not a decimal") }
        return number
    }

    mutating func integer() throws(RowError) -> Int64 {
        guard let number = try next().integer else { throw problem("is not an integer") }
        return number
    }

    mutating func boolean() throws(RowError) -> Bool {
        guard let flag = try next().boolean else { throw problem("is not a boolean") }
        return flag
    }

    mutating func timestamp() throws(RowError) -> Timestamp {
        guard let time = try next().timestamp else { throw problem("is not a timestamp") }
        return time
    }

    mutating func optionalTimestamp() throws(RowError) -> Timestamp? {
        let value = try next()
        if case .null = value { return nil }
        guard let time = value.timestamp else { throw problem("is not a timestamp") }
        return time
    }

    mutating func word<Word: RawRepresentable>() throws(RowError) -> Word
    where Word.RawValue == String {
        let text = try text()
        guard let word = Word(rawValue: text) else {
            throw problem("'\(text)' is not a known word")
        }
        return word
    }
}
