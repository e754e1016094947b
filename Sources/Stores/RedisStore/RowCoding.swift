internal import ExactJSON
internal import Ledger

/// Turns the rows of one dataset into keys, fields and texts, and back.
///
/// A class, since it is looked up for every row and has much to copy.
final class RowCoding: Sendable {
    struct Shown: Sendable {
        /// In the row.
        let index: Int
        let field: Field
        /// For other programs; the same as bytes.
        let name: String
        let nameBytes: [UInt8]
        /// `"name":`
        let member: [UInt8]
    }

    let schema: Schema
    let key: KeyTemplate
    let field: KeyTemplate?
    let value: RedisLayout.Value
    let timeToLive: Duration?
    /// In the schema's order.
    let shown: [Shown]
    /// Neither shown nor in key or field.
    let hidden: [Int]
    /// Where a row's key does not say which Redis key it lies in, that is looked up.
    let needsIndex: Bool
    /// How a row's key is written in that index.
    let indexField: KeyTemplate?
    /// The place of the one text that is the whole field, as `{symbol}`.
    let soleText: Int?
    /// The places of the key template's fields in a row.
    let keyIndexes: [Int]
    let stampPrefix: [UInt8]
    let indexKey: [UInt8]

    init(
        schema: Schema, key: KeyTemplate, field: KeyTemplate?, value: RedisLayout.Value,
        names: [String: String], timeToLive: Duration?
    ) {
        self.schema = schema
        self.key = key
        self.field = field
        self.value = value
        self.timeToLive = timeToLive
        let inKey = Set(key.fields + (field?.fields ?? []))
        var shown: [Shown] = []
        var hidden: [Int] = []
        for (index, field) in schema.fields.enumerated() where !inKey.contains(field.name) {
            guard let name = names[field.name] else {
                hidden.append(index)
                continue
            }
            var member: [UInt8] = []
            RowJSON.appendQuoted(name, to: &member)
            member.append(UInt8(ascii: ":"))
            shown.append(
                Shown(
                    index: index, field: field, name: name, nameBytes: Array(name.utf8),
                    member: member))
        }
        self.shown = shown
        self.hidden = hidden
        needsIndex = !inKey.isSubset(of: Set(schema.keyFields.map(\.name)))
        let whole = schema.keyFields.map { "{\($0.name)}" }.joined(separator: ":")
        indexField = try? KeyTemplate(whole, reserved: ":")
        soleText = field.flatMap { template in
            schema.fields.firstIndex { "{\($0.name)}" == template.description && $0.type == .text }
        }
        keyIndexes = key.fields.compactMap(schema.index(of:))
        stampPrefix = Array("opsd:v:\(schema.dataset):".utf8)
        indexKey = Array("opsd:k:\(schema.dataset)".utf8)
    }

    /// After how many a key vanishes, as text; empty: never.
    var lifeMilliseconds: [UInt8] {
        guard let parts = timeToLive?.components else { return [] }
        var milliseconds: [UInt8] = []
        milliseconds.appendDigits(
            parts.seconds * 1_000 + parts.attoseconds / 1_000_000_000_000_000)
        return milliseconds
    }

    /// A hash a row, or a string a row; otherwise a key holds many rows.
    var isOneRowAKey: Bool { field == nil }

    /// Where a stamp lies in its hash when its key holds one row.
    static let onlyField = Array(".".utf8)

    func stampKey(_ dataKey: [UInt8]) -> [UInt8] { stampPrefix + dataKey }

    /// SCAN's pattern of the keys.
    var pattern: String {
        var pattern = ""
        var rest = key.description[...]
        while let open = rest.firstIndex(of: "{") {
            pattern += Self.globLiteral(rest[..<open]) + "*"
            rest = rest[open...].drop { $0 != "}" }.dropFirst()
        }
        return pattern + Self.globLiteral(rest)
    }

    static func globLiteral(_ text: some StringProtocol) -> String {
        text.reduce(into: "") { escaped, character in
            if "*?[]\\^".contains(character) { escaped.append("\\") }
            escaped.append(character)
        }
    }

    // MARK: - Names

    func dataKey(_ values: [Value]) -> [UInt8] { rendered(key, values) }

    func dataField(_ values: [Value]) -> [UInt8] {
        if let soleText, case .text(let text) = values[soleText] {
            let bytes = Array(text.utf8)
            if Self.isWrittenAsItIs(bytes) { return bytes }
        }
        return field.map { rendered($0, values) } ?? Self.onlyField
    }

    /// Whether a template alone in its field writes these bytes unchanged.
    private static func isWrittenAsItIs(_ bytes: [UInt8]) -> Bool {
        !bytes.isEmpty
            && bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "%") }
    }

    /// The values that a field tells; nil for what this layout never writes.
    func fieldValues(_ bytes: [UInt8]) -> [(index: Int, value: Value)]? {
        guard let field else { return [] }
        if let soleText, Self.isWrittenAsItIs(bytes) {
            return String(validating: bytes, as: UTF8.self).map { [(soleText, .text($0))] }
        }
        return values(field, in: bytes)
    }

    /// The row's key in the index. Values that are only a key will do.
    func indexName(_ values: [Value]) -> [UInt8] {
        indexField.map { rendered($0, values) } ?? []
    }

    private func rendered(_ template: KeyTemplate, _ values: [Value]) -> [UInt8] {
        Array(
            template.rendered { name in
                guard let index = schema.index(of: name), index < values.count else { return "" }
                return values[index].plainText ?? ""
            }.utf8)
    }

    /// The values that a key and a field tell, by their place in the row; nil for what this layout
    /// never writes.
    func values(_ template: KeyTemplate, in bytes: [UInt8]) -> [(index: Int, value: Value)]? {
        guard let text = String(validating: bytes, as: UTF8.self),
            let texts = template.parsed(text)
        else { return nil }
        var found: [(index: Int, value: Value)] = []
        for (name, text) in texts {
            guard let index = schema.index(of: name),
                let value = Value(written: text, as: schema.fields[index].type),
                // One value has one spelling, or two fields would be one row.
                value.plainText.map({ $0.utf8.elementsEqual(text.utf8) }) == true
            else { return nil }
            found.append((index, value))
        }
        return found
    }

    // MARK: - Rows to be written

    /// Why a row cannot be written here; nil when it can.
    func problem(of change: StoreBatch.Change) -> String? {
        let key = change.key.values
        guard key.count == schema.keyCount else { return "a key of \(key.count) values" }
        if let row = change.row {
            guard row.values.count == schema.fields.count else {
                let count = row.values.count
                return "a row has \(count) values where \(schema.fields.count) are declared"
            }
            for index in keyIndexes where row.values[index] == .null {
                return "\(schema.fields[index].name) is null, and part of the key"
            }
        }
        for (value, field) in zip(key, schema.keyFields) where value == .null {
            return "\(field.name) is null, and part of the key"
        }
        return nil
    }
}
