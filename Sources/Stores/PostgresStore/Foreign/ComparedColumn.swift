public import Ledger

/// A column of any table, as it is compared with something else: which values it gives, and how it is asked
/// for one.
public struct ComparedColumn: Sendable, Hashable {
    public let name: String
    /// As the catalogue prints it, without a length; of a domain what it is made of.
    public let type: String
    /// Nil for a type whose values are not compared.
    public let fieldType: FieldType?

    init(name: String, type: String, isEnumeration: Bool) {
        self.name = name
        self.type = type
        fieldType = isEnumeration ? .text : Self.types[type]
    }

    private static let types: [String: FieldType] = [
        "text": .text, "character varying": .text, "character": .text, "name": .text,
        "uuid": .text, "date": .text, "time without time zone": .text,
        "time with time zone": .text, "interval": .text, "bytea": .text, "inet": .text,
        "cidr": .text, "macaddr": .text, "citext": .text,
        "bigint": .integer, "integer": .integer, "smallint": .integer,
        "numeric": .decimal, "double precision": .decimal, "real": .decimal,
        "timestamp with time zone": .timestamp, "timestamp without time zone": .timestamp,
        "boolean": .boolean, "jsonb": .json, "json": .json,
    ]

    /// Whether the column's values can be given as a field of this type without loss.
    public func gives(_ wanted: FieldType) -> Bool {
        fieldType == wanted || fieldType == .integer && wanted == .decimal
    }

    private var column: String { quoted(name) }
    private var isFloat: Bool { type == "double precision" || type == "real" }

    /// The value as PostgreSQL's own type for the field, the same whatever type the column has.
    func value(as wanted: FieldType) -> String {
        switch wanted {
        case .text: type == "bytea" ? "encode(\(column), 'hex')" : "\(column)::text"
        case .integer: "\(column)::bigint"
        // A binary number stands for the shortest text that gives it.
        case .decimal: isFloat ? "\(column)::text::numeric" : "\(column)::numeric"
        // Without a zone a time is taken for UTC.
        case .timestamp:
            type.hasSuffix("without time zone") ? "(\(column) AT TIME ZONE 'UTC')" : column
        case .boolean: column
        case .json: "\(column)::jsonb"
        }
    }

    /// The condition that the column has the value `mark`, which is of the field's own type. It uses an
    /// index of the column where there is one; the database may find more than is the same.
    func equals(_ mark: String, as wanted: FieldType) -> String {
        switch type {
        case "uuid", "date": "\(column) = \(mark)::\(type)"
        case "character": "\(column) = \(mark)::bpchar"
        case "timestamp without time zone": "\(column) = (\(mark) AT TIME ZONE 'UTC')"
        case "bigint", "integer", "smallint": "\(column) = \(mark)::bigint"
        case "text", "character varying", "numeric", "timestamp with time zone", "boolean":
            "\(column) = \(mark)"
        default: "\(value(as: wanted)) = \(mark)"
        }
    }

    /// Whether the column can have the value at all: it is not asked for what it would not understand.
    func canHave(_ value: Value) -> Bool {
        switch (type, value) {
        case ("uuid", .text(let text)):
            text.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/)
                != nil
        case ("date", .text(let text)): CivilDate(text) != nil
        case ("bigint", .decimal(let number)), ("integer", .decimal(let number)),
            ("smallint", .decimal(let number)):
            number.scale == 0 && Int64(exactly: number.coefficient) != nil
        case (_, .text(let text)): !text.utf8.contains(0)
        default: BinaryValue.problem(value) == nil
        }
    }
}
