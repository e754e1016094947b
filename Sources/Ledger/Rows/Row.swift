/// One row of a dataset: its values in the schema's order, key fields first.
public struct Row: Sendable, Hashable {
    public let dataset: String
    public let values: [Value]

    /// Trusts the caller that the values fit the schema; `Schema.row(_:)` checks.
    public init(dataset: String, values: [Value]) {
        self.dataset = dataset
        self.values = values
    }

    public func key(in schema: Schema) -> RowKey {
        RowKey(dataset: dataset, values: Array(values.prefix(schema.keyCount)))
    }

    /// The account that this row belongs to; empty for what belongs to none.
    public func account(in schema: Schema) -> String {
        guard let field = schema.accountField, field < values.count else { return "" }
        return values[field].text ?? ""
    }
}

public struct RowKey: Sendable, Hashable {
    public let dataset: String
    public let values: [Value]

    public init(dataset: String, values: [Value]) {
        self.dataset = dataset
        self.values = values
    }
}

extension RowKey: CustomStringConvertible {
    public var description: String {
        dataset + "/" + values.map(\.description).joined(separator: "/")
    }
}

/// A row with the sequence number of the entry that last changed it.
public struct StampedRow: Sendable, Hashable {
    public let row: Row
    public let sequence: SequenceNumber

    public init(row: Row, sequence: SequenceNumber) {
        self.row = row
        self.sequence = sequence
    }
}

extension Schema {
    /// A row as it was decoded, with null for the optional fields behind what stands there. A row of
    /// before those were declared is completed too; one that lacks another field stays short.
    public func completed(_ row: Row) -> Row {
        let missing = fields.dropFirst(row.values.count)
        guard !missing.isEmpty, row.values.count >= keyCount, missing.allSatisfy(\.isOptional)
        else {
            return row
        }
        return Row(
            dataset: row.dataset,
            values: row.values + [Value](repeating: .null, count: missing.count))
    }

    /// A row of this schema, or why the values do not make one.
    public func row(_ values: [Value]) throws(RowError) -> Row {
        guard values.count == fields.count else {
            throw RowError(
                dataset: dataset, field: nil,
                problem: "has \(values.count) values where \(fields.count) are declared")
        }
        for (value, field) in zip(values, fields) {
            if case .null = value, field.isOptional { continue }
            guard value.type == field.type else {
                throw RowError(
                    dataset: dataset, field: field.name,
                    problem: "is \(value.type?.rawValue ?? "null"), not \(field.type.rawValue)")
            }
            if case .text(let text) = value, text.utf8.contains(0) {
                throw RowError(dataset: dataset, field: field.name, problem: "contains a NUL")
            }
        }
        return Row(dataset: dataset, values: values)
    }
}

/// A row that does not fit its schema. Retrying the same row does not help.
public struct RowError: Error, CustomStringConvertible, Equatable {
    public let dataset: String
    public let field: String?
    public let problem: String

    public init(dataset: String, field: String?, problem: String) {
        self.dataset = dataset
        self.field = field
        self.problem = problem
    }

    public var description: String {
        "\(dataset)\(field.map { ".\($0)" } ?? ""): \(problem)"
    }
}
